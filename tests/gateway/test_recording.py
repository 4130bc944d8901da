"""Outcomes are counted off the request's path: none is lost unsaid, none is written twice, nothing grows for ever."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateway.readings import NOTHING, NoReading
from app.gateway.recorder import Finished, Recorder
from app.gateway.windows import KEPT_S, LENGTH_S, Windows
from core.domain.traffic import Counts, Failure, Outcome, WindowKey, added
from core.errors import StoreUnreachable
from tests.gateway.world import Running, World, eventually

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
FINISHED = Finished("a", "v", "shop", NOON, 12.0, None, False, NoReading(), None)


def outcome(at_s: float, alias: str = "a", failure: Failure | None = None) -> Outcome:
    return Outcome(alias, "v", "shop", at_s, 12.0, failure)


# -- windows --------------------------------------------------------------------------------------


class Kept:
    """What a store has: a window written again replaces the one before."""

    def __init__(self) -> None:
        self.windows: dict[WindowKey, Counts] = {}

    def write(self, windows: Windows, now_s: float) -> None:
        waiting = windows.unwritten()
        self.windows |= {key: added([counts]) for key, counts in waiting.items()}
        windows.written(waiting, now_s=now_s)

    @property
    def requests(self) -> int:
        return sum(counts.requests for counts in self.windows.values())


def test_outcomes_are_counted_by_window_alias_and_version():
    windows = Windows()
    for at_s, alias in ((NOON, "a"), (NOON + 9.9, "a"), (NOON + 10, "a"), (NOON, "b")):
        windows.note(outcome(at_s, alias))

    counted = {(key.alias, key.start.timestamp() - NOON): c.requests for key, c in windows.unwritten().items()}
    assert counted == {("a", 0): 2, ("a", 10): 1, ("b", 0): 1}


@given(
    st.lists(
        st.tuples(st.integers(-300, 300), st.booleans()),  # a step of the clock in seconds, and whether to write then
        max_size=60,
    )
)
def test_however_the_clock_jumps_and_whenever_it_is_written_no_request_is_lost(steps: list[tuple[int, bool]]):
    windows, kept, clock = Windows(), Kept(), NOON
    for step, write in steps:
        clock += step
        windows.note(outcome(clock))
        if write:
            kept.write(windows, clock)
    kept.write(windows, clock)

    assert kept.requests == len(steps)


def test_what_is_old_and_written_is_forgotten():
    windows, kept = Windows(), Kept()
    for number in range(50):
        windows.note(outcome(NOON + number * LENGTH_S))
        kept.write(windows, NOON + number * LENGTH_S)

    assert len(windows) <= KEPT_S / LENGTH_S + 1
    assert kept.requests == 50


def test_when_too_many_windows_wait_the_oldest_are_given_up_and_their_requests_counted():
    windows, kept = Windows(most=10), Kept()
    for number in range(25):
        windows.note(outcome(NOON + number * LENGTH_S))
        windows.note(outcome(NOON + number * LENGTH_S))
    kept.write(windows, NOON + 250)

    assert len(windows) <= 10
    assert (kept.requests, windows.dropped) == (20, 30)


def test_giving_up_a_window_that_was_written_loses_nothing():
    windows, kept = Windows(most=3), Kept()
    for number in range(6):
        windows.note(outcome(NOON + number * LENGTH_S))
        kept.write(windows, NOON)

    assert (kept.requests, windows.dropped) == (6, 0)


# -- the recorder ---------------------------------------------------------------------------------


def recording(record: Callable[[Mapping[WindowKey, Counts]], None], **settings: Any) -> Recorder:
    recorder = Recorder(record, queue_limit=settings.pop("queue_limit", 1000), **settings)
    recorder.write_every_s = 0.05
    return recorder


def test_a_full_queue_drops_and_counts_and_never_waits():
    recorder = recording(lambda windows: None, queue_limit=3)

    for _ in range(10):
        recorder.note(FINISHED)

    assert recorder.dropped == 7


def test_what_is_queued_when_told_to_finish_is_written():
    written: dict[WindowKey, Counts] = {}
    recorder = recording(written.update)
    recorder.write_every_s = 60.0
    recorder.start()
    for _ in range(100):
        recorder.note(FINISHED)
    recorder.finish()

    assert sum(counts.requests for counts in written.values()) == 100


def test_a_store_that_is_gone_keeps_nobody_waiting_and_gets_everything_later(caplog: pytest.LogCaptureFixture):
    gone = threading.Event()
    gone.set()
    written: dict[WindowKey, Counts] = {}

    def record(windows: Mapping[WindowKey, Counts]) -> None:
        if gone.is_set():
            raise StoreUnreachable("The store did not answer.")
        written.update({key: added([counts]) for key, counts in windows.items()})

    recorder = recording(record)
    recorder.start()
    recorder.note(FINISHED)
    eventually(lambda: "1 windows wait in memory" in caplog.text, "the failure is told")
    recorder.note(FINISHED)
    gone.clear()
    recorder.finish()

    assert [counts.requests for counts in written.values()] == [2]
    assert recorder.dropped == 0


def test_an_outcome_that_cannot_be_read_is_told_and_counted_as_dropped_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
):
    class Broken(NoReading):
        """Fails in a way nobody thought of."""

        def found(self) -> Any:
            raise ZeroDivisionError

    written: dict[WindowKey, Counts] = {}
    recorder = recording(written.update)
    recorder.start()
    recorder.note(replace(FINISHED, reading=Broken()))
    recorder.note(FINISHED)
    recorder.finish()

    assert [counts.requests for counts in written.values()] == [1]
    assert recorder.dropped == 1
    assert "could not be read" in caplog.text


def test_a_fault_in_writing_does_not_end_the_writing(caplog: pytest.LogCaptureFixture):
    tries: list[int] = []

    def record(windows: Mapping[WindowKey, Counts]) -> None:
        tries.append(len(windows))
        if len(tries) == 1:
            raise ZeroDivisionError

    recorder = recording(record)
    recorder.start()
    recorder.note(FINISHED)
    eventually(lambda: len(tries) > 1, "a second try")
    recorder.finish()

    assert "Windows could not be written" in caplog.text


def test_windows_are_written_in_small_batches_oldest_first():
    batches: list[list[WindowKey]] = []
    recorder = recording(lambda windows: batches.append(list(windows)))
    for number in range(1200):
        recorder.note(replace(FINISHED, alias=f"a-{number % 600}", at_s=NOON + number // 600 * LENGTH_S))
    recorder._limit = 0
    recorder.start()
    recorder.finish()

    assert max(map(len, batches)) <= 500
    starts = [key.start for batch in batches for key in batch]
    assert starts == sorted(starts)


def test_a_failed_outcome_has_no_format_and_nothing_read_is_nothing_said():
    failed = replace(FINISHED, failure=Failure.CUT, wanted={"type": "json_object"}).outcome()

    assert NoReading().found() is NOTHING
    assert (failed.format_valid, failed.served_model, failed.failure) == (None, None, Failure.CUT)


# -- in a gateway ---------------------------------------------------------------------------------


def test_with_its_queue_full_a_gateway_still_answers_and_tells_of_the_drops(
    world: World, start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.gateway.recorder.COUNT_EVERY_S", 3600.0)
    gateway = start(world, outcome_queue=2)

    answers = [gateway.post() for _ in range(6)]

    assert {answer.status_code for answer in answers} == {200}
    eventually(lambda: gateway.replica.recorder.dropped == 4, "the drops are counted")


def test_what_several_replicas_count_adds_up(world: World, start: Callable[..., Running]):
    first, second = start(world, gateway_name="gw-1"), start(world, gateway_name="gw-2")
    for gateway in (first, second, first):
        gateway.post()

    assert first.counts(requests=3).requests == 3


def test_every_request_of_a_busy_second_is_counted_once(either_world: World, start: Callable[..., Running]):
    gateway = start(either_world)
    began = time.monotonic()
    threads = [threading.Thread(target=lambda: [gateway.post() for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    counts = gateway.counts(requests=100)
    assert (counts.requests, counts.answered, sum(counts.buckets)) == (100, 100, 100)
    assert counts.latency_sum_ms <= (time.monotonic() - began) * 4 * 1000
