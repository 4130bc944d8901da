"""`pinrail token …`: API tokens that act for a person within a scope."""

from typing import Annotated

import typer

from app.api import shapes
from app.api.shapes import Page
from app.cli.doors import asked, opened_door
from app.cli.options import Aliases, Expires, IdempotencyKey, Json, fresh_key, future
from app.cli.reports import ending, say_secret
from app.cli.screen import Column, Screen, present, show
from app.cli.words import listed
from core.domain.permissions import SCOPES, ActorKind
from core.errors import InvalidInput

app = typer.Typer(help="API tokens that act for a person.", no_args_is_help=True)


@app.command("list")
def list_tokens(as_json: Json = False) -> None:
    """List your tokens, or everybody's for an admin."""
    with opened_door() as door:
        show(door.tokens(), as_json=as_json, draw=_draw_list)


def _draw_list(screen: Screen, page: Page[shapes.TokenView]) -> None:
    rows = [
        (
            t.id,
            t.name,
            t.person,
            t.scope,
            _only(t),
            screen.when(t.created_at),
            ending(screen, t.revoked_at, t.expires_at),
        )
        for t in page.items
    ]
    columns = (
        "TOKEN",
        "NAME",
        "PERSON",
        "SCOPE",
        "ALIASES",
        Column("CREATED", folds=True),
        Column("STATE", folds=True),
    )
    screen.table(columns, rows, empty="No tokens yet. Create one: pinrail token create NAME --scope rollback")


def _only(token: shapes.TokenView) -> str:
    return listed(token.aliases) if token.aliases is not None else "all"


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, such as oncall-laptop.")],
    scope: Annotated[
        str, typer.Option("--scope", metavar="SCOPE", help=f"One of {', '.join(s.name for s in SCOPES)}.")
    ],
    person: Annotated[
        str | None, typer.Option("--person", metavar="NAME", help="For whom it acts; by default for you.")
    ] = None,
    alias: Aliases = None,
    expires: Expires = None,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Create a token.

    It is printed once and never again.
    """
    body = asked(
        shapes.CreateToken,
        name=name,
        scope=scope,
        person=person,
        aliases=tuple(alias) if alias else None,
        expires_at=future(expires, now=present()),
    )
    with opened_door() as door:
        if person is None and door.whoami().kind == ActorKind.LOCAL:
            raise InvalidInput("On the store you have no account of your own: say for whom with --person NAME.")
        made = door.create_token(body, key=fresh_key(idempotency_key))
    show(
        made,
        as_json=as_json,
        draw=lambda screen, token: say_secret(
            screen, f"Created token {token.id} ({token.name}) for {token.person}, scope {token.scope}.", token.secret
        ),
    )


@app.command("revoke")
def revoke(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="The token's id, as in the list.")],
    as_json: Json = False,
) -> None:
    """Stop a token for good."""
    with opened_door() as door:
        made = door.revoke_token(token)
    show(made, as_json=as_json, draw=lambda screen, t: screen.say(f"Revoked token {t.id} ({t.name}) of {t.person}."))
