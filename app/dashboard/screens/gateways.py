"""Gateways: which there are, how far each has followed, what they could not count, and where revisions are in force."""

from collections.abc import Mapping

import streamlit as st

from app.dashboard import live, records, session
from app.dashboard.session import Visit
from app.dashboard.widgets import STATES, Column, Look, alias_link, badge, checked, draw, heading, line, table, version
from app.dashboard.words import ago, html, latency, listed, number, when
from core.domain.receipts import Receipt
from core.services import records as reads
from core.store.read_gateways import Gateway, GatewaysPage

TITLE = "Gateways"
EVERY_S = 4.0
LOOKS: Mapping[str, Look] = {
    "current": Look("ok", "check_circle", "Current"),
    "following": Look("info", "progress_activity", "Following"),
    "behind": Look("warn", "sync_problem", "Behind"),
    "silent": Look("bad", "cloud_off", "Silent"),
    "stopped": Look("unknown", "stop_circle", "Stopped"),
}
"""The look of each state of a gateway."""


def show() -> None:
    """Draw the frame once, the figures again every few seconds."""
    visit = session.visit()
    records.read(visit, TITLE, "alias:read", _read)
    top, below = st.container(), st.container()

    @st.fragment(run_every=EVERY_S)
    def figures() -> None:
        now_visit = session.again(visit)
        read = _read(now_visit)
        with top:
            head = checked(now_visit.now, now=now_visit.now, every_s=EVERY_S, stale=read.stale)
            draw(f'<header class="pr-head"><h1>{TITLE}</h1>{head}</header>')
        with below:
            _page(now_visit, read.value)

    figures()


def _read(visit: Visit) -> live.Read[GatewaysPage]:
    # Heartbeats are no change to the pulse, and their age is what this page shows.
    return live.read(
        "gateways", visit, lambda v: reads.gateways_page(v.store, v.actor, now=v.now), at_most_s=EVERY_S - 1
    )


def _page(visit: Visit, page: GatewaysPage) -> None:
    _summary(visit, page)
    if page.live:
        draw(heading("Running", note=str(len(page.live))), _table(visit, page.live, "Gateways that are running"))
    if page.dropped:
        draw(
            line(
                STATES["degraded"],
                f"{number(page.dropped, 'request')} could not be counted because a queue was full: figures of traffic "
                "are too low. Answers were not affected. Raise PINRAIL_OUTCOME_QUEUE, or add a gateway.",
            )
        )
    _receipts(visit, page)
    if page.gone:
        draw(
            heading("Gone within a day", note=str(len(page.gone))),
            _table(visit, page.gone, "Gateways that are gone"),
        )


def _summary(visit: Visit, page: GatewaysPage) -> None:
    if not page.live:
        draw(
            line(LOOKS["silent"], "No gateway is running, so no alias is served. Start one:"),
            '<code class="pr-cli">python3 -m app gateway</code>',
        )
        return
    behind = [one.replica.name for one in page.live if one.state == "behind"]
    if behind:
        draw(
            line(
                LOOKS["behind"],
                f"{listed(behind)} did not take the newest changes and may serve an older revision. It follows as soon "
                "as it reaches the store; if it does not, restart it.",
            )
        )
        return
    current = sum(one.state == "current" for one in page.live)
    last = f" The last change to an alias was {ago(page.last_change, now=visit.now)}." if page.last_change else ""
    draw(
        line(
            LOOKS["current"] if current == len(page.live) else LOOKS["following"],
            f"{current} of {number(len(page.live), 'gateway')} route by the newest change, number {page.serial}.{last}",
        )
    )


def _table(visit: Visit, gateways: tuple[Gateway, ...], caption: str) -> str:
    columns = (
        "Gateway",
        "State",
        "Heard",
        "Started",
        Column("Applied change", figures=True),
        Column("Behind by", figures=True),
        Column("Not counted", figures=True),
    )
    return table(caption, columns, (_row(visit, one) for one in gateways), kind="pr-gateways")


def _row(visit: Visit, one: Gateway) -> tuple[str, ...]:
    replica = one.replica
    behind = f"{one.changes_behind} ({number(one.revisions_behind, 'revision')})" if one.changes_behind else "0"
    return (
        f'<span class="pr-name">{html(replica.name)}</span>',
        badge(LOOKS[one.state]),
        when(replica.seen_at, now=visit.now),
        when(replica.started_at, now=visit.now),
        f"{replica.applied_serial:,}",
        behind,
        f"{replica.dropped:,}",
    )


# -- receipts -------------------------------------------------------------------------------------


def _receipts(visit: Visit, page: GatewaysPage) -> None:
    title = heading("Receipts of the newest revisions", note="newest first")
    if not page.receipts:
        draw(title, '<p class="pr-muted">No alias has a revision yet.</p>')
        return
    columns = ("Revision", "Serves", "Stored", "In force", Column("Slowest", figures=True), "Not confirmed")
    rows = (_receipt(visit, receipt) for receipt in page.receipts)
    draw(title, table("Receipts of the newest revisions", columns, rows, kind="pr-receipts"))


def _receipt(visit: Visit, receipt: Receipt) -> tuple[str, ...]:
    slowest = receipt.slowest_ms
    force = f"{len(receipt.confirmed)} of {number(receipt.gateways, 'gateway')}" if receipt.gateways else "nowhere"
    return (
        f"{alias_link(receipt.alias)}<br><span class='pr-note'>revision {receipt.revision}</span>",
        version(receipt.version),
        when(receipt.committed_at, now=visit.now),
        html(force),
        "–" if slowest is None else latency(slowest) if slowest else "at its start",
        html(listed(receipt.waiting)) if receipt.waiting else "",
    )


if __name__ == "__main__":
    show()
