"""Who somebody is, and what they hold: people, sessions, roles, API tokens and caller keys.

Secrets are random and 256 bits long, so a plain SHA-256 of them is kept; passwords are not, so they are kept as
argon2id. A session and a token are looked up at every use: whoever is disabled or revoked is out at the next click.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import select
from sqlmodel import Session, col

from core.domain.events import Event
from core.domain.names import checked_slug, no_such
from core.domain.permissions import Actor, ActorKind, Grant, Role, insist, rule_on, scope_named
from core.errors import (
    AlreadyExists,
    InvalidInput,
    NotFound,
    NothingToChange,
    NotSignedIn,
    TooManyAttempts,
    WrongPassword,
)
from core.services.recording import change, event
from core.store import audit_log, repositories
from core.store.database import Store
from core.store.tables import AttemptRow, GrantRow, PersonRow, SessionRow, TokenRow

SESSION_LASTS = timedelta(hours=12)
ATTEMPTS_ALLOWED = 5
ATTEMPTS_WINDOW = timedelta(minutes=15)
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1024

_HASHER = PasswordHash((Argon2Hasher(),))
# Checked in place of a missing account's hash, so that the time taken does not tell who has one.
_NOBODY = _HASHER.hash("nobody has this password")


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


# -- signing in -----------------------------------------------------------------------------------


def sign_in(store: Store, name: str, password: str, *, address: str = "", now: datetime) -> str:
    """Begin a session; the cookie's secret is returned and only its SHA-256 kept.

    After five failures for a name or from an address within 15 minutes, TooManyAttempts until they have aged.
    WrongPassword, or NotSignedIn when the account is disabled.
    """
    _refuse_flood(store, name, address, now)
    with store.reading() as session:
        person = session.get(PersonRow, name)
        known = person.password_hash if person is not None else None
        disabled = person is not None and person.disabled_at is not None
    right = _HASHER.verify(password[:LONGEST_PASSWORD], known or _NOBODY)
    if not right or known is None or disabled:
        _note_failure(store, name, address, now)
        if right and known is not None:  # whoever knows the password may know this, too
            raise NotSignedIn(f"The account {name} is disabled. An admin can enable it again.")
        raise WrongPassword("The name and password do not belong together.")
    secret = secrets.token_urlsafe(32)
    with store.unit_of_work() as session:
        session.add(
            SessionRow(id=_digest(secret), person=name, created_at=now, expires_at=now + SESSION_LASTS, address=address)
        )
        audit_log.append(session, _sign_in_event(name, address, now))
    return secret


def _refuse_flood(store: Store, name: str, address: str, now: datetime) -> None:
    since = now - ATTEMPTS_WINDOW
    with store.reading() as session:
        for column, value in ((col(AttemptRow.name), name), (col(AttemptRow.address), address)):
            recent = select(col(AttemptRow.at)).where(column == value, col(AttemptRow.at) > since)
            times = session.scalars(recent.order_by(col(AttemptRow.at).desc()).limit(ATTEMPTS_ALLOWED)).all()
            if value and len(times) >= ATTEMPTS_ALLOWED:
                wait = times[-1] + ATTEMPTS_WINDOW - now
                raise TooManyAttempts(
                    f"Sign-in failed {ATTEMPTS_ALLOWED} times within {ATTEMPTS_WINDOW.seconds // 60} minutes. "
                    f"Try again in {max(1, round(wait.total_seconds() / 60))} min."
                )


def _note_failure(store: Store, name: str, address: str, now: datetime) -> None:
    with store.unit_of_work() as session:
        session.add(AttemptRow(name=name[:64], address=address, at=now))
        refused = _sign_in_event(name[:64], address, now, outcome="refused")
        audit_log.append(session, refused)


def _sign_in_event(name: str, address: str, now: datetime, *, outcome: str = "done") -> Event:
    subject = f"person:{name}"
    return Event("person.signed_in", subject, name, ActorKind.PERSON.value, now, outcome, after={"address": address})


def who_is(store: Store, secret: str | None, *, now: datetime) -> Actor:
    """The person whose session this is, with the roles held at this moment; NotSignedIn when it ended."""
    if not secret:
        raise NotSignedIn("You are not signed in.")
    with store.reading() as session:
        row = session.get(SessionRow, _digest(secret))
        if row is None or row.ended_at is not None or row.expires_at <= now:
            raise NotSignedIn("Your session has ended. Sign in again.")
        return _person_actor(session, row.person)


def _person_actor(session: Session, name: str) -> Actor:
    person = session.get(PersonRow, name)
    if person is None or person.disabled_at is not None:
        raise NotSignedIn(f"The account {name} is disabled.")
    return Actor(name, ActorKind.PERSON, repositories.grants(session, name))


def sign_out(store: Store, secret: str, *, now: datetime) -> None:
    """End one's own session; a session that ended already stays ended."""
    with store.unit_of_work() as session:
        row = session.get(SessionRow, _digest(secret))
        if row is None or row.ended_at is not None:
            return
        row.ended_at, row.ended_by = now, row.person
        said = Event("person.signed_out", f"person:{row.person}", row.person, ActorKind.PERSON.value, now)
        audit_log.append(session, said)


def revoke_sessions(store: Store, actor: Actor, name: str, *, now: datetime) -> int:
    """End every session of ``name``; the number ended is returned."""
    said = event(actor, "session.revoked", f"person:{name}", now=now)
    with change(store, actor, "access:write", said) as session:
        _person(session, name)
        ended = _end_sessions(session, actor, name, now)
        if ended:
            audit_log.append(
                session, event(actor, "session.revoked", f"person:{name}", now=now, after={"ended": ended})
            )
        return ended


def _end_sessions(session: Session, actor: Actor, name: str, now: datetime) -> int:
    open_ones = select(SessionRow).where(col(SessionRow.person) == name, col(SessionRow.ended_at).is_(None))
    rows = session.scalars(open_ones).all()
    for row in rows:
        row.ended_at, row.ended_by = now, actor.name
    return len(rows)


# -- people and roles -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Person:
    """An account and what it holds."""

    name: str
    grants: tuple[Grant, ...]
    added_at: datetime
    disabled_at: datetime | None
    has_password: bool


def add_person(
    store: Store,
    actor: Actor,
    name: str,
    *,
    password: str | None = None,
    role: Role | None = None,
    now: datetime,
    shortest_password: int = SHORTEST_PASSWORD,
) -> Person:
    """Give somebody an account, and perhaps a role everywhere."""
    checked_slug("a person", name)
    hashed = _hashed(password, shortest_password) if password is not None else None
    said = event(actor, "person.added", f"person:{name}", now=now, after={"role": role.value if role else None})
    with change(store, actor, "access:write", said) as session:
        if session.get(PersonRow, name) is not None:
            raise AlreadyExists(f"There is a person {name} already.")
        session.add(PersonRow(name=name, password_hash=hashed, added_at=now))
        session.flush()
        audit_log.append(session, said)
        if role is not None:
            _give(session, actor, name, Grant(role), now)
        return _as_person(session, name)


def set_password(
    store: Store, actor: Actor, name: str, password: str, *, now: datetime, shortest_password: int = SHORTEST_PASSWORD
) -> None:
    """Set the password of ``name`` (one's own, or anybody's for an admin) and end the sessions begun with the old."""
    hashed = _hashed(password, shortest_password)
    said = event(actor, "person.password_set", f"person:{name}", now=now)
    own = actor.kind is ActorKind.PERSON and actor.name == name
    with change(store, actor, "access:read" if own else "access:write", said) as session:
        _person(session, name).password_hash = hashed
        _end_sessions(session, actor, name, now)
        audit_log.append(session, said)


def _hashed(password: str, shortest: int) -> str:
    if not shortest <= len(password) <= LONGEST_PASSWORD:
        raise InvalidInput(f"A password has {shortest} to {LONGEST_PASSWORD} characters.")
    return _HASHER.hash(password)


def disable_person(store: Store, actor: Actor, name: str, *, now: datetime) -> None:
    """Shut an account: its sessions end and its tokens stop at once. The last admin cannot be shut out."""
    said = event(actor, "person.disabled", f"person:{name}", now=now)
    with change(store, actor, "access:write", said) as session:
        person = _person(session, name)
        if person.disabled_at is not None:
            raise NothingToChange(f"The account {name} is disabled already.")
        _keep_an_admin(session, without=name)
        person.disabled_at = now
        _end_sessions(session, actor, name, now)
        audit_log.append(session, said)


def enable_person(store: Store, actor: Actor, name: str, *, now: datetime) -> None:
    """Open a disabled account again; its old sessions stay ended."""
    said = event(actor, "person.enabled", f"person:{name}", now=now)
    with change(store, actor, "access:write", said) as session:
        person = _person(session, name)
        if person.disabled_at is None:
            raise NothingToChange(f"The account {name} is not disabled.")
        person.disabled_at = None
        audit_log.append(session, said)


def grant(store: Store, actor: Actor, name: str, given: Grant, *, now: datetime) -> None:
    """Give ``name`` a role, everywhere or for one alias."""
    attempted = _grant_event(actor, "grant.given", name, given, now)
    with change(store, actor, "access:write", attempted) as session:
        _person(session, name)
        if given.alias is not None:
            repositories.history(session, given.alias)
        if given in repositories.grants(session, name):
            raise NothingToChange(f"{name} is {given.role} there already.")
        _give(session, actor, name, given, now)


def _give(session: Session, actor: Actor, name: str, given: Grant, now: datetime) -> None:
    session.add(GrantRow(person=name, role=given.role.value, alias=given.alias, given_at=now, given_by=actor.name))
    audit_log.append(session, _grant_event(actor, "grant.given", name, given, now))
    session.flush()


def _grant_event(actor: Actor, kind: str, name: str, what: Grant, now: datetime) -> Event:
    facts = {"role": what.role.value, "alias": what.alias}
    given = kind == "grant.given"
    return event(
        actor, kind, f"person:{name}", now=now, before=None if given else facts, after=facts if given else None
    )


def ungrant(store: Store, actor: Actor, name: str, taken: Grant, *, now: datetime) -> None:
    """Take a role away again. The last admin cannot lose theirs."""
    said = _grant_event(actor, "grant.taken", name, taken, now)
    with change(store, actor, "access:write", said) as session:
        _person(session, name)
        rows = session.scalars(
            select(GrantRow).where(col(GrantRow.person) == name, col(GrantRow.role) == taken.role.value)
        )
        found = next((row for row in rows if row.alias == taken.alias), None)
        if found is None:
            where = f"on {taken.alias}" if taken.alias else "everywhere"
            raise NothingToChange(f"{name} is not {taken.role} {where}.")
        if taken == Grant(Role.ADMIN):
            _keep_an_admin(session, without=name)
        session.delete(found)
        audit_log.append(session, said)


def _keep_an_admin(session: Session, *, without: str) -> None:
    admins = (
        select(col(GrantRow.person))
        .join(PersonRow, col(PersonRow.name) == col(GrantRow.person))
        .where(
            col(GrantRow.role) == Role.ADMIN.value,
            col(GrantRow.alias).is_(None),
            col(PersonRow.disabled_at).is_(None),
        )
    )
    left = set(session.scalars(admins))
    if left == {without}:
        raise InvalidInput(f"{without} is the last admin. Make somebody else admin first.")


def people(store: Store, actor: Actor) -> list[Person]:
    """Every account, by name."""
    insist(actor, "access:read")
    with store.reading() as session:
        names = session.scalars(select(col(PersonRow.name)).order_by(col(PersonRow.name))).all()
        return [_as_person(session, name) for name in names]


def anybody_yet(store: Store) -> bool:
    """Is there any account one could sign in with?"""
    with store.reading() as session:
        return session.scalar(select(col(PersonRow.name)).limit(1)) is not None


def _person(session: Session, name: str) -> PersonRow:
    row = session.get(PersonRow, name)
    if row is None:
        raise NotFound(no_such("person", name, session.scalars(select(col(PersonRow.name)))))
    return row


def _as_person(session: Session, name: str) -> Person:
    row = _person(session, name)
    held = repositories.grants(session, name)
    return Person(name, held, row.added_at, row.disabled_at, row.password_hash is not None)


# -- API tokens -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Token:
    """An API token as it may be shown: everything but its secret."""

    id: str
    name: str
    person: str
    scope: str
    aliases: frozenset[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def works(self, now: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def create_token(
    store: Store,
    actor: Actor,
    name: str,
    *,
    scope: str,
    person: str | None = None,
    aliases: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    now: datetime,
) -> tuple[Token, str]:
    """Create a token that acts for ``person`` (by default the actor); the secret is returned once.

    A token made with a token may not do more than the one it was made with.
    """
    checked_slug("a token", name)
    wanted = scope_named(scope)
    holder = person or actor.name
    if expires_at is not None and expires_at <= now:
        raise InvalidInput("The token would have expired already.")
    said = event(actor, "token.created", f"person:{holder}", now=now, after={"name": name, "scope": scope})
    with change(store, actor, "token:own" if holder == actor.name else "access:write", said) as session:
        _person(session, holder)
        if actor.scope is not None and not wanted.actions <= actor.scope.actions:
            raise InvalidInput(f"A token of scope {actor.scope.name} cannot create one of scope {scope}.")
        for alias in aliases or ():
            repositories.history(session, alias)
        identity = secrets.token_hex(4)
        secret = f"pr_{identity}_{secrets.token_urlsafe(32)}"
        row = TokenRow(
            id=identity,
            name=name,
            person=holder,
            secret_sha256=_digest(secret),
            scope=scope,
            aliases=sorted(set(aliases)) if aliases else None,
            created_at=now,
            created_by=actor.name,
            expires_at=expires_at,
        )
        session.add(row)
        audit_log.append(session, said)
        return _as_token(row), secret


def actor_for_token(store: Store, secret: str, *, now: datetime) -> Actor:
    """The person a token acts for, narrowed to its scope; NotSignedIn when it does not work (any more)."""
    parts = secret.split("_", 2)
    with store.reading() as session:
        row = session.get(TokenRow, parts[1]) if len(parts) == 3 else None
        if row is None or not compare_digest(row.secret_sha256, _digest(secret)):
            raise NotSignedIn("This API token is not known.")
        token = _as_token(row)
        if not token.works(now):
            raise NotSignedIn(f"The API token {row.name} was revoked or has expired.")
        person = _person_actor(session, row.person)
    return Actor(person.name, ActorKind.TOKEN, person.grants, scope_named(row.scope), token.aliases, row.name)


def revoke_token(store: Store, actor: Actor, token: str, *, now: datetime) -> Token:
    """Stop a token (by its id) for good; one's own, or anybody's for an admin."""
    with store.reading() as session:
        row = session.get(TokenRow, token)
        if row is None or not (row.person == actor.name or rule_on(actor, "access:read").allowed):
            raise NotFound(f"There is no token {token}.")
        own = row.person == actor.name
        said = event(actor, "token.revoked", f"person:{row.person}", now=now, before={"name": row.name})
    with change(store, actor, "token:own" if own else "access:write", said) as session:
        row = session.get_one(TokenRow, token)
        if row.revoked_at is not None:
            raise NothingToChange(f"Token {token} was revoked already.")
        row.revoked_at = now
        audit_log.append(session, said)
        return _as_token(row)


def tokens(store: Store, actor: Actor) -> list[Token]:
    """The actor's own tokens, or everybody's for an admin, newest first."""
    query = select(TokenRow).order_by(col(TokenRow.created_at).desc())
    if not rule_on(actor, "access:write").allowed:
        insist(actor, "access:read")
        query = query.where(col(TokenRow.person) == actor.name)
    with store.reading() as session:
        return [_as_token(row) for row in session.scalars(query)]


def _as_token(row: TokenRow) -> Token:
    only = frozenset(row.aliases) if row.aliases is not None else None
    return Token(row.id, row.name, row.person, row.scope, only, row.created_at, row.expires_at, row.revoked_at)
