"""`pinrail alias …`: what serves, its history, and everything that may be done with it."""

from typing import Annotated

import typer

from app.api import shapes
from app.api.shapes import Page
from app.cli import moves
from app.cli.doors import Verb, asked, opened_door
from app.cli.exits import Exit
from app.cli.options import (
    Alias,
    Description,
    Fallback,
    IdempotencyKey,
    Json,
    Override,
    Owner,
    Reason,
    SeenRevision,
    Version,
    Wait,
    fresh_key,
    overriding,
)
from app.cli.reports import say_moved
from app.cli.screen import Column, Screen, present, show
from app.cli.words import listed
from app.times import past
from core.errors import InvalidInput

app = typer.Typer(help="What serves, and moving it.", no_args_is_help=True)


# -- reading --------------------------------------------------------------------------------------


@app.command("list")
def list_aliases(as_json: Json = False) -> None:
    """List the aliases and what they serve."""
    with opened_door() as door:
        show(door.aliases(), as_json=as_json, draw=_draw_list)


def _draw_list(screen: Screen, page: Page[shapes.AliasView]) -> None:
    rows = [(a.alias, a.version, str(a.revision), _marks(a), _last_change(screen, a)) for a in page.items]
    columns = ("ALIAS", "VERSION", Column("REV", right=True), "STATE", Column("LAST CHANGE", folds=True))
    screen.table(columns, rows, empty="No aliases yet. Create one: pinrail alias create ALIAS VERSION")


def _marks(alias: shapes.RevisionView) -> str:
    known = (("retired", alias.retired), ("held", alias.hold is not None), ("protected", alias.protected))
    return listed([word for word, holds in known if holds])


def _last_change(screen: Screen, alias: shapes.RevisionView) -> str:
    return f"{alias.cause} by {alias.by} {screen.when(alias.at)}"


@app.command("show")
def show_alias(alias: Alias, as_json: Json = False) -> None:
    """Show one alias, and the version it would roll back to."""
    with opened_door() as door:
        found = door.alias(alias)
        targets = () if as_json else door.targets(alias).items

        def draw(screen: Screen, view: shapes.AliasView) -> None:
            screen.facts(
                [
                    ("Alias", view.alias),
                    ("Serves", view.version),
                    ("Revision", f"{view.revision}, {_last_change(screen, view)}"),
                    ("Why", view.reason),
                    ("State", _marks(view)),
                    ("Held", _held(screen, view.hold)),
                    ("Fallbacks", listed(view.fallbacks)),
                    ("Owner", view.owner or ""),
                    ("Description", view.description),
                    ("Rolls back to", f"{targets[0].version}: {targets[0].because}" if targets else "nothing yet"),
                    ("Caution", (targets[0].caution or "") if targets else ""),
                ]
            )

        show(found, as_json=as_json, draw=draw)


def _held(screen: Screen, hold: shapes.HoldView | None) -> str:
    if hold is None:
        return ""
    return f"by {hold.by} {screen.when(hold.at)}" + (f": {hold.reason}" if hold.reason else "")


@app.command("history")
def history(alias: Alias, as_json: Json = False) -> None:
    """List every revision of an alias, newest first."""
    with opened_door() as door:
        show(door.history(alias), as_json=as_json, draw=_draw_history)


def _draw_history(screen: Screen, page: Page[shapes.RevisionView]) -> None:
    rows = [(str(r.revision), screen.when(r.at), r.cause, r.version, r.by, r.reason) for r in page.items]
    columns = (
        Column("REV", right=True),
        Column("WHEN", folds=True),
        "CHANGE",
        "SERVES",
        "BY",
        Column("WHY", folds=True),
    )
    screen.table(columns, rows, empty="No revisions.")


@app.command("served")
def served(
    alias: Alias,
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="2026-11-20T14:02Z, 14:02 (UTC), or 30m for ago.")],
    as_json: Json = False,
) -> None:
    """Say what served at a time."""
    moment = past(at, now=present())

    def draw(screen: Screen, view: shapes.RevisionView) -> None:
        what = "was retired" if view.retired else f"served {view.version}"
        screen.say(f"{view.alias} {what} at {moment:%Y-%m-%d %H:%M:%S} UTC.")
        screen.say(f"Revision {view.revision}, {_last_change(screen, view)}.")

    with opened_door() as door:
        show(door.served(alias, moment), as_json=as_json, draw=draw)


@app.command("receipt")
def receipt(
    alias: Alias,
    revision: Annotated[
        int | None, typer.Option("--revision", metavar="N", min=1, help="By default the newest.")
    ] = None,
    wait: Wait = 0.0,
    as_json: Json = False,
) -> None:
    """Say at which gateways a revision is in force.

    Exit code 7 while it is not in force at all of them.
    """
    with opened_door() as door:
        found = moves.awaited(door, alias, revision or door.alias(alias).revision, wait_s=wait)

    def draw(screen: Screen, view: shapes.ReceiptView) -> None:
        screen.say(view.sentence)
        late = [(name, "not yet") for name in view.waiting]
        rows = [(c.name, f"{c.after_ms:.0f} ms") for c in view.confirmed] + late
        if rows:
            screen.table(("GATEWAY", Column("IN FORCE AFTER", right=True)), rows, empty="")

    show(found, as_json=as_json, draw=draw)
    if not found.complete:
        raise typer.Exit(Exit.NOT_EVERYWHERE)


# -- writing --------------------------------------------------------------------------------------


@app.command("create")
def create(
    alias: Alias,
    version: Version,
    description: Description = None,
    owner: Owner = None,
    fallback: Fallback = None,
    protected: Annotated[bool, typer.Option("--protected", help="A flip needs a second person.")] = False,
    reason: Reason = "",
    override_quarantine: Override = None,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Create an alias that serves a version."""
    body = asked(
        shapes.CreateAlias,
        alias=alias,
        version=version,
        description=description or "",
        owner=owner or None,
        protected=protected,
        fallbacks=tuple(fallback or ()),
        reason=reason,
        **overriding(override_quarantine),
    )
    with opened_door() as door:
        moved = door.create_alias(body, key=fresh_key(idempotency_key))
    show(moved, as_json=as_json, draw=lambda screen, view: say_moved(screen, view, None))


app.command("flip")(moves.flip)
app.command("rollback")(moves.roll_back)
app.command("undo")(moves.undo)


def _write(verb: Verb, alias: str, key: str | None, as_json: bool, body: type[shapes.Write], **given: object) -> None:
    with opened_door() as door:
        seen = given.pop("seen_revision") or door.alias(alias).revision
        wanted = asked(body, seen_revision=seen, **given)
        moved = door.move(verb, alias, wanted, key=fresh_key(key))
    show(moved, as_json=as_json, draw=lambda screen, view: say_moved(screen, view, wanted.seen_revision))


@app.command("hold")
def hold(
    alias: Alias,
    reason: Reason = "",
    seen_revision: SeenRevision = None,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Keep automatic steps away from an alias; people may still move it."""
    _write("hold", alias, idempotency_key, as_json, shapes.Write, reason=reason, seen_revision=seen_revision)


@app.command("release")
def release(
    alias: Alias,
    reason: Reason = "",
    seen_revision: SeenRevision = None,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Let automatic steps on an alias go on."""
    _write("release", alias, idempotency_key, as_json, shapes.Write, reason=reason, seen_revision=seen_revision)


@app.command("describe")
def describe(
    alias: Alias,
    description: Description = None,
    owner: Owner = None,
    fallback: Fallback = None,
    no_fallbacks: Annotated[bool, typer.Option("--no-fallbacks", help="Clear the fallback chain.")] = False,
    reason: Reason = "",
    override_quarantine: Override = None,
    seen_revision: SeenRevision = None,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Edit description, owner or fallbacks; what is not given stays as it is."""
    edits: dict[str, object] = {}
    if description is not None:
        edits["description"] = description
    if owner is not None:
        edits["owner"] = owner or None
    if fallback or no_fallbacks:
        edits["fallbacks"] = tuple(fallback or ())
    if not edits or (fallback and no_fallbacks):
        raise InvalidInput("Give --description, --owner, and either --fallback or --no-fallbacks.")
    _write(
        "describe",
        alias,
        idempotency_key,
        as_json,
        shapes.DescribeAlias,
        reason=reason,
        seen_revision=seen_revision,
        **edits,
        **overriding(override_quarantine),
    )


@app.command("protect")
def protect(
    alias: Alias,
    reason: Reason = "",
    seen_revision: SeenRevision = None,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Ask for a second person before every flip; rolling back never needs one."""
    given = {"reason": reason, "seen_revision": seen_revision, "protected": True}
    _write("protect", alias, idempotency_key, as_json, shapes.ProtectAlias, **given)


@app.command("unprotect")
def unprotect(
    alias: Alias,
    reason: Reason = "",
    seen_revision: SeenRevision = None,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Let one person flip the alias again."""
    given = {"reason": reason, "seen_revision": seen_revision, "protected": False}
    _write("protect", alias, idempotency_key, as_json, shapes.ProtectAlias, **given)


@app.command("retire")
def retire(
    alias: Alias,
    reason: Reason = "",
    seen_revision: SeenRevision = None,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """End an alias: its callers are refused from now on. Undo brings it back."""
    _write("retire", alias, idempotency_key, as_json, shapes.Write, reason=reason, seen_revision=seen_revision)
