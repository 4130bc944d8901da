"""What is watched: each watch is a pure function from what there is to the conditions that hold, and its patience."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from core.domain.alerts import Found, Patience, Severity
from core.domain.aliases import held_longer_than
from core.errors import AuditBroken
from core.store.leases import FAILED
from core.store.looking import Seen

HELD_LONG = timedelta(hours=24)
GONE_FOR_GOOD = timedelta(hours=24)
"""A gateway not heard of for longer is counted as gone: machines that scale down do not always say good-bye."""

AT_ONCE = Patience()
VERIFIES = "verify-audit"
"""The job that verifies the audit log."""


@dataclass(frozen=True)
class Watch:
    """One thing that is looked for. The keys of what it finds begin with its name."""

    name: str
    severity: Severity
    find: Callable[[Seen], Iterator[Found]]
    meaning: str
    patience: Patience = AT_ONCE

    def key(self, what: str) -> str:
        """The key of one condition."""
        return f"{self.name}:{what}"


def alias_degraded(seen: Seen) -> Iterator[Found]:
    """Too many errors or wrong formats. Without enough traffic nothing can be told."""
    for summary in seen.aliases:
        alias, word = summary.revision.alias, summary.condition.word
        key = f"alias-degraded:{alias}"
        if word == "unknown":
            yield Found(key, blind=True)
        elif word == "degraded":
            serves = summary.revision.state.stable
            moved = f"{summary.moved.cause} by {summary.moved.by} at {summary.moved.at:%Y-%m-%d %H:%M} UTC"
            yield Found(
                key,
                f"{alias} is degraded",
                f"{summary.condition.because}; it serves {serves}, last {moved}",
                alias,
                summary.revision.state.owner,
                f"/alias?name={alias}",
            )


def hold_long(seen: Seen) -> Iterator[Found]:
    """A hold that somebody may have forgotten."""
    for summary in seen.aliases:
        revision = summary.revision
        if revision.state.retired:
            continue
        for hold in held_longer_than((revision,), HELD_LONG, now=seen.at):
            why = f": {hold.reason}" if hold.reason else ""
            yield Found(
                f"hold-long:{revision.alias}",
                f"{revision.alias} is held for more than {HELD_LONG.total_seconds() / 3600:.0f} h",
                f"held by {hold.by} since {hold.at:%Y-%m-%d %H:%M} UTC{why}",
                revision.alias,
                revision.state.owner,
                f"/alias?name={revision.alias}",
            )


def audit_broken(seen: Seen) -> Iterator[Found]:
    """The last verification found an event that does not fit."""
    for run in seen.runs:
        if run.job == VERIFIES and run.outcome == FAILED and run.note.startswith(AuditBroken.code):
            because = run.note.removeprefix(f"{AuditBroken.code}: ").rstrip(".")
            yield Found("audit-broken:log", "The audit log does not verify", because)


def gateway_silent(seen: Seen) -> Iterator[Found]:
    """A gateway fell silent without a good-bye while others run. The newest process of a name counts."""
    newest = {replica.name: replica for replica in seen.replicas}  # they come in the order of their starts
    for name, replica in newest.items():
        gone = replica.stopped_at is not None or seen.at - replica.seen_at > GONE_FOR_GOOD
        if gone or replica.is_live(seen.at):
            continue
        if not seen.live:
            yield Found(f"gateway-silent:{name}", blind=True)
            continue
        yield Found(
            f"gateway-silent:{name}",
            f"Gateway {name} fell silent",
            f"last heard of {replica.seen_at:%Y-%m-%d %H:%M:%S} UTC, without a good-bye; "
            f"{len(seen.live)} other{'s run' if len(seen.live) > 1 else ' runs'}",
            path="/",
        )


def no_gateway(seen: Seen) -> Iterator[Found]:
    """Nobody answers requests."""
    served = [s.revision.alias for s in seen.aliases if not s.revision.state.retired]
    if served and not seen.live:
        names = ", ".join(served[:5]) + (f" and {len(served) - 5} more" if len(served) > 5 else "")
        yield Found("no-gateway:all", "No gateway is running", f"nothing serves {names}", path="/")


def job_failing(seen: Seen) -> Iterator[Found]:
    """A job's last run failed; that the audit log does not verify has a watch of its own."""
    for run in seen.runs:
        broken = run.job == VERIFIES and run.note.startswith(AuditBroken.code)
        if run.outcome == FAILED and not broken:
            because = re.sub(r"^[a-z_]+: ", "", run.note).rstrip(".")  # a refusal's code is for programs
            yield Found(f"job-failing:{run.job}", f"The job {run.job} failed", because or "it gave no reason")


WATCHES: tuple[Watch, ...] = (
    Watch(
        "alias-degraded",
        Severity.CRITICAL,
        alias_degraded,
        "an alias fails or answers in the wrong format too often",
        Patience(timedelta(minutes=2), timedelta(minutes=5)),
    ),
    Watch(
        "no-gateway",
        Severity.CRITICAL,
        no_gateway,
        "there are aliases, and no gateway is running",
        Patience(timedelta(minutes=1)),
    ),
    Watch(
        "gateway-silent",
        Severity.WARNING,
        gateway_silent,
        "a gateway is not heard of any more while others are, and did not say good-bye",
        Patience(timedelta(minutes=1)),
    ),
    Watch("audit-broken", Severity.CRITICAL, audit_broken, "the audit log does not verify"),
    Watch("hold-long", Severity.WARNING, hold_long, "an alias is held for more than 24 hours"),
    Watch("job-failing", Severity.WARNING, job_failing, "the last run of a scheduler's job failed"),
)
"""Everything that raises an alert. A new watch is a function and a line here."""
