"""The screen of a person: tables to the width of the window, and nothing that a stored text could do to it."""

import os
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.screen import GAP, Column, Screen, known_facts, natural_widths
from app.cli.words import one_line, safe

NARROWEST_FOLD = 16


class Terminal(Screen):
    """Standard output as a terminal gets it. Colour is left out where NO_COLOR asks for it."""

    def __init__(self, *, now: datetime) -> None:
        super().__init__(now=now)
        plain = bool(os.environ.get("NO_COLOR"))
        self._console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, no_color=plain)

    def say(self, sentence: str) -> None:
        """A line of text, folded between words."""
        self._console.print(Text(one_line(sentence)))

    def text(self, exact: str) -> None:
        """A text with its lines, but without what would move the cursor or change colours."""
        super().text(safe(exact))

    def facts(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Names and values beside each other, long values folded in their own column."""
        grid = Table.grid(padding=(0, len(GAP)))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for label, value in known_facts(pairs):
            grid.add_row(Text(f"{label}:"), Text(value))
        self._console.print(grid)

    def draw(self, shape: Sequence[Column], cells: Sequence[Sequence[str]]) -> None:
        """A table where it fits; on a narrow window each row as facts below one another."""
        if least_width(shape, natural_widths(shape, cells)) <= self._console.width:
            self._console.print(_table(shape, cells))
            return
        for row in cells:
            self.facts([(c.title, cell) for c, cell in zip(shape, row, strict=True)])
            self._console.print()


def least_width(shape: Sequence[Column], widths: Sequence[int]) -> int:
    """The window a table needs, once the columns that fold have given up what they can."""
    needed = [min(width, NARROWEST_FOLD) if c.folds else width for c, width in zip(shape, widths, strict=True)]
    return sum(needed) + len(GAP) * (len(needed) - 1)


def _table(shape: Sequence[Column], cells: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), header_style="bold")
    for column in shape:
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(Text(column.title), justify=justify, overflow="fold", no_wrap=not column.folds)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    return table
