"""What happened to requests, as counts that can be added: windows, latency buckets, and readings of them.

Request data is kept per alias, version and window of time, so storage grows with time and not with
traffic. Everything here adds up: work from two replicas or two windows is simply summed.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

WINDOW = timedelta(seconds=10)
"""Length of one window; a window starts at a whole multiple of it since the epoch."""

BOUNDS_MS: tuple[float, ...] = tuple(round(10 ** (step / 8), 3) for step in range(41))
"""Upper bounds of the latency buckets in ms: 8 per decade from 1 ms to 100 s, so a percentile is within 33 %
of the true value, and usually far closer; up to 1 ms it is within that 1 ms; a last bucket holds what is slower."""


class Failure(StrEnum):
    """How a request failed. The first is the caller's doing, the others are not."""

    CALLER = "caller error"
    RATE_LIMITED = "rate limited"
    TIMEOUT = "timeout"
    PROVIDER = "provider error"
    UNREACHABLE = "unreachable"
    CUT = "cut stream"


@dataclass(frozen=True)
class Outcome:
    """One finished request. ``format_valid`` is None where no format was asked for."""

    alias: str
    version: str
    caller: str
    at: float  # seconds since the epoch, UTC
    latency_ms: float
    failure: Failure | None = None
    format_valid: bool | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    served_model: str | None = None
    fell_back: bool = False


@dataclass
class Counts:
    """Sums over some requests; add two of them with ``+``. Failures by the caller are not errors."""

    requests: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    format_checked: int = 0
    format_valid: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    fell_back: int = 0
    callers: dict[str, int] = field(default_factory=dict)
    latency_sum_ms: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))

    def note(self, outcome: Outcome) -> None:
        """Count one more request. Latency counts for answers only: a refusal's haste is no merit."""
        self.requests += 1
        self.input_tokens += outcome.input_tokens
        self.output_tokens += outcome.output_tokens
        self.fell_back += outcome.fell_back
        self.callers[outcome.caller] = self.callers.get(outcome.caller, 0) + 1
        if outcome.format_valid is not None:
            self.format_checked += 1
            self.format_valid += outcome.format_valid
        if outcome.failure is None:
            self.latency_sum_ms += outcome.latency_ms
            self.buckets[bisect_left(BOUNDS_MS, outcome.latency_ms)] += 1
        else:
            self.failures[outcome.failure] = self.failures.get(outcome.failure, 0) + 1

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.requests + other.requests,
            _merged(self.failures, other.failures),
            self.format_checked + other.format_checked,
            self.format_valid + other.format_valid,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.fell_back + other.fell_back,
            _merged(self.callers, other.callers),
            self.latency_sum_ms + other.latency_sum_ms,
            [a + b for a, b in zip(self.buckets, other.buckets, strict=True)],
        )

    @property
    def answered(self) -> int:
        """Requests that got an answer."""
        return self.requests - sum(self.failures.values())

    @property
    def errors(self) -> int:
        """Failures that were not the caller's."""
        return sum(count for kind, count in self.failures.items() if kind != Failure.CALLER)

    @property
    def error_rate(self) -> float | None:
        """Share of requests that failed through no fault of the caller; None when there were none (blind)."""
        asked = self.requests - self.failures.get(Failure.CALLER, 0)
        return self.errors / asked if asked else None

    @property
    def format_validity(self) -> float | None:
        """Share of answers in the format asked for; None when no answer was checked (blind)."""
        return self.format_valid / self.format_checked if self.format_checked else None

    def latency_ms(self, share: float) -> float | None:
        """The latency that ``share`` of the answers stayed within, interpolated inside its bucket; None if blind."""
        total = sum(self.buckets)
        if total == 0:
            return None
        wanted = share * total
        reached = 0
        for index, count in enumerate(self.buckets):
            if count and reached + count >= wanted:
                low = BOUNDS_MS[index - 1] if index else 0.0
                high = BOUNDS_MS[index] if index < len(BOUNDS_MS) else BOUNDS_MS[-1] * 2
                return low + (high - low) * (wanted - reached) / count
            reached += count
        return BOUNDS_MS[-1] * 2


def _merged(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in one.keys() | other.keys()}


def added(parts: Iterable[Counts]) -> Counts:
    """The sum of ``parts``; no parts give empty counts, which read as blind."""
    total = Counts()
    for part in parts:
        total = total + part
    return total


def window_start(at: datetime) -> datetime:
    """The start of the window that ``at`` falls into."""
    length = WINDOW.total_seconds()
    return datetime.fromtimestamp(at.timestamp() // length * length, tz=at.tzinfo)


@dataclass(frozen=True)
class WindowKey:
    """One window of one version behind one alias."""

    alias: str
    version: str
    start: datetime
