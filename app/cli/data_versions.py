"""`pinrail data-version …`: the state of data that versions were built with."""

from typing import Annotated

import typer

from app.api import shapes
from app.api.shapes import Page
from app.cli.doors import asked, opened_door
from app.cli.options import Json
from app.cli.screen import Column, Screen, show

app = typer.Typer(help="The state of data that versions were built with.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The data version's name.")]


@app.command("list")
def list_data_versions(as_json: Json = False) -> None:
    """List the data versions, newest first."""
    with opened_door() as door:
        show(door.data_versions(), as_json=as_json, draw=_draw_list)


def _draw_list(screen: Screen, page: Page[shapes.DataVersionView]) -> None:
    rows = [
        (d.name, _rows(d), (d.sha256 or "")[:12], d.source or "", screen.when(d.registered_at), d.description)
        for d in page.items
    ]
    columns = (
        "DATA VERSION",
        Column("ROWS", right=True),
        "SHA-256",
        "SOURCE",
        Column("REGISTERED", folds=True),
        Column("WHAT", folds=True),
    )
    screen.table(columns, rows, empty="No data versions yet. Register one: pinrail data-version register NAME")


def _rows(data: shapes.DataVersionView) -> str:
    return f"{data.rows:,}" if data.rows is not None else ""


@app.command("show")
def show_data_version(name: Name, as_json: Json = False) -> None:
    """Show one data version."""
    with opened_door() as door:
        show(door.data_version(name), as_json=as_json, draw=_draw)


def _draw(screen: Screen, data: shapes.DataVersionView) -> None:
    screen.facts(
        [
            ("Data version", data.name),
            ("Description", data.description),
            ("Rows", _rows(data)),
            ("SHA-256", data.sha256 or ""),
            ("Source", data.source or ""),
            ("Registered", f"{screen.when(data.registered_at)} by {data.registered_by}"),
        ]
    )


@app.command("register")
def register(
    name: Name,
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is.")] = "",
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="HASH", help="Its hash, 64 hexadecimal digits.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", metavar="N", min=0, help="How many rows or documents it has.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="PLACE", help="Where it lies, such as s3://bucket/faq.jsonl")
    ] = None,
    as_json: Json = False,
) -> None:
    """Register the state of some data; the same again is no change."""
    body = asked(
        shapes.RegisterDataVersion, name=name, description=description, sha256=sha256, rows=rows, source=source
    )
    with opened_door() as door:
        made = door.register_data_version(body)
    show(made, as_json=as_json, draw=lambda screen, data: screen.say(f"Registered data version {data.name}."))
