"""Flipping and rolling back at the command line: what is said, what is waited for, and what happens only once."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from app.wiring import Pinrail
from core.services import reading, serving
from tests.cli.desk import ROOT, Desk, alias_of, desk_on, gateway_confirms, gateway_joins, stop_the_clock
from tests.clocks import SetClock


def revision_of(pinrail: Pinrail, alias: str = "chat") -> int:
    return reading.alias(pinrail.store, ROOT, alias).number


def test_a_flip_says_what_changed_on_which_picture_and_where_it_is_in_force(pinrail: Pinrail, desk: Desk):
    alias_of(pinrail, "chat", "a")
    gateway_joins(pinrail, "gateway-1")
    with confirming(pinrail, "gateway-1"):
        out = desk.done("alias", "flip", "chat", "b", "--reason", "better")
    flipped, in_force = out.splitlines()
    assert flipped.startswith("Flipped chat from a to b. Revision 2 by local:")
    assert flipped.endswith("you saw revision 1.")
    assert in_force.startswith("Revision 2 is in force at 1 of 1 gateways after ")
    assert in_force.endswith(" ms: b.")


def test_stragglers_are_named_and_have_an_exit_code_of_their_own(pinrail: Pinrail, desk: Desk):
    alias_of(pinrail, "chat", "a")
    for name in ("eu-1", "eu-2", "us-1"):
        gateway_joins(pinrail, name)
    with confirming(pinrail, "eu-1"):
        said = desk("alias", "flip", "chat", "b", "--wait", "1")
    assert said.code == 7
    assert "in force at 1 of 3 gateways" in said.out
    assert "not yet confirmed: eu-2, us-1." in said.out
    assert revision_of(pinrail) == 2


def test_without_any_gateway_it_is_stored_and_not_in_force_and_nobody_waits(lite: Pinrail, lite_desk: Desk):
    alias_of(lite, "chat", "a")
    started = time.monotonic()
    said = lite_desk("alias", "flip", "chat", "b", "--wait", "60")
    assert said.code == 7
    assert "No gateway is running, so nothing serves it yet." in said.out
    assert time.monotonic() - started < 30


def test_wait_0_does_not_ask_for_a_receipt(lite: Pinrail, lite_desk: Desk):
    alias_of(lite, "chat", "a")
    said = lite_desk("alias", "flip", "chat", "b", "--wait", "0", "--json")
    assert (said.code, json.loads(said.out)["receipt"]) == (0, None)


def test_the_document_of_a_flip_holds_what_was_done_and_the_receipt(lite: Pinrail, lite_desk: Desk):
    alias_of(lite, "chat", "a")
    gateway_joins(lite, "gateway-1")
    with confirming(lite, "gateway-1"):
        document = json.loads(lite_desk.done("alias", "flip", "chat", "b", "--json"))
    assert (document["alias"], document["version"], document["previous_version"]) == ("chat", "b", "a")
    assert document["receipt"]["complete"] is True
    assert [c["name"] for c in document["receipt"]["confirmed"]] == ["gateway-1"]


def test_one_idempotency_key_is_one_effect_however_often_it_is_run(pinrail: Pinrail, desk: Desk):
    alias_of(pinrail, "chat", "a", "b", "c")
    command = ("rollback", "chat", "--wait", "0", "--idempotency-key", "incident-7", "--reason", "INC-7")
    first = desk.done(*command)
    assert "Rolled back chat from c to b. Revision 4" in first
    for _again in range(3):
        out = desk.done(*command)
        assert "to b. Revision 4" in out
        assert "so nothing happened now" in out
    assert revision_of(pinrail) == 4
    done = reading.audit(pinrail.store, ROOT, kind="alias.rolled_back", outcome="done")
    assert [entry.event.reason for entry in done] == ["INC-7"]


def test_two_invocations_without_a_key_are_two_requests(lite: Pinrail, lite_desk: Desk):
    alias_of(lite, "chat", "a", "b", "c")
    assert "from c to b" in lite_desk.done("rollback", "chat", "--wait", "0")
    assert "from b to a" in lite_desk.done("rollback", "chat", "--wait", "0")
    assert revision_of(lite) == 5


def test_a_key_used_for_something_else_is_a_conflict(lite: Pinrail, lite_desk: Desk):
    alias_of(lite, "chat", "a")
    lite_desk.done("alias", "flip", "chat", "b", "--wait", "0", "--idempotency-key", "k")
    said = lite_desk("alias", "flip", "chat", "c", "--wait", "0", "--idempotency-key", "k")
    assert said.code == 4
    assert "different request" in said.err


def test_a_decision_on_an_old_picture_is_stale(pinrail: Pinrail, desk: Desk):
    alias_of(pinrail, "chat", "a", "b")
    said = desk("alias", "flip", "chat", "c", "--seen-revision", "1")
    assert (said.code, said.out) == (4, "")
    assert "chat was flipped by local:test" in said.err
    assert said.err.count("\n") == 1
    assert revision_of(pinrail) == 2


def test_four_people_at_once_on_one_picture_are_one_flip_and_three_refusals(pinrail: Pinrail):
    alias_of(pinrail, "chat", "a")
    flips = [
        start_in_process(pinrail, "alias", "flip", "chat", version, "--seen-revision", "1", "--wait", "0")
        for version in "bcbc"
    ]
    codes = sorted(flip() for flip in flips)
    assert codes == [0, 4, 4, 4]
    assert revision_of(pinrail) == 2


def test_a_rollback_says_why_that_version_and_that_it_holds(
    lite: Pinrail, lite_desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    clock = SetClock(datetime(2026, 11, 24, 1, 0, tzinfo=UTC))
    stop_the_clock(monkeypatch, clock)
    alias_of(lite, "chat", "a")
    clock.wait(hours=3)
    lite_desk.done("alias", "flip", "chat", "b", "--wait", "0")
    clock.wait(minutes=12)
    lines = lite_desk.done("rollback", "chat", "--wait", "0").splitlines()
    assert lines[0].startswith("Rolled back chat from b to a. Revision 3 by ")
    assert lines[1] == "It is held until you release it: pinrail alias release chat"
    assert lines[2] == "b is quarantined. Lift it: pinrail version lift-quarantine b"
    assert lines[3] == (
        "a: served 3 h at 100 % and was left by a flip, not by a rollback; it served until 04:00 UTC (12 min ago)."
    )


def test_a_target_that_served_only_briefly_comes_with_a_caution(lite: Pinrail):
    alias_of(lite, "chat", "a", "b")
    desk = desk_on(lite).having(PINRAIL_MINIMUM_DWELL_S="600")
    out = desk.done("rollback", "chat", "--wait", "0")
    assert "Caution: it served only 0 s; 10 min are asked for." in out


def test_a_dry_run_says_what_would_happen_and_changes_nothing(lite: Pinrail, lite_desk: Desk):
    alias_of(lite, "chat", "a", "b")
    head = reading.audit_head(lite.store, ROOT)
    assert "Would roll back chat from b to a (revision 2) and hold it." in lite_desk.done(
        "rollback", "chat", "--dry-run"
    )
    assert "Would flip chat from b to c (revision 2)." in lite_desk.done("alias", "flip", "chat", "c", "--dry-run")
    assert json.loads(lite_desk.done("rollback", "chat", "--dry-run", "--json"))["version"] == "a"
    assert (revision_of(lite), reading.audit_head(lite.store, ROOT)) == (2, head)


def test_nothing_to_roll_back_to_is_a_refusal_that_says_what_to_do(lite: Pinrail, lite_desk: Desk):
    alias_of(lite, "chat", "a")
    said = lite_desk("rollback", "chat")
    assert said.code == 1
    assert "Flip it to a version you trust." in said.err


def test_the_short_form_is_the_same_command(lite: Pinrail, lite_desk: Desk):
    alias_of(lite, "chat", "a", "b")
    alias_of(lite, "talk", "a", "b")
    short = lite_desk.done("rollback", "chat", "--wait", "0")
    long = lite_desk.done("alias", "rollback", "talk", "--wait", "0")
    assert short.replace("chat", "talk").splitlines()[0] == long.splitlines()[0]


def test_ctrl_c_while_waiting_says_that_it_is_stored(lite: Pinrail, lite_desk: Desk, monkeypatch: pytest.MonkeyPatch):
    alias_of(lite, "chat", "a")
    gateway_joins(lite, "gateway-1")

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    said = lite_desk("alias", "flip", "chat", "b")
    assert said.code == 130
    assert "Flipped chat from a to b" in said.out
    assert said.err == "pinrail: Revision 2 is stored; its receipt was not waited for.\n"


def test_a_receipt_that_cannot_be_read_does_not_make_the_flip_look_failed(
    lite: Pinrail, lite_desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    from core.errors import StoreUnreachable

    def gone(*_given: object, **_more: object) -> None:
        raise StoreUnreachable("The store did not answer.")

    alias_of(lite, "chat", "a")
    monkeypatch.setattr(serving, "receipt", gone)
    said = lite_desk("alias", "flip", "chat", "b", "--json")
    assert (said.code, json.loads(said.out)["version"]) == (7, "b")
    assert "Revision 2 is stored, but its receipt could not be read" in said.err


def test_what_served_at_a_time_is_told_with_who_and_when(
    lite: Pinrail, lite_desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    clock = SetClock(datetime(2026, 11, 23, 22, 0, tzinfo=UTC))
    stop_the_clock(monkeypatch, clock)
    alias_of(lite, "chat", "a")
    clock.wait(hours=4)
    lite_desk.done("alias", "flip", "chat", "b", "--wait", "0")
    clock.wait(minutes=30)
    before = lite_desk.done("alias", "served", "chat", "--at", "01:59")
    assert before.splitlines()[0] == "chat served a at 2026-11-24 01:59:00 UTC."
    assert "created by local:test 2026-11-23 22:00 UTC (4 h ago)" in before
    assert "chat served b at 2026-11-24 02:15:00 UTC." in lite_desk.done("alias", "served", "chat", "--at", "15m")
    future = lite_desk("alias", "served", "chat", "--at", "2026-11-24T03:00Z")
    assert (future.code, future.err) == (2, "pinrail: '2026-11-24T03:00Z' is still to come.\n")


# -- others who act meanwhile ---------------------------------------------------------------------


class confirming:  # noqa: N801  # reads as what it does
    """A gateway that applies every change shortly after it is made, as long as the block lasts."""

    def __init__(self, pinrail: Pinrail, name: str) -> None:
        self._pinrail, self._name = pinrail, name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_fault: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        seen = serving.current_serial(self._pinrail.store)
        while not self._stop.wait(0.01):
            newest = serving.current_serial(self._pinrail.store)
            if newest != seen:
                seen = newest
                gateway_confirms(self._pinrail, self._name)


def start_in_process(pinrail: Pinrail, *words: str) -> Callable[[], int]:
    """`pinrail` in a process of its own; what is returned waits for its exit code."""
    from tests.cli.shell import started

    process = started(*words, env={"PINRAIL_DATABASE_URL": pinrail.store.url})
    return process.wait
