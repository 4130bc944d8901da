"""The receipt of a revision: which gateways route by it, after how long, and which have not said so yet.

A receipt speaks of requests accepted after it; answers already streaming finish on the version they began with.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

LIVE_FOR = timedelta(seconds=15)
"""A gateway that was not heard of for this long is not counted; it beats every 5 s."""
DOUBTED_FOR = timedelta(hours=24)
"""For so long after that it is named: without the store a gateway goes on by the last revision it knew."""


@dataclass(frozen=True)
class Replica:
    """A gateway process as the store knows it."""

    id: str
    name: str
    started_at: datetime
    seen_at: datetime
    stopped_at: datetime | None
    applied_serial: int
    dropped: int = 0

    def is_live(self, now: datetime) -> bool:
        """Heard of lately, and did not say good-bye."""
        return self.stopped_at is None and now - self.seen_at <= LIVE_FOR


@dataclass(frozen=True)
class Confirmation:
    """One gateway routes by the revision since ``at``, ``after_ms`` after it was committed."""

    replica: str
    name: str
    at: datetime
    after_ms: float


@dataclass(frozen=True)
class Receipt:
    """Where a revision is in force."""

    alias: str
    revision: int
    version: str
    committed_at: datetime
    confirmed: tuple[Confirmation, ...]
    waiting: tuple[str, ...]
    silent: tuple[str, ...] = ()
    """Gateways that are not counted, because nothing is heard of them, and that never took leave."""

    @property
    def gateways(self) -> int:
        """How many live gateways there are."""
        return len(self.confirmed) + len(self.waiting)

    @property
    def complete(self) -> bool:
        """Every live gateway routes by it. Without any gateway nothing is in force, so this is False."""
        return bool(self.confirmed) and not self.waiting

    @property
    def slowest_ms(self) -> float | None:
        """How long the slowest confirmed gateway took; None when none confirmed."""
        return max((c.after_ms for c in self.confirmed), default=None)

    @property
    def sentence(self) -> str:
        """The receipt in words, the same on page, CLI and API."""
        return f"{self._known} {self.doubt}".rstrip()

    @property
    def doubt(self) -> str:
        """What speaks against taking the receipt for everything there is, in words; empty if nothing does."""
        if not self.silent:
            return ""
        return f"Nothing is heard of {', '.join(self.silent)}: what still runs there serves an earlier revision."

    @property
    def _known(self) -> str:
        if not self.gateways and self.silent:
            return f"Stored as revision {self.revision}. No gateway has confirmed it."
        if not self.gateways:
            return f"Stored as revision {self.revision}. No gateway is running, so nothing serves it yet."
        where = f"{len(self.confirmed)} of {self.gateways} gateways"
        after = f" after {self.slowest_ms:.0f} ms" if self.slowest_ms is not None else ""
        if self.complete:
            return f"Revision {self.revision} is in force at {where}{after}: {self.version}."
        late = ", ".join(self.waiting)
        return f"Revision {self.revision} is in force at {where}{after}; not yet confirmed: {late}."


def drawn_up(
    *,
    alias: str,
    revision: int,
    version: str,
    committed_at: datetime,
    replicas: Iterable[Replica],
    applied_at: dict[str, datetime],
    now: datetime,
) -> Receipt:
    """The receipt, given when each replica (by id) first applied a serial that contains the revision.

    A gateway that started after the commit began with it in force: its time counts as 0.
    """
    known = list(replicas)
    confirmed, waiting = [], []
    for replica in sorted((r for r in known if r.is_live(now)), key=lambda r: r.name):
        at = applied_at.get(replica.id)
        if at is None:
            waiting.append(replica.name)
            continue
        late = 0.0 if replica.started_at > committed_at else (at - committed_at).total_seconds() * 1000
        confirmed.append(Confirmation(replica.id, replica.name, at, max(0.0, late)))
    silent = sorted(r.name for r in known if _is_doubtful(r, known, now) and r.id not in applied_at)
    return Receipt(alias, revision, version, committed_at, tuple(confirmed), tuple(waiting), tuple(silent))


def _is_doubtful(replica: Replica, known: Collection[Replica], now: datetime) -> bool:
    """It fell silent lately without a word, and none of its name was started after that: killed, or serving on."""
    if replica.stopped_at is not None or not LIVE_FOR < now - replica.seen_at <= DOUBTED_FOR:
        return False
    return not any(other.name == replica.name and other.started_at > replica.seen_at for other in known)
