"""What goes wrong in the middle: cut answers, and callers who leave."""

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
import requests

from core.domain.traffic import Failure
from tests.gateway import upstream as wire
from tests.gateway.upstream import Then, chunked, completion, deltas, event, head, plain, stream
from tests.gateway.world import HELLO, Running, World, eventually

BEGUN = deltas(["Once upon"])[:1]
CUTS = {
    "hangs up": (Then.CLOSE, "provider_failed", "acme broke its answer off"),
    "resets": (Then.RESET, "provider_failed", "acme"),
    "falls silent": (Then.HANG, "provider_timeout", "acme fell silent for 0.3 s"),
}


@pytest.fixture
def hasty(world: World, start: Callable[..., Running]) -> Running:
    """A gateway that soon loses patience."""
    return start(world, idle_timeout_s=0.3)


@pytest.mark.parametrize(("then", "code", "words"), CUTS.values(), ids=CUTS)
def test_a_stream_that_breaks_off_ends_with_an_error_event(hasty: Running, then: Then, code: str, words: str):
    hasty.world.upstream.scripts["m-1"] = stream(BEGUN, 0.05, then)

    answer = hasty.post({"stream": True})

    assert answer.status_code == 200
    assert answer.content.startswith(BEGUN[0])
    last = answer.content[len(BEGUN[0]) :]
    assert last.startswith(b"data: ")
    assert last.endswith(b"\n\n")
    error = json.loads(last[6:])["error"]
    assert (error["code"], error["type"]) == (code, "provider_error")
    assert words in error["message"]
    assert hasty.counts().failures == {Failure.CUT: 1}


def test_an_error_event_does_not_stick_to_half_an_event(hasty: Running):
    half = BEGUN[0][:20]
    hasty.world.upstream.scripts["m-1"] = stream([half], 0.05, Then.CLOSE)

    events = hasty.post({"stream": True}).content.split(b"\n\n")

    assert events[0] == half
    assert json.loads(events[1].removeprefix(b"data: "))["error"]["code"] == "provider_failed"


def test_the_real_client_raises_when_a_stream_breaks_off(hasty: Running):
    hasty.world.upstream.scripts["m-1"] = stream(BEGUN, 0.05, Then.CLOSE)
    events: Any = hasty.client().chat.completions.create(model="prod-chat", messages=HELLO, stream=True)

    assert next(events).choices[0].delta.content == "Once upon"
    with pytest.raises(openai.APIError, match="acme broke its answer off"):
        next(events)


PLAIN_CUTS = {
    "of announced length": [
        head(200, "content-type: application/json", "content-length: 99"),
        b'{"id"',
        0.05,
        Then.CLOSE,
    ],
    "in chunks": stream([b'{"id"'], 0.05, Then.CLOSE, content_type="application/json"),
    "that falls silent": [head(200, "content-type: application/json", "content-length: 99"), b'{"id"', Then.HANG],
    "that stops making sense": stream([b'{"id"'], 0.05, b"zz\r\n", Then.CLOSE, content_type="application/json"),
}


@pytest.mark.parametrize("script", PLAIN_CUTS.values(), ids=PLAIN_CUTS)
def test_a_plain_answer_that_breaks_off_is_cut_and_never_looks_whole(hasty: Running, script: wire.Script):
    hasty.world.upstream.scripts["m-1"] = script

    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        hasty.post()
    assert hasty.counts().failures == {Failure.CUT: 1}


# -- callers who leave ----------------------------------------------------------------------------

TICKING: list[wire.Step] = [chunked(b"data: {}\n\n"), 0.02]
LEAVING = {
    "before the answer begins": [Then.HANG],
    "in the middle of a stream": stream(BEGUN, Then.HANG),
    "in the middle of a stream that goes on": stream([], *TICKING * 400),
}


@pytest.mark.parametrize("script", LEAVING.values(), ids=LEAVING)
def test_a_caller_who_leaves_ends_the_provider_s_work_and_is_no_provider_s_error(gateway: Running, script: wire.Script):
    upstream = gateway.world.upstream
    upstream.scripts["m-1"] = [*script, Then.HANG] if script[-1] is not Then.HANG else script
    caller = caller_of(gateway)
    eventually(lambda: upstream.seen, "the provider was asked")

    caller.close()

    assert upstream.gone.acquire(timeout=5), "the provider was let go of"
    counts = gateway.counts()
    assert (counts.requests, counts.failures, counts.errors) == (1, {Failure.CALLER: 1}, 0)
    assert counts.error_rate is None


def test_a_caller_who_leaves_while_sending_is_nobody_s_failure(gateway: Running):
    caller = caller_of(gateway, announced=10_000)

    caller.close()

    gateway.post()
    assert gateway.counts().requests == 1
    assert len(gateway.world.upstream.seen) == 1


def caller_of(gateway: Running, announced: int | None = None) -> socket.socket:
    """A caller that has sent its request and reads nothing yet."""
    body = json.dumps({"model": "prod-chat", "messages": HELLO, "stream": True}).encode()
    address = urlsplit(gateway.url)
    caller = socket.create_connection((address.hostname, address.port))
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "host: gateway",
        f"authorization: Bearer {gateway.world.key}",
        f"content-length: {announced or len(body)}",
        "",
        "",
    ]
    caller.sendall("\r\n".join(lines).encode() + body)
    return caller


# -- what counts as what --------------------------------------------------------------------------

STATUSES = {
    200: None,
    400: Failure.CALLER,
    413: Failure.CALLER,
    422: Failure.CALLER,
    401: Failure.PROVIDER,
    403: Failure.PROVIDER,
    404: Failure.PROVIDER,
    408: Failure.TIMEOUT,
    429: Failure.RATE_LIMITED,
    500: Failure.PROVIDER,
    504: Failure.TIMEOUT,
}


@pytest.mark.parametrize(("status", "failure"), STATUSES.items())
def test_an_answer_counts_as_what_its_status_says(gateway: Running, status: int, failure: Failure | None):
    gateway.world.upstream.scripts["m-1"] = plain(b"{}", status)

    gateway.post()

    assert gateway.counts().failures == ({failure: 1} if failure else {})


def test_a_good_status_with_an_error_in_it_is_an_error(gateway: Running):
    gateway.world.upstream.scripts["m-1"] = stream([*BEGUN, event({"error": {"message": "overloaded"}})])

    gateway.post({"stream": True})

    assert gateway.counts().failures == {Failure.PROVIDER: 1}


def test_a_good_answer_is_counted_with_its_latency_tokens_and_caller(gateway: Running):
    gateway.world.upstream.scripts["m-1"] = [0.05, *plain(completion("Hi", prompt_tokens=11, completion_tokens=5))]

    gateway.post()

    counts = gateway.counts()
    assert (counts.requests, counts.failures, counts.callers) == (1, {}, {"shop": 1})
    assert (counts.input_tokens, counts.output_tokens) == (11, 5)
    assert counts.latency_sum_ms >= 50
    assert counts.format_checked == 0, "no format was asked for"


def test_a_stream_s_tokens_and_format_are_counted_too(gateway: Running):
    events = deltas(['{"a"', ": 1}"], usage={"prompt_tokens": 4, "completion_tokens": 2})
    gateway.world.upstream.scripts["m-1"] = stream(events)

    gateway.post({"stream": True, "response_format": {"type": "json_object"}})

    counts = gateway.counts()
    assert (counts.input_tokens, counts.output_tokens) == (4, 2)
    assert (counts.format_checked, counts.format_valid) == (1, 1)


def test_a_format_set_by_the_version_is_checked_like_one_set_by_the_caller(gateway: Running):
    world = gateway.world
    world.version("strict", "m-1", parameters={"response_format": {"type": "json_object"}})
    gateway.stands(serial=world.flip("prod-chat", "strict").serial)
    world.upstream.scripts["m-1"] = plain(completion("Sure! Here is your JSON: {}"))

    gateway.post()

    counts = gateway.counts("strict")
    assert (counts.format_checked, counts.format_valid, counts.failures) == (1, 0, {})
