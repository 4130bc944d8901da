"""When a version gives no answer, the next of its chain is asked, and both outcomes are told truly."""

from collections.abc import Callable

import pytest

from core.domain.traffic import Failure
from tests.gateway import upstream as wire
from tests.gateway.upstream import Then, completion, deltas, plain, stream
from tests.gateway.world import Running, World

NO_ANSWER = {
    "hangs up": ([Then.CLOSE], Failure.UNREACHABLE),
    "resets the connection": ([Then.RESET], Failure.UNREACHABLE),
    "stays silent": ([Then.HANG], Failure.TIMEOUT),
    "sends headers and then hangs up": (stream([], Then.CLOSE), Failure.UNREACHABLE),
    "sends headers and then stays silent": (stream([], Then.HANG), Failure.TIMEOUT),
    "fails with 500": (plain(b"{}", 500), Failure.PROVIDER),
    "fails with 503": (plain(b"{}", 503), Failure.PROVIDER),
    "times out by itself": (plain(b"{}", 504), Failure.TIMEOUT),
    "refuses more requests": (plain(b"{}", 429), Failure.RATE_LIMITED),
}


@pytest.fixture
def chained(world: World, start: Callable[..., Running]) -> Running:
    """``prod-safe`` on version one, with two and then three behind it."""
    world.alias("prod-safe", "one", "two", "three")
    world.upstream.scripts |= {"m-2": plain(completion("two")), "m-3": plain(completion("three"))}
    return start(world, answer_timeout_s=0.3, idle_timeout_s=0.3)


@pytest.mark.parametrize(("script", "failure"), NO_ANSWER.values(), ids=NO_ANSWER)
def test_a_version_that_gives_no_answer_is_replaced_and_its_failure_counted_against_it(
    chained: Running, script: wire.Script, failure: Failure
):
    chained.world.upstream.scripts["m-1"] = script

    answer = chained.post({"model": "prod-safe"})

    assert (answer.status_code, answer.content) == (200, completion("two"))
    assert {name: answer.headers[f"x-pinrail-{name}"] for name in ("alias", "revision", "variant", "version")} == {
        "alias": "prod-safe",
        "revision": "1",
        "variant": "fallback",
        "version": "two",
    }
    failed = chained.counts("one", "prod-safe")
    answered = chained.counts("two", "prod-safe")
    assert (failed.requests, failed.failures, failed.fell_back) == (1, {failure: 1}, 0)
    assert (answered.requests, answered.failures, answered.fell_back) == (1, {}, 1)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 422])
def test_any_other_answer_stands(chained: Running, status: int):
    chained.world.upstream.scripts["m-1"] = plain(b'{"from": "one"}', status)

    answer = chained.post({"model": "prod-safe"}, allow_redirects=False)

    assert (answer.status_code, answer.content) == (status, b'{"from": "one"}')
    assert (answer.headers["x-pinrail-variant"], answer.headers["x-pinrail-version"]) == ("stable", "one")
    assert len(chained.world.upstream.seen) == 1


def test_the_chain_is_tried_in_its_order_with_each_version_s_own_bundle(world: World, start: Callable[..., Running]):
    world.alias("prod-safe", "one", "polite", "three")
    world.upstream.scripts |= {"m-1": plain(b"{}", 500), "m-3": plain(completion("three"))}

    answer = start(world).post({"model": "prod-safe", "temperature": 0.7})

    assert answer.headers["x-pinrail-version"] == "three"
    assert "x-pinrail-prompt" not in answer.headers
    first, second, third = (seen.document for seen in world.upstream.seen)
    assert [d["model"] for d in (first, second, third)] == ["m-1", "m-1", "m-3"]
    assert [d["temperature"] for d in (first, second, third)] == [0.7, 0, 0.7]
    assert [len(d["messages"]) for d in (first, second, third)] == [1, 2, 1]


def test_when_all_fail_the_last_answer_stands(chained: Running):
    scripts = {"m-1": [Then.CLOSE], "m-2": plain(b"two", 500), "m-3": plain(b"three", 429, "retry-after: 9")}
    chained.world.upstream.scripts |= scripts

    answer = chained.post({"model": "prod-safe"})

    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (429, b"three", "9")
    assert (answer.headers["x-pinrail-variant"], answer.headers["x-pinrail-version"]) == ("fallback", "three")
    assert chained.counts("three", "prod-safe").failures == {Failure.RATE_LIMITED: 1}


def test_when_all_fail_and_the_last_one_without_an_answer_the_refusal_tells_of_each(chained: Running):
    chained.world.upstream.scripts |= {"m-1": plain(b"one", 503), "m-2": [Then.HANG], "m-3": [Then.CLOSE]}

    answer = chained.post({"model": "prod-safe"})

    assert answer.status_code == 502
    assert answer.json()["error"]["message"] == (
        "acme closed the connection without an answer. "
        "Before that, one answered with status 503; two: acme did not answer within 0.3 s."
    )
    assert answer.headers["x-pinrail-version"] == "three"


def test_a_version_whose_secret_is_not_set_is_replaced_too(world: World, start: Callable[..., Running]):
    world.provider("secretive", world.upstream.url, "NO_SUCH_KEY_IN_TESTS")
    world.version("four", "m-4", "secretive")
    world.alias("prod-safe", "four", "two")

    assert start(world).post({"model": "prod-safe"}).headers["x-pinrail-version"] == "two"


def test_after_the_first_byte_of_a_stream_nobody_else_is_asked(chained: Running):
    chained.world.upstream.scripts["m-1"] = stream(deltas(["begun"])[:1], Then.CLOSE)

    answer = chained.post({"model": "prod-safe", "stream": True})

    assert answer.headers["x-pinrail-version"] == "one"
    assert len(chained.world.upstream.seen) == 1
    assert chained.counts("one", "prod-safe").failures == {Failure.CUT: 1}


def test_the_time_of_failed_tries_is_not_the_gateway_s_overhead(chained: Running):
    chained.world.upstream.scripts["m-1"] = [Then.HANG]

    answer = chained.post({"model": "prod-safe"})

    overhead_ms = float(answer.headers["x-pinrail-overhead-ms"])
    assert 0 < overhead_ms <= answer.elapsed.total_seconds() * 1000 - 300
