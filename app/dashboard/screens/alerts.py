"""Alerts: what is wrong, who looks after it, and who was told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import streamlit as st

from app.dashboard import deeds, live, session
from app.dashboard.outcomes import why_not
from app.dashboard.session import Visit
from app.dashboard.widgets import (
    STATES,
    Column,
    Look,
    alias_link,
    badge,
    badges,
    checked,
    draw,
    heading,
    line,
    link,
    table,
)
from app.dashboard.words import clock, html, number, plain, sentence, when
from core.domain.alert_channels import Channel
from core.domain.alerts import Alert, AlertState, Severity
from core.domain.permissions import rule_on
from core.services import alerting, channels
from core.store import looking
from core.store.alerts import Delivery

EVERY_S = 4.0
MOST_ALERTS, MOST_DELIVERIES = 50, 20

SHOWS: dict[str, tuple[AlertState, ...]] = {
    "Unresolved": (AlertState.OPEN, AlertState.ACKNOWLEDGED),
    "Open": (AlertState.OPEN,),
    "Acknowledged": (AlertState.ACKNOWLEDGED,),
    "Resolved": (AlertState.RESOLVED,),
}
"""The filters of the list."""

SILENCES: dict[str, timedelta] = {
    "1 hour": timedelta(hours=1),
    "4 hours": timedelta(hours=4),
    "1 day": timedelta(days=1),
    "1 week": timedelta(days=7),
}
"""How long a silence may be here; the command line takes any time up to 30 days."""

SEVERITIES: dict[Severity, Look] = {
    Severity.CRITICAL: Look("bad", "error", "Critical"),
    Severity.WARNING: Look("warn", "warning", "Warning"),
}
ALERT_STATES: dict[AlertState, Look] = {
    AlertState.OPEN: Look("info", "notifications_active", "Open"),
    AlertState.ACKNOWLEDGED: Look("info", "visibility", "Acknowledged"),
    AlertState.RESOLVED: Look("ok", "check_circle", "Resolved"),
}
SILENCED = Look("unknown", "notifications_paused", "Silenced")
ESCALATED = Look("bad", "campaign", "Escalated")
DELIVERY_STATES: dict[str, Look] = {
    "waiting": Look("info", "schedule", "Waiting"),
    "sent": Look("ok", "check_circle", "Sent"),
    "gave up": Look("bad", "cancel", "Gave up"),
    "dropped": Look("unknown", "block", "Dropped"),
}


NOT_WATCHED = "Nobody looks: the watches did not run in the last minutes, so nothing new is raised. Start a scheduler:"

Handle = Callable[[Visit, Alert], None]
"""What a button does to an alert."""


@dataclass(frozen=True)
class Board:
    """All that the page shows."""

    alerts: tuple[Alert, ...]
    channels: tuple[Channel, ...] | None
    deliveries: tuple[Delivery, ...]
    is_watched: bool


def show() -> None:
    """Draw the page; the list follows what happens, and never under somebody's hand."""
    visit = session.visit()
    top = st.container()
    with st.container(key="outcome"):
        deeds.show()
    with st.container(key="filters", horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.segmented_control("Show", list(SHOWS), default="Unresolved", required=True, key="state", bind="query-params")
        st.text_input(
            "Search", key="about", type="search", placeholder="alias or words", live=True, bind="query-params"
        )
    read = _read(visit)
    _follow(visit, top, read)
    if not read.value.is_watched:
        draw(line(STATES["degraded"], NOT_WATCHED), '<code class="pr-cli">python3 -m app scheduler</code>')
    _list(visit, _fitting(read.value.alerts), is_watched=read.value.is_watched)
    _channels(visit, read.value)
    _log(visit, read.value.deliveries)


def _read(visit: Visit) -> live.Read[Board]:
    shown = st.session_state.get("state") or "Unresolved"
    return live.read(f"alerts:{shown}", visit, lambda v: _board(v, SHOWS[shown]), at_most_s=0)


def _board(visit: Visit, states: Sequence[AlertState]) -> Board:
    store, actor = visit.store, visit.actor
    sees_channels = rule_on(actor, "alert_channel:read").allowed
    return Board(
        tuple(alerting.alert_list(store, actor, states=states, limit=alerting.MAX_LIST)),
        tuple(channels.channels(store, actor)) if sees_channels else None,
        tuple(alerting.delivery_list(store, actor, limit=MOST_DELIVERIES)),
        looking.is_watched(store, now=visit.now),
    )


def _follow(visit: Visit, top: "st.delta_generator.DeltaGenerator", shown: live.Read[Board]) -> None:
    @st.fragment(run_every=EVERY_S)
    def follow() -> None:
        now_visit = session.again(visit)
        read = _read(now_visit)
        with top:
            draw(
                '<header class="pr-head"><h1>Alerts</h1>',
                checked(now_visit.now, now=now_visit.now, every_s=EVERY_S, stale=read.stale),
                "</header>",
            )
        if read.value != shown.value:
            st.rerun()

    follow()


def _fitting(alerts: Sequence[Alert]) -> list[Alert]:
    wanted = (st.session_state.get("about") or "").strip().lower()
    return [a for a in alerts if wanted in f"{a.alias or ''} {a.title} {a.because} {a.owner or ''}".lower()]


# -- the alerts -----------------------------------------------------------------------------------


def _list(visit: Visit, alerts: Sequence[Alert], *, is_watched: bool) -> None:
    shown = st.session_state.get("state") or "Unresolved"
    about = (st.session_state.get("about") or "").strip()
    if not alerts:
        if about:
            draw(f"<p>No alert matches ‘{html(about)}’ here. {link('Clear the filter', '/alerts')}</p>")
        elif shown in ("Unresolved", "Open"):
            _calm(is_watched)
        else:
            draw(f"<p>No alert is {html(shown.lower())}.</p>")
        return
    draw(heading(shown, note=str(len(alerts))))
    for alert in alerts[:MOST_ALERTS]:
        _alert(visit, alert)
    if len(alerts) > MOST_ALERTS:
        draw(f'<p class="pr-note">{len(alerts) - MOST_ALERTS} more are not shown; search to find them.</p>')


def _calm(is_watched: bool) -> None:
    if is_watched:
        draw(
            heading("Nothing is wrong"),
            '<p class="pr-muted">No watch found anything that somebody must see to.</p>',
        )
    else:
        draw(heading("No alert is open"))


def _alert(visit: Visit, alert: Alert) -> None:
    with st.container(border=True, gap="small", key=f"alert-{alert.id}"):
        marks = [badge(SEVERITIES[alert.severity]), badge(ALERT_STATES[alert.state], _taken(alert))]
        if alert.escalated_at is not None and alert.state is AlertState.OPEN:
            marks.append(badge(ESCALATED, f"at {clock(alert.escalated_at, now=visit.now)}"))
        if alert.is_silent(visit.now) and alert.silenced_until is not None:
            until = clock(alert.silenced_until, now=visit.now)
            marks.append(badge(SILENCED, f"until {until} by {alert.silenced_by}"))
        owner = html(alert.owner or "no one yet")
        draw(
            f'<div class="pr-headline"><h3>{html(alert.title)}</h3>{badges(*marks)}',
            f"<p>{html(sentence(alert.because))}</p>",
            f'<p class="pr-note">Since {when(alert.opened_at, now=visit.now)} · owner {owner} '
            f"· alert {alert.id} · {_where(alert)}</p></div>",
        )
        if alert.state is not AlertState.RESOLVED:
            _buttons(visit, alert)


def _taken(alert: Alert) -> str:
    by = {AlertState.ACKNOWLEDGED: alert.acknowledged_by, AlertState.RESOLVED: alert.resolved_by}.get(alert.state)
    return f"by {by}" if by else ""


def _where(alert: Alert) -> str:
    if alert.alias is not None:
        return alias_link(alert.alias, f"Open {alert.alias}")
    return link("Open the overview", "/") if alert.path == "/" else html(alert.watch)


def _buttons(visit: Visit, alert: Alert) -> None:
    because = why_not(visit, ("alert:handle",), alert.alias or "")
    if because is not None:
        draw(line(STATES["unknown"], because))
    off = because is not None
    with st.container(horizontal=True, gap="small", key=f"hands-{alert.id}"):
        if alert.state is AlertState.OPEN:
            _button(alert, "Acknowledge", "acknowledge", ":material/visibility:", off, _acknowledge)
        _button(alert, "Resolve", "resolve", ":material/check:", off, _resolve)
        if alert.is_silent(visit.now):
            _button(alert, "End the silence", "end the silence of", ":material/notifications:", off, _silence(None))
        else:
            with st.popover("Silence…", icon=":material/notifications_paused:", disabled=off, key=f"quiet:{alert.id}"):
                draw("<p>Nobody is told of this condition for</p>")
                for name, span in SILENCES.items():
                    _button(alert, name, "silence", None, off, _silence(span), key=f"silence-{name}")


def _button(
    alert: Alert, label: str, verb: str, icon: str | None, off: bool, work: Handle, *, key: str | None = None
) -> None:
    # By a callback: it runs though somebody was quicker and the button is not drawn any more, and so says who was.
    st.button(
        label,
        key=f"{key or verb}:{alert.id}",
        icon=icon,
        disabled=off,
        width="stretch" if key else "content",
        on_click=_do,
        args=(alert, verb, work),
    )


def _acknowledge(visit: Visit, alert: Alert) -> None:
    alerting.acknowledge(visit.store, visit.actor, alert.id, now=visit.now)


def _resolve(visit: Visit, alert: Alert) -> None:
    alerting.resolve(visit.store, visit.actor, alert.id, now=visit.now)


def _silence(span: timedelta | None) -> Handle:
    def work(visit: Visit, alert: Alert) -> None:
        until = visit.now + span if span is not None else None
        alerting.silence(visit.store, visit.actor, alert.id, until=until, now=visit.now)

    return work


DONE: dict[str, str] = {
    "acknowledge": "Acknowledged: {title}. It is yours now, and is not escalated.",
    "resolve": "Resolved: {title}. If it holds on, a new alert is raised in a quarter of an hour.",
    "silence": "Silenced: {title}. Nobody is told of it until then.",
    "end the silence of": "The silence is over: {title}.",
}
"""What the banner says."""


def _do(alert: Alert, verb: str, work: Handle) -> None:
    def done(visit: Visit) -> str:
        work(visit, alert)
        return DONE[verb].format(title=alert.title)

    deeds.attempt(f"{verb} alert {alert.id}", f"{verb}:{alert.id}:{alert.changes}", done)


# -- the channels ---------------------------------------------------------------------------------


def _channels(visit: Visit, board: Board) -> None:
    if board.channels is None:
        return
    draw(heading("Who is told", note=number(len(board.channels), "channel")))
    if not board.channels:
        draw(
            line(STATES["degraded"], "Nobody is told of alerts: there is no alert channel yet. Add one:"),
            '<code class="pr-cli">pinrail alert channel add pager --kind webhook --url https://… '
            "--secret-env ALERTS_SECRET</code>",
        )
        return
    rows = [(html(c.name), html(c.kind), _address(c), html(_told(c)), _on(c)) for c in board.channels]
    draw(table("Alert channels", ("Channel", "Kind", "Where", "Told of", "State"), rows))
    _tests(visit, board.channels)


def _address(channel: Channel) -> str:
    address = channel.url or (f"what {channel.url_env} holds" if channel.url_env else "its kind's own")
    return html(f"{address} to {', '.join(channel.recipients)}" if channel.recipients else address)


def _told(channel: Channel) -> str:
    what = "critical alerts" if channel.least is Severity.CRITICAL else "every alert"
    return f"{what}, once escalated" if channel.escalations_only else what


def _on(channel: Channel) -> str:
    return badge(Look("ok", "check_circle", "On") if channel.enabled else Look("unknown", "block", "Off"))


def _tests(visit: Visit, found: Sequence[Channel]) -> None:
    ruling = rule_on(visit.actor, "alert_channel:write")
    with st.container(horizontal=True, gap="small", key="tests"):
        for channel in found:
            st.button(
                f"Send a test to {plain(channel.name)}",
                key=f"test:{channel.name}",
                icon=":material/send:",
                disabled=not (ruling.allowed and channel.enabled),
                help=None if ruling.allowed else plain(ruling.because),
                on_click=_test,
                args=(visit, channel),
            )


def _test(visit: Visit, channel: Channel) -> None:
    def done(now_visit: Visit) -> str:
        channels.test_channel(now_visit.store, now_visit.actor, channel.name, now=now_visit.now)
        return f"A test for {channel.name} is on its way. Below stands how it went, as soon as the scheduler sent it."

    # To test a channel twice is a wish and no slip, so every press is one of its own once the page was drawn anew.
    deeds.attempt(f"test {channel.name}", f"test:{channel.name}:{visit.now.isoformat()}", done)


def _log(visit: Visit, deliveries: Sequence[Delivery]) -> None:
    if not deliveries:
        return
    columns = ("When", "Channel", "What", "State", Column("Tries", True), "Answer")
    rows = [
        (
            when(d.created_at, now=visit.now),
            html(d.channel),
            html(f"alert {d.alert} {d.did}" if d.did else f"test by {d.asked_by}"),
            badge(DELIVERY_STATES[d.state], _next(visit, d)),
            str(d.attempts),
            html(d.note),
        )
        for d in deliveries
    ]
    draw(heading("What they were told", note="newest first"), table("Deliveries", columns, rows))


def _next(visit: Visit, delivery: Delivery) -> str:
    if delivery.state != "waiting" or not delivery.attempts:
        return ""
    return f"again at {clock(delivery.next_at, now=visit.now, seconds=True)}"


if __name__ == "__main__":
    show()
