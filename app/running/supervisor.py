"""Runs the parts of Pinrail as processes of their own: starts, watches and restarts them, and stops all together."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from app.running.listening import Port, refuse_taken
from app.running.part_process import PartProcess, Warden

PATIENCE_S = 10.0  # for a part to end after it was asked to
TRIES_BEFORE_READY = 3  # for a part that never came up: it will not by itself
LONGEST_PAUSE_S = 30.0
CALM_S = 60.0  # a part that was ready for so long begins with a clean sheet
LOOK_EVERY_S = 0.05
SPEAK_EVERY_S = 5.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """One process: what it is called, how it is started, and how it shows that it is ready."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)  # in addition to the supervisor's own
    health_url: str | None = None  # ready once this answers 2xx; without one, once it has lived for two seconds
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True)
class Comeback:
    """What follows when a part ended though nobody asked it to."""

    pause_s: float | None  # none: it is given up, and everything with it
    because: str


def comeback(how: str, *, failures_in_a_row: int, ever_ready: bool) -> Comeback:
    """Decide whether a part that ended comes back, and after how long a pause: never in a tight loop."""
    if not ever_ready and failures_in_a_row >= TRIES_BEFORE_READY:
        return Comeback(None, f"{how}, {failures_in_a_row} times before it was ever ready")
    pause_s = min(0.5 * 2 ** (failures_in_a_row - 1), LONGEST_PAUSE_S)
    return Comeback(pause_s, f"{how}; starting it again in {pause_s:g} s")


def run(parts: Sequence[Part], *, say: Say, when_ready: Callable[[], None] | None = None) -> int:
    """Keep the parts running until told to stop: 0 after that, 1 when one of them could not be made to run.

    Runs in the main thread, because only that hears signals. ``when_ready`` is called once, when all are.
    """
    refuse_taken(port for part in parts for port in part.ports)
    crew = _Crew(parts, say)
    with crew.hearing_signals():
        return crew.work(when_ready)


class _Crew:
    """All parts, and what to do with them next."""

    def __init__(self, parts: Sequence[Part], say: Say) -> None:
        self._say_aloud = say
        self._speaking = threading.Lock()
        self._asked_to_stop = 0
        self._warden = Warden()
        self._ever_ready = False
        width = max((len(part.name) for part in parts), default=0)
        self._seats = [_Seat(part, self._warden, self.say, width) for part in parts]

    def say(self, line: str) -> None:
        with self._speaking:
            try:
                self._say_aloud(line)
            except BrokenPipeError:  # the terminal is gone, and so is the person
                self._asked_to_stop += 1
                self._say_aloud = lambda _line: None

    @contextmanager
    def hearing_signals(self) -> Iterator[None]:
        def ask(_number: int, _frame: FrameType | None) -> None:
            self._asked_to_stop += 1

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def work(self, when_ready: Callable[[], None] | None) -> int:
        started = time.monotonic()
        spoke = started
        try:
            for seat in self._seats:
                seat.start()
            while not self._asked_to_stop:
                if not all([seat.look() for seat in self._seats]):  # noqa: C419  # look at every one of them
                    return 1
                now = time.monotonic()
                waiting = [seat.part.name for seat in self._seats if not seat.is_ready]
                if not waiting and not self._ever_ready:
                    self._ever_ready = True
                    self.say(f"Everything is ready after {now - started:.1f} s.")
                    if when_ready is not None:
                        when_ready()
                elif waiting and now - spoke > SPEAK_EVERY_S:
                    spoke = now
                    self.say(f"Waiting for {', '.join(waiting)} ...")
                time.sleep(LOOK_EVERY_S)
            return 0
        finally:
            self._stop_all()

    def _stop_all(self) -> None:
        alive = [seat for seat in self._seats if seat.is_alive]
        if alive:
            self.say(f"Stopping {', '.join(seat.part.name for seat in alive)} ...")
        for seat in alive:
            seat.ask_to_stop()
        asked_before = self._asked_to_stop
        deadline = time.monotonic() + PATIENCE_S
        while any(seat.is_alive for seat in alive) and time.monotonic() < deadline:
            if self._asked_to_stop > asked_before:
                break  # a second Ctrl-C: the person has no patience left
            time.sleep(LOOK_EVERY_S)
        for seat in alive:
            if seat.is_alive:
                self.say(f"{seat.part.name} did not stop by itself and was killed.")
            seat.clear_away()
        self._warden.dismiss()
        if alive:
            self.say("Everything is stopped.")


class _Seat:
    """One part's place in the crew: the process that fills it now, and how it has fared."""

    def __init__(self, part: Part, warden: Warden, say: Say, width: int) -> None:
        self.part = part
        self._warden = warden
        self._say = say
        self._label = part.name.ljust(width)
        self._process: PartProcess | None = None
        self._failures_in_a_row = 0
        self._ever_ready = False
        self._announced = False
        self._start_again_at: float | None = None

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.how_it_ended() is None

    @property
    def is_ready(self) -> bool:
        return self._process is not None and self._process.ready_at is not None

    def start(self) -> None:
        self._start_again_at = None
        self._announced = False
        part = self.part
        self._process = PartProcess(part.command, part.env, part.health_url, self._warden, self._forward)

    def _forward(self, line: str) -> None:
        self._say(f"{self._label} | {line}")

    def look(self) -> bool:
        """See to the part; false when it is given up."""
        now = time.monotonic()
        if self._start_again_at is not None:
            if now >= self._start_again_at:
                self.start()
            return True
        process = self._process
        assert process is not None
        how = process.how_it_ended()
        if how is not None:
            return self._after_ending(process, how, now)
        if process.ready_at is not None and not self._announced:
            self._announced = self._ever_ready = True
            self._say(f"{self.part.name} is ready after {process.ready_at - process.started_at:.1f} s.")
        return True

    def _after_ending(self, process: PartProcess, how: str, now: float) -> bool:
        calm = process.ready_at is not None and now - process.ready_at > CALM_S
        self._failures_in_a_row = 1 if calm else self._failures_in_a_row + 1
        self.clear_away()
        answer = comeback(how, failures_in_a_row=self._failures_in_a_row, ever_ready=self._ever_ready)
        self._say(f"{self.part.name} {answer.because}.")
        if answer.pause_s is None:
            self._say(f"{self.part.name} is given up and everything is stopped; its last lines above tell why.")
            return False
        self._start_again_at = now + answer.pause_s
        return True

    def ask_to_stop(self) -> None:
        if self._process is not None:
            self._process.ask_to_stop()

    def clear_away(self) -> None:
        """Make sure that nothing of the process is left, not even its children."""
        if self._process is not None:
            self._process.clear_away()
            self._process = None
