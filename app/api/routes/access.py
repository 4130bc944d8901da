"""Access over HTTP: who one is, people and their roles, API tokens, and the keys of callers."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.api.asking import AskingNow, WritingNow
from app.api.doors import ANYBODY, WRITES, door
from app.api.shapes import (
    ActorView,
    AddPerson,
    CallerKeyView,
    CreateCallerKey,
    CreateToken,
    EndedView,
    GiveRole,
    Page,
    PersonView,
    RulingView,
    SetPassword,
    TokenView,
)
from core import errors
from core.domain.permissions import ACTIONS, Grant, Role, rule_on
from core.errors import InvalidInput
from core.services import access, callers, reading

router = APIRouter()

Person = Annotated[str, Path(max_length=64, description="The name of the person.")]
Id = Annotated[str, Path(max_length=64, description="The id of the token or key, never its secret.")]


# -- oneself --------------------------------------------------------------------------------------


@router.get("/whoami", tags=["oneself"], **door(ANYBODY))
def whoami(at: AskingNow) -> ActorView:
    """See who you are to Pinrail, what you hold, and what your token is limited to."""
    return ActorView.from_domain(at.actor)


@router.get("/can-i", tags=["oneself"], **door(ANYBODY))
def can_i(
    at: AskingNow,
    action: Annotated[str, Query(max_length=64, description="An action such as `alias:flip`.")],
    alias: Annotated[str | None, Query(max_length=64)] = None,
) -> RulingView:
    """Ask whether you may do something, and why or why not. Nothing is done."""
    if action not in {known.name for known in ACTIONS}:
        raise InvalidInput(f"There is no action {action!r}. Actions are {', '.join(a.name for a in ACTIONS)}.")
    return RulingView.from_domain(rule_on(at.actor, action, alias), action=action, alias=alias)


# -- API tokens -----------------------------------------------------------------------------------


@router.get("/tokens", tags=["tokens"], **door("access:read"))
def list_tokens(at: AskingNow) -> Page[TokenView]:
    """List your own tokens, or everybody's if you are an admin, newest first."""
    return Page(items=tuple(TokenView.from_domain(token) for token in access.tokens(at.store, at.actor)))


@router.post("/tokens", tags=["tokens"], status_code=201, **door("token:own", *WRITES, errors.NotFound))
def create_token(at: WritingNow, body: CreateToken) -> TokenView:
    """Create a token; its secret is in this answer and never shown again. For somebody else it takes an admin."""

    def work() -> TokenView:
        token, secret = access.create_token(at.store, at.actor, **dict(body), now=at.now)
        return TokenView.from_domain(token, secret=secret)

    return at.once(body, TokenView, work)


@router.post(
    "/tokens/{token}/revoke", tags=["tokens"], **door("token:own", *WRITES, errors.NotFound, errors.NothingToChange)
)
def revoke_token(at: WritingNow, token: Id) -> TokenView:
    """Stop a token for good: your own, or anybody's if you are an admin."""

    def work() -> TokenView:
        return TokenView.from_domain(access.revoke_token(at.store, at.actor, token, now=at.now))

    return at.once(None, TokenView, work)


# -- callers --------------------------------------------------------------------------------------


@router.get("/caller-keys", tags=["callers"], **door("access:read"))
def list_caller_keys(at: AskingNow) -> Page[CallerKeyView]:
    """List the keys that applications call the gateway with, by caller."""
    return Page(items=tuple(CallerKeyView.from_domain(key) for key in callers.keys(at.store, at.actor)))


@router.post("/caller-keys", tags=["callers"], status_code=201, **door("access:write", *WRITES, errors.UnknownAlias))
def create_caller_key(at: WritingNow, body: CreateCallerKey) -> CallerKeyView:
    """Create a key for an application; its secret is in this answer and never shown again."""

    def work() -> CallerKeyView:
        key, secret = callers.create_key(at.store, at.actor, **dict(body), now=at.now)
        return CallerKeyView.from_domain(key, secret=secret)

    return at.once(body, CallerKeyView, work)


@router.post(
    "/caller-keys/{key}/revoke",
    tags=["callers"],
    **door("access:write", *WRITES, errors.NotFound, errors.NothingToChange),
)
def revoke_caller_key(at: WritingNow, key: Id) -> CallerKeyView:
    """Stop a key for good; gateways refuse it as soon as they have followed."""

    def work() -> CallerKeyView:
        return CallerKeyView.from_domain(callers.revoke_key(at.store, at.actor, key, now=at.now))

    return at.once(None, CallerKeyView, work)


# -- people ---------------------------------------------------------------------------------------


@router.get("/people", tags=["people"], **door("access:read"))
def list_people(at: AskingNow) -> Page[PersonView]:
    """List every account and what it holds, by name."""
    return Page(items=tuple(PersonView.from_domain(person) for person in access.people(at.store, at.actor)))


@router.get("/people/{person}", tags=["people"], **door("access:read", errors.NotFound))
def get_person(at: AskingNow, person: Person) -> PersonView:
    """See one account and what it holds."""
    return PersonView.from_domain(reading.person(at.store, at.actor, person))


@router.post("/people", tags=["people"], status_code=201, **door("access:write", *WRITES, errors.AlreadyExists))
def add_person(at: WritingNow, body: AddPerson) -> PersonView:
    """Give somebody an account, and perhaps a role everywhere."""

    def work() -> PersonView:
        return PersonView.from_domain(access.add_person(at.store, at.actor, **dict(body), now=at.now))

    return at.once(body, PersonView, work)


@router.post(
    "/people/{person}/disable",
    tags=["people"],
    **door("access:write", *WRITES, errors.NotFound, errors.NothingToChange),
)
def disable_person(at: WritingNow, person: Person) -> PersonView:
    """Shut an account: its sessions end and its tokens stop at once."""

    def work() -> PersonView:
        access.disable_person(at.store, at.actor, person, now=at.now)
        return PersonView.from_domain(reading.person(at.store, at.actor, person))

    return at.once(None, PersonView, work)


@router.post(
    "/people/{person}/enable", tags=["people"], **door("access:write", *WRITES, errors.NotFound, errors.NothingToChange)
)
def enable_person(at: WritingNow, person: Person) -> PersonView:
    """Open a disabled account again."""

    def work() -> PersonView:
        access.enable_person(at.store, at.actor, person, now=at.now)
        return PersonView.from_domain(reading.person(at.store, at.actor, person))

    return at.once(None, PersonView, work)


@router.post(
    "/people/{person}/grants", tags=["people"], **door("access:write", *WRITES, errors.NotFound, errors.NothingToChange)
)
def give_role(at: WritingNow, person: Person, body: GiveRole) -> PersonView:
    """Give somebody a role, everywhere or for one alias."""

    def work() -> PersonView:
        access.grant(at.store, at.actor, person, body.to_domain(), now=at.now)
        return PersonView.from_domain(reading.person(at.store, at.actor, person))

    return at.once(body, PersonView, work)


@router.delete(
    "/people/{person}/grants/{role}",
    tags=["people"],
    **door("access:write", *WRITES, errors.NotFound, errors.NothingToChange),
)
def take_role(
    at: WritingNow,
    person: Person,
    role: Role,
    alias: Annotated[str | None, Query(max_length=64, description="The alias it was given for.")] = None,
) -> PersonView:
    """Take a role away again. The last admin cannot lose theirs."""

    def work() -> PersonView:
        access.ungrant(at.store, at.actor, person, Grant(role, alias), now=at.now)
        return PersonView.from_domain(reading.person(at.store, at.actor, person))

    return at.once(None, PersonView, work)


@router.put("/people/{person}/password", tags=["people"], **door("access:write", *WRITES, errors.NotFound))
def set_password(at: WritingNow, person: Person, body: SetPassword) -> PersonView:
    """Set somebody's password; the sessions begun with the old one end."""
    # No answer is kept under a key: setting the same password again has the same effect, and another must not be lost.
    access.set_password(at.store, at.actor, person, body.password, now=at.now)
    return PersonView.from_domain(reading.person(at.store, at.actor, person))


@router.post("/people/{person}/sessions/revoke", tags=["people"], **door("access:write", *WRITES, errors.NotFound))
def revoke_sessions(at: WritingNow, person: Person) -> EndedView:
    """End every session of a person; they are out at their next click."""

    def work() -> EndedView:
        return EndedView(person=person, ended=access.revoke_sessions(at.store, at.actor, person, now=at.now))

    return at.once(None, EndedView, work)
