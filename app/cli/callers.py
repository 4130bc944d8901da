"""`pinrail caller …`: the applications that call the gateway, and their keys."""

from typing import Annotated

import typer

from app.api import shapes
from app.api.shapes import Page
from app.cli.doors import asked, opened_door
from app.cli.options import Aliases, Expires, IdempotencyKey, Json, fresh_key, future
from app.cli.reports import ending, say_secret
from app.cli.screen import Column, Screen, present, show
from app.cli.words import listed

app = typer.Typer(help="Applications and the keys they call with.", no_args_is_help=True)


@app.command("list")
def list_callers(as_json: Json = False) -> None:
    """List the caller keys, by caller."""
    with opened_door() as door:
        show(door.callers(), as_json=as_json, draw=_draw_list)


def _draw_list(screen: Screen, page: Page[shapes.CallerKeyView]) -> None:
    rows = [
        (k.id, k.caller, _only(k), screen.when(k.created_at), ending(screen, k.revoked_at, k.expires_at))
        for k in page.items
    ]
    columns = ("KEY", "CALLER", "ALIASES", Column("CREATED", folds=True), Column("STATE", folds=True))
    screen.table(columns, rows, empty="No caller keys yet. Create one: pinrail caller create CALLER")


def _only(key: shapes.CallerKeyView) -> str:
    return listed(key.aliases) if key.aliases is not None else "all"


@app.command("create")
def create(
    caller: Annotated[str, typer.Argument(metavar="CALLER", help="The application's name.")],
    alias: Aliases = None,
    expires: Expires = None,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Create a key for an application.

    It is printed once and never again.
    """
    body = asked(
        shapes.CreateCallerKey,
        caller=caller,
        aliases=tuple(alias) if alias else None,
        expires_at=future(expires, now=present()),
    )
    with opened_door() as door:
        made = door.create_caller(body, key=fresh_key(idempotency_key))
    show(
        made,
        as_json=as_json,
        draw=lambda screen, key: say_secret(
            screen, f"Created key {key.id} for {key.caller}, good for aliases: {_only(key)}.", key.secret
        ),
    )


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as in the list.")], as_json: Json = False
) -> None:
    """Stop a caller key for good."""
    with opened_door() as door:
        made = door.revoke_caller(key)
    show(made, as_json=as_json, draw=lambda screen, k: screen.say(f"Revoked key {k.id} of {k.caller}."))
