"""A receipt: which gateways route by a revision, in words that promise nothing too early."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.domain.receipts import DOUBTED_FOR, LIVE_FOR, Receipt, Replica, drawn_up

AT = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def gateway(name: str, **known) -> Replica:
    start = Replica(f"id-{name}", name, AT - timedelta(hours=1), AT, None, 0)
    return replace(start, **known)


def receipt(*replicas: Replica, applied: dict[str, datetime], now: datetime = AT + timedelta(seconds=1)) -> Receipt:
    return drawn_up(
        alias="prod", revision=4, version="b", committed_at=AT, replicas=replicas, applied_at=applied, now=now
    )


def test_a_receipt_is_complete_when_every_live_gateway_confirmed():
    drawn = receipt(gateway("gw-1"), gateway("gw-2"), applied={"id-gw-1": AT + 12 * MS, "id-gw-2": AT + 41 * MS})
    assert drawn.complete
    assert drawn.slowest_ms == 41
    assert drawn.sentence == "Revision 4 is in force at 2 of 2 gateways after 41 ms: b."


def test_a_late_gateway_is_named_and_nothing_is_complete_before_it():
    drawn = receipt(gateway("gw-2"), gateway("gw-1"), applied={"id-gw-1": AT + 12 * MS})
    assert not drawn.complete
    assert drawn.sentence == "Revision 4 is in force at 1 of 2 gateways after 12 ms; not yet confirmed: gw-2."


def test_without_any_gateway_nothing_is_in_force():
    drawn = receipt(applied={})
    assert not drawn.complete
    assert drawn.slowest_ms is None
    assert drawn.sentence == "Stored as revision 4. No gateway is running, so nothing serves it yet."


def test_a_gateway_that_stopped_or_fell_silent_is_not_waited_for():
    stopped = gateway("gw-1", stopped_at=AT)
    silent = gateway("gw-2", seen_at=AT - LIVE_FOR)
    drawn = receipt(stopped, silent, gateway("gw-3"), applied={"id-gw-3": AT + MS})
    assert (drawn.complete, drawn.gateways) == (True, 1)


def test_a_gateway_that_fell_silent_is_named_because_it_may_serve_on_without_the_store():
    silent = gateway("gw-2", seen_at=AT - LIVE_FOR)
    drawn = receipt(silent, gateway("gw-3"), applied={"id-gw-3": AT + MS})
    assert drawn.silent == ("gw-2",)
    assert drawn.sentence == (
        "Revision 4 is in force at 1 of 1 gateways after 1 ms: b. "
        "Nothing is heard of gw-2: what still runs there serves an earlier revision."
    )


def test_when_nothing_is_heard_of_any_gateway_nobody_says_that_none_is_running():
    drawn = receipt(gateway("gw-1", seen_at=AT - LIVE_FOR), applied={})
    assert (drawn.complete, drawn.gateways) == (False, 0)
    assert drawn.sentence == (
        "Stored as revision 4. No gateway has confirmed it. "
        "Nothing is heard of gw-1: what still runs there serves an earlier revision."
    )


NOT_DOUBTED = {
    "it took leave": gateway("gw-2", seen_at=AT - LIVE_FOR, stopped_at=AT - LIVE_FOR),
    "it is long gone": gateway("gw-2", seen_at=AT - DOUBTED_FOR),
    "it confirmed before it fell silent": gateway("gw-2", id="id-confirmed", seen_at=AT - LIVE_FOR),
    "it was heard of a moment ago, and is waited for": gateway("gw-2"),
}


@pytest.mark.parametrize("other", NOT_DOUBTED.values(), ids=NOT_DOUBTED)
def test_a_gateway_is_not_doubted_if(other: Replica):
    drawn = receipt(other, gateway("gw-3"), applied={"id-gw-3": AT + MS, "id-confirmed": AT})
    assert (drawn.silent, drawn.doubt) == ((), "")


@pytest.mark.parametrize("still", [{}, {"stopped_at": AT}])
def test_a_gateway_that_was_killed_is_not_doubted_once_another_was_started_under_its_name(still: dict[str, datetime]):
    killed = gateway("gw-2", id="killed", seen_at=AT - 2 * LIVE_FOR)
    again = gateway("gw-2", id="again", started_at=AT - LIVE_FOR, **still)
    assert receipt(again, killed, applied={"again": AT + MS}).silent == ()


def test_of_two_gateways_that_were_given_one_name_the_silent_one_is_still_doubted():
    silent = gateway("gw-2", id="silent", seen_at=AT - LIVE_FOR)
    other = gateway("gw-2", id="other", started_at=AT - timedelta(minutes=30))
    assert receipt(other, silent, applied={"other": AT + MS}).silent == ("gw-2",)


def test_a_gateway_that_started_later_began_with_it():
    later = gateway("gw-1", started_at=AT + timedelta(minutes=5), seen_at=AT + timedelta(minutes=5))
    drawn = receipt(later, applied={"id-gw-1": AT + timedelta(minutes=5)}, now=AT + timedelta(minutes=5))
    assert drawn.slowest_ms == 0


def test_clocks_that_disagree_never_give_negative_times():
    drawn = receipt(gateway("gw-1"), applied={"id-gw-1": AT - 5 * MS})
    assert drawn.slowest_ms == 0
