"""A receipt: which gateways route by a revision, in words that promise nothing too early."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from core.domain.receipts import LIVE_FOR, Receipt, Replica, drawn_up

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


def test_a_gateway_that_started_later_began_with_it():
    later = gateway("gw-1", started_at=AT + timedelta(minutes=5), seen_at=AT + timedelta(minutes=5))
    drawn = receipt(later, applied={"id-gw-1": AT + timedelta(minutes=5)}, now=AT + timedelta(minutes=5))
    assert drawn.slowest_ms == 0


def test_clocks_that_disagree_never_give_negative_times():
    drawn = receipt(gateway("gw-1"), applied={"id-gw-1": AT - 5 * MS})
    assert drawn.slowest_ms == 0
