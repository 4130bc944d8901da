"""Counts of one replica by window, and which of them the store has not seen yet."""

from collections.abc import Iterable
from datetime import UTC, datetime

from core.domain.traffic import WINDOW, Counts, Outcome, WindowKey, window_start

LENGTH_S = WINDOW.total_seconds()
KEPT_S = 60.0
"""How long a window stays in memory after it ended, for outcomes that come late."""


class Windows:
    """A window is written whole and replaces what was written of it before, so it must never be begun twice."""

    def __init__(self, *, most: int = 20_000) -> None:
        self._counts: dict[WindowKey, Counts] = {}
        self._unwritten: set[WindowKey] = set()
        self._most = most
        self._closed_until_s = 0.0
        self._last_start: tuple[float, datetime] = (0.0, datetime.fromtimestamp(0, UTC))
        self.dropped = 0
        """Requests whose windows were given up because the store was gone for too long."""

    def __len__(self) -> int:
        return len(self._counts)

    def note(self, outcome: Outcome) -> None:
        """Count one more outcome."""
        key = WindowKey(outcome.alias, outcome.version, self._start(outcome.at))
        counts = self._counts.get(key)
        if counts is None:
            if len(self._counts) >= self._most:
                self._give_up_oldest()
            counts = self._counts[key] = Counts()
        counts.note(outcome)
        self._unwritten.add(key)

    def _start(self, at_s: float) -> datetime:
        # A clock that was put back must not reopen a window that was forgotten: its first counts would be lost.
        seconds = max(at_s // LENGTH_S * LENGTH_S, self._closed_until_s)
        if self._last_start[0] != seconds:
            self._last_start = (seconds, window_start(datetime.fromtimestamp(seconds, UTC)))
        return self._last_start[1]

    def unwritten(self) -> dict[WindowKey, Counts]:
        """What the store should be given now."""
        return {key: self._counts[key] for key in self._unwritten}

    def written(self, keys: Iterable[WindowKey], *, now_s: float) -> None:
        """The store has these; what is old and written is forgotten."""
        self._unwritten.difference_update(keys)
        horizon_s = (now_s - KEPT_S) // LENGTH_S * LENGTH_S
        for key in [k for k in self._counts if k.start.timestamp() < horizon_s and k not in self._unwritten]:
            del self._counts[key]
        self._closed_until_s = max(self._closed_until_s, horizon_s)

    def _give_up_oldest(self) -> None:
        oldest = min(key.start for key in self._counts)
        for key in [k for k in self._counts if k.start == oldest]:
            counts = self._counts.pop(key)
            if key in self._unwritten:
                self._unwritten.discard(key)
                self.dropped += counts.requests
        self._closed_until_s = max(self._closed_until_s, oldest.timestamp() + LENGTH_S)
