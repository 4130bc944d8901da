"""Asking a provider: its bytes come through untouched, its faults come out in our words."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.connectors.openai_compatible import NEVER_SENT_ON, OpenAICompatible, Patience
from core.domain.routing import ProviderAddress
from core.errors import MissingSecret, ProviderFailed, ProviderTimeout
from core.ports import Answer
from tests.gateway import upstream as wire
from tests.gateway.upstream import Then, Upstream, chunked, head, plain, stream

BODY = b'{"model": "m-1", "messages": []}'


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with wire.running() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[OpenAICompatible]:
    made = OpenAICompatible(Patience(connect_s=1, answer_s=0.4, idle_s=0.2))
    yield made
    await made.close()


def at(upstream: Upstream, secret_env: str | None = None) -> ProviderAddress:
    return ProviderAddress("acme", "openai_compatible", upstream.url, secret_env)


async def whole(client: OpenAICompatible, provider: ProviderAddress, body: bytes = BODY) -> bytes:
    answer = await client.ask(provider, body, {})
    return b"".join([chunk async for chunk in answer.chunks()])


async def read_into(arrived: list[bytes], answer: Answer) -> None:
    """As a list comprehension, but what came before a fault is not lost."""
    async for chunk in answer.chunks():
        arrived.append(chunk)  # noqa: PERF401


async def test_the_body_goes_to_chat_completions_as_it_is(upstream: Upstream, client: OpenAICompatible):
    upstream.scripts["m-1"] = plain(b'{"yes": 1}', 200, "x-request-id: r-7")

    answer = await client.ask(at(upstream), BODY, {})

    assert (answer.status, answer.headers["X-Request-Id"]) == (200, "r-7")
    assert [chunk async for chunk in answer.chunks()] == [b'{"yes": 1}']
    assert (upstream.seen[0].path, upstream.seen[0].body) == ("/v1/chat/completions", BODY)


async def test_a_base_url_may_end_with_a_slash(upstream: Upstream, client: OpenAICompatible):
    provider = ProviderAddress("acme", "openai_compatible", upstream.url + "/")

    assert await whole(client, provider) == b"{}"
    assert upstream.seen[0].path == "/v1/chat/completions"


async def test_a_caller_s_headers_go_on_without_those_between_neighbours_and_without_its_key(
    upstream: Upstream, client: OpenAICompatible
):
    kept = {"user-agent": "OpenAI/Python 3", "x-stainless-retry-count": "1", "traceparent": "00-ab-cd-01"}
    private = dict.fromkeys(NEVER_SENT_ON - {"connection"}, "private")

    await client.ask(at(upstream), BODY, kept | private | {"Connection": "close, X-Between-Us", "x-between-us": "1"})

    seen = upstream.seen[0].headers
    assert {name: seen[name] for name in kept} == kept
    assert "private" not in seen.values()
    assert set(seen) == {*kept, "host", "content-length", "content-type"}


async def test_no_encoding_is_asked_for_and_a_compressed_answer_stays_compressed(
    upstream: Upstream, client: OpenAICompatible
):
    zipped = gzip.compress(b'{"yes": 1}')
    upstream.scripts["m-1"] = plain(zipped, 200, "content-encoding: gzip")

    assert await whole(client, at(upstream)) == zipped
    assert "accept-encoding" not in upstream.seen[0].headers


async def test_the_secret_is_read_when_asking_so_a_new_one_counts_at_once(
    upstream: Upstream, client: OpenAICompatible, monkeypatch: pytest.MonkeyPatch
):
    for secret in ("first", "second\n"):
        monkeypatch.setenv("ACME_KEY", secret)
        await whole(client, at(upstream, "ACME_KEY"))

    assert [seen.headers["authorization"] for seen in upstream.seen] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("value", [None, "", "  "])
async def test_an_unset_secret_is_named_and_nobody_is_asked(
    upstream: Upstream, client: OpenAICompatible, monkeypatch: pytest.MonkeyPatch, value: str | None
):
    monkeypatch.delenv("ACME_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("ACME_KEY", value)

    with pytest.raises(MissingSecret, match="acme needs a key from the environment variable ACME_KEY"):
        await client.ask(at(upstream, "ACME_KEY"), BODY, {})
    assert upstream.seen == []


async def test_what_pinrail_keeps_in_its_own_variables_is_sent_to_nobody(
    upstream: Upstream, client: OpenAICompatible, monkeypatch: pytest.MonkeyPatch
):
    """Whoever may register a provider could otherwise have the store's password sent to an address of their own."""
    monkeypatch.setenv("PINRAIL_DATABASE_URL", "postgresql://ann:s3cret-word@db/pinrail")

    with pytest.raises(MissingSecret, match="which is Pinrail's own") as refusal:
        await client.ask(at(upstream, "PINRAIL_DATABASE_URL"), BODY, {})
    assert upstream.seen == []
    assert "s3cret-word" not in str(refusal.value)


async def test_an_error_status_is_an_answer(upstream: Upstream, client: OpenAICompatible):
    upstream.scripts["m-1"] = plain(b'{"error": {}}', 429, "retry-after: 3")

    answer = await client.ask(at(upstream), BODY, {})

    assert (answer.status, answer.headers["retry-after"]) == (429, "3")
    assert b"".join([chunk async for chunk in answer.chunks()]) == b'{"error": {}}'


async def test_a_redirect_is_not_followed_with_a_key_in_hand(upstream: Upstream, client: OpenAICompatible):
    upstream.scripts["m-1"] = plain(b"", 302, "location: http://127.0.0.1:1/elsewhere")

    assert (await client.ask(at(upstream), BODY, {})).status == 302
    assert len(upstream.seen) == 1


PROPERTY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@PROPERTY
@given(chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=12))
def test_the_bytes_of_an_answer_come_through_in_whatever_pieces_they_are_sent(upstream: Upstream, chunks: list[bytes]):
    upstream.scripts["m-1"] = stream(chunks)

    async def ask() -> bytes:
        client = OpenAICompatible()
        try:
            return await whole(client, at(upstream))
        finally:
            await client.close()

    assert asyncio.run(ask()) == b"".join(chunks)


# -- faults ---------------------------------------------------------------------------------------

BEFORE = {
    "silent": ([Then.HANG], ProviderTimeout, "did not answer within 0.4 s"),
    "closing at once": ([Then.CLOSE], ProviderFailed, "closed the connection without an answer"),
    "resetting at once": ([Then.RESET], ProviderFailed, "could not be asked|closed the connection"),
    "not speaking HTTP": ([b"SSH-2.0-OpenSSH_9\r\n\r\n", Then.CLOSE], ProviderFailed, "could not be asked"),
    "breaking off in its headers": ([b"HTTP/1.1 200 OK\r\ncontent-le", Then.CLOSE], ProviderFailed, "acme"),
    "dripping its headers": (
        [b"HTTP/1.1 200 OK\r\n", *[0.1, b"x-more: 1\r\n"] * 20, Then.CLOSE],
        ProviderTimeout,
        "did not answer within 0.4 s",
    ),
}


@pytest.mark.parametrize(("script", "kind", "words"), BEFORE.values(), ids=BEFORE)
async def test_a_fault_before_the_answer_comes_out_in_our_words_with_its_cause(
    upstream: Upstream, client: OpenAICompatible, script: wire.Script, kind: type[ProviderFailed], words: str
):
    upstream.scripts["m-1"] = script

    with pytest.raises(kind, match=words) as raised:
        await client.ask(at(upstream), BODY, {})

    assert type(raised.value) is kind
    assert raised.value.__cause__ is not None
    assert len(upstream.seen) == 1, "a failure on a fresh connection is not tried again"


DURING = {
    "falling silent": (stream([b"begun"], Then.HANG), ProviderTimeout, "fell silent for 0.2 s"),
    "closing in a chunked answer": (stream([b"begun"], Then.CLOSE), ProviderFailed, "broke its answer off"),
    "resetting": (stream([b"begun"], 0.05, Then.RESET), ProviderFailed, "acme"),
    "closing in a counted answer": (
        [head(200, "content-length: 9"), b"begun", Then.CLOSE],
        ProviderFailed,
        "broke its",
    ),
    "miscounting a chunk": (stream([b"begun"], 0.05, b"zz\r\n\r\n", Then.CLOSE), ProviderFailed, "acme"),
}


@pytest.mark.parametrize(("script", "kind", "words"), DURING.values(), ids=DURING)
async def test_a_fault_during_the_answer_comes_after_the_bytes_that_arrived(
    upstream: Upstream, client: OpenAICompatible, script: wire.Script, kind: type[ProviderFailed], words: str
):
    upstream.scripts["m-1"] = script
    answer = await client.ask(at(upstream), BODY, {})
    arrived: list[bytes] = []

    with pytest.raises(kind, match=words) as raised:
        await read_into(arrived, answer)

    assert b"".join(arrived) == b"begun"
    assert type(raised.value) is kind
    assert raised.value.__cause__ is not None


async def test_a_slow_answer_is_not_a_silent_one(upstream: Upstream, client: OpenAICompatible):
    pieces: list[wire.Step] = []
    for _ in range(6):
        pieces += [0.1, chunked(b"tick")]
    upstream.scripts["m-1"] = stream([], *pieces, b"0\r\n\r\n")

    assert await whole(client, at(upstream)) == b"tick" * 6


async def test_nobody_listening_is_said_with_the_address(client: OpenAICompatible):
    nobody = ProviderAddress("acme", "openai_compatible", "http://127.0.0.1:1/v1")

    with pytest.raises(ProviderFailed, match=r"acme could not be reached: .*127\.0\.0\.1:1") as raised:
        await client.ask(nobody, BODY, {})
    assert isinstance(raised.value.__cause__, aiohttp.ClientConnectorError)


@pytest.mark.parametrize("base_url", ["not an address", "ftp://127.0.0.1/v1", "http://"])
async def test_an_address_that_cannot_be_asked_is_a_failure_of_the_provider(client: OpenAICompatible, base_url: str):
    with pytest.raises(ProviderFailed, match="acme could not be asked"):
        await client.ask(ProviderAddress("acme", "openai_compatible", base_url), BODY, {})


async def test_a_pooled_connection_that_was_closed_just_now_is_replaced_without_anybody_noticing(
    upstream: Upstream, client: OpenAICompatible
):
    # Each answer is followed by a close only once the next request has been read: the client cannot have known.
    upstream.scripts["m-1"] = plain(b"{}")
    assert await whole(client, at(upstream)) == b"{}"
    pooled = upstream.seen[0].connection
    upstream.closing_once.add(pooled)

    assert await whole(client, at(upstream)) == b"{}"

    assert [seen.connection == pooled for seen in upstream.seen] == [True, True, False]


async def test_connections_are_used_again(upstream: Upstream, client: OpenAICompatible):
    for _ in range(3):
        await whole(client, at(upstream))

    assert len({seen.connection for seen in upstream.seen}) == 1


async def test_closing_an_answer_hangs_up_on_the_provider(upstream: Upstream, client: OpenAICompatible):
    upstream.scripts["m-1"] = stream([b"begun"], Then.HANG)
    answer = await client.ask(at(upstream), BODY, {})

    await answer.close()
    await answer.close()

    assert await asyncio.to_thread(upstream.gone.acquire, timeout=2)
