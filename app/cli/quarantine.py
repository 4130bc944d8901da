"""`pinrail version quarantine` and `lift-quarantine`: versions that were left for doing badly."""

from typing import Annotated

import typer

from app.api import shapes
from app.cli.doors import asked, opened_door
from app.cli.options import Json
from app.cli.screen import Column, Screen, show

Name = Annotated[str, typer.Argument(metavar="NAME", help="The version's name.")]


def quarantine(name: Name, as_json: Json = False) -> None:
    """Show whether a version is quarantined, and why.

    A rollback quarantines the version it leaves: nothing may begin to serve it without an override that says why.
    """
    with opened_door() as door:
        show(door.quarantine(name), as_json=as_json, draw=_draw)


def _draw(screen: Screen, view: shapes.VersionQuarantineView) -> None:
    screen.say(f"{view.version} is {'quarantined' if view.quarantined else 'not quarantined'}.")
    if not view.items:
        return
    rows = [(f"{q.alias} revision {q.revision}", q.reason, screen.when(q.since), _end(screen, q)) for q in view.items]
    columns = ("LEFT BY", Column("WHY", folds=True), Column("SINCE", folds=True), Column("LIFTED", folds=True))
    screen.table(columns, rows, empty="")


def _end(screen: Screen, one: shapes.QuarantineView) -> str:
    return f"{screen.when(one.lifted_at)} by {one.lifted_by}: {one.lift_reason}" if one.lifted_at else "no"


def lift_quarantine(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it may serve again; kept for ever.")],
    as_json: Json = False,
) -> None:
    """Let a quarantined version serve again.

    The known issues that came with the quarantine are resolved. No alias is moved.
    """
    with opened_door() as door:
        made = door.lift_quarantine(name, asked(shapes.LiftQuarantine, reason=reason))
    show(made, as_json=as_json, draw=lambda screen, view: screen.say(f"{view.version} may serve again."))
