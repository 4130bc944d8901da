"""What the access page reads: people with their roles and open sessions, tokens, and the keys of callers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from core.domain.permissions import Grant, Role
from core.store.database import Store
from core.store.tables import CallerKeyRow, GrantRow, PersonRow, SessionRow, TokenRow


@dataclass(frozen=True)
class Given:
    """A role somebody holds, and who gave it when."""

    grant: Grant
    at: datetime
    by: str


@dataclass(frozen=True)
class OpenSession:
    """A browser in which somebody is signed in. What names it in the store is a secret and stays there."""

    began: datetime
    ends: datetime
    address: str


@dataclass(frozen=True)
class Account:
    """A person with what they hold. ``sessions`` is None where whoever looks may not see them."""

    name: str
    added_at: datetime
    disabled_at: datetime | None
    can_sign_in: bool
    given: tuple[Given, ...]
    sessions: tuple[OpenSession, ...] | None

    @property
    def grants(self) -> tuple[Grant, ...]:
        """The roles alone, the highest first."""
        return tuple(given.grant for given in self.given)


@dataclass(frozen=True)
class Secret:
    """A token or a caller key as it may be shown: everything but the secret. ``of`` is the person or the caller."""

    id: str
    of: str
    name: str
    scope: str
    aliases: tuple[str, ...] | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        """works, revoked or expired."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "works"


@dataclass(frozen=True)
class AccessPage:
    """All that the access page shows."""

    people: tuple[Account, ...]
    tokens: tuple[Secret, ...]
    keys: tuple[Secret, ...]
    aliases: tuple[str, ...]


def people(store: Store, *, now: datetime) -> tuple[Account, ...]:
    """Every account, by name."""
    with store.reading() as session:
        given, sessions = _given(session), _sessions(session, now)
        rows = session.scalars(select(PersonRow).order_by(col(PersonRow.name)))
        return tuple(
            Account(
                row.name,
                row.added_at,
                row.disabled_at,
                row.password_hash is not None and row.disabled_at is None,
                tuple(given.get(row.name, ())),
                tuple(sessions.get(row.name, ())),
            )
            for row in rows
        )


def tokens(store: Store) -> tuple[Secret, ...]:
    """Every API token, newest first."""
    with store.reading() as session:
        rows = session.scalars(select(TokenRow).order_by(col(TokenRow.created_at).desc(), col(TokenRow.id)))
        return tuple(
            Secret(
                row.id, row.person, row.name, row.scope, _only(row.aliases), row.created_at, row.created_by,
                row.expires_at, row.revoked_at,
            )
            for row in rows
        )  # fmt: skip


def caller_keys(store: Store) -> tuple[Secret, ...]:
    """Every caller key, by caller, newest first."""
    with store.reading() as session:
        rows = session.scalars(
            select(CallerKeyRow).order_by(col(CallerKeyRow.caller), col(CallerKeyRow.created_at).desc())
        )
        return tuple(
            Secret(
                row.id, row.caller, row.caller, "", _only(row.aliases), row.created_at, row.created_by,
                row.expires_at, row.revoked_at,
            )
            for row in rows
        )  # fmt: skip


def _only(aliases: list[str] | None) -> tuple[str, ...] | None:
    return tuple(aliases) if aliases is not None else None


def _given(session: Session) -> Mapping[str, list[Given]]:
    found: dict[str, list[Given]] = {}
    for row in session.scalars(select(GrantRow)):
        grant = Grant(Role(row.role), row.alias)
        found.setdefault(row.person, []).append(Given(grant, row.given_at, row.given_by))
    for held in found.values():
        held.sort(key=lambda given: (-given.grant.role.rank, given.grant.alias or ""))
    return found


def _sessions(session: Session, now: datetime) -> Mapping[str, list[OpenSession]]:
    found: dict[str, list[OpenSession]] = {}
    is_open = (col(SessionRow.ended_at).is_(None), col(SessionRow.expires_at) > now)
    for row in session.scalars(select(SessionRow).where(*is_open).order_by(col(SessionRow.created_at).desc())):
        found.setdefault(row.person, []).append(OpenSession(row.created_at, row.expires_at, row.address))
    return found
