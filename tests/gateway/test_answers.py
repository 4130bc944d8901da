"""What a caller gets: the provider's bytes, from the version that the headers name."""

import gzip
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.connectors import recorded_server
from core.domain.routing import AliasRoute, ProviderAddress, RouteTable, Target, Variant
from core.services.serving import load_table
from tests.connectors.sets import write_set
from tests.gateway.upstream import completion, deltas, plain, stream
from tests.gateway.world import HELLO, Running, World

PROPERTY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_a_plain_answer_is_the_provider_s_and_names_who_gave_it(gateway: Running):
    gateway.world.upstream.scripts["m-1"] = plain(completion("Hi"), 200, "x-request-id: theirs")

    answer = gateway.post()

    assert (answer.status_code, answer.content) == (200, completion("Hi"))
    assert (answer.headers["content-type"], answer.headers["x-request-id"]) == ("application/json", "theirs")
    named = {name: value for name, value in answer.headers.items() if name.startswith("x-pinrail-")}
    assert float(named.pop("x-pinrail-overhead-ms")) > 0
    assert named.pop("x-pinrail-request-id")
    assert named == {
        "x-pinrail-alias": "prod-chat",
        "x-pinrail-revision": "1",
        "x-pinrail-version": "one",
        "x-pinrail-variant": "stable",
        "x-pinrail-served-by": "gw-1",
    }


def test_no_two_requests_have_one_id(gateway: Running):
    assert len({gateway.post().headers["x-pinrail-request-id"] for _ in range(5)}) == 5


def test_the_overhead_is_the_gateway_s_time_and_not_the_provider_s(gateway: Running):
    gateway.world.upstream.scripts["m-1"] = [0.2, *plain(completion("Hi"))]

    answer = gateway.post()

    overhead_ms = float(answer.headers["x-pinrail-overhead-ms"])
    assert 0 < overhead_ms <= answer.elapsed.total_seconds() * 1000 - 200


def test_the_provider_is_asked_for_the_pinned_model_and_everything_else_stays(gateway: Running):
    gateway.post({"temperature": 0.7, "tools": [{"type": "function"}], "n": 2, "x_unknown": [1, None]})

    [seen] = gateway.world.upstream.seen
    assert seen.document == {
        "model": "m-1",
        "messages": HELLO,
        "temperature": 0.7,
        "tools": [{"type": "function"}],
        "n": 2,
        "x_unknown": [1, None],
    }


def test_a_flip_moves_prompt_and_parameters_too_and_they_win_over_the_caller_s(gateway: Running):
    gateway.stands(serial=gateway.world.flip("prod-chat", "polite").serial)

    answer = gateway.post({"temperature": 0.7})

    [seen] = gateway.world.upstream.seen
    assert seen.document["messages"] == [{"role": "system", "content": "Be polite."}, *HELLO]
    assert seen.document["temperature"] == 0
    assert {name: answer.headers[f"x-pinrail-{name}"] for name in ("revision", "version", "prompt")} == {
        "revision": "2",
        "version": "polite",
        "prompt": "polite@1",
    }


def test_the_caller_s_key_and_our_headers_stay_here_and_its_others_go_on(gateway: Running):
    gateway.post(headers={"x-pinrail-routing-key": "k", "user-agent": "shop/7", "traceparent": "00-ab-cd-01"})

    [seen] = gateway.world.upstream.seen
    assert gateway.world.key not in str(seen.headers)
    assert not [name for name in seen.headers if name.startswith("x-pinrail")]
    assert (seen.headers["user-agent"], seen.headers["traceparent"]) == ("shop/7", "00-ab-cd-01")
    assert "accept-encoding" not in seen.headers


def test_cookies_and_headers_between_neighbours_do_not_come_back(gateway: Running):
    gateway.world.upstream.scripts["m-1"] = plain(
        b"{}", 200, "set-cookie: a=b", "keep-alive: timeout=5", "x-pinrail-version: somebody else's", "x-limit: 7"
    )

    headers = gateway.post().headers

    assert (headers["x-pinrail-version"], headers["x-limit"]) == ("one", "7")
    assert not {"set-cookie", "keep-alive"} & set(headers)


def test_a_compressed_answer_passes_compressed(gateway: Running):
    zipped = gzip.compress(completion("Hi"))
    gateway.world.upstream.scripts["m-1"] = plain(zipped, 200, "content-encoding: gzip")

    with requests.post(
        f"{gateway.url}/v1/chat/completions",
        json={"model": "prod-chat", "messages": HELLO},
        headers={"Authorization": f"Bearer {gateway.world.key}"},
        stream=True,
        timeout=5,
    ) as answer:
        assert (answer.raw.read(), answer.headers["content-encoding"]) == (zipped, "gzip")


@pytest.mark.parametrize("status", [400, 401, 404, 418, 429, 500, 503])
def test_a_provider_s_own_error_passes_untouched_under_our_headers(gateway: Running, status: int):
    body = b'{"error": {"message": "as the provider says it"}}'
    gateway.world.upstream.scripts["m-1"] = plain(body, status, "retry-after: 3")

    answer = gateway.post()

    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (status, body, "3")
    assert answer.headers["x-pinrail-version"] == "one"


def test_an_empty_answer_is_an_answer(gateway: Running):
    gateway.world.upstream.scripts["m-1"] = plain(b"", 200)

    answer = gateway.post()

    assert (answer.status_code, answer.content) == (200, b"")


@PROPERTY
@given(
    chunks=st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=12),
    content_type=st.sampled_from(["text/event-stream", "application/json", "application/octet-stream"]),
)
def test_whatever_bytes_a_provider_sends_in_whatever_pieces_arrive_unchanged(
    gateway: Running, chunks: list[bytes], content_type: str
):
    gateway.world.upstream.scripts["m-1"] = stream(chunks, content_type=content_type)

    assert gateway.post().content == b"".join(chunks)


def test_a_stream_arrives_event_by_event_and_not_at_its_end(gateway: Running):
    first, *rest = deltas(["a", "b"])
    seen = threading.Event()
    gateway.world.upstream.scripts["m-1"] = [*stream([first], seen), *stream(rest)[1:]]

    events: Any = gateway.client().chat.completions.create(model="prod-chat", messages=HELLO, stream=True)

    assert next(events).choices[0].delta.content == "a"
    seen.set()
    assert len(list(events)) == 2


def test_the_real_client_gets_plain_answers(gateway: Running):
    gateway.world.upstream.scripts["m-1"] = plain(completion("Hi"))

    answer: Any = gateway.client().chat.completions.create(model="prod-chat", messages=HELLO)

    assert (answer.choices[0].message.content, answer.usage.total_tokens) == ("Hi", 10)


def test_the_real_client_gets_streams(gateway: Running):
    gateway.world.upstream.scripts["m-1"] = stream(deltas(["Hel", "lo"]))

    events: Any = gateway.client().chat.completions.create(model="prod-chat", messages=HELLO, stream=True)

    assert "".join(e.choices[0].delta.content or "" for e in events) == "Hello"


async def test_the_real_asynchronous_client_gets_both(gateway: Running):
    gateway.world.upstream.scripts["m-1"] = stream(deltas(["Hel", "lo"]))
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.world.key, max_retries=0) as client:
        events: Any = await client.chat.completions.create(model="prod-chat", messages=HELLO, stream=True)
        text = "".join([e.choices[0].delta.content or "" async for e in events])
        gateway.world.upstream.scripts["m-1"] = plain(completion("Hi"))
        answer: Any = await client.chat.completions.create(model="prod-chat", messages=HELLO)

    assert (text, answer.choices[0].message.content) == ("Hello", "Hi")


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_an_answer_through_the_gateway_is_the_one_the_provider_gives_directly(
    world: World, start: Callable[..., Running], tmp_path: Path, streamed: bool
):
    outputs = [{"prompt_id": "p0", "model": "gpt-4-0613", "output": "Bonjour, ça va?\n" * 40}]
    folder = write_set(tmp_path / "set", prompts=[{"messages": HELLO}], outputs=outputs)
    with recorded_server.running([folder]) as url:
        world.provider("recorded", f"{url}/v1")
        world.version("replayed", "gpt-4-0613", "recorded")
        world.alias("prod-replay", "replayed")
        gateway = start(world)

        body = {"messages": HELLO, "stream": streamed}
        direct = requests.post(f"{url}/v1/chat/completions", json=body | {"model": "gpt-4-0613"}, timeout=5)
        through = gateway.post(body | {"model": "prod-replay"})

    assert through.status_code == direct.status_code == 200
    assert through.content == direct.content
    assert through.headers["content-type"] == direct.headers["content-type"]


# -- variants -------------------------------------------------------------------------------------


def split(world: World, share: float) -> RouteTable:
    """Two variants behind one alias."""
    variants = (Variant("candidate", "two", share), Variant("stable", "one", 1 - share))
    return RouteTable(
        serial=1,
        aliases={"prod-chat": AliasRoute("prod-chat", 7, variants)},
        targets={v: Target(v, "acme", m) for v, m in (("one", "m-1"), ("two", "m-2"))},
        providers={"acme": ProviderAddress("acme", "recorded", world.upstream.url)},
        callers=load_table(world.store).callers,
    )


def taken(gateway: Running, body: dict[str, object] | None = None, **more: Any) -> str:
    return gateway.post(body, **more).headers["x-pinrail-variant"]


def test_a_conversation_keeps_its_variant_by_key_by_user_or_by_how_it_began(
    world: World, start: Callable[..., Running]
):
    gateway = start(world, table=split(world, 0.5))
    longer = [*HELLO, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "More"}]

    by_key = {k: {taken(gateway, headers={"x-pinrail-routing-key": k}) for _ in range(3)} for k in map(str, range(12))}
    by_user = {u: {taken(gateway, {"user": u}) for _ in range(3)} for u in map(str, range(12))}
    by_start = {
        text: {
            taken(gateway, {"messages": [{"role": "user", "content": text}]}),
            taken(gateway, {"messages": [{"role": "user", "content": text}, *longer]}),
        }
        for text in map(str, range(12))
    }

    for chosen in (by_key, by_user, by_start):
        assert {len(variants) for variants in chosen.values()} == {1}, "each keeps its variant"
        assert {v for variants in chosen.values() for v in variants} == {"stable", "candidate"}, "and both are taken"
    assert by_key == by_user, "the same key means the same road, wherever it was written"


def test_the_header_wins_over_the_user(world: World, start: Callable[..., Running]):
    gateway = start(world, table=split(world, 0.5))
    alone = {user: taken(gateway, {"user": user}) for user in map(str, range(8))}

    under_key = {taken(gateway, {"user": user}, headers={"x-pinrail-routing-key": "k"}) for user in alone}

    assert len(set(alone.values())) == 2
    assert len(under_key) == 1


def test_the_headers_name_the_variant_s_version(world: World, start: Callable[..., Running]):
    gateway = start(world, table=split(world, 1.0))

    answer = gateway.post()

    assert (answer.headers["x-pinrail-variant"], answer.headers["x-pinrail-version"]) == ("candidate", "two")
    assert json.loads(gateway.world.upstream.seen[0].body)["model"] == "m-2"
