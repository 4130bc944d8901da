"""How often somebody may guess a password: failed sign-ins, counted by name and by address until they have aged.

Few guesses are allowed for one name from one address, more from one address, most for one name from everywhere: so a
stranger elsewhere cannot lock the on-call engineer out with a handful of wrong guesses, and no name can be guessed at
for long. The last still lets a stranger with many addresses do so, who then shows up in the audit log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil

from sqlalchemy import ColumnElement, select
from sqlmodel import Session, col

from core.errors import TooManyAttempts
from core.store.tables import AttemptRow

ATTEMPTS_WINDOW = timedelta(minutes=15)
ATTEMPTS_ALLOWED = 5
"""For one name from one address."""
ATTEMPTS_FROM_ADDRESS = 20
ATTEMPTS_FOR_NAME = 50


@dataclass(frozen=True)
class _Limit:
    allowed: int
    where: Sequence[ColumnElement[bool]]


def refuse_flood(session: Session, name: str, address: str, now: datetime) -> None:
    """TooManyAttempts once sign-in failed too often for ``name`` or from ``address``; it says when to try again."""
    for limit in _limits(name, address):
        recent = select(col(AttemptRow.at)).where(*limit.where, col(AttemptRow.at) > now - ATTEMPTS_WINDOW)
        times = session.scalars(recent.order_by(col(AttemptRow.at).desc()).limit(limit.allowed)).all()
        if len(times) >= limit.allowed:
            wait = times[-1] + ATTEMPTS_WINDOW - now
            raise TooManyAttempts(
                f"Sign-in failed {limit.allowed} times within {ATTEMPTS_WINDOW.seconds // 60} minutes. "
                f"Try again in {max(1, ceil(wait.total_seconds() / 60))} min."
            )


def _limits(name: str, address: str) -> tuple[_Limit, ...]:
    by_name, by_address = col(AttemptRow.name) == _kept(name), col(AttemptRow.address) == address
    everywhere = (_Limit(ATTEMPTS_ALLOWED, (by_name, by_address)), _Limit(ATTEMPTS_FOR_NAME, (by_name,)))
    return (*everywhere, _Limit(ATTEMPTS_FROM_ADDRESS, (by_address,))) if address else everywhere


def note_failure(session: Session, name: str, address: str, now: datetime) -> None:
    """Count one more failure."""
    session.add(AttemptRow(name=_kept(name), address=address, at=now))


def _kept(name: str) -> str:
    """What is kept of a name that was typed: not the name, for people type their password there, too."""
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
