"""`pinrail status` and `pinrail whoami`: everything at a glance, and who one is here."""

from typing import Annotated

import typer

from app.api import shapes
from app.cli.doors import opened_door
from app.cli.exits import Exit
from app.cli.options import Json
from app.cli.screen import Column, Screen, show
from app.cli.words import latency, listed, share
from core.domain.permissions import ACTIONS
from core.errors import InvalidInput


def status(as_json: Json = False) -> None:
    """Show every alias with its last five minutes, and the gateways.

    What needs attention comes first.
    """
    with opened_door() as door:
        show(door.status(), as_json=as_json, draw=_draw_status)


def _draw_status(screen: Screen, view: shapes.StatusView) -> None:
    columns = (
        "ALIAS",
        Column("STATE", folds=True),
        "SERVES",
        Column("REQ/MIN", right=True),
        Column("ERRORS", right=True),
        Column("P95", right=True),
        Column("FORMAT", right=True),
        Column("LAST MOVE", folds=True),
        Column("WHY", folds=True),
    )
    first_step = "Register a provider first: pinrail provider register --help"
    then = "Create one: pinrail alias create ALIAS VERSION"
    screen.table(
        columns,
        [_row(screen, alias) for alias in view.aliases],
        empty=f"No aliases yet. {then if view.versions else first_step}",
    )
    running = [gateway.name for gateway in view.gateways if gateway.live]
    screen.say(f"Gateways: {listed(running)}." if running else "No gateway is running. Start one: pinrail gateway")
    if view.last_change is not None:
        screen.say(f"Last change {screen.when(view.last_change)}; {view.changes_last_day} in the last 24 h.")


def _row(screen: Screen, alias: shapes.AliasStatusView) -> tuple[str, ...]:
    marks = [word for word, holds in (("held", alias.held), ("protected", alias.protected)) if holds]
    return (
        alias.alias,
        listed([alias.condition, *marks]),
        alias.version,
        f"{alias.requests_per_minute:,.0f}",
        share(alias.error_rate),
        latency(alias.latency_p95_ms),
        share(alias.format_validity),
        f"{alias.moved_cause} by {alias.moved_by} {screen.when(alias.moved_at)}",
        alias.because,
    )


def whoami(
    can: Annotated[
        str | None, typer.Option("--can", metavar="ACTION", help="Ask whether an action is allowed, and why.")
    ] = None,
    alias: Annotated[str | None, typer.Option("--alias", metavar="ALIAS", help="On this alias.")] = None,
    as_json: Json = False,
) -> None:
    """Say who you are here, and what you may do.

    `--can alias:flip --alias prod-chat` asks for a ruling; exit code 5 when it is no.
    """
    if can is not None and can not in {action.name for action in ACTIONS}:
        raise InvalidInput(f"There is no action {can!r}. Actions are {', '.join(a.name for a in ACTIONS)}.")
    with opened_door() as door:
        if can is None:
            show(door.whoami(), as_json=as_json, draw=_draw_actor)
            return
        ruling = door.ruling(can, alias)
    show(ruling, as_json=as_json, draw=_draw_ruling)
    if not ruling.allowed:
        raise typer.Exit(Exit.NOT_PERMITTED)


def _draw_actor(screen: Screen, view: shapes.ActorView) -> None:
    limits = listed(view.aliases) if view.aliases is not None else ""
    screen.facts(
        [
            ("Name", view.name),
            ("Kind", view.kind),
            ("Roles", roles(view.grants)),
            ("Token", view.via or ""),
            ("Scope", view.scope or ""),
            ("Only for", limits),
        ]
    )


def _draw_ruling(screen: Screen, view: shapes.RulingView) -> None:
    screen.say(f"{'Yes' if view.allowed else 'No'}: {view.because}.")


def roles(grants: tuple[shapes.GrantView, ...]) -> str:
    """Roles in words, such as `viewer, operator on prod-chat`."""
    held = [f"{grant.role} on {grant.alias}" if grant.alias else grant.role for grant in grants]
    return ", ".join(held) or "none"
