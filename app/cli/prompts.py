"""`pinrail prompt …`: exact prompt texts under names that never change their meaning."""

from typing import Annotated

import typer

from app.api import shapes
from app.api.shapes import Page
from app.cli.doors import asked, opened_door
from app.cli.options import Json, text_from
from app.cli.screen import Column, Screen, show

app = typer.Typer(help="Exact prompt texts under names.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The prompt version's name.")]


@app.command("list")
def list_prompts(as_json: Json = False) -> None:
    """List the prompt versions, newest first."""
    with opened_door() as door:
        show(door.prompts(), as_json=as_json, draw=_draw_list)


def _draw_list(screen: Screen, page: Page[shapes.PromptView]) -> None:
    rows = [
        (p.name, p.sha256[:12], f"{len(p.text):,}", f"{screen.when(p.registered_at)} by {p.registered_by}")
        for p in page.items
    ]
    columns = ("PROMPT", "SHA-256", Column("CHARACTERS", right=True), Column("REGISTERED", folds=True))
    screen.table(columns, rows, empty="No prompts yet. Register one: pinrail prompt register NAME FILE")


@app.command("show")
def show_prompt(name: Name, as_json: Json = False) -> None:
    """Print the exact text of a prompt version, and nothing else."""
    with opened_door() as door:
        show(door.prompt(name), as_json=as_json, draw=lambda screen, prompt: screen.text(prompt.text))


@app.command("register")
def register(
    name: Name,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file with the text, or - for standard input.")],
    as_json: Json = False,
) -> None:
    """Register the text of a file, every blank of it.

    The same again is no change.
    """
    body = asked(shapes.RegisterPrompt, name=name, text=text_from(file))
    with opened_door() as door:
        made = door.register_prompt(body)
    show(
        made,
        as_json=as_json,
        draw=lambda screen, p: screen.say(
            f"Registered prompt {p.name}: {len(p.text):,} characters, sha256 {p.sha256[:12]}."
        ),
    )
