"""`pinrail doctor`: what is well, what needs care, what is ill, and the remedy for each."""

import os
from typing import Annotated

import typer
from pydantic import BaseModel

from app.cli.doors import on_the_store
from app.cli.exits import Exit
from app.cli.options import Json
from app.cli.screen import Column, Screen, show


class FindingView(BaseModel):
    """One finding."""

    check: str
    level: str
    said: str
    remedy: str


class DoctorView(BaseModel):
    """All findings; ``well`` is False as soon as something is ill."""

    well: bool
    findings: tuple[FindingView, ...]


def doctor(
    full: Annotated[
        bool, typer.Option("--full", help="Recompute the whole audit log, and read the whole SQLite file.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at everything this installation stands on.

    Nothing is changed. Exit code 9 when something is ill; what only needs care ends with 0.
    """
    from app.doctor.examination import examined
    from app.doctor.findings import Level, Patient

    with on_the_store("doctor", as_it_is=True, as_root=True) as (pinrail, _actor):
        found = examined(Patient(pinrail, pinrail.now(), full=full, env=dict(os.environ)))
    view = DoctorView(
        well=not any(one.level is Level.ILL for one in found),
        findings=tuple(FindingView(**vars(one)) for one in found),
    )
    show(view, as_json=as_json, draw=_draw)
    if not view.well:
        raise typer.Exit(Exit.ILL)


def _draw(screen: Screen, view: DoctorView) -> None:
    rows = [(one.level, one.check, one.said, one.remedy) for one in view.findings]
    columns = ("LEVEL", "CHECK", Column("FOUND", folds=True), Column("REMEDY", folds=True))
    screen.table(columns, rows, empty="Nothing was looked at.")
    count = {level: sum(one.level == level for one in view.findings) for level in ("ill", "care", "unknown")}
    named = ", ".join(f"{number} {level}" for level, number in count.items() if number)
    screen.say(f"{named or 'All is well'}.")
