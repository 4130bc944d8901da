"""Answers kept under an idempotency key, for writes whose own transaction does not keep one.

A key is claimed before the work and settled after it, so of many equal requests one does the work. Whoever
crashes in between leaves a claim that ages and may then be taken over: the work may be done again, which is
right because everything asked for this way can be told apart from its own repetition, or is harmless twice.
Writes on aliases keep their result in their own transaction instead (``recording.once``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from core.domain.permissions import Actor
from core.errors import IdempotencyMismatch, InvalidInput
from core.services.recording import MAX_KEY
from core.store.database import Store
from core.store.tables import IdempotencyRow

ABANDONED_AFTER = timedelta(seconds=60)
_PENDING = {"pending": True}


@dataclass(frozen=True)
class Claim:
    """What became of a claim: it is ours (no ``answer``, not ``busy``), answered already, or being worked on."""

    answer: Mapping[str, Any] | None = None
    busy: bool = False


def claim(store: Store, actor: Actor, key: str, request_sha256: str, *, now: datetime) -> Claim:
    """Claim ``key`` for a request; IdempotencyMismatch when it was used for another."""
    if not 1 <= len(key) <= MAX_KEY:
        raise InvalidInput(f"An idempotency key has 1 to {MAX_KEY} characters.")
    row = _kept(store, actor, key)  # looked for first: those who wait look often, and should not write
    if row is None:
        return Claim(busy=not _inserted(store, actor, key, request_sha256, now))
    if row.request_sha256 != request_sha256:
        raise IdempotencyMismatch(
            f"The idempotency key {key!r} was used at {row.at:%Y-%m-%d %H:%M:%S} UTC for a different request."
        )
    if row.result != _PENDING:
        return Claim(answer=row.result)
    if now - row.at > ABANDONED_AFTER and _taken_over(store, row, now):
        return Claim()
    return Claim(busy=True)


def settle(store: Store, actor: Actor, key: str, answer: Mapping[str, Any]) -> None:
    """Keep the answer of a claimed key."""
    with store.writing() as session:
        session.get_one(IdempotencyRow, (actor.name, key)).result = dict(answer)


def let_go(store: Store, actor: Actor, key: str) -> None:
    """Give a claim up, because the work was refused and changed nothing: asking again is a first time."""
    mine = (col(IdempotencyRow.actor) == actor.name, col(IdempotencyRow.key) == key)
    with store.writing() as session:
        session.execute(delete(IdempotencyRow).where(*mine))


def _kept(store: Store, actor: Actor, key: str) -> IdempotencyRow | None:
    with store.reading() as session:
        return session.get(IdempotencyRow, (actor.name, key))


def _inserted(store: Store, actor: Actor, key: str, request_sha256: str, now: datetime) -> bool:
    dialect = postgresql if store.dialect == "postgresql" else sqlite
    row = {"actor": actor.name, "key": key, "request_sha256": request_sha256, "result": _PENDING, "at": now}
    insert = dialect.insert(IdempotencyRow).values(**row).on_conflict_do_nothing().returning(col(IdempotencyRow.key))
    with store.writing() as session:
        return session.scalars(insert).one_or_none() is not None


def _taken_over(store: Store, row: IdempotencyRow, now: datetime) -> bool:
    """True for the one who found the abandoned claim first."""
    same = (
        col(IdempotencyRow.actor) == row.actor,
        col(IdempotencyRow.key) == row.key,
        col(IdempotencyRow.at) == row.at,
    )
    with store.writing() as session:
        mine = update(IdempotencyRow).where(*same).values(at=now).returning(col(IdempotencyRow.key))
        return session.scalars(mine).one_or_none() is not None
