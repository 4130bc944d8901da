"""How often somebody may guess a password: failed sign-ins, counted by name and by address until they have aged."""

from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil

from sqlalchemy import select
from sqlmodel import Session, col

from core.errors import TooManyAttempts
from core.store.tables import AttemptRow

ATTEMPTS_ALLOWED = 5
ATTEMPTS_WINDOW = timedelta(minutes=15)


def refuse_flood(session: Session, name: str, address: str, now: datetime) -> None:
    """TooManyAttempts once sign-in failed too often for ``name`` or from ``address``; it says when to try again."""
    for column, value in ((col(AttemptRow.name), _kept(name)), (col(AttemptRow.address), address)):
        recent = select(col(AttemptRow.at)).where(column == value, col(AttemptRow.at) > now - ATTEMPTS_WINDOW)
        times = session.scalars(recent.order_by(col(AttemptRow.at).desc()).limit(ATTEMPTS_ALLOWED)).all()
        if value and len(times) >= ATTEMPTS_ALLOWED:
            wait = times[-1] + ATTEMPTS_WINDOW - now
            raise TooManyAttempts(
                f"Sign-in failed {ATTEMPTS_ALLOWED} times within {ATTEMPTS_WINDOW.seconds // 60} minutes. "
                f"Try again in {max(1, ceil(wait.total_seconds() / 60))} min."
            )


def note_failure(session: Session, name: str, address: str, now: datetime) -> None:
    """Count one more failure."""
    session.add(AttemptRow(name=_kept(name), address=address, at=now))


def _kept(name: str) -> str:
    """What is kept of a name that was typed: not the name, for people type their password there, too."""
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
