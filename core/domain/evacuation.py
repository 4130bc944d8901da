"""Leaving a provider that is down, or a version that is bad, with every alias at once: where each would go, and why.

An alias goes where a rollback would take it; if nothing is left there, to its first fallback that is not concerned.
Fallbacks that are concerned are named and stay: they are tried only when the
stable version fails, and then the next is.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.domain.aliases import MINIMUM_DWELL, History, rollback_targets
from core.domain.quarantine import Quarantine, names, standing_fallbacks
from core.domain.receipts import Receipt
from core.domain.versions import Version
from core.errors import InvalidInput

MAX_MOVES = 500
MAX_SAID = 500
"""Characters of the reason of an evacuation: it becomes a part of the reason of every revision."""


@dataclass(frozen=True)
class Concern:
    """What is left: a provider, or one version; never both."""

    provider: str | None = None
    version: str | None = None

    def __post_init__(self) -> None:
        if (self.provider is None) == (self.version is None):
            raise InvalidInput("Name a provider or a version to evacuate, and not both.")

    @property
    def words(self) -> str:
        """`provider acme` or `version chat-2`."""
        return f"provider {self.provider}" if self.provider is not None else f"version {self.version}"

    @property
    def blames(self) -> bool:
        """Is the version itself to blame? A provider that is down says nothing about its versions."""
        return self.version is not None

    def versions(self, everything: Iterable[Version]) -> frozenset[str]:
        """The versions that are concerned."""
        return frozenset(v.name for v in everything if self.version == v.name or self.provider == v.provider)


@dataclass(frozen=True)
class Wanted:
    """One alias as the preview showed it."""

    alias: str
    seen_revision: int
    target: str


@dataclass(frozen=True)
class Plan:
    """Where one alias would go. Without a ``target`` it stays, and ``because`` says why.

    ``action`` is what moving it needs. ``fallbacks`` are the concerned ones; ``stays`` is True where the stable version
    is not concerned, so that nothing has to move.
    """

    alias: str
    revision: int
    version: str
    because: str
    target: str | None = None
    action: str | None = None
    fallbacks: tuple[str, ...] = ()
    stays: bool = False


def plan(
    history: History,
    concerned: Collection[str],
    quarantines: Sequence[Quarantine],
    *,
    now: datetime,
    minimum_dwell: timedelta = MINIMUM_DWELL,
) -> Plan | None:
    """Where the alias would go, or None when the evacuation does not concern it."""
    newest = history[-1]
    state = newest.state
    fallbacks = tuple(name for name in state.fallbacks if name in concerned)
    if state.retired or (state.stable not in concerned and not fallbacks):
        return None

    def planned(because: str, target: str | None = None, action: str | None = None, *, stays: bool = False) -> Plan:
        return Plan(newest.alias, newest.number, state.stable, because, target, action, fallbacks, stays)

    if state.stable not in concerned:
        return planned("only fallbacks are concerned; its stable version is not", stays=True)
    barred = {*concerned, *names(quarantines)}
    targets = rollback_targets(history, now=now, minimum_dwell=minimum_dwell, quarantined=barred)
    if targets:
        best = targets[0]
        caution = f"; caution: {best.caution}" if best.caution else ""
        return planned(f"{best.because}{caution}", best.version, "alias:roll_back")
    standing = standing_fallbacks(history, quarantines)
    fallback = next((name for name in standing if name not in barred), None)
    if fallback is None:
        return planned("no rollback target and no fallback is left that is neither concerned nor quarantined")
    if state.protected:
        return planned(f"it is protected, and {fallback} is a fallback, so going there is a flip for two people")
    return planned("no rollback target is left; it is the first fallback that is not concerned", fallback, "alias:flip")


def reason(evacuation: str, concern: Concern, said: str) -> str:
    """The reason that every revision of an evacuation carries."""
    return f"evacuation {evacuation} of {concern.words}" + (f": {said}" if said else "")


@dataclass(frozen=True)
class Errand:
    """That a move is part of an evacuation (or of the return from it), and whether the version left is to blame."""

    evacuation: str
    blames: bool


def receipt_in_words(receipts: Mapping[str, Receipt]) -> str:
    """One sentence for the receipts of all that was moved."""
    if not receipts:
        return "No alias was moved."
    moved = f"{len(receipts)} alias{'es' if len(receipts) > 1 else ''} moved"
    if not any(receipt.gateways for receipt in receipts.values()):
        return f"{moved}. No gateway is running, so nothing serves them yet."
    late = sorted(alias for alias, receipt in receipts.items() if not receipt.complete)
    slowest = max((r.slowest_ms for r in receipts.values() if r.slowest_ms is not None), default=0.0)
    if late:
        return f"{moved}; not yet in force at every gateway: {', '.join(late)}."
    return f"{moved}, in force at every gateway after {slowest:.0f} ms at most."
