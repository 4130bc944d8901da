"""Counts of requests: they add up in any order, stay within the promised precision, and are blind on nothing."""

import math
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, timezone

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from core.domain.traffic import BOUNDS_MS, WINDOW, Counts, Failure, Outcome, added, window_start

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OUTCOMES = st.builds(
    Outcome,
    alias=st.just("prod"),
    version=st.just("a"),
    caller=st.sampled_from(["web", "batch"]),
    at=st.just(0.0),
    latency_ms=st.integers(0, 200_000).map(float),
    failure=st.none() | st.sampled_from(Failure),
    format_valid=st.none() | st.booleans(),
    input_tokens=st.integers(0, 1000),
    output_tokens=st.integers(0, 1000),
    fell_back=st.booleans(),
)
SOME = st.lists(OUTCOMES, max_size=12)


def counted(outcomes: list[Outcome]) -> Counts:
    counts = Counts()
    for outcome in outcomes:
        counts.note(outcome)
    return counts


@given(one=SOME, other=SOME, third=SOME)
@settings(max_examples=60, deadline=None)
def test_counts_add_up_in_any_order_and_as_if_counted_at_once(one, other, third):
    a, b, c = counted(one), counted(other), counted(third)
    assert a + b == b + a
    assert (a + b) + c == a + (b + c) == added([c, a, b]) == counted(one + other + third)
    assert a + Counts() == a


@given(one=SOME, other=SOME)
@settings(max_examples=30, deadline=None)
def test_adding_leaves_both_parts_as_they_were(one, other):
    a, b = counted(one), counted(other)
    before = (asdict(a), asdict(b))
    added([a, b])
    assert (asdict(a), asdict(b)) == before


@given(
    latencies=st.lists(st.floats(0.0, 100_000.0), min_size=1, max_size=200),
    share=st.sampled_from([0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 1.0]),
)
@settings(max_examples=200, deadline=None)
def test_a_percentile_is_within_a_third_of_the_true_value_or_within_a_millisecond(latencies, share):
    counts = counted([Outcome("prod", "a", "web", 0.0, latency_ms=ms) for ms in latencies])
    true = sorted(latencies)[math.ceil(share * len(latencies)) - 1]
    read = counts.latency_ms(share)
    assert read is not None
    if true <= 1:
        assert 0 <= read <= 1
    else:
        assert true / 1.334 <= read <= true * 1.334


def test_what_is_slower_than_all_buckets_reads_as_slower_than_all_buckets():
    counts = counted([Outcome("prod", "a", "web", 0.0, latency_ms=1e9)])
    assert (counts.latency_ms(0.5) or 0) > BOUNDS_MS[-1]


def test_nothing_is_blind_and_never_good():
    nothing = added([])
    assert nothing.error_rate is None
    assert nothing.format_validity is None
    assert nothing.latency_ms(0.5) is None
    assert nothing.requests == 0


def test_only_refused_callers_tell_nothing_about_the_version():
    counts = counted([Outcome("prod", "a", "web", 0.0, 1.0, failure=Failure.CALLER)] * 3)
    assert counts.error_rate is None
    assert counts.latency_ms(0.5) is None
    assert counts.requests == 3


@pytest.mark.parametrize("failure", [f for f in Failure if f is not Failure.CALLER])
def test_every_other_failure_is_an_error(failure):
    counts = counted([Outcome("prod", "a", "web", 0.0, 1.0, failure=failure), Outcome("prod", "a", "web", 0.0, 1.0)])
    assert counts.error_rate == 0.5
    assert counts.answered == 1


def test_a_refusal_does_not_flatter_the_latency():
    counts = counted(
        [
            Outcome("prod", "a", "web", 0.0, 1.0, failure=Failure.RATE_LIMITED),
            Outcome("prod", "a", "web", 0.0, 1000.0),
        ]
    )
    assert (counts.latency_ms(0.01) or 0) > 700


def test_format_counts_only_where_one_was_asked_for():
    counts = counted(
        [Outcome("prod", "a", "web", 0.0, 1.0, format_valid=valid) for valid in (True, False, None, None)],
    )
    assert (counts.format_checked, counts.format_validity) == (2, 0.5)


@given(at=st.integers(0, 5_000_000_000_000_000).map(lambda us: EPOCH + timedelta(microseconds=us)))
def test_a_window_holds_its_moment_and_starts_at_a_whole_multiple(at):
    start = window_start(at)
    assert start <= at < start + WINDOW
    assert start.timestamp() % WINDOW.total_seconds() == 0
    assert window_start(start) == start
    assert window_start(at.astimezone(timezone(timedelta(hours=5, minutes=45)))) == start
