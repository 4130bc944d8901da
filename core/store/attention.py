"""What on the overview needs somebody, worst first: decided here once, so that page, API and reports agree."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.domain.aliases import held_longer_than
from core.domain.shifts import ENOUGH, of_errors
from core.store.read_models import AliasSummary, Overview
from core.store.windows import RECENT

HELD_LONG = timedelta(hours=24)
LATE_AFTER = timedelta(seconds=15)
SILENT_FOR_AT_MOST = timedelta(days=1)
"""An alias that nobody called for longer is unused, which is no news."""

FALLING_BACK = 0.01
"""Share of requests answered by a fallback from which on somebody should look."""

KINDS: dict[str, str] = {
    "no gateway": "no gateway is running, so no alias is served",
    "degraded": "an alias fails or answers in the wrong format too often",
    "late gateway": "a gateway still routes by an older revision",
    "falling back": "a fallback answers instead of the version that should",
    "no traffic": "an alias that was called a short while ago is not called any more",
    "held long": "an alias is held for more than a day",
}
"""Every kind, the worst first, and what it says."""


@dataclass(frozen=True)
class Attention:
    """One thing that needs somebody: of which kind, where, why, and since when it is so (None if not known)."""

    kind: str
    because: str
    summary: AliasSummary | None = None
    since: datetime | None = None


def attention(seen: Overview, *, now: datetime) -> tuple[Attention, ...]:
    """All that needs somebody at ``now``, the worst first."""
    found = [*_gateways(seen, now)]
    for summary in seen.aliases:
        if not summary.revision.state.retired:
            found.extend(_alias(summary, now, gateways=len(seen.replicas)))
    order = list(KINDS)
    return tuple(sorted(found, key=lambda a: (order.index(a.kind), a.summary.revision.alias if a.summary else "")))


def _gateways(seen: Overview, now: datetime) -> Iterator[Attention]:
    if not seen.aliases:
        return
    if not seen.replicas:
        yield Attention("no gateway", "No gateway was heard of in the last 15 s, so requests are not answered.")
    due = max((s.revision.serial for s in seen.aliases if now - s.revision.at > LATE_AFTER), default=0)
    late = [replica.name for replica in seen.replicas if replica.applied_serial < due]
    if late:
        yield Attention(
            "late gateway", f"{', '.join(late)} did not confirm the newest revision and may serve an old one."
        )


def _alias(summary: AliasSummary, now: datetime, *, gateways: int) -> Iterator[Attention]:
    counts = summary.traffic.counts
    if summary.condition.word == "degraded":
        yield Attention("degraded", _degraded(summary), summary)
    if counts.requests >= ENOUGH and counts.fell_back > counts.requests * FALLING_BACK:
        share = counts.fell_back / counts.requests
        yield Attention(
            "falling back", f"A fallback answered {share:.1%} of {counts.requests} requests in 5 min.", summary
        )
    last = summary.last_request
    if gateways and last is not None and RECENT < now - last < SILENT_FOR_AT_MOST:
        yield Attention("no traffic", "It was called before, and is not called any more.", summary, last)
    for hold in held_longer_than((summary.revision,), HELD_LONG, now=now):
        reason = f": {hold.reason}" if hold.reason else ""
        yield Attention(
            "held long", f"Held by {hold.by}{reason}. Rollouts and health leave it alone.", summary, hold.at
        )


def _degraded(summary: AliasSummary) -> str:
    because = summary.condition.because[:1].upper() + summary.condition.because[1:]
    if summary.before is None:
        return f"{because}."
    shift = of_errors(summary.serving, summary.before)
    if shift.before is None:
        return f"{because}."
    return f"{because}; before the last move errors were {shift.before:.1%}."
