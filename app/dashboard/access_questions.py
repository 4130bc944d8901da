"""What may be written about access: people and their roles, sessions, API tokens, and the keys of callers."""

from collections.abc import Sequence

import streamlit as st

from app.dashboard import asking
from app.dashboard.actions import Done, Press
from app.dashboard.asking import Question
from app.dashboard.outcomes import why_not
from app.dashboard.session import Visit
from app.dashboard.widgets import draw
from app.dashboard.words import html, number
from app.times import future
from core.domain.permissions import SCOPES, Grant, Role, rule_on
from core.services import access, callers, reading

PLACE = "page:access"
EVERYWHERE = "everywhere"


def _refusal(visit: Visit, action: str = "access:write") -> str | None:
    because = why_not(visit, (action,), "")
    return f"Not permitted: {because}" if because else None


def where(alias: str | None) -> str:
    """`everywhere`, or `on prod-chat`."""
    return f"on {alias}" if alias else EVERYWHERE


# -- people and roles -----------------------------------------------------------------------------


def _add_person(visit: Visit, press: Press) -> None:
    name = asking.field("Name", press, "name", placeholder="lower-case letters, digits, '.', '_' or '-'")
    password = st.text_input(
        "Password", type="password", key=f"password:{press.key}", on_change="ignore", autocomplete="new-password",
        help=f"At least {access.SHORTEST_PASSWORD} characters. Give it to them on a safe way; they can change it with "
        "`pinrail user password`. Without one they cannot sign in here.",
    )  # fmt: skip
    role = st.selectbox("Role everywhere", ["none yet", *Role], index=1, key=f"role:{press.key}")
    if asking.confirmed(press, "Add the person", "Add nobody", refusal=_refusal(visit)):
        given = Role(role) if role in list(Role) else None
        asking.carry_out(press, f"add {name}", lambda v: _person_added(v, name, password or None, given))


def _person_added(visit: Visit, name: str, password: str | None, role: Role | None) -> Done:
    access.add_person(visit.store, visit.actor, name, password=password, role=role, now=visit.now)
    return Done(f"{name} has an account{f' and is {role} everywhere' if role else ', and no role yet'}.")


def _give_role(visit: Visit, press: Press) -> None:
    person = press.about
    role = st.selectbox("Role", list(Role), key=f"role:{press.key}") or Role.VIEWER
    aliases = [revision.alias for revision in reading.alias_list(visit.store, visit.actor)]
    on = st.selectbox("Where", [EVERYWHERE, *aliases], key=f"where:{press.key}")
    draw('<p class="pr-note">Each role may all that the one before may: viewer, operator, approver, admin.</p>')
    if asking.confirmed(press, "Give the role", "Give nothing", refusal=_refusal(visit)):
        given = Grant(Role(role), None if on == EVERYWHERE else on)
        asking.carry_out(press, f"give {person} a role", lambda v: _role_given(v, person, given))


def _role_given(visit: Visit, person: str, given: Grant) -> Done:
    access.grant(visit.store, visit.actor, person, given, now=visit.now)
    return Done(f"{person} is {given.role} {where(given.alias)} from now on.")


def grant_in(about: str) -> tuple[str, Grant]:
    """Whose role is meant, and which: `person role alias`, the alias left out for everywhere."""
    person, role, *alias = about.split(" ")
    return person, Grant(Role(role), alias[0] if alias else None)


def about_grant(person: str, grant: Grant) -> str:
    """What a press says of a role; ``grant_in`` reads it."""
    return " ".join(filter(None, [person, grant.role.value, grant.alias]))


def _take_role(visit: Visit, press: Press) -> None:
    person, taken = grant_in(press.about)
    draw(f"<p><b>{html(person)}</b> is then not {taken.role} {html(where(taken.alias))} any more, from the next click "
         "or request on. Other roles stay.</p>")  # fmt: skip
    if asking.confirmed(press, "Take the role", "Let them keep it", refusal=_refusal(visit)):
        asking.carry_out(press, f"take a role from {person}", lambda v: _role_taken(v, person, taken))


def _role_taken(visit: Visit, person: str, taken: Grant) -> Done:
    access.ungrant(visit.store, visit.actor, person, taken, now=visit.now)
    return Done(f"{person} is not {taken.role} {where(taken.alias)} any more.")


def _disable(visit: Visit, press: Press) -> None:
    draw(f"<p>The sessions of <b>{html(press.about)}</b> end and their tokens stop at once. Roles are kept for the day "
         "the account is enabled again. Caller keys go on: they belong to applications.</p>")  # fmt: skip
    if asking.confirmed(press, f"Disable {press.about}", "Keep the account open", refusal=_refusal(visit)):
        asking.carry_out(press, f"disable {press.about}", lambda v: _disabled(v, press.about))


def _disabled(visit: Visit, person: str) -> Done:
    access.disable_person(visit.store, visit.actor, person, now=visit.now)
    return Done(f"The account {person} is disabled, and its sessions have ended.")


def _enable(visit: Visit, press: Press) -> None:
    draw(f"<p><b>{html(press.about)}</b> can sign in again, with the roles they had. Old sessions stay ended; tokens "
         "that were not revoked work again.</p>")  # fmt: skip
    if asking.confirmed(press, f"Enable {press.about}", "Keep it disabled", refusal=_refusal(visit)):
        asking.carry_out(press, f"enable {press.about}", lambda v: _enabled(v, press.about))


def _enabled(visit: Visit, person: str) -> Done:
    access.enable_person(visit.store, visit.actor, person, now=visit.now)
    return Done(f"The account {person} is enabled.")


def _end_sessions(visit: Visit, press: Press) -> None:
    own = press.about == visit.actor.name
    you = " That includes this one: you sign in again after it." if own else ""
    draw(f"<p>Every browser in which <b>{html(press.about)}</b> is signed in is out at its next click.{you}</p>")
    if asking.confirmed(press, "End the sessions", "Keep them", refusal=_refusal(visit)):
        asking.carry_out(press, f"end the sessions of {press.about}", lambda v: _ended(v, press.about))


def _ended(visit: Visit, person: str) -> Done:
    count = access.revoke_sessions(visit.store, visit.actor, person, now=visit.now)
    return Done(f"{number(count, 'session')} of {person} ended.")


# -- tokens and keys ------------------------------------------------------------------------------


def _limit(visit: Visit, press: Press) -> Sequence[str]:
    aliases = [revision.alias for revision in reading.alias_list(visit.store, visit.actor)]
    return st.multiselect("Only for these aliases", aliases, key=f"only:{press.key}", placeholder="every alias")


def _create_token(visit: Visit, press: Press) -> None:
    name = asking.field("Name", press, "name", placeholder="what it is for, such as oncall-laptop")
    scope = st.selectbox(
        "Scope", [s.name for s in SCOPES], index=1, key=f"scope:{press.key}",
        format_func=lambda wanted: f"{wanted}: {next(s.meaning for s in SCOPES if s.name == wanted)}",
    )  # fmt: skip
    person = visit.actor.name
    if rule_on(visit.actor, "access:write").allowed:
        names = [p.name for p in access.people(visit.store, visit.actor) if p.disabled_at is None]
        person = st.selectbox("Acts for", names, index=names.index(person), key=f"person:{press.key}")
    only = _limit(visit, press)
    ends = asking.field("Ends", press, "ends", placeholder="90d, 12h or 2027-01-31; never when left empty")
    draw('<p class="pr-note">It never may more than its person, and stops with their account.</p>')
    if asking.confirmed(press, "Create the token", "Create none", refusal=_refusal(visit, "token:own")):
        asking.carry_out(
            press, "create the token", lambda v: _token_created(v, name, scope, person, list(only) or None, ends)
        )


def _token_created(visit: Visit, name: str, scope: str, person: str, only: list[str] | None, ends: str) -> Done:
    expires_at = future(ends or None, now=visit.now)
    token, secret = access.create_token(
        visit.store, visit.actor, name, scope=scope, person=person, aliases=only, expires_at=expires_at, now=visit.now
    )
    return Done(f"Token {token.name} ({token.id}) acts for {token.person} with scope {token.scope}.", secret)


def _create_key(visit: Visit, press: Press) -> None:
    draw("<p>An application calls the gateway with it. It is the application's, so nobody's leaving stops it.</p>")
    caller = asking.field("Caller", press, "caller", placeholder="the application's name, such as web")
    only = _limit(visit, press)
    ends = asking.field("Ends", press, "ends", placeholder="90d, 12h or 2027-01-31; never when left empty")
    if asking.confirmed(press, "Create the key", "Create none", refusal=_refusal(visit)):
        asking.carry_out(press, "create the caller key", lambda v: _key_created(v, caller, list(only) or None, ends))


def _key_created(visit: Visit, caller: str, only: list[str] | None, ends: str) -> Done:
    expires_at = future(ends or None, now=visit.now)
    key, secret = callers.create_key(
        visit.store, visit.actor, caller, aliases=only, expires_at=expires_at, now=visit.now
    )
    return Done(f"Key {key.id} lets {key.caller} call. Gateways take it as soon as they have followed.", secret)


def _revoke_token(visit: Visit, press: Press) -> None:
    token, person, name = press.about.split(" ")
    draw(f"<p>Whatever uses the token <b>{html(name)}</b> of {html(person)} is refused from its next request on, for "
         "good. A new one can be created.</p>")  # fmt: skip
    own = person == visit.actor.name
    refusal = _refusal(visit, "token:own" if own else "access:write")
    typed = asking.field(f"Type {name} to revoke it", press, "typed")
    if asking.confirmed(press, f"Revoke {name}", "Keep it", refusal=refusal):
        if typed != name:
            draw(asking.warning(f"What you typed is not {name}. Nothing was changed."))
            return
        asking.carry_out(press, f"revoke {name}", lambda v: _token_revoked(v, token))


def _token_revoked(visit: Visit, token: str) -> Done:
    gone = access.revoke_token(visit.store, visit.actor, token, now=visit.now)
    return Done(f"Token {gone.name} of {gone.person} is revoked.")


def _revoke_key(visit: Visit, press: Press) -> None:
    key, caller = press.about.split(" ")
    draw(f"<p>Requests of <b>{html(caller)}</b> with this key are refused as soon as the gateways have followed, for "
         "good. Create its next key first, and let the application use that.</p>")  # fmt: skip
    typed = asking.field(f"Type {caller} to revoke its key", press, "typed")
    if asking.confirmed(press, "Revoke the key", "Keep it", refusal=_refusal(visit)):
        if typed != caller:
            draw(asking.warning(f"What you typed is not {caller}. Nothing was changed."))
            return
        asking.carry_out(press, f"revoke the key {key}", lambda v: _key_revoked(v, key))


def _key_revoked(visit: Visit, key: str) -> Done:
    gone = callers.revoke_key(visit.store, visit.actor, key, now=visit.now)
    return Done(f"Key {gone.id} of {gone.caller} is revoked; gateways refuse it as soon as they have followed.")


QUESTIONS: asking.Questions = {
    "add person": Question("access:write", lambda p: "Add a person?", _add_person, "pinrail user add NAME"),
    "give role": Question(
        "access:write", lambda p: f"Give {p.about} a role?", _give_role, "pinrail user grant NAME ROLE"
    ),
    "take role": Question(
        "access:write",
        lambda p: f"Take {grant_in(p.about)[1].role} from {grant_in(p.about)[0]}?",
        _take_role,
        "pinrail user ungrant NAME ROLE",
    ),
    "disable": Question("access:write", lambda p: f"Disable {p.about}?", _disable, "pinrail user disable NAME"),
    "enable": Question("access:write", lambda p: f"Enable {p.about}?", _enable, "pinrail user enable NAME"),
    "end sessions": Question(
        "access:write", lambda p: f"End the sessions of {p.about}?", _end_sessions, "pinrail user sign-out NAME"
    ),
    "create token": Question(
        "token:own", lambda p: "Create an API token?", _create_token, "pinrail token create NAME --scope SCOPE"
    ),
    "revoke token": Question(
        "access:write",
        lambda p: f"Revoke the token {p.about.split(' ')[-1]}?",
        _revoke_token,
        "pinrail token revoke TOKEN",
    ),
    "create key": Question(
        "access:write", lambda p: "Create a caller key?", _create_key, "pinrail caller create CALLER"
    ),
    "revoke key": Question(
        "access:write",
        lambda p: f"Revoke the key of {p.about.split(' ')[-1]}?",
        _revoke_key,
        "pinrail caller revoke KEY",
    ),
}
"""Every write of the access page."""
