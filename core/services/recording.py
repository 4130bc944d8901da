"""What every use case shares: the ruling, the audit event, the refusal on record, the idempotency key."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlmodel import Session

from core.domain.events import Event
from core.domain.names import checked_text
from core.domain.permissions import Actor, insist
from core.errors import (
    AliasHeld,
    AliasProtected,
    FloatingModel,
    IdempotencyMismatch,
    InvalidInput,
    NotPermitted,
    PinrailError,
    Quarantined,
    StaleRevision,
)
from core.store import audit_log
from core.store.database import Store
from core.store.tables import IdempotencyRow

ON_RECORD: tuple[type[PinrailError], ...] = (
    NotPermitted,
    AliasProtected,
    AliasHeld,
    StaleRevision,
    FloatingModel,
    Quarantined,
)
"""Refusals that are audit events themselves: somebody tried, and was stopped by a rule."""

MAX_REASON = 2000
MAX_KEY = 200
MAX_SUBJECT = 200
MAX_ALIASES = 100
MAX_WORDS = 2000
"""Characters of a description or another short text that people write."""


def event(
    actor: Actor,
    kind: str,
    subject: str,
    *,
    now: datetime,
    reason: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> Event:
    """An audit event of ``actor``'s doing; of ``before`` and ``after`` only what differs is kept."""
    old, new = dict(before or {}), dict(after or {})
    same = {key for key in old.keys() & new.keys() if old[key] == new[key]}
    return Event(
        kind,
        subject,
        actor.name,
        actor.kind.value,
        now,
        reason=reason,
        via=actor.via,
        before={k: v for k, v in old.items() if k not in same},
        after={k: v for k, v in new.items() if k not in same},
    )


@contextmanager
def change(store: Store, actor: Actor, action: str, attempted: Event, *, alias: str | None = None) -> Iterator[Session]:
    """One unit of work by ``actor``, once ``action`` is allowed; a refusal by a rule goes on record.

    The ruling is made inside the transaction's lock only as far as the actor's grants are fresh: whoever makes
    an Actor from a session or token reads the grants for every request.
    """
    try:
        # First of all: a refusal goes on record too, and the log is no place for whatever somebody sends.
        checked_text("A reason", attempted.reason, most=MAX_REASON)
        checked_text("A name", attempted.subject, most=MAX_SUBJECT)
        insist(actor, action, alias)
        with store.unit_of_work() as session:
            yield session
    except ON_RECORD as refusal:
        _put_on_record(store, attempted, refusal)
        raise


def only_aliases(named: Sequence[str] | None) -> list[str] | None:
    """The aliases a token or key is limited to; None means no limit, and none named is a mistake and not that."""
    if named is None:
        return None
    if not named:
        raise InvalidInput("Name the aliases it is limited to, or leave the limit out.")
    if len(set(named)) > MAX_ALIASES:
        raise InvalidInput(f"A token or key is limited to at most {MAX_ALIASES} aliases; leave the limit out for all.")
    return sorted(set(named))


def _put_on_record(store: Store, attempted: Event, refusal: PinrailError) -> None:
    said = {"refused": refusal.code, "because": str(refusal)}
    with store.unit_of_work() as session:
        audit_log.append(session, replace(attempted, outcome="refused", before={}, after=said))


def once(
    session: Session,
    actor: Actor,
    key: str | None,
    request: Mapping[str, Any],
    *,
    now: datetime,
    work: Callable[[], dict[str, Any]],
) -> tuple[dict[str, Any], bool]:
    """Do ``work`` under an idempotency key: the second time the first result is returned, and True with it.

    IdempotencyMismatch when the key was used for another ``request``. Without a key the work is simply done.
    """
    if key is None:
        return work(), False
    checked_text("An idempotency key", key, least=1, most=MAX_KEY)
    digest = sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()
    earlier = session.get(IdempotencyRow, (actor.name, key))
    if earlier is not None:
        if earlier.request_sha256 != digest:
            raise IdempotencyMismatch(
                f"The idempotency key {key!r} was used at {earlier.at:%Y-%m-%d %H:%M:%S} UTC for a different request."
            )
        return earlier.result, True
    result = work()
    session.add(IdempotencyRow(actor=actor.name, key=key, request_sha256=digest, result=result, at=now))
    return result, False
