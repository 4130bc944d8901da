"""`pinrail evacuate …`: leave a provider that is down, or a version that is bad, with every alias at once."""

from typing import Annotated

import typer

from app.api import shapes
from app.cli.doors import asked, opened_door
from app.cli.exits import Exit
from app.cli.options import DryRun, Json, Reason
from app.cli.screen import Column, Screen, show
from core.errors import NothingToChange

app = typer.Typer(help="Leave a provider or a version with every alias at once.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The id of the evacuation.")]


@app.command("run")
def run(
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="PROVIDER", help="The provider that is down.")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="Or the version that is bad.")
    ] = None,
    reason: Reason = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Move every alias off a provider or a version, each by the normal rules.

    An alias goes to its rollback target, or else to its first fallback that is not concerned. What cannot move is named
    and stays; exit code 7 when there is any.
    """
    with opened_door() as door:
        preview = door.preview_evacuation(provider, version)
        moves = [
            {"alias": plan.alias, "seen_revision": plan.revision, "target": plan.target}
            for plan in preview.items
            if plan.target is not None
        ]
        if dry_run:
            show(preview, as_json=as_json, draw=_draw_preview)
            return
        if not as_json:
            show(preview, as_json=False, draw=_draw_staying)
        if not moves:
            raise NothingToChange("There is no alias that could be moved. Nothing was changed.")
        given = {"provider": provider} if provider is not None else {"version": version}
        body = asked(shapes.Evacuate, moves=moves, reason=reason, **given)
        done = door.evacuate(body)
    show(done, as_json=as_json, draw=_draw_done)
    left = [plan for plan in preview.items if plan.target is None and not plan.stays]
    _end(done, incomplete=bool(left))


def _draw_preview(screen: Screen, preview: shapes.PreviewView) -> None:
    rows = [(p.alias, p.version, p.target or "stays", p.because) for p in preview.items]
    columns = ("ALIAS", "SERVES", "WOULD GO TO", Column("BECAUSE", folds=True))
    screen.table(columns, rows, empty="No alias is concerned.")
    screen.say("Nothing was changed.")


def _draw_staying(screen: Screen, preview: shapes.PreviewView) -> None:
    for plan in preview.items:
        if plan.target is None:
            screen.say(f"{plan.alias} stays at {plan.version}: {plan.because}.")


def _draw_done(screen: Screen, done: shapes.EvacuationView) -> None:
    for result in done.results:
        if result.moved is not None:
            moved = result.moved
            screen.say(f"{moved.alias}: {moved.previous_version} to {moved.version}, revision {moved.revision}.")
        else:
            screen.say(f"{result.alias} was not moved: {result.message}")
    screen.say(done.sentence)
    if any(move.returned is None for move in done.moves):
        screen.say(f"To put back what is not overtaken: pinrail evacuate return {done.id}")


def _end(done: shapes.EvacuationView, *, incomplete: bool = False) -> None:
    if incomplete or any(result.moved is None for result in done.results):
        raise typer.Exit(Exit.NOT_EVERYWHERE)


@app.command("return")
def give_back(evacuation: Id, reason: Reason = "", as_json: Json = False) -> None:
    """Put back what an evacuation moved and nothing overtook since.

    The others are named and left; exit code 7 when there is any.
    """
    with opened_door() as door:
        body = asked(shapes.ReturnEvacuation, reason=reason)
        done = door.return_evacuation(evacuation, body)
    show(done, as_json=as_json, draw=_draw_done)
    _end(done)


@app.command("show")
def show_evacuation(evacuation: Id, as_json: Json = False) -> None:
    """Show what an evacuation moved, what was returned, and where it is in force."""
    with opened_door() as door:
        show(door.evacuation(evacuation), as_json=as_json, draw=_draw)


def _draw(screen: Screen, found: shapes.EvacuationView) -> None:
    of = f"provider {found.provider}" if found.provider else f"version {found.version}"
    screen.say(f"Evacuation {found.id} of {of} by {found.by}, {screen.when(found.at)}. {found.reason}".strip())
    rows = [
        (m.alias, m.came_from, m.version, str(m.revision), f"by revision {m.returned}" if m.returned else "no")
        for m in found.moves
    ]
    columns = ("ALIAS", "FROM", "TO", Column("REVISION", right=True), "RETURNED")
    screen.table(columns, rows, empty="It moved nothing that you may see.")
    screen.say(found.sentence)


@app.command("list")
def list_evacuations(as_json: Json = False) -> None:
    """List the evacuations, newest first."""
    with opened_door() as door:
        show(door.evacuations(), as_json=as_json, draw=_draw_list)


def _draw_list(screen: Screen, page: shapes.Page[shapes.EvacuationView]) -> None:
    rows = [
        (e.id, f"provider {e.provider}" if e.provider else f"version {e.version}", e.by, screen.when(e.at), e.reason)
        for e in page.items
    ]
    columns = ("ID", "OF", "BY", Column("WHEN", folds=True), Column("WHY", folds=True))
    screen.table(columns, rows, empty="No evacuations yet.")
