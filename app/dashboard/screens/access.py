"""Access: who may do what, and why; people, tokens and caller keys."""

from collections.abc import Callable, Iterator, Mapping

import streamlit as st

from app.dashboard import asking, records, session
from app.dashboard.access_questions import PLACE, QUESTIONS, about_grant, where
from app.dashboard.session import Visit
from app.dashboard.widgets import STATES, Look, badge, draw, heading, icon, line, link, table, version
from app.dashboard.words import html, listed, when
from core.domain.permissions import ACTIONS, SCOPES, Role, rule_on
from core.services import records as reads
from core.store.read_access import AccessPage, Account, Secret

TITLE = "Access"
ON_ONE_PAGE = 25
EVERY_ALIAS = "every alias"
SECRETS: Mapping[str, Look] = {
    "works": Look("ok", "check_circle", "Works"),
    "revoked": Look("unknown", "block", "Revoked"),
    "expired": Look("unknown", "timer_off", "Expired"),
}
"""The look of each state of a token or key."""

DISABLED = Look("unknown", "block", "Disabled")
NO_PASSWORD = Look("unknown", "help", "Cannot sign in")
CAN = Look("ok", "check_circle", "Yes")
CANNOT = Look("warn", "block", "No")


def show() -> None:
    """Draw the part of the page that the address names."""
    visit = session.visit()
    if rule_on(visit.actor, "access:read").allowed:
        page = records.read(visit, TITLE, "access:read", lambda v: reads.access_page(v.store, v.actor, now=v.now))
        parts = PARTS
    else:
        page = records.read(visit, TITLE, "token:own", lambda v: reads.own_access(v.store, v.actor, now=v.now))
        parts = {name: part for name, part in PARTS.items() if name != "Caller keys"}
    asking.banner(visit, QUESTIONS, PLACE)
    records.header(visit, TITLE)
    with st.container(key="filters"):
        chosen = st.segmented_control(
            "Show", list(parts), default="People", required=True, key="part", bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
    parts[chosen or "People"](visit, page)
    asking.show(visit, QUESTIONS, PLACE)


# -- people ---------------------------------------------------------------------------------------


def _people(visit: Visit, page: AccessPage) -> None:
    if not rule_on(visit.actor, "access:read").allowed:
        draw(line(STATES["unknown"], "You see your own account: seeing others takes a role everywhere."))
    asking.say_if_disabled(visit, "access:write")
    names = [person.name for person in page.people]
    chosen = st.selectbox(
        "Look at a person", names, index=None, key="person", bind="query-params", placeholder="Choose a person",
        width=320,
    )  # fmt: skip
    if chosen is not None:
        _person(visit, page, reads.account(page, chosen))
    title = heading("People", note=str(len(page.people)))
    rows = (_person_row(visit, person) for person in page.people)
    draw(title, table("People", ("Person", "State", "Roles", "Sessions", "Since"), rows, kind="pr-people"))
    asking.trigger(visit, QUESTIONS, "add person", "Add a person…", place=PLACE, icon=":material/person_add:")


def _person_row(visit: Visit, person: Account) -> tuple[str, ...]:
    you = ' <span class="pr-note">(you)</span>' if person.name == visit.actor.name else ""
    sessions = "not shown to you" if person.sessions is None else str(len(person.sessions))
    return (
        f'<span class="pr-name">{link(person.name, f"/access?person={person.name}")}</span>{you}',
        _state(person),
        _roles(person),
        sessions,
        when(person.added_at, now=visit.now, relative=False),
    )


def _state(person: Account) -> str:
    if person.disabled_at is not None:
        return badge(DISABLED)
    return badge(Look("ok", "check_circle", "Can sign in")) if person.can_sign_in else badge(NO_PASSWORD, "no password")


def _roles(person: Account) -> str:
    if not person.given:
        return '<span class="pr-note">none</span>'
    return "<br>".join(f"<b>{given.grant.role}</b> {html(where(given.grant.alias))}" for given in person.given)


def _person(visit: Visit, page: AccessPage, person: Account) -> None:
    draw(heading(person.name, note=f"since {person.added_at:%Y-%m-%d}"), f"<p>{_state(person)}</p>")
    if person.disabled_at is not None:
        draw(f"<p>Disabled {when(person.disabled_at, now=visit.now)}. Sessions have ended, tokens do not work.</p>")
    draw("<h3>Roles</h3>")
    if not person.given:
        draw('<p class="pr-muted">None: whoever holds no role sees nothing.</p>')
    for given in person.given:
        about = about_grant(person.name, given.grant)
        with st.container(
            horizontal=True, vertical_alignment="center", gap="small", key=f"revision-{about.replace(' ', '-')}"
        ):
            draw(
                f'<div class="pr-revision"><p><b>{given.grant.role}</b> {html(where(given.grant.alias))}</p>'
                f'<p class="pr-note">given {when(given.at, now=visit.now)} by {html(given.by)}</p></div>'
            )
            label = f"Take {given.grant.role} {where(given.grant.alias)}…"
            asking.trigger(visit, QUESTIONS, "take role", label, place=PLACE, about=about)
    _sessions(visit, person)
    with st.container(horizontal=True, gap="small", key="person-actions"):
        for kind, label, icon in _acts(person):
            asking.trigger(visit, QUESTIONS, kind, label, place=PLACE, about=person.name, icon=icon)
    audit = link(f"What {person.name} did", f"/audit?who={person.name}")
    about_them = link("what was done to the account", f"/audit?alias=person:{person.name}")
    if rule_on(visit.actor, "audit:read").allowed:
        draw(f"<p>{audit} · {about_them}</p>")


def _acts(person: Account) -> Iterator[tuple[str, str, str]]:
    """What can be done with an account beside taking its roles: the question, its button, an icon."""
    yield "give role", "Give a role…", ":material/add_moderator:"
    yield "end sessions", "End the sessions…", ":material/logout:"
    if person.disabled_at is None:
        yield "disable", "Disable…", ":material/person_off:"
    else:
        yield "enable", "Enable…", ":material/person_check:"


def _sessions(visit: Visit, person: Account) -> None:
    draw("<h3>Open sessions</h3>")
    if person.sessions is None:
        draw('<p class="pr-muted">Only an admin sees the sessions of others.</p>')
        return
    if not person.sessions:
        draw('<p class="pr-muted">Not signed in anywhere.</p>')
        return
    rows = (
        (when(s.began, now=visit.now), when(s.ends, now=visit.now, relative=False), html(s.address or "unknown"))
        for s in person.sessions
    )
    draw(table(f"Open sessions of {person.name}", ("Began", "Ends at the latest", "From"), rows))


# -- tokens and keys ------------------------------------------------------------------------------


def _tokens(visit: Visit, page: AccessPage) -> None:
    everybody = rule_on(visit.actor, "access:write").allowed
    draw(
        heading("API tokens", note=f"{len(page.tokens)}, {'of everybody' if everybody else 'your own'}"),
        '<p class="pr-muted">A program acts for a person with one, over the API and the command line, within its '
        "scope.</p>",
    )
    asking.trigger(visit, QUESTIONS, "create token", "Create a token…", place=PLACE, icon=":material/key:", own=True)
    if not page.tokens:
        draw('<p class="pr-muted">There is none yet. For a first try: <code>pinrail token create NAME</code></p>')
        return
    _secrets(visit, page.tokens, kind="revoke token")


def _keys(visit: Visit, page: AccessPage) -> None:
    draw(
        heading("Caller keys", note=str(len(page.keys))),
        '<p class="pr-muted">An application calls the gateway with one.</p>',
    )
    asking.say_if_disabled(visit, "access:write")
    asking.trigger(visit, QUESTIONS, "create key", "Create a caller key…", place=PLACE, icon=":material/key:")
    if not page.keys:
        draw('<p class="pr-muted">There is none yet, so nobody can call the gateway.</p>')
        return
    _secrets(visit, page.keys, kind="revoke key")


def _secrets(visit: Visit, found: tuple[Secret, ...], *, kind: str) -> None:
    ranked = sorted(found, key=lambda secret: secret.state(visit.now) != "works")
    pages = -(-len(ranked) // ON_ONE_PAGE)
    below = st.container()
    at = st.pagination(pages, key=f"page:{kind}") if pages > 1 else 1
    with below:
        for secret in ranked[(at - 1) * ON_ONE_PAGE : at * ON_ONE_PAGE]:
            _secret(visit, secret, kind=kind)


def _secret(visit: Visit, secret: Secret, *, kind: str) -> None:
    state = secret.state(visit.now)
    is_token = kind == "revoke token"
    name = f"<b>{html(secret.name)}</b>" + (f" of {html(secret.of)} · scope {html(secret.scope)}" if is_token else "")
    only = listed(html(alias) for alias in secret.aliases) if secret.aliases else "every alias"
    ends = f"ends {when(secret.expires_at, now=visit.now, relative=False)}" if secret.expires_at else "never ends"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"revision-{secret.id}"):
        draw(
            f'<div class="pr-revision"><p>{name} {badge(SECRETS[state])}</p><p class="pr-note">{version(secret.id)} · '
            f"for {only} · created {when(secret.created_at, now=visit.now)} by {html(secret.created_by)} · {ends}"
            "</p></div>"
        )
        if state == "works":
            about = " ".join([secret.id, secret.of, secret.name] if is_token else [secret.id, secret.of])
            asking.trigger(
                visit, QUESTIONS, kind, f"Revoke {secret.name}…", place=PLACE, about=about,
                own=is_token and secret.of == visit.actor.name,
            )  # fmt: skip


# -- roles, and who may what ----------------------------------------------------------------------


def _matrix(visit: Visit, page: AccessPage) -> None:
    draw(
        heading("What each role may"),
        "<p>Each role may all that the one before may. A role is held everywhere, or for one alias; what concerns no "
        "alias takes it everywhere.</p>",
    )
    rows = (
        (f"{version(name)}<br><span class='pr-note'>{html(meaning)}</span>", *(_may(may) for may in allowed))
        for name, meaning, allowed in reads.role_matrix()
    )
    draw(table("What each role may", ("Action", *(role.capitalize() for role in Role)), rows, kind="pr-matrix"))
    scopes = ((version(scope.name), html(scope.meaning)) for scope in SCOPES)
    draw(heading("Scopes of tokens"), table("Scopes of tokens", ("Scope", "A token of it may"), scopes))


def _may(allowed: bool) -> str:
    return f'<span class="pr-yes">{icon("check")} yes</span>' if allowed else '<span class="pr-note">no</span>'


def _can_i(visit: Visit, page: AccessPage) -> None:
    draw(heading("Can I…?"), "<p>Asks the same rule that every write passes. Nothing is done.</p>")
    names = [person.name for person in page.people]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="can-i"):
        who = st.selectbox(
            "Who", names, index=names.index(visit.actor.name) if visit.actor.name in names else None, key="can-who",
            width=200,
        )  # fmt: skip
        meaning = {action.name: action.meaning for action in ACTIONS}
        action = st.selectbox(
            "May do", list(meaning), index=list(meaning).index("alias:roll_back"), key="can-action", width=420,
            format_func=lambda name: f"{name}: {meaning[name]}",
        )  # fmt: skip
        concerns = next(a.per_alias for a in ACTIONS if a.name == action)
        alias = st.selectbox("On", [EVERY_ALIAS, *page.aliases], key="can-alias", width=220, disabled=not concerns)
    person = reads.account(page, who) if who is not None else None
    on = alias if concerns and alias != EVERY_ALIAS else None
    ruling = reads.ruling(visit.actor, person, action, on)
    look = CAN if ruling.allowed else CANNOT
    draw(f'<div class="pr-change" role="status"><p>{badge(look)}</p><p>{html(ruling.because)}.</p></div>')
    if not ruling.allowed:
        holders = [p.name for p in page.people if p.can_sign_in and reads.ruling(visit.actor, p, action, on).allowed]
        told = f"Who can: {listed(holders)}." if holders else "Nobody can yet; an admin can give the role."
        draw(f'<p class="pr-muted">{html(told)}</p>')


PARTS: dict[str, Callable[[Visit, AccessPage], None]] = {
    "People": _people,
    "Tokens": _tokens,
    "Caller keys": _keys,
    "Roles": _matrix,
    "Can I…?": _can_i,
}
"""The parts of the page, as the address names them."""


if __name__ == "__main__":
    show()
