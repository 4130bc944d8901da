"""Writes the help of every command into docs/cli.md: `.venv/bin/python -m tests.docs.cli_reference`."""

import re
from collections.abc import Iterator
from pathlib import Path

from typer.testing import CliRunner

from app.cli.program import program
from tests.cli.commands import commands_of

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BLOCK = re.compile(r"(<!-- help: (?P<names>[a-z. -]+) -->\n).*?(<!-- /help -->)", re.DOTALL)


def filled(page: str) -> str:
    """``page`` with the help of today's commands between its marks."""
    return BLOCK.sub(lambda found: found[1] + "".join(_sections(found["names"].split())) + found[3], page)


def named_in(page: str) -> list[str]:
    """The names in the marks of ``page``: a command, a group with all of its commands, `.` for the program itself."""
    return [name for found in BLOCK.finditer(page) for name in found["names"].split()]


def _sections(names: list[str]) -> Iterator[str]:
    for name in names:
        for command in commands_behind(name):
            heading = " ".join(["pinrail", *command.split()])
            yield f"\n### `{heading}`\n\n```\n{help_of(command)}\n```\n"
    yield "\n"


def commands_behind(name: str) -> list[str]:
    """The commands that a name in a mark stands for; the program itself has no words."""
    if name == ".":
        return [""]
    return [command for command in commands_of(program) if command.split()[0] == name]


def help_of(command: str) -> str:
    """What `--help` prints, always 80 characters wide."""
    result = CliRunner().invoke(program, [*command.split(), "--help"])
    assert result.exit_code == 0, result.output
    return "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
