"""How views reach a person or a program: JSON as one document, or sentences, facts and tables.

On a terminal tables are drawn to its width; piped, every row is one full line without colour, so that nothing a
program reads depends on how wide somebody's window was.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import BaseModel

from app.cli.words import moment, one_line

V = TypeVar("V", bound=BaseModel)

GAP = "  "


@dataclass(frozen=True)
class Column:
    """A column of a table; one that ``folds`` gives up width first, and goes on in the next line."""

    title: str
    right: bool = False
    folds: bool = False


class Screen:
    """Standard output as a pipe or a file gets it."""

    def __init__(self, *, now: datetime) -> None:
        self.now = now

    def say(self, sentence: str) -> None:
        """A line of text."""
        print(one_line(sentence))

    def text(self, exact: str) -> None:
        """A text as it is, with a line end if it has none."""
        sys.stdout.write(exact if exact.endswith("\n") else exact + "\n")

    def when(self, at: datetime | None) -> str:
        """A time in words."""
        return moment(at, now=self.now)

    def facts(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Names and values, one to a line; those without a value are left out."""
        known = known_facts(pairs)
        width = max((len(label) for label, _ in known), default=0) + 1
        for label, value in known:
            print(f"{label + ':':<{width}}{GAP}{value}")

    def table(self, columns: Sequence[str | Column], rows: Sequence[Sequence[str]], *, empty: str) -> None:
        """Rows under their titles, or ``empty``, which says what to do next."""
        if not rows:
            self.say(empty)
            return
        shape = [Column(column) if isinstance(column, str) else column for column in columns]
        self.draw(shape, [[one_line(cell) or "-" for cell in row] for row in rows])

    def draw(self, shape: Sequence[Column], cells: Sequence[Sequence[str]]) -> None:
        """Rows under their titles; there is at least one, and no cell is empty."""
        widths = natural_widths(shape, cells)
        for row in ([c.title for c in shape], *cells):
            sides = zip(row, shape, widths, strict=True)
            padded = [cell.rjust(width) if c.right else cell.ljust(width) for cell, c, width in sides]
            print(GAP.join(padded).rstrip())


def known_facts(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The facts that have a value, each on one line."""
    return [(label, one_line(value)) for label, value in pairs if value and value != "-"]


def natural_widths(shape: Sequence[Column], cells: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column would like to be."""
    return [max(len(c.title), *(len(row[i]) for row in cells)) for i, c in enumerate(shape)]


def open_screen() -> Screen:
    """Standard output as it is: a terminal, or anything else."""
    if not sys.stdout.isatty():
        return Screen(now=present())
    from app.cli.terminal import Terminal  # a pipe has no use for what draws on terminals

    return Terminal(now=present())


def show(view: V, *, as_json: bool, draw: Callable[[Screen, V], None]) -> None:
    """Print ``view``: as the JSON that the API answers, or drawn for people."""
    if as_json:
        print(view.model_dump_json(indent=2))
    else:
        draw(open_screen(), view)


def complain(sentence: str) -> None:
    """A sentence on standard error."""
    print(f"pinrail: {one_line(sentence)}", file=sys.stderr, flush=True)


def present() -> datetime:
    """This moment, for ages and for times that are given relative to it."""
    return datetime.now(UTC)
