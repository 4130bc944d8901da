"""The applications that call the gateway, and the keys they call with."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import select
from sqlmodel import col

from core.domain.names import checked_slug, is_slug
from core.domain.permissions import Actor, insist
from core.errors import AlreadyExists, InvalidInput, NotFound, NothingToChange
from core.services.recording import change, event, only_aliases
from core.store import audit_log, repositories
from core.store.database import Store
from core.store.tables import CallerKeyRow


@dataclass(frozen=True)
class Key:
    """A caller's key as it may be shown: everything but its secret. ``aliases`` None means every alias."""

    id: str
    caller: str
    aliases: frozenset[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def create_key(
    store: Store,
    actor: Actor,
    caller: str,
    *,
    aliases: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    demo_key: str | None = None,
    now: datetime,
) -> tuple[Key, str]:
    """Create a key for the application ``caller``; the secret is returned once.

    ``demo_key`` is a well-known secret for the demo workspace; it must not look like a real key.
    """
    checked_slug("a caller", caller)
    only = only_aliases(aliases)
    if demo_key is not None and not (is_slug(demo_key) and "_" not in demo_key):
        raise InvalidInput("A demo key is a short name without '_', so that nobody takes it for a real key.")
    if expires_at is not None and expires_at <= now:
        raise InvalidInput("The key would have expired already.")
    identity = demo_key or secrets.token_hex(4)
    secret = demo_key or f"pk_{identity}_{secrets.token_urlsafe(32)}"
    facts = {"id": identity, "caller": caller, "aliases": only}
    said = event(actor, "caller.created", f"caller:{caller}", now=now, after=facts)
    with change(store, actor, "access:write", said) as session:
        if session.get(CallerKeyRow, identity) is not None:
            raise AlreadyExists(f"There is a caller key {identity} already.")
        for alias in only or ():
            repositories.history(session, alias)
        row = CallerKeyRow(
            id=identity,
            caller=caller,
            secret_sha256=sha256(secret.encode()).hexdigest(),
            aliases=only,
            created_at=now,
            created_by=actor.name,
            expires_at=expires_at,
        )
        session.add(row)
        repositories.next_serial(session)
        audit_log.append(session, said)
        return _as_key(row), secret


def revoke_key(store: Store, actor: Actor, key: str, *, now: datetime) -> Key:
    """Stop a key (by its id) for good; gateways refuse it from their next change on."""
    attempted = event(actor, "caller.revoked", f"caller_key:{key}", now=now)
    with change(store, actor, "access:write", attempted) as session:
        row = session.get(CallerKeyRow, key)
        if row is None:
            raise NotFound(f"There is no caller key {key}.")
        if row.revoked_at is not None:
            raise NothingToChange(f"Caller key {key} was revoked already.")
        row.revoked_at = now
        repositories.next_serial(session)
        audit_log.append(session, event(actor, "caller.revoked", f"caller:{row.caller}", now=now, before={"id": key}))
        return _as_key(row)


def keys(store: Store, actor: Actor) -> list[Key]:
    """Every caller key, by caller, newest first."""
    insist(actor, "access:read")
    query = select(CallerKeyRow).order_by(col(CallerKeyRow.caller), col(CallerKeyRow.created_at).desc())
    with store.reading() as session:
        return [_as_key(row) for row in session.scalars(query)]


def _as_key(row: CallerKeyRow) -> Key:
    only = frozenset(row.aliases) if row.aliases is not None else None
    return Key(row.id, row.caller, only, row.created_at, row.expires_at, row.revoked_at)
