"""Parts of pages that show one thing each: a change, what differs between versions, the gateways, a version's facts."""

from collections.abc import Iterator

from app.dashboard.comparing import NONE, parameters, rows
from app.dashboard.session import Visit
from app.dashboard.widgets import (
    PINNED,
    STATES,
    UNKNOWN_PIN,
    Look,
    arrow,
    badge,
    line,
    table,
    version,
)
from app.dashboard.words import ago, html, latency, sentence
from core.domain.quarantine import standing_fallbacks
from core.services import serving
from core.store.read_models import AliasPage, Bundle, Change

BEHIND = Look("warn", "sync_problem", "Behind")


def described(change: Change) -> str:
    """What a revision did: the cause, and where it led if it moved."""
    revision = change.revision
    said = html(sentence(revision.cause).rstrip("."))
    if revision.reverts is not None:
        said = f"{said} revision {revision.reverts}"
    if change.came_from is None and revision.number > 1:
        return said
    return f"{said}<br>{arrow(change.came_from, revision.state.stable)}"


def what_changed_between(before: Bundle, after: Bundle) -> str:
    """The parts of the bundle that differ, and the names of those that do not, in one line of HTML."""
    found = [row for row in rows(before, after) if row.item != "Version"]
    differing = [
        f"{html(row.item[0].lower() + row.item[1:])} {arrow(row.now, row.after)}" for row in found if not row.same
    ]
    unchanged = [row.item.lower() for row in found if row.same]
    same = f"{', '.join(unchanged)} unchanged" if unchanged else ""
    return " · ".join(filter(None, [*differing, same]))


def gateways(visit: Visit, page: AliasPage) -> str:
    """Which gateways serve the newest revision, and which do not yet."""
    receipt = serving.receipt(visit.store, page.now.alias, page.now.number, now=visit.now)
    if not receipt.gateways:
        return line(
            STATES["degraded"], "No gateway is running, so nothing serves this alias. Start one: python3 -m app"
        )
    seen = {replica.name: ago(replica.seen_at, now=visit.now) for replica in page.replicas}
    current = [
        (html(c.name), badge(Look("ok", "check_circle", f"Serves revision {receipt.revision}")), _late(c.after_ms))
        for c in receipt.confirmed
    ]
    behind = [
        (html(name), badge(BEHIND, f"did not confirm revision {receipt.revision}"), "–") for name in receipt.waiting
    ]
    cells = [(*row, seen.get(row[0], "–")) for row in (*behind, *current)]
    return table("Gateways", ("Gateway", "State", "Confirmed after", "Heard"), cells)


def _late(after_ms: float) -> str:
    return latency(after_ms) if after_ms else "at its start"


def _fallbacks(page: AliasPage) -> Iterator[str]:
    standing = standing_fallbacks(page.history, page.quarantines)
    for name in page.now.state.fallbacks:
        yield name if name in standing else f"{name} (quarantined, so not tried)"


def facts_of(page: AliasPage) -> str:
    """The version in force as a list of facts, with its known issues."""
    found, state = page.serving.version, page.now.state
    pinned = found.pin_class == "pinned"
    facts = (
        ("Version", f"{version(found.name)} {badge(PINNED if pinned else UNKNOWN_PIN, found.pin_because)}"),
        ("Model", f"{version(found.model_id)} at {html(found.provider)} ({html(page.serving.provider.kind)})"),
        ("Prompt", version(found.prompt or NONE)),
        ("Parameters", html(parameters(found.parameters))),
        ("Data", html(", ".join(found.data_versions) or NONE)),
        ("Fallbacks", html(", ".join(_fallbacks(page)) or NONE)),
        ("Owner", html(state.owner or "no one yet")),
        ("About", html(state.description)),
    )
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts if value)
    issues = "".join(line(STATES["degraded"], f"Known issue: {sentence(i.text)}") for i in page.serving.issues)
    return f'{issues}<dl class="pr-facts">{listed}</dl>'
