"""One alias: know what changed, and put it back."""

from collections.abc import Callable
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.dashboard import actions, dialogs, history, live, outcomes, session
from app.dashboard.actions import Press
from app.dashboard.outcomes import command, why_not
from app.dashboard.pieces import described, facts_of, gateways, what_changed_between
from app.dashboard.session import Visit
from app.dashboard.tiles import FIGURES, per_minute, tiles
from app.dashboard.widgets import (
    HELD,
    PROTECTED,
    QUARANTINED,
    STATES,
    Column,
    alias_link,
    badge,
    badges,
    checked,
    draw,
    draw_svg,
    heading,
    line,
    link,
    pair,
    state_badge,
    table,
    version,
)
from app.dashboard.words import ago, clock, html, number, plain, rate, sentence, when
from core.domain.aliases import Cause
from core.domain.names import nearest
from core.domain.permissions import insist
from core.errors import NotPermitted, UnknownAlias
from core.services import flips, reading
from core.store import read_models
from core.store.read_models import AliasPage

EVERY_S = 4.0
SHOWN_CHANGES = 5


def show() -> None:
    """Draw the page of the alias that the address names: nothing else decides which it is."""
    visit = session.visit()
    name = st.query_params.get("name", "")
    try:
        page = _read(visit, name).value
    except (UnknownAlias, NotPermitted) as refusal:
        _not_here(visit, name, str(refusal))
        return
    st.set_page_config(page_title=f"{name} · Pinrail")
    _follow_link(page)
    with st.container(key="outcome"):
        outcomes.show(visit, page)
    head = st.container(key="head")
    with st.container(key="controls"):
        _controls(visit, page)
    body = st.container(key="body")
    _figures(visit, page, head, body)
    history.show(visit, page)
    dialogs.show(visit, page)


def _read(visit: Visit, name: str) -> live.Read[AliasPage]:
    insist(visit.actor, "alias:read", name)
    dwell = visit.pinrail.settings.minimum_dwell
    return live.read(
        f"alias:{name}", visit, lambda v: read_models.alias_page(v.store, name, now=v.now, minimum_dwell=dwell)
    )


def _follow_link(page: AliasPage) -> None:
    """A link may open a dialog, and never acts by itself. What it asked for leaves the address, so a reload is calm."""
    wanted = st.query_params.get("do")
    if wanted is None:
        return
    incident, version_ = st.query_params.get("incident", ""), st.query_params.get("to")
    del st.query_params["do"]
    kinds = {"rollback": "roll back", "flip": "flip"}
    if wanted in kinds:
        actions.open_dialog(kinds[wanted], page.now.alias, page.now.number, version=version_, reason=incident)


# -- what keeps itself fresh ----------------------------------------------------------------------


def _figures(visit: Visit, page: AliasPage, head: DeltaGenerator, body: DeltaGenerator) -> None:
    @st.fragment(run_every=EVERY_S)
    def figures() -> None:
        now_visit = session.again(visit)
        read = _read(now_visit, page.now.alias)
        with head:
            _head(now_visit, read.value, read.stale)
        with body:
            _body(now_visit, read.value)
        # Buttons and history stand outside this part: they follow a change by a rerun of the page, but never under
        # a dialog that somebody reads.
        if read.value.now.number != page.now.number and not actions.is_dialog_open():
            st.rerun()

    figures()


def _head(visit: Visit, page: AliasPage, stale: str | None) -> None:
    state = page.now.state
    marks = [state_badge(page.condition)]
    if state.hold is not None:
        reason = f": {state.hold.reason}" if state.hold.reason else ""
        marks.append(badge(HELD, f"by {state.hold.by}, {ago(state.hold.at, now=visit.now)}{reason}"))
    if state.stable in page.resting:
        marks.append(badge(QUARANTINED, f"{state.stable}: {page.resting[state.stable].reason}"))
    if state.protected:
        marks.append(badge(PROTECTED, "a flip needs a second person"))
    draw(
        f'<div class="pr-headline"><p class="pr-crumb">{link("Overview", "/")}</p>',
        f'<header class="pr-head"><h1>{html(page.now.alias)}</h1>',
        checked(visit.now, now=visit.now, every_s=EVERY_S, stale=stale),
        "</header>",
        badges(*marks),
        _last_change(visit, page),
        "</div>",
    )


def _last_change(visit: Visit, page: AliasPage) -> str:
    moved = page.moved
    why = f": “{html(moved.reason)}”" if moved.reason else ""
    said = f"<p>{when(moved.at, now=visit.now)} · {html(moved.cause)} by <b>{html(moved.by)}</b>{why}</p>"
    if page.previous is None:
        return f'<div class="pr-change">{said}<p>{version(page.now.state.stable)}</p></div>'
    bundle = what_changed_between(page.previous, page.serving)
    return (
        f'<div class="pr-change">{said}{pair(page.previous.version.name, page.serving.version.name)}'
        f'<p class="pr-note">{bundle}</p></div>'
    )


def _body(visit: Visit, page: AliasPage) -> None:
    compared = "against the hour before the last change" if page.previous else "its first version"
    draw(heading("Now", note=compared))
    draw_svg(tiles(page, now=visit.now))
    with st.expander("The same as a table", key=f"numbers:{page.now.alias}", type="compact"):
        draw(_numbers(visit, page))
    draw(heading("What changed", note="newest first"), _recent_changes(visit, page))
    draw(heading("Who is affected", note=_callers_note(page)), _callers(page))
    draw(heading("Gateways"), gateways(visit, page))
    draw(heading("What serves"), facts_of(page))


def _numbers(visit: Visit, page: AliasPage) -> str:
    minutes = per_minute(page.moments)[-60:]
    if not minutes:
        return "<p>No requests in the last hour.</p>"
    columns = (Column("Minute"), Column("Requests", True), *(Column(f.name, True) for f in FIGURES))
    rows = (
        (clock(m.start, now=visit.now), f"{m.counts.requests:,}", *(f.written(f.value(m.counts)) for f in FIGURES))
        for m in reversed(minutes)
    )
    return table("The last hour, minute by minute", columns, rows)


def _recent_changes(visit: Visit, page: AliasPage) -> str:
    rows = (
        (when(c.revision.at, now=visit.now), described(c), html(c.revision.by), html(c.revision.reason))
        for c in page.changes[:SHOWN_CHANGES]
    )
    return table("The last changes", ("When", "Change", "By", "Why"), rows, kind="pr-changes")


def _callers_note(page: AliasPage) -> str:
    return f"{number(len(page.callers), 'caller')} in the last hour · {rate(page.per_minute)} now"


def _callers(page: AliasPage) -> str:
    if not page.callers:
        return '<p class="pr-muted">Nobody called in the last hour.</p>'
    ranked = sorted(page.callers.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"<b>{html(name)}</b> {count:,}" for name, count in ranked[:12])
    more = f" and {len(ranked) - 12} more" if len(ranked) > 12 else ""
    return f"<p>Requests: {shown}{more}</p>"


# -- what one may do ------------------------------------------------------------------------------


def _controls(visit: Visit, page: AliasPage) -> None:
    alias, state = page.now.alias, page.now.state
    if state.retired:
        draw(
            line(
                STATES["unknown"],
                f"{alias} is retired: its callers are refused. Undo that revision below to bring it back.",
            )
        )
        return
    refusal = why_not(visit, ("alias:roll_back",), alias)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        _rollback_button(page, refusal)
        _more(visit, page, refusal)
    if refusal is not None:
        draw(line(STATES["unknown"], f"You cannot roll back here: {refusal} Send them the link of this page."))
    elif not page.targets:
        why = "no other version served it well before"
        draw(
            line(
                STATES["unknown"],
                f"There is no version to roll back to: {why}. You can flip to another version instead.",
            )
        )
        _flip_button(
            f"flip-instead:{alias}", refusal=None, opening=lambda: actions.open_dialog("flip", alias, page.now.number)
        )


def _rollback_button(page: AliasPage, refusal: str | None) -> None:
    alias = page.now.alias
    target = page.targets[0].version if page.targets else None
    st.button(
        f"Roll back to {plain(target)}" if target else "Roll back",
        key=f"trigger-{alias}",
        # Just after a rollback the next step further back is not what the page should push.
        type="secondary" if page.moved.cause is Cause.ROLLED_BACK else "primary",
        icon=":material/history:",
        shortcut="Shift+B",
        disabled=refusal is not None or target is None,
        on_click=actions.open_dialog,
        args=("roll back", alias, page.now.number),
        kwargs={"version": target, "reason": st.query_params.get("incident", "")},
    )


def _more(visit: Visit, page: AliasPage, refusal: str | None) -> None:
    alias, number_ = page.now.alias, page.now.number
    incident = st.query_params.get("incident", "")
    with st.popover("More actions", key=f"more-{alias}", on_change="rerun"):

        def opening(kind: str) -> None:
            st.session_state[f"more-{alias}"] = False
            actions.open_dialog(kind, alias, number_, reason=incident)

        others = number(len(page.targets), "version") if page.targets else "No version"
        st.button(
            "Roll back to another version…",
            key=f"rollback-other:{alias}",
            icon=":material/history:",
            width="stretch",
            disabled=refusal is not None or len(page.targets) < 2,
            help=f"{others} served well before.",
            on_click=opening,
            args=("roll back",),
        )
        why_no_flip = why_not(visit, ("alias:flip",), alias)
        _flip_button(f"flip:{alias}", refusal=why_no_flip, opening=lambda: opening("flip"), width="stretch")
        _hold_or_release(visit, page)
        if why_no_flip is not None:
            draw(line(STATES["unknown"], f"Not permitted: {why_no_flip}"))
        draw('<p class="pr-note">From a terminal:</p>')
        target = page.targets[0].version if page.targets else None
        st.code(command(Press("roll back", alias, number_, target, key="")), language=None, wrap_lines=True)


def _flip_button(
    key: str, *, refusal: str | None, opening: Callable[[], None], width: Literal["content", "stretch"] = "content"
) -> None:
    st.button(
        "Flip to another version…",
        key=key,
        icon=":material/arrow_forward:",
        width=width,
        disabled=refusal is not None,
        help=plain(refusal) if refusal else None,
        on_click=opening,
    )


def _hold_or_release(visit: Visit, page: AliasPage) -> None:
    alias = page.now.alias
    if page.now.state.hold is not None:
        outcomes.release_button(visit, page, key=f"release:{alias}", width="stretch")
        return
    press = actions.standing("hold", alias, page.now.number)
    because = why_not(visit, ("alias:hold",), alias)
    if st.button(
        f"Hold {alias}", key=f"hold:{alias}", icon=":material/pause_circle:", width="stretch",
        disabled=because is not None, help=plain(because) if because else None,
    ):  # fmt: skip
        actions.attempt(
            f"hold {alias}",
            press,
            lambda v: flips.hold(
                v.store, v.actor, alias, seen_revision=press.seen_revision, idempotency_key=press.key, now=v.now
            ),
        )
        st.rerun()


# -- no such alias --------------------------------------------------------------------------------


def _not_here(visit: Visit, name: str, refusal: str) -> None:
    known = [revision.alias for revision in reading.alias_list(visit.store, visit.actor)]
    close = nearest(name, known)
    if not name:
        draw("<h1>Which alias?</h1>", "<p>The address of this page names one, as in <code>/alias?name=…</code>.</p>")
    elif close is not None:
        draw(
            f"<h1>There is no alias ‘{html(name)}’</h1>",
            f"<p>Closest: {html(close)}. {alias_link(close, f'Open {close}')}</p>",
        )
    else:
        draw(f"<h1>{html(sentence(refusal))}</h1>")
    if known:
        draw(heading("All aliases"), f"<ul>{''.join(f'<li>{alias_link(alias)}</li>' for alias in known)}</ul>")
    draw(f"<p>{link('Go to the overview', '/')}</p>")


if __name__ == "__main__":
    show()
