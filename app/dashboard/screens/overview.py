"""Overview: find what needs somebody, and every alias with what it serves."""

from collections.abc import Iterable
from dataclasses import dataclass

import streamlit as st

from app.dashboard import live, session
from app.dashboard.pieces import described
from app.dashboard.session import Visit
from app.dashboard.widgets import (
    ATTENTION,
    DONE,
    HELD,
    PROTECTED,
    Column,
    alias_link,
    arrow,
    badge,
    checked,
    draw,
    heading,
    link,
    state_badge,
    table,
    version,
)
from app.dashboard.words import ago, html, latency, number, rate, share, when
from core.services import reading
from core.store.attention import Attention, attention
from core.store.read_models import AliasSummary, Change, Overview

EVERY_S = 4.0
MOST_ROWS = 50

SHOWS: dict[str, str] = {
    "All": "aliases",
    "Needs attention": "aliases that need somebody",
    "Held": "aliases that are held",
    "Mine": "aliases you own",
}
"""The filters of the table."""


def show() -> None:
    """Draw the page: frame once, figures again every few seconds."""
    visit = session.visit()
    top = st.container()
    seen = _read(visit)
    if not seen.value.aliases:
        _first_run(visit, seen.value)
        return
    wanted = st.container()
    filters = st.container(key="filters", horizontal=True, vertical_alignment="bottom", gap="medium")
    below = st.container()
    with filters:
        st.segmented_control("Show", list(SHOWS), default="All", required=True, key="show", bind="query-params")
        st.text_input("Search", key="q", type="search", placeholder="alias or version", live=True, bind="query-params")

    @st.fragment(run_every=EVERY_S)
    def figures() -> None:
        now_visit = session.again(visit)
        read = _read(now_visit)
        found = attention(read.value, now=now_visit.now)
        with top:
            _header(now_visit, read.stale)
        with wanted:
            _needs_attention(now_visit, read.value, found)
        with below:
            _aliases(now_visit, read.value, found)
            _last_day(now_visit, read.value)

    figures()


def _read(visit: Visit) -> live.Read[Overview]:
    return live.read("overview", visit, lambda v: reading.status(v.store, v.actor, now=v.now))


def _header(visit: Visit, stale: str | None) -> None:
    draw(
        '<header class="pr-head"><h1>Overview</h1>',
        checked(visit.now, now=visit.now, every_s=EVERY_S, stale=stale),
        "</header>",
    )


# -- what needs somebody --------------------------------------------------------------------------


def _needs_attention(visit: Visit, seen: Overview, found: tuple[Attention, ...]) -> None:
    if not found:
        draw(heading("Nothing needs attention"), f'<p class="pr-muted">{_last_change(visit, seen)}</p>')
        return
    cards = "".join(f'<li class="pr-card">{_card(visit, one)}</li>' for one in found)
    draw(
        heading(f"Needs attention ({len(found)})", note="worst first"), f'<ul class="pr-cards">{cards}</ul>',
    )  # fmt: skip


def _last_change(visit: Visit, seen: Overview) -> str:
    if not seen.last_change:
        return ""
    gateways = f"{number(len(seen.replicas), 'gateway')} running."
    return f"Last change: {html(ago(seen.last_change, now=visit.now))}. {gateways}"


def _card(visit: Visit, one: Attention) -> str:
    look = badge(ATTENTION[one.kind])
    if one.summary is None:
        return f"<h3>Gateways {look}</h3><p>{html(one.because)}</p>{_gateway_help(one)}"
    summary = one.summary
    alias = summary.revision.alias
    since = f'<p class="pr-note">Since {when(one.since, now=visit.now)}</p>' if one.since else ""
    return (
        f"<h3>{html(alias)} {look}</h3><p>{html(one.because)}</p>{since}"
        f'<p class="pr-note">{_moved(visit, summary)}</p>'
        f'<p class="pr-card-foot">{alias_link(alias, f"Open {alias}")}</p>'
    )


def _gateway_help(one: Attention) -> str:
    if one.kind != "no gateway":
        return ""
    return '<p class="pr-card-foot">Start one:</p><code class="pr-cli">python3 -m app gateway</code>'


def _moved(visit: Visit, summary: AliasSummary) -> str:
    moved = summary.moved
    return (
        f"{arrow(summary.came_from, moved.state.stable)}<br>{html(moved.cause)} by {html(moved.by)}, "
        f"{when(moved.at, now=visit.now)}"
    )


# -- all aliases ----------------------------------------------------------------------------------


def _aliases(visit: Visit, seen: Overview, found: tuple[Attention, ...]) -> None:
    shown, query = st.session_state.get("show") or "All", (st.session_state.get("q") or "").strip()
    needing = {one.summary.revision.alias for one in found if one.summary}
    rows = [s for s in seen.aliases if _fits(visit, s, shown, query.lower(), needing)]
    note = f"{len(rows)} of {len(seen.aliases)}" if len(rows) < len(seen.aliases) else str(len(rows))
    title = heading("Aliases", note=note)
    if not rows:
        draw(title, f"<p>{_no_match(shown, query)} {link('Clear the filter', '/')}</p>")
        return
    columns = (
        "Alias",
        "State",
        "Serving",
        Column("Traffic", True),
        Column("Errors", True),
        Column("p95", True),
        "Changed",
    )
    draw(title, table("All aliases", columns, (_row(visit, s) for s in rows[:MOST_ROWS]), kind="pr-aliases"))
    if len(rows) > MOST_ROWS:
        draw(f'<p class="pr-note">{len(rows) - MOST_ROWS} more are not shown; search to find them.</p>')


def _no_match(shown: str, query: str) -> str:
    if not query:
        return f"There are no {html(SHOWS[shown])}."
    among = f" among {html(SHOWS[shown])}" if shown != "All" else ""
    return f"No alias matches ‘{html(query)}’{among}."


def _fits(visit: Visit, summary: AliasSummary, shown: str, query: str, needing: set[str]) -> bool:
    revision = summary.revision
    chosen = {
        "All": True,
        "Needs attention": revision.alias in needing,
        "Held": revision.state.hold is not None,
        "Mine": revision.state.owner == visit.actor.name,
    }[shown]
    return chosen and (query in revision.alias or query in revision.state.stable.lower())


def _row(visit: Visit, summary: AliasSummary) -> tuple[str, ...]:
    revision, counts = summary.revision, summary.serving
    marks = (badge(HELD) if revision.state.hold else "") + (badge(PROTECTED) if revision.state.protected else "")
    return (
        f'<span class="pr-name">{alias_link(revision.alias)}</span>',
        f'<div class="pr-badges">{state_badge(summary.condition, with_reason=False)}{marks}</div>',
        version(revision.state.stable),
        rate(summary.traffic.per_minute),
        share(counts.error_rate),
        latency(counts.latency_ms(0.95)),
        f"{when(summary.moved.at, now=visit.now)}<br>by {html(summary.moved.by)}",
    )


# -- the last day ---------------------------------------------------------------------------------


def _last_day(visit: Visit, seen: Overview) -> None:
    title = heading("Last 24 hours", note=number(len(seen.recent), "change"))
    if not seen.recent:
        draw(title, f'<p class="pr-muted">Nothing changed. {_last_change(visit, seen)}</p>')
        return
    rows = (_change_row(visit, change) for change in seen.recent[:20])
    draw(
        title, table("Changes of the last 24 hours", ("When", "Alias", "Change", "By", "Why"), rows, kind="pr-changes")
    )
    if len(seen.recent) > 20:
        draw(f'<p class="pr-note">{len(seen.recent) - 20} older ones are in the history of each alias.</p>')


def _change_row(visit: Visit, change: Change) -> tuple[str, ...]:
    revision = change.revision
    return (
        when(revision.at, now=visit.now),
        alias_link(revision.alias),
        described(change),
        html(revision.by),
        html(revision.reason),
    )


# -- nothing there yet ----------------------------------------------------------------------------


def _first_run(visit: Visit, seen: Overview) -> None:
    _header(visit, None)
    draw(
        heading("No aliases yet"),
        "<p>An alias is the name your services call; Pinrail decides which version answers. Five steps to the first "
        "answer:</p>",
        f'<ol class="pr-steps">{"".join(_steps(visit, seen))}</ol>',
    )


@dataclass(frozen=True)
class Step:
    """One step to the first answer, and the command that takes it."""

    title: str
    text: str
    command: str


STEPS: tuple[Step, ...] = (
    Step(
        "Register a provider",
        "Where requests go. Its key stays in an environment variable; Pinrail keeps only the variable's name.",
        "pinrail provider register openai --kind openai --base-url https://api.openai.com/v1 "
        "--secret-env OPENAI_API_KEY",
    ),
    Step(
        "Register a version",
        "One exact model with its prompt and parameters. An id that can move by itself is refused.",
        "pinrail version register support-1 --provider openai --model gpt-4o-2024-11-20",
    ),
    Step("Create an alias", "The name in your code.", "pinrail alias create prod-chat support-1"),
    Step(
        "Create a caller key",
        "What a service calls the gateway with. The key is shown once.",
        "pinrail caller create web",
    ),
    Step(
        "Call it",
        "Any OpenAI client works; the model is the alias.",
        "curl GATEWAY/v1/chat/completions -H 'Authorization: Bearer YOUR_CALLER_KEY' "
        "-H 'Content-Type: application/json' "
        """-d '{"model": "prod-chat", "messages": [{"role": "user", "content": "Hello"}]}'""",
    ),
)
"""From an empty store to the first answer."""


def _steps(visit: Visit, seen: Overview) -> Iterable[str]:
    settings = visit.pinrail.settings
    gateway = f"http://{settings.host}:{settings.gateway_port}"
    done = {
        "Register a provider": seen.providers,
        "Register a version": seen.versions,
        "Create a caller key": seen.caller_keys,
    }
    for place, step in enumerate(STEPS, start=1):
        is_done = bool(done.get(step.title))
        command = f'<code class="pr-cli">{html(step.command.replace("GATEWAY", gateway))}</code>'
        yield (
            f'<li class="pr-step{" pr-done" if is_done else ""}">'
            f"<h3>{place}. {html(step.title)} {badge(DONE) if is_done else ''}</h3>"
            f"<p>{html(step.text)}</p>{'' if is_done else command}</li>"
        )


if __name__ == "__main__":
    show()
