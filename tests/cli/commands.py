"""The tree of commands of `pinrail`, as its tests walk it."""

from typing import Any

import typer
from typer.main import get_command


def commands_of(program: typer.Typer) -> dict[str, Any]:
    """Every command that does something, by the words that call it, such as `alias flip`."""
    return dict(_below(get_command(program), ()))


def _below(command: Any, path: tuple[str, ...]) -> list[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        return [(" ".join(path), command)]
    return [found for name, child in children.items() for found in _below(child, (*path, name))]
