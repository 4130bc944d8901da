"""The commands that move traffic: flip, roll back, undo, each with the receipt of what it did."""

import sys
import time
from typing import Annotated

import typer
from pydantic import Field

from app.api import shapes
from app.cli.doors import Door, Verb, asked, opened_door
from app.cli.exits import Exit
from app.cli.options import (
    Alias,
    DryRun,
    IdempotencyKey,
    Json,
    Override,
    Reason,
    SeenRevision,
    Version,
    Wait,
    fresh_key,
    overriding,
)
from app.cli.reports import say_moved, say_target
from app.cli.screen import Screen, complain, open_screen, show
from core.errors import NoRollbackTarget, PinrailError

WAIT_S = 10.0
ASK_FIRST_S, ASK_AT_MOST_S = 0.02, 0.5


class DoneView(shapes.MovedView):
    """What a write that moves traffic did, and where it was in force when the command ended."""

    receipt: shapes.ReceiptView | None = Field(None, description="Null when it was not waited for.")


def flip(
    alias: Alias,
    version: Version,
    reason: Reason = "",
    dry_run: DryRun = False,
    wait: Wait = WAIT_S,
    override_quarantine: Override = None,
    seen_revision: SeenRevision = None,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Move an alias to another version.

    Waits until every gateway confirms it; exit code 7 when some have not within --wait.
    """
    with opened_door() as door:
        if dry_run:
            _rehearse_flip(door, alias, version, as_json=as_json)
            return
        seen = seen_revision or door.alias(alias).revision
        body = asked(
            shapes.FlipAlias, version=version, reason=reason, seen_revision=seen, **overriding(override_quarantine)
        )
        _move_and_wait(door, "flip", alias, body, key=idempotency_key, wait_s=wait, as_json=as_json)


def _rehearse_flip(door: Door, alias: str, version: str, *, as_json: bool) -> None:
    now = door.alias(alias)
    ruling = door.ruling("alias:flip", alias)
    resting = door.quarantine(version)

    def draw(screen: Screen, view: shapes.VersionView) -> None:
        screen.say(
            f"Would flip {alias} from {now.version} to {view.name} (revision {now.revision}). Nothing was changed."
        )
        if now.version == view.name:
            screen.say(f"Caution: {alias} serves {view.name} already.")
        if now.protected:
            screen.say(f"Caution: {alias} is protected, so a flip needs a second person.")
        if resting.quarantined:
            screen.say(f"Caution: {view.name} is quarantined, so a flip needs --override-quarantine REASON.")
        if not ruling.allowed:
            screen.say(f"Caution: {ruling.because}.")
        for issue in view.issues or ():
            if issue.resolved_at is None:
                screen.say(f"Known issue {issue.id}: {issue.text}")

    show(door.version(version), as_json=as_json, draw=draw)


def roll_back(
    alias: Alias,
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="The version to return to; by default the best one.")
    ] = None,
    reason: Reason = "",
    dry_run: DryRun = False,
    wait: Wait = WAIT_S,
    seen_revision: SeenRevision = None,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Return an alias to the version that last served it well.

    Says why that version, holds the alias, and waits until every gateway confirms it; exit code 7 when some have not
    within --wait. It never waits for another person.
    """
    with opened_door() as door:
        now = door.alias(alias)
        offered = door.targets(alias).items
        target = next((t for t in offered if to is None or t.version == to), None)
        if dry_run:
            _rehearse_rollback(door, now, target, to, as_json=as_json)
            return
        seen = seen_revision or now.revision
        # Without --to the choice is left to the core, under the same revision, so that asking again
        # under one idempotency key is the same request even after the alias has moved.
        body = asked(shapes.RollBackAlias, to=to, reason=reason, seen_revision=seen)
        _move_and_wait(door, "rollback", alias, body, key=idempotency_key, wait_s=wait, as_json=as_json, target=target)


def _rehearse_rollback(
    door: Door, now: shapes.AliasView, target: shapes.RollbackTargetView | None, to: str | None, *, as_json: bool
) -> None:
    if target is None:
        raise NoRollbackTarget(f"{to or 'No earlier version'} is not offered as a rollback target of {now.alias}.")
    ruling = door.ruling("alias:roll_back", now.alias)

    def draw(screen: Screen, view: shapes.RollbackTargetView) -> None:
        screen.say(
            f"Would roll back {now.alias} from {now.version} to {view.version} (revision {now.revision}) "
            f"and hold it. {now.version} would be quarantined. Nothing was changed."
        )
        say_target(screen, view)
        if not ruling.allowed:
            screen.say(f"Caution: {ruling.because}.")

    show(target, as_json=as_json, draw=draw)


def undo(
    alias: Alias,
    revision: Annotated[int, typer.Argument(metavar="REVISION", min=1, help="The revision whose change is put back.")],
    reason: Reason = "",
    wait: Wait = WAIT_S,
    override_quarantine: Override = None,
    seen_revision: SeenRevision = None,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Put back what one revision changed."""
    with opened_door() as door:
        seen = seen_revision or door.alias(alias).revision
        body = asked(
            shapes.UndoRevision, revision=revision, reason=reason, seen_revision=seen, **overriding(override_quarantine)
        )
        _move_and_wait(door, "undo", alias, body, key=idempotency_key, wait_s=wait, as_json=as_json)


def _move_and_wait(
    door: Door,
    verb: Verb,
    alias: str,
    body: shapes.Write,
    *,
    key: str | None,
    wait_s: float,
    as_json: bool,
    target: shapes.RollbackTargetView | None = None,
) -> None:
    moved = door.move(verb, alias, body, key=fresh_key(key))
    receipt: shapes.ReceiptView | None = None
    outcome = Exit.DONE
    try:
        if not as_json:
            _say(moved, body.seen_revision, target)
        if wait_s > 0:
            receipt = awaited(door, alias, moved.revision, wait_s=wait_s)
            outcome = Exit.DONE if receipt.complete else Exit.NOT_EVERYWHERE
    # Nothing from here on can undo the move, so nothing may look as if it had failed.
    except PinrailError as refusal:
        complain(f"Revision {moved.revision} is stored, but its receipt could not be read: {refusal}")
        outcome = Exit.NOT_EVERYWHERE
    except KeyboardInterrupt:
        complain(f"Revision {moved.revision} is stored; its receipt was not waited for.")
        outcome = Exit.INTERRUPTED
    if as_json:
        print(DoneView(**dict(moved), receipt=receipt).model_dump_json(indent=2))
    elif receipt is not None:
        open_screen().say(receipt.sentence)
    if outcome is not Exit.DONE:
        raise typer.Exit(outcome)


def _say(moved: shapes.MovedView, seen: int | None, target: shapes.RollbackTargetView | None) -> None:
    screen = open_screen()
    say_moved(screen, moved, seen)
    if target is not None and target.version == moved.version and not moved.replayed:
        say_target(screen, target)
    sys.stdout.flush()  # whoever loses patience with the gateways must know that it is done


def awaited(door: Door, alias: str, revision: int, *, wait_s: float) -> shapes.ReceiptView:
    """The receipt once it is complete, or as it is after ``wait_s``. Nobody waits for gateways that do not run."""
    deadline = time.monotonic() + wait_s
    pause_s = ASK_FIRST_S
    while True:
        receipt = door.receipt(alias, revision)
        left_s = deadline - time.monotonic()
        if receipt.complete or not receipt.gateways or left_s <= 0:
            return receipt
        time.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, ASK_AT_MOST_S)
