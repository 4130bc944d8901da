"""Audit: prove who did what, what served at a time and who decided it, and that the log is whole."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import streamlit as st

from app.dashboard import audit_filter, records, session
from app.dashboard.session import Visit
from app.dashboard.version_parts import version_path
from app.dashboard.widgets import STATES, Look, alias_link, badge, draw, heading, line, link, table, version
from app.dashboard.words import clock, html, number, plain, sentence, when
from app.times import past
from core.domain.events import EVENTS
from core.errors import AuditBroken, InvalidInput, PinrailError
from core.services import reading
from core.services import records as reads
from core.store.read_audit import MOST_EXPORTED, AuditPage, Entry, Filter

TITLE = "Audit"
ANY = "any"
OUTCOMES: dict[str, Look] = {
    "done": Look("ok", "check_circle", "Done"),
    "refused": Look("warn", "block", "Refused"),
}
LONGEST = 220


def show() -> None:
    """Draw the log as the address filters it."""
    visit = session.visit()
    with st.container(key="verdict"):
        _verdict(visit)
    records.read(visit, TITLE, "audit:read", lambda v: reading.audit_head(v.store, v.actor))
    records.header(visit, TITLE, note="Everything that was done or refused, chained so that a change to it is found.")
    _filters()
    _shortcuts()
    try:
        wanted = audit_filter.filter_of(_given(), now=visit.now)
        page = records.read(
            visit, TITLE, "audit:read", lambda v: reads.audit_page(v.store, v.actor, wanted, before=_cursor(wanted))
        )
    except InvalidInput as refusal:
        draw(line(STATES["degraded"], str(refusal)))
    else:
        _log(visit, page, wanted)
    _what_served(visit)
    _verify(visit)


# -- the filter -----------------------------------------------------------------------------------


def _filters() -> None:
    with st.container(key="filters", horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input("Who", key="who", placeholder="oncall", bind="query-params", width=120)
        st.text_input(
            "Alias", key="alias", placeholder="prod-chat", bind="query-params", width=160,
            help="Or anything else by its kind: version:NAME, person:NAME, caller:NAME, provider:NAME.",
        )  # fmt: skip
        st.selectbox("Action", [ANY, *EVENTS], key="action", bind="query-params", width=190)
        st.selectbox("Outcome", [ANY, *OUTCOMES], key="outcome", bind="query-params", width=110)
        st.text_input(
            "From (UTC)", key="from", placeholder="24h or a date", bind="query-params", width=160,
            help="A time, a day, or how long ago: 2026-11-20 14:02, 2026-11-20, 14:02, 30m, 12h, 7d.",
        )  # fmt: skip
        st.text_input("To (UTC)", key="to", placeholder="now", bind="query-params", width=150)


def _shortcuts() -> None:
    """Filters that people ask for often, as addresses to keep; the rest of the filter stays."""
    given = _given()
    wanted = (("Last 24 hours", {"from": "24h", "to": ""}), ("Last 7 days", {"from": "7d", "to": ""}),
              ("Refused only", {"outcome": "refused"}))  # fmt: skip
    links = [link(title, audit_filter.path({**given, **more})) for title, more in wanted]
    clear = [link("Clear the filter", "/audit")] if any(given.values()) else []
    draw(f'<p class="pr-exports">{" ".join([*links, *clear])}</p>')


def _given() -> dict[str, str]:
    chosen = {name: str(st.session_state.get(name) or "") for name in audit_filter.FIELDS}
    return {name: "" if text == ANY else text for name, text in chosen.items()}


def _cursor(wanted: Filter) -> int | None:
    """Where the page goes on; another filter begins anew."""
    place = st.session_state.setdefault("audit-place", {})
    if place.get("filter") != wanted:
        place.update(filter=wanted, before=[])
    return place["before"][-1] if place["before"] else None


def _older(before: int) -> None:
    st.session_state["audit-place"]["before"].append(before)


def _newer() -> None:
    st.session_state["audit-place"]["before"].pop()


# -- the log --------------------------------------------------------------------------------------


def _log(visit: Visit, page: AuditPage, wanted: Filter) -> None:
    if not page.entries:
        clear = "" if wanted.is_empty else f" {link('Clear the filter', '/audit')}"
        draw(heading("Events"), f"<p>{'No event fits.' if clear else 'Nothing happened yet.'}{clear}</p>")
        return
    first, last = page.entries[0].seq, page.entries[-1].seq
    columns = ("When (UTC)", "Who", "Action", "Object", "Before → after", "Why", "Outcome")
    title = heading("Events", note=f"{first:,} to {last:,}, newest first")
    rows = (_row(visit, entry) for entry in page.entries)
    draw(title, table("Audit events", columns, rows, kind="pr-audit"))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        is_first = not st.session_state["audit-place"]["before"]
        st.button("Newer", key="newer", icon=":material/arrow_back:", disabled=is_first, on_click=_newer)
        st.button(
            "Older", key="older", icon=":material/arrow_forward:", disabled=page.before is None, on_click=_older,
            args=(page.before,),
        )  # fmt: skip
        given = _given()
        csv, as_json = (audit_filter.path(given, to=f"/export/audit.{kind}") for kind in ("csv", "json"))
        draw(
            f'<p class="pr-exports">Export what fits, at most {MOST_EXPORTED:,} events: '
            f'<a href="{html(csv)}" target="_self" download>CSV</a> '
            f'<a href="{html(as_json)}" target="_self" download>JSON</a></p>'
        )


def _row(visit: Visit, entry: Entry) -> tuple[str, ...]:
    event = entry.event
    via = f'<br><span class="pr-note">token {html(event.via)}</span>' if event.via else ""
    seq = f'<br><span class="pr-note">event {entry.seq:,}</span>'
    return (
        f"{_stamp(visit, event.at)}{seq}",
        f"{html(event.actor)}{via}",
        f'<span class="pr-version pr-nowrap">{html(event.kind)}</span>',
        _subject(event.subject),
        _change(event.before, event.after),
        html(event.reason),
        badge(OUTCOMES[event.outcome]) if event.outcome in OUTCOMES else html(event.outcome),
    )


def _stamp(visit: Visit, at: datetime) -> str:
    said = clock(at, now=visit.now, seconds=True)
    return f'<time datetime="{at.isoformat()}"><span class="pr-nowrap">{said}</span></time>'


def _subject(subject: str) -> str:
    kind, _, name = subject.partition(":")
    if kind == "alias":
        return f'<span class="pr-nowrap">{alias_link(name)}</span>'
    if kind == "version":
        return f'<span class="pr-note">version</span><br>{link(name, version_path(name))}'
    return f'<span class="pr-note">{html(kind)}</span><br>{html(name)}' if name else html(subject)


def _change(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What differs, one line for each field; long values end early, the export has all of it."""
    fields = [name for name in dict.fromkeys([*before, *after]) if _is_told(before, name) or _is_told(after, name)]
    if not before:  # what begins without something says nothing by it
        fields = [name for name in fields if after[name] is not False]
    return "<br>".join(f'<span class="pr-note">{html(name)}</span> {_field(before, after, name)}' for name in fields)


def _is_told(said: Mapping[str, Any], name: str) -> bool:
    return said.get(name) not in (None, "", [], {})


def _field(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> str:
    new = html(_text(after.get(name)))
    if name not in before:
        return new
    arrow = '<span aria-hidden="true">→</span><span class="pr-hidden">to</span>'
    return f"{html(_text(before[name]))} {arrow} {new}"


def _text(value: Any) -> str:
    text = _plainly(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _plainly(value: Any) -> str:
    if value in (None, "", [], {}):
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plainly(inner)}" for name, inner in value.items() if inner not in (None, ""))
    if isinstance(value, list):
        return ", ".join(_plainly(inner) for inner in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# -- what served at a time ------------------------------------------------------------------------


def _what_served(visit: Visit) -> None:
    draw(heading("What served, and who decided"))
    known = [revision.alias for revision in reading.alias_list(visit.store, visit.actor)]
    if not known:
        draw('<p class="pr-muted">There is no alias yet.</p>')
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="served-at"):
        alias = st.selectbox(
            "Alias that was called", known, index=None, key="served", bind="query-params",
            placeholder="Choose an alias", width=260,
        )  # fmt: skip
        typed = st.text_input(
            "At (UTC)", key="at", placeholder="2026-11-20 14:02, 14:02 or 2h", bind="query-params", width=260
        )
    if alias is None:
        draw('<p class="pr-muted">Choose an alias and a time; without a time it is now.</p>')
        return
    try:
        at = past(typed, now=visit.now) if typed and typed.strip() else visit.now
        found = reads.served(visit.store, visit.actor, alias, at)
    except PinrailError as refusal:
        draw(line(STATES["degraded"], str(refusal)))
        return
    _served(visit, found)


def _served(visit: Visit, found: reads.Served) -> None:
    now, decided = found.in_force, found.decided
    why = f": “{html(decided.reason.rstrip('.'))}”" if decided.reason else ""
    until = (
        f"It served until {when(found.until.at, now=visit.now)}, when {html(found.until.by)} moved the alias "
        f"(revision {found.until.number}, {html(found.until.cause)})."
        if found.until
        else "It serves still."
    )
    filtered = audit_filter.path({"alias": now.alias})
    draw(
        f'<div class="pr-change"><p>At {clock(found.at, now=visit.now, seconds=True)} {alias_link(now.alias)} meant '
        f"<b>{version(now.state.stable)}</b> (revision {now.number}).</p>"
        f"<p><b>{html(decided.by)}</b> decided it: {html(decided.cause)} {when(decided.at, now=visit.now)}, revision "
        f"{decided.number}{why}.</p><p>{until}</p>"
        f'<p class="pr-note">{link("All events of this alias", filtered)}</p></div>'
    )


# -- is it whole ----------------------------------------------------------------------------------


def _verify(visit: Visit) -> None:
    draw(
        heading("Is the log whole?"),
        "<p>Every event is bound to the one before it. Verifying recomputes the whole chain and names the first event "
        "that was changed, removed, inserted or moved.</p>",
    )
    noted = st.text_input(
        "A head noted earlier (optional)", key="noted-head", placeholder="64 hexadecimal digits", width=620,
        help="Whoever can rewrite the whole database can forge a whole chain. A head that was noted elsewhere finds "
        "that too; `pinrail audit head` prints it.",
    )  # fmt: skip
    if st.button("Verify the log", key="verify", icon=":material/verified:"):
        with st.spinner("Recomputing the chain…"):
            st.session_state["verified"] = _verified(visit, (noted or "").strip())
        st.rerun()


def _verified(visit: Visit, noted: str) -> tuple[str, str, datetime]:
    """How it ended (whole, broken, refused), what is said of it, and when it began."""
    try:
        fresh = session.recognised()
        found = reading.audit_verified(fresh.store, fresh.actor, expected_head=noted or None)
    except AuditBroken as broken:
        return "broken", str(broken), visit.now
    except PinrailError as refusal:
        return "refused", str(refusal), visit.now
    took_s = (visit.pinrail.now() - fresh.now).total_seconds()
    said = f"{number(found.events, 'event')}, head {found.head}, recomputed in {took_s:.1f} s."
    return "whole", said + (" The head noted earlier is in it." if noted else ""), fresh.now


def _verdict(visit: Visit) -> None:
    verdict = st.session_state.get("verified")
    if verdict is None:
        return
    word, said, at = verdict
    moment = clock(at, now=visit.now, seconds=True)
    if word == "whole":
        st.success(f"**The log is whole.** {plain(said)} Verified {moment}.", icon=":material/verified:")
    elif word == "broken":
        st.error(
            f"{plain(said)} Keep this database as it is, and compare with a backup: `pinrail audit verify` names the "
            "same event there, or none.",
            title="The log was tampered with",
            icon=":material/gpp_bad:",
        )
    else:
        st.error(plain(sentence(said)), title="The log was not verified", icon=":material/block:")
    st.button("Dismiss", key="dismiss:verified", type="tertiary", icon=":material/close:", on_click=_forget)


def _forget() -> None:
    st.session_state.pop("verified", None)


if __name__ == "__main__":
    show()
