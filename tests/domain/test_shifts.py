"""A figure that moved is called clear only when it is, and silence is neither better nor worse."""

import random

import pytest

from core.domain.shifts import Move, of_errors, of_format, of_latency
from core.domain.traffic import Counts, Failure, Outcome

FIGURES = (of_errors, of_format, of_latency)


def counts(requests: int, *, errors: int = 0, wrong_format: int = 0, latency_ms: float = 100.0) -> Counts:
    total = Counts()
    for i in range(requests):
        failure = Failure.PROVIDER if i < errors else None
        valid = None if failure else i - errors >= wrong_format
        total.note(Outcome("a", "v", "web", 0.0, latency_ms, failure, valid))
    return total


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.__name__)
def test_a_figure_without_requests_on_one_side_is_blind(figure):
    assert figure(Counts(), counts(500)).move is Move.BLIND
    assert figure(counts(500), Counts()).move is Move.BLIND
    assert figure(Counts(), Counts()).delta is None


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.__name__)
def test_the_same_traffic_twice_is_no_clear_change(figure):
    same = counts(500, errors=5, wrong_format=9)
    assert figure(same, same).move is Move.NO_CLEAR_CHANGE
    assert figure(same, same).delta == 0


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.__name__)
def test_a_handful_of_requests_never_makes_a_clear_move(figure):
    assert figure(counts(5, errors=2, wrong_format=3, latency_ms=9000), counts(500)).move is Move.NO_CLEAR_CHANGE


def test_more_errors_are_worse_and_fewer_are_better():
    good, bad = counts(1000, errors=10), counts(1000, errors=60)
    assert of_errors(bad, good).move is Move.WORSE
    assert of_errors(good, bad).move is Move.BETTER


def test_fewer_valid_formats_are_worse():
    good, bad = counts(300, wrong_format=3), counts(300, wrong_format=60)
    assert of_format(bad, good).move is Move.WORSE
    assert of_format(good, bad).move is Move.BETTER


def test_latency_moves_clearly_only_beyond_what_buckets_can_tell():
    assert of_latency(counts(200, latency_ms=300), counts(200, latency_ms=100)).move is Move.WORSE
    assert of_latency(counts(200, latency_ms=100), counts(200, latency_ms=300)).move is Move.BETTER
    assert of_latency(counts(200, latency_ms=101), counts(200, latency_ms=100)).move is Move.NO_CLEAR_CHANGE


def test_callers_own_mistakes_are_no_errors_of_the_version():
    noisy = counts(100)
    noisy.failures[Failure.CALLER] = 50
    noisy.requests += 50
    assert of_errors(noisy, counts(100)).now == 0


def test_two_equal_error_rates_are_called_different_in_about_one_comparison_of_a_hundred():
    rng = random.Random(20261124)

    def hits(n: int) -> int:
        return sum(rng.random() < 0.05 for _ in range(n))

    def sample(n: int) -> Counts:
        return Counts(requests=n, failures={Failure.PROVIDER.value: hits(n)})

    alarms = sum(of_errors(sample(300), sample(600)).move is not Move.NO_CLEAR_CHANGE for _ in range(1000))
    assert alarms / 1000 <= 0.02
