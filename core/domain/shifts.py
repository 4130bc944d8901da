r"""How a figure moved between two spans of traffic, and whether the move is more than noise.

Shares (errors, valid formats). Two spans of n and m requests show shares p and q. Null hypothesis: both come
from one true share. Newcombe's interval for p - q (Wilson limits l, u of each, z = 2.576) is

    (p - q) - sqrt((p - l_p)^2 + (u_q - q)^2)   to   (p - q) + sqrt((u_p - p)^2 + (q - l_q)^2)

and the move is *clear* when it leaves out 0. Guarantee: seen once, two equal shares are called different in
about 1 of 100 comparisons. A page that is watched for an hour looks many times, so this is a reading aid and
not a gate; gates use evidence that stays valid under many looks.

Percentiles of latency come from buckets whose bounds are 33 % apart, and each may be off by as much; so a move
within two bucket widths (78 %) is not clear, whatever the number of requests.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

from core.domain.traffic import BOUNDS_MS, Counts, Failure

Z = 2.576
ENOUGH = 20
"""Requests on either side below which no move is called clear."""

TWO_BUCKETS = (BOUNDS_MS[8] / BOUNDS_MS[7]) ** 2


class Move(StrEnum):
    """What became of a figure."""

    WORSE = "worse"
    BETTER = "better"
    NO_CLEAR_CHANGE = "no clear change"
    BLIND = "no data"


@dataclass(frozen=True)
class Shift:
    """A figure now and before, each None where nothing was measured, with the number of requests behind it."""

    now: float | None
    before: float | None
    n_now: int
    n_before: int
    move: Move

    @property
    def delta(self) -> float | None:
        """Now minus before; None when one of them is blind."""
        return None if self.now is None or self.before is None else self.now - self.before


def of_errors(now: Counts, before: Counts) -> Shift:
    """The share of requests that failed through no fault of the caller; less is better."""
    return _of_share(*_asked(now), *_asked(before), more_is_better=False)


def of_format(now: Counts, before: Counts) -> Shift:
    """The share of checked answers in the format asked for; more is better."""
    return _of_share(
        now.format_valid, now.format_checked, before.format_valid, before.format_checked, more_is_better=True
    )


def of_latency(now: Counts, before: Counts, *, share: float = 0.95) -> Shift:
    """The latency in ms that ``share`` of the answers stayed within; less is better."""
    a, b = now.latency_ms(share), before.latency_ms(share)
    move = Move.BLIND
    if a is not None and b is not None:
        far = max(a, b) > min(a, b) * TWO_BUCKETS and min(now.answered, before.answered) >= ENOUGH
        move = _named(a - b, clear=far, more_is_better=False)
    return Shift(a, b, now.answered, before.answered, move)


def _asked(counts: Counts) -> tuple[int, int]:
    return counts.errors, counts.requests - counts.failures.get(Failure.CALLER, 0)


def _of_share(hits: int, n: int, hits_before: int, n_before: int, *, more_is_better: bool) -> Shift:
    now = hits / n if n else None
    before = hits_before / n_before if n_before else None
    move = Move.BLIND
    if now is not None and before is not None:
        low, high = _difference(hits, n, hits_before, n_before)
        clear = not low <= 0 <= high and min(n, n_before) >= ENOUGH
        move = _named(now - before, clear=clear, more_is_better=more_is_better)
    return Shift(now, before, n, n_before, move)


def _difference(hits: int, n: int, hits_before: int, n_before: int) -> tuple[float, float]:
    p, q = hits / n, hits_before / n_before
    low_p, high_p = wilson(p, n)
    low_q, high_q = wilson(q, n_before)
    return p - q - sqrt((p - low_p) ** 2 + (high_q - q) ** 2), p - q + sqrt((high_p - p) ** 2 + (q - low_q) ** 2)


def wilson(share: float, n: int, *, z: float = Z) -> tuple[float, float]:
    """Wilson's interval for the true share behind ``share`` of ``n``; at z = 1.645 either end holds in 95 of 100."""
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half


def _named(delta: float, *, clear: bool, more_is_better: bool) -> Move:
    if not clear:
        return Move.NO_CLEAR_CHANGE
    return Move.BETTER if (delta > 0) is more_is_better else Move.WORSE
