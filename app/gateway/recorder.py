"""Outcomes on their way from requests to the store: a bounded queue, one thread that counts and writes.

The request's path only appends to the queue; where it is full the outcome is dropped and counted. While the store is
gone the windows stay in memory and are written later.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.gateway.formats import has_format
from app.gateway.readings import Reading
from app.gateway.windows import Windows
from core.domain.traffic import Counts, Failure, Outcome, WindowKey
from core.errors import PinrailError

log = logging.getLogger(__name__)

COUNT_EVERY_S = 0.05
LONGEST_PAUSE_S = 30.0
WRITTEN_AT_ONCE = 500
BREATHE_AFTER = 16
BREATH_S = 0.0002

Record = Callable[[Mapping[WindowKey, Counts]], None]


@dataclass(slots=True)
class Finished:
    """One try of a request, as the request's path leaves it. ``reading`` is read later."""

    alias: str
    version: str
    caller: str
    at_s: float
    latency_ms: float
    failure: Failure | None
    fell_back: bool
    reading: Reading
    wanted: Mapping[str, Any] | None

    def outcome(self) -> Outcome:
        """The same with what the answer said about itself."""
        found = self.reading.found()
        failure = self.failure
        if failure is None and found.failed:
            failure = Failure.PROVIDER  # a 200 whose body is an error
        return Outcome(
            alias=self.alias,
            version=self.version,
            caller=self.caller,
            at=self.at_s,
            latency_ms=self.latency_ms,
            failure=failure,
            format_valid=has_format(self.wanted, found.texts) if self.wanted and failure is None else None,
            input_tokens=found.input_tokens,
            output_tokens=found.output_tokens,
            served_model=found.served_model,
            fell_back=self.fell_back,
        )


class Recorder(threading.Thread):
    """Counts what requests leave, and gives the store each window that changed, once a second."""

    def __init__(self, record: Record, *, queue_limit: int, windows: Windows | None = None) -> None:
        super().__init__(name="recorder", daemon=True)
        self._record = record
        self._limit = queue_limit
        self._queue: deque[Finished] = deque()
        self._windows = windows or Windows()
        self._ending = threading.Event()
        self._crowded_out = 0
        self.write_every_s = 1.0
        self._pause_s = 0.0

    @property
    def dropped(self) -> int:
        """Outcomes that will never be counted: the queue was full, or the store was gone for too long."""
        return self._crowded_out + self._windows.dropped

    def note(self, finished: Finished) -> None:
        """Take an outcome from the event loop. Never blocks, never fails."""
        if len(self._queue) >= self._limit:
            self._crowded_out += 1
        else:
            self._queue.append(finished)

    def finish(self, patience_s: float = 5.0) -> None:
        """Count and write what is left, then end."""
        self._ending.set()
        if self.is_alive():
            self.join(patience_s)

    def run(self) -> None:
        """Count, and now and then write, until told to finish."""
        write_at = 0.0
        while not self._ending.wait(COUNT_EVERY_S):
            self._count()
            if time.monotonic() >= write_at:
                self._write()
                write_at = time.monotonic() + max(self._pause_s, self.write_every_s)
        self._count()
        self._write()

    def _count(self) -> None:
        for number in range(1, len(self._queue) + 1):
            finished = self._queue.popleft()
            try:
                self._windows.note(finished.outcome())
            except Exception:
                # What a provider wrote must not end the counting of everything else.
                log.exception("An outcome of %s could not be read", finished.version)
                self._crowded_out += 1
            if number % BREATHE_AFTER == 0:
                # Requests share the interpreter with this thread: let them have it between a few readings.
                time.sleep(BREATH_S)

    def _write(self) -> None:
        waiting = self._windows.unwritten()
        keys = sorted(waiting, key=lambda key: key.start)
        try:
            for first in range(0, len(keys), WRITTEN_AT_ONCE):
                batch = keys[first : first + WRITTEN_AT_ONCE]
                self._record({key: waiting[key] for key in batch})
                self._windows.written(batch, now_s=time.time())
        except PinrailError as fault:
            self._rest(f"{fault}")
        except Exception:
            log.exception("Windows could not be written")
            self._rest("see above")
        else:
            self._pause_s = 0.0

    def _rest(self, because: str) -> None:
        self._pause_s = min(max(self._pause_s, self.write_every_s) * 2, LONGEST_PAUSE_S)
        log.warning(
            "%d windows wait in memory, to be written in %.0f s or later: %s",
            len(self._windows.unwritten()),
            self._pause_s,
            because,
        )
