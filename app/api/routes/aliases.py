"""Aliases over HTTP: see them, move them, and see where a move is in force."""

import asyncio
from datetime import datetime
from time import monotonic
from typing import Annotated, Protocol
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime
from starlette.concurrency import run_in_threadpool

from app.api.asking import (
    Asking,
    AskingNow,
    IfMatch,
    IfNoneMatch,
    Writing,
    WritingNow,
    etag,
    seen_revision,
    still_holds,
)
from app.api.doors import MOVES, WRITES, door
from app.api.shapes import (
    AliasView,
    CreateAlias,
    DescribeAlias,
    FlipAlias,
    MovedView,
    Page,
    ProtectAlias,
    ReceiptView,
    RevisionView,
    RollBackAlias,
    RollbackTargetView,
    UndoRevision,
    Write,
)
from core import errors
from core.domain.permissions import Actor
from core.domain.receipts import Receipt
from core.services import flips, reading
from core.services.flips import Moved
from core.store.database import Store

router = APIRouter(prefix="/aliases", tags=["aliases"])

Alias = Annotated[str, Path(max_length=64, description="The name of the alias.")]
Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="The number of a revision.")]

LONGEST_WAIT_S = 30
LOOK_EVERY_S = 0.05


# -- seeing ---------------------------------------------------------------------------------------


@router.get("", **door("alias:read"))
def list_aliases(at: AskingNow) -> Page[AliasView]:
    """List the aliases you may see, retired ones too, by name."""
    return Page(items=tuple(AliasView.from_domain(r) for r in reading.alias_list(at.store, at.actor)))


@router.get("/{alias}", **door("alias:read", errors.UnknownAlias))
def get_alias(at: AskingNow, response: Response, alias: Alias, if_none_match: IfNoneMatch = None) -> AliasView:
    """See an alias as it is now. Its ETag is what a write sends back as `If-Match`."""
    newest = reading.alias(at.store, at.actor, alias)
    tag = etag(newest.number)
    response.headers["etag"] = tag
    response.headers["cache-control"] = "private, no-cache"
    if still_holds(if_none_match, tag):
        # An answer of its own, because a 304 has no body for the declared model to fill.
        return Response(status_code=304, headers=dict(response.headers))  # type: ignore[return-value]
    return AliasView.from_domain(newest)


@router.get("/{alias}/history", **door("alias:read", errors.UnknownAlias))
def get_history(
    at: AskingNow,
    alias: Alias,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only revisions below this one.")] = None,
    limit: Annotated[int, Query(ge=1, le=reading.MAX_PAGE)] = 50,
) -> Page[RevisionView]:
    """List every revision of an alias, newest first."""
    revisions = [r for r in reading.history(at.store, at.actor, alias) if before is None or r.number < before]
    page = tuple(RevisionView.from_domain(r) for r in reversed(revisions[-limit:]))
    return Page(items=page, next=str(page[-1].revision) if len(revisions) > limit else None)


@router.get("/{alias}/served", **door("alias:read", errors.UnknownAlias, errors.UnknownRevision))
def get_served(
    at: AskingNow,
    alias: Alias,
    when: Annotated[AwareDatetime, Query(alias="at", description="A time with its zone: 2026-11-20T14:02:00Z.")],
) -> RevisionView:
    """See what served at a time."""
    return RevisionView.from_domain(reading.served_at(at.store, at.actor, alias, when))


@router.get("/{alias}/rollback-targets", **door("alias:read", errors.UnknownAlias))
def list_rollback_targets(at: AskingNow, alias: Alias) -> Page[RollbackTargetView]:
    """List the versions the alias may be rolled back to, the best first."""
    dwell = at.pinrail.settings.minimum_dwell
    targets = reading.rollback_targets(at.store, at.actor, alias, now=at.now, minimum_dwell=dwell)
    return Page(items=tuple(RollbackTargetView.from_domain(target) for target in targets))


@router.get("/{alias}/receipts/{revision}", **door("alias:read", errors.UnknownAlias, errors.UnknownRevision))
async def get_receipt(
    at: AskingNow,
    request: Request,
    alias: Alias,
    revision: Number,
    wait_s: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT_S, description="Answer when every gateway has confirmed, or after so long.")
    ] = 0,
) -> ReceiptView:
    """See at which gateways a revision is in force. With `wait_s` the answer waits for all of them."""
    deadline = monotonic() + wait_s
    while True:
        receipt = await run_in_threadpool(_receipt, at, alias, revision)
        settled = receipt.complete or not receipt.gateways
        if settled or monotonic() >= deadline or await request.is_disconnected():
            return ReceiptView.from_domain(receipt)
        await asyncio.sleep(LOOK_EVERY_S)


def _receipt(at: Asking, alias: str, revision: int) -> Receipt:
    return reading.receipt(at.store, at.actor, alias, revision, now=at.pinrail.now())


# -- moving ---------------------------------------------------------------------------------------


@router.post(
    "",
    status_code=201,
    **door("alias:create", *WRITES, errors.UnknownVersion, errors.AlreadyExists, errors.NotFound, errors.Quarantined),
)
def create_alias(at: WritingNow, request: Request, body: CreateAlias) -> MovedView:
    """Create an alias that serves a version from now on."""
    moved = flips.create(at.store, at.actor, **dict(body), idempotency_key=at.key, now=at.now)
    at.response.headers["location"] = f"{request.scope.get('root_path', '')}/aliases/{quote(moved.alias)}"
    return _answer(at, moved)


@router.patch("/{alias}", **door("alias:describe", *MOVES, errors.UnknownVersion, errors.Quarantined))
def describe_alias(at: WritingNow, alias: Alias, body: DescribeAlias, if_match: IfMatch = None) -> MovedView:
    """Edit description, owner or fallbacks; what is left out stays, and null clears."""
    given = body.model_fields_set
    moved = flips.describe(
        at.store,
        at.actor,
        alias,
        description=(body.description or "") if "description" in given else None,
        owner=(body.owner or "") if "owner" in given else None,
        fallbacks=(body.fallbacks or ()) if "fallbacks" in given else None,
        seen_revision=seen_revision(body, if_match),
        reason=body.reason,
        override_quarantine=body.override_quarantine,
        idempotency_key=at.key,
        now=at.now,
    )
    return _answer(at, moved)


@router.post(
    "/{alias}/flip",
    **door("alias:flip", *MOVES, errors.UnknownVersion, errors.AliasProtected, errors.Quarantined),
)
def flip_alias(at: WritingNow, alias: Alias, body: FlipAlias, if_match: IfMatch = None) -> MovedView:
    """Move the alias to another version: model, prompt and parameters together."""
    moved = flips.flip(
        at.store,
        at.actor,
        alias,
        body.version,
        seen_revision=seen_revision(body, if_match),
        reason=body.reason,
        override_quarantine=body.override_quarantine,
        idempotency_key=at.key,
        now=at.now,
    )
    return _answer(at, moved)


@router.post("/{alias}/rollback", **door("alias:roll_back", *MOVES, errors.NoRollbackTarget))
def roll_back_alias(at: WritingNow, alias: Alias, body: RollBackAlias, if_match: IfMatch = None) -> MovedView:
    """Return the alias to the version that last served well, or to `to`. Never waits for anybody; quarantines
    the version it leaves."""
    moved = flips.roll_back(
        at.store,
        at.actor,
        alias,
        to=body.to,
        seen_revision=seen_revision(body, if_match),
        reason=body.reason,
        idempotency_key=at.key,
        minimum_dwell=at.pinrail.settings.minimum_dwell,
        now=at.now,
    )
    return _answer(at, moved)


@router.post(
    "/{alias}/undo", **door("alias:roll_back", *MOVES, errors.UndoOvertaken, errors.AliasProtected, errors.Quarantined)
)
def undo_revision(at: WritingNow, alias: Alias, body: UndoRevision, if_match: IfMatch = None) -> MovedView:
    """Put back what one revision changed. Undoing a flip asks for what a rollback asks for; undoing anything else
    asks for what doing it by hand would."""
    moved = flips.undo(
        at.store,
        at.actor,
        alias,
        body.revision,
        seen_revision=seen_revision(body, if_match),
        reason=body.reason,
        override_quarantine=body.override_quarantine,
        idempotency_key=at.key,
        now=at.now,
    )
    return _answer(at, moved)


@router.post("/{alias}/hold", **door("alias:hold", *MOVES))
def hold_alias(at: WritingNow, alias: Alias, body: Write, if_match: IfMatch = None) -> MovedView:
    """Keep automatic steps away from the alias; people, fallbacks and automatic rollback are not blocked."""
    return _simply(flips.hold, at, alias, body, if_match)


@router.post("/{alias}/release", **door("alias:hold", *MOVES))
def release_alias(at: WritingNow, alias: Alias, body: Write, if_match: IfMatch = None) -> MovedView:
    """Let automatic steps on the alias go on."""
    return _simply(flips.release, at, alias, body, if_match)


@router.post("/{alias}/protect", **door("alias:protect", *MOVES))
def protect_alias(at: WritingNow, alias: Alias, body: ProtectAlias, if_match: IfMatch = None) -> MovedView:
    """Ask for a second person before every flip of the alias, or stop asking."""
    moved = flips.protect(
        at.store,
        at.actor,
        alias,
        protected=body.protected,
        seen_revision=seen_revision(body, if_match),
        reason=body.reason,
        idempotency_key=at.key,
        now=at.now,
    )
    return _answer(at, moved)


@router.post("/{alias}/retire", **door("alias:retire", *MOVES))
def retire_alias(at: WritingNow, alias: Alias, body: Write, if_match: IfMatch = None) -> MovedView:
    """End the alias: its callers are refused from now on. Undo brings it back."""
    return _simply(flips.retire, at, alias, body, if_match)


class _Simple(Protocol):
    """A service that needs nothing but the alias and what every write says."""

    def __call__(
        self,
        store: Store,
        actor: Actor,
        alias: str,
        *,
        seen_revision: int,
        reason: str,
        idempotency_key: str | None,
        now: datetime,
    ) -> Moved: ...


def _simply(service: _Simple, at: Writing, alias: str, body: Write, if_match: str | None) -> MovedView:
    seen = seen_revision(body, if_match)
    moved = service(
        at.store, at.actor, alias, seen_revision=seen, reason=body.reason, idempotency_key=at.key, now=at.now
    )
    return _answer(at, moved)


def _answer(at: Writing, moved: Moved) -> MovedView:
    at.response.headers["etag"] = etag(moved.revision)
    if moved.replayed:
        at.replayed()
    return MovedView.from_domain(moved)
