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
from core.domain.names import checked_slug, is_slug, is_storable, no_such
from core.domain.permissions import Actor, ActorKind, Grant, Role, insist, rule_on, scope_named
from core.errors import (
    AlreadyExists,
    InvalidInput,
    NotFound,
    NothingToChange,
    NotSignedIn,
    WrongPassword,
)
from core.services.attempts import note_failure, refuse_flood
from core.services.recording import change, event, only_aliases
from core.store import audit_log, repositories
from core.store.database import Store
from core.store.tables import GrantRow, PersonRow, SessionRow, TokenRow

SESSION_LASTS = timedelta(hours=12)
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1024

NOBODY = "(unknown)"
"""Stands in the log for a name that nobody has: what was typed may have been a password."""

_HASHER = PasswordHash((Argon2Hasher(),))
# Checked in place of a missing account's hash, so that the time taken does not tell who has one.
_NOBODY = _HASHER.hash("nobody has this password")


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


# -- signing in -----------------------------------------------------------------------------------


def sign_in(store: Store, name: str, password: str, *, address: str = "", now: datetime) -> str:
    """Begin a session; the cookie's secret is returned and only its SHA-256 kept.

    After too many failures for a name or from an address, TooManyAttempts until they have aged (see ``attempts``).
    WrongPassword, or NotSignedIn when the account is disabled.
    """
    address = address[:64] if is_storable(address) else ""
    with store.reading() as session:
        refuse_flood(session, name, address, now)
        person = session.get(PersonRow, name) if is_slug(name) else None
        known = person.password_hash if person is not None else None
    right = _matches(password, known or _NOBODY)
    secret = secrets.token_urlsafe(32)
    with store.unit_of_work() as session:
        # Counted again under the lock: of a hundred guesses sent at once, all but five must be in vain.
        refuse_flood(session, name, address, now)
        person = session.get(PersonRow, name) if is_slug(name) else None
        refusal = _refusal(person, known if right else None)
        if refusal is None:
            ends = now + SESSION_LASTS
            session.add(SessionRow(id=_digest(secret), person=name, created_at=now, expires_at=ends, address=address))
        else:
            note_failure(session, name, address, now)
        outcome = "done" if refusal is None else "refused"
        audit_log.append(session, _sign_in_event(name if person else NOBODY, address, now, outcome))
    if refusal is not None:
        raise refusal
    return secret


def _matches(password: str, hashed: str) -> bool:
    """Is it the password? Always costs the same, also for one that is too long to be any."""
    right = _HASHER.verify(password[:LONGEST_PASSWORD].encode("utf-8", "surrogatepass"), hashed)
    return right and len(password) <= LONGEST_PASSWORD


def _refusal(person: PersonRow | None, proven: str | None) -> NotSignedIn | None:
    """Why ``person`` may not come in; ``proven`` is the hash that the password was right for."""
    if person is None or proven is None or person.password_hash != proven:
        return WrongPassword("The name and password do not belong together.")
    if person.disabled_at is not None:  # whoever knows the password may know this, too
        return NotSignedIn(f"The account {person.name} is disabled. An admin can enable it again.")
    return None


def _sign_in_event(name: str, address: str, now: datetime, outcome: str) -> Event:
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
            raise AlreadyExists(f"There is a person {name} already. Choose another name.")
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
    with change(store, actor, "token:own" if own else "access:write", said) as session:
        _person(session, name).password_hash = hashed
        _end_sessions(session, actor, name, now)
        audit_log.append(session, said)


def _hashed(password: str, shortest: int) -> str:
    if not shortest <= len(password) <= LONGEST_PASSWORD:
        raise InvalidInput(f"A password has {shortest} to {LONGEST_PASSWORD} characters.")
    return _HASHER.hash(password.encode("utf-8", "surrogatepass"))


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
    if person is None and actor.kind not in (ActorKind.PERSON, ActorKind.TOKEN):
        raise InvalidInput(f"A token acts for a person with an account, and {actor.name} has none: say for whom it is.")
    holder = person or actor.name
    only = only_aliases(aliases)
    if expires_at is not None and expires_at <= now:
        raise InvalidInput("The token would have expired already.")
    identity = secrets.token_hex(4)
    facts = {"id": identity, "name": name, "scope": scope, "aliases": only, "expires_at": _text(expires_at)}
    said = event(actor, "token.created", f"person:{holder}", now=now, after=facts)
    with change(store, actor, "token:own" if holder == actor.name else "access:write", said) as session:
        _person(session, holder)
        if actor.scope is not None and not wanted.actions <= actor.scope.actions:
            raise InvalidInput(f"A token of scope {actor.scope.name} cannot create one of scope {scope}.")
        if actor.expires_at is not None and (expires_at is None or expires_at > actor.expires_at):
            raise InvalidInput(f"A token cannot create one that outlives it; it ends at {_text(actor.expires_at)}.")
        for alias in only or ():
            repositories.history(session, alias)
        secret = f"pr_{identity}_{secrets.token_urlsafe(32)}"
        row = TokenRow(
            id=identity,
            name=name,
            person=holder,
            secret_sha256=_digest(secret),
            scope=scope,
            aliases=only,
            created_at=now,
            created_by=actor.name,
            expires_at=expires_at,
        )
        session.add(row)
        audit_log.append(session, said)
        return _as_token(row), secret


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None


def actor_for_token(store: Store, secret: str, *, now: datetime) -> Actor:
    """The person a token acts for, narrowed to its scope; NotSignedIn when it does not work (any more)."""
    parts = secret.split("_", 2)
    with store.reading() as session:
        row = session.get(TokenRow, parts[1]) if len(parts) == 3 and is_slug(parts[1]) else None
        if row is None or not compare_digest(row.secret_sha256, _digest(secret)):
            raise NotSignedIn("This API token is not known.")
        token = _as_token(row)
        if not token.works(now):
            raise NotSignedIn(f"The API token {row.name} was revoked or has expired.")
        person = _person_actor(session, row.person)
    scope = scope_named(row.scope)
    return Actor(person.name, ActorKind.TOKEN, person.grants, scope, token.aliases, row.name, token.expires_at)


def revoke_token(store: Store, actor: Actor, token: str, *, now: datetime) -> Token:
    """Stop a token (by its id) for good; one's own, or anybody's for an admin."""
    with store.reading() as session:
        row = session.get(TokenRow, token)
        if row is None or not (row.person == actor.name or rule_on(actor, "access:read").allowed):
            raise NotFound(f"There is no token {token}.")
        own = row.person == actor.name
        said = event(actor, "token.revoked", f"person:{row.person}", now=now, before={"id": row.id, "name": row.name})
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
        if not rule_on(actor, "token:own").allowed:
            insist(actor, "access:read")
        query = query.where(col(TokenRow.person) == actor.name)
    with store.reading() as session:
        return [_as_token(row) for row in session.scalars(query)]


def _as_token(row: TokenRow) -> Token:
    only = frozenset(row.aliases) if row.aliases is not None else None
    return Token(row.id, row.name, row.person, row.scope, only, row.created_at, row.expires_at, row.revoked_at)
