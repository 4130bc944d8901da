"""The recorded provider answers real clients with the recording, byte for byte, and fails when it is told to."""

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from core.connectors.recorded_answers import Answer, paced, pieces_of
from core.connectors.recorded_behaviour import Behaviour, Behaviours, Fate, Outcome, changed, merged
from core.connectors.recorded_server import provider, running
from core.connectors.recordings import Take, ToolCall
from core.errors import BadRecording, CannotStart, InvalidInput
from tests.connectors.sets import BFCL, HELLO, LLMDRIFT, TOOLS, WEATHER, rows_of, write_set

ROOT = Path(__file__).parents[2]
GREETING = "Good morning!\n\n  How can I help — with an order, or a return? 🧺 "
CALL = {"name": "weather", "arguments": '{"city": "Ghent", "unit": "celsius"}'}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    return write_set(
        tmp_path_factory.mktemp("recordings") / "small",
        prompts=[{"messages": HELLO}, {"messages": WEATHER, "tools": TOOLS}],
        outputs=[
            {"prompt_id": "p0", "model": "calm@1", "output": GREETING},
            {"prompt_id": "p1", "model": "calm@1", "output": "", "tool_calls": [CALL], "input_tokens": 61},
            {"prompt_id": "p0", "model": "moody@1", "output": "Hello."},
            {"prompt_id": "p0", "model": "twice@1", "run": "noon", "output": "Good day."},
            {"prompt_id": "p0", "model": "twice@1", "run": "dusk", "output": "Good evening."},
            {"prompt_id": "p0", "model": "lost@1", "error": "the disk was full"},
        ],
    )


@pytest.fixture(scope="module")
def url(folder) -> Iterator[str]:
    with running([folder]) as url:
        yield url


@pytest.fixture(autouse=True)
def put_back(url: str) -> Iterator[None]:
    yield
    requests.delete(f"{url}/_recorded/behaviour", timeout=10).raise_for_status()


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="not needed", max_retries=0, timeout=20) as client:
        yield client


def behave(url: str, **settings: Any) -> None:
    """Change how moody@1 behaves."""
    document = {"models": {"moody@1": settings}}
    requests.post(f"{url}/_recorded/behaviour", json=document, timeout=10).raise_for_status()


def ask(url: str, model: str = "moody@1", **more: Any) -> requests.Response:
    headers = more.pop("headers", None)
    body = {"model": model, "messages": HELLO, **more}
    return requests.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=20)


def streamed(chunks: Any) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


# -- the recording, as it was ---------------------------------------------------------------------


def test_a_real_client_gets_the_recorded_text_plain_and_streamed(client):
    plain = client.chat.completions.create(model="calm@1", messages=HELLO)
    stream = client.chat.completions.create(model="calm@1", messages=HELLO, stream=True)
    assert plain.choices[0].message.content == streamed(stream) == GREETING
    assert (plain.model, plain.choices[0].finish_reason) == ("calm@1", "stop")


def test_parameters_play_no_part_in_which_recording_answers(client):
    answer = client.chat.completions.create(
        model="calm@1", messages=HELLO, temperature=0.7, response_format={"type": "json_object"}, seed=5
    )
    assert answer.choices[0].message.content == GREETING


def test_the_same_request_gets_the_same_bytes_always(folder, url):
    first, second = ask(url, "calm@1"), ask(url, "calm@1")
    with running([folder]) as elsewhere:
        third = ask(elsewhere, "calm@1")
    assert first.content == second.content == third.content
    assert first.json()["system_fingerprint"].startswith("fp_")


def test_tool_calls_come_as_recorded_plain_and_streamed(client):
    asked: Any = {"model": "calm@1", "messages": WEATHER, "tools": TOOLS}
    plain = client.chat.completions.create(**asked).choices[0]
    assert plain.message.content is None
    assert plain.finish_reason == "tool_calls"
    name, arguments, ids = "", "", set()
    for chunk in client.chat.completions.create(**asked, stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            name += call.function.name or ""
            arguments += call.function.arguments or ""
            ids |= {call.id} - {None}
    assert (name, arguments) == (CALL["name"], CALL["arguments"])
    [call] = plain.message.tool_calls
    assert (call.function.name, call.function.arguments, {call.id}) == (name, arguments, ids)


def test_a_stream_tells_the_tokens_only_to_those_who_ask(client):
    silent = list(client.chat.completions.create(model="calm@1", messages=HELLO, stream=True))
    told = list(
        client.chat.completions.create(
            model="calm@1", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert all(chunk.usage is None for chunk in silent)
    plain = client.chat.completions.create(model="calm@1", messages=HELLO)
    assert told[-1].usage == plain.usage
    assert told[-1].choices == []


def test_tokens_are_the_recorded_ones_or_one_for_every_four_characters_begun(client):
    answer = client.chat.completions.create(model="calm@1", messages=WEATHER, tools=TOOLS)
    written = len(CALL["name"]) + len(CALL["arguments"])
    assert answer.usage.prompt_tokens == 61
    assert answer.usage.completion_tokens == -(-written // 4)
    assert answer.usage.total_tokens == 61 + answer.usage.completion_tokens


def test_a_failure_that_was_recorded_is_replayed_as_one(client):
    with pytest.raises(openai.InternalServerError, match="the disk was full"):
        client.chat.completions.create(model="lost@1", messages=HELLO)


@given(st.text())
def test_the_pieces_of_a_stream_are_the_text(text):
    assert "".join(pieces_of(text)) == text


@given(output=st.text(max_size=80), arguments=st.text(max_size=40), share=st.floats(0, 1), streams=st.booleans())
def test_events_carry_the_whole_answer_and_a_cut_stream_never_its_end(output, arguments, share, streams):
    call = ToolCall("weather", arguments)
    answer = Answer(Take("m@1", None, "p0", output, 10, tool_calls=(call,)), "m@1")
    events = answer.events(with_usage=streams)
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events[:-1]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == output
    calls = [made["function"] for delta in deltas for made in delta.get("tool_calls", ())]
    assert "".join(made["arguments"] for made in calls) == arguments
    cut = paced(events, Fate(Outcome.CUT, "told to", cut_after_share=share, latency_ms=900, first_token_ms=100))
    sent = b"".join(part for _at_ms, part in cut)
    assert b"".join(events).startswith(sent)
    assert sent.startswith(events[0])
    assert events[-1] not in sent


@given(count=st.integers(3, 200), first=st.floats(0, 500), rest=st.floats(0, 5000))
def test_a_stream_begins_with_the_first_token_and_ends_with_the_latency(count, first, rest):
    events = tuple(b"%d;" % place for place in range(count))
    fate = Fate(Outcome.ANSWERED, "slow", latency_ms=first + rest, first_token_ms=first)
    writes = paced(events, fate)
    times = [at_ms for at_ms, _part in writes]
    assert b"".join(part for _at_ms, part in writes) == b"".join(events)
    assert times == sorted(times)
    assert times[-1] == pytest.approx(first + rest)
    assert len(writes) == 1 or times[0] == first


# -- what is not recorded -------------------------------------------------------------------------


def test_an_unknown_model_is_not_found_in_openais_words(client):
    with pytest.raises(openai.NotFoundError, match="no recordings of calm@2") as refusal:
        client.chat.completions.create(model="calm@2", messages=HELLO)
    assert refusal.value.code == "model_not_found"


def test_unknown_messages_are_told_how_many_recordings_the_model_has(client):
    with pytest.raises(openai.NotFoundError, match="calm@1 has recordings for 2 prompts") as refusal:
        client.chat.completions.create(model="calm@1", messages=[*HELLO, *HELLO])
    assert refusal.value.code == "no_recording"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{half", "invalid_json"),
        ("[]", "invalid_request"),
        ('{"model": 4, "messages": []}', "invalid_request"),
        ('{"model": "calm@1", "messages": "Hello"}', "invalid_request"),
    ],
)
def test_a_request_that_makes_no_sense_is_a_400(url, body, code):
    answer = requests.post(f"{url}/v1/chat/completions", data=body, timeout=10)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_other_paths_and_methods_are_refused_in_openais_shape(url):
    lost, wrong = requests.get(f"{url}/v1/nothing", timeout=10), requests.delete(f"{url}/v1/models", timeout=10)
    assert (lost.status_code, lost.json()["error"]["code"]) == (404, "unknown_path")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")


def test_models_are_listed_and_health_is_told(client, url):
    assert [model.id for model in client.models.list()] == ["calm@1", "moody@1", "twice@1", "lost@1"]
    assert requests.get(f"{url}/healthz", timeout=10).json() == {"status": "ok", "recordings": 5}


# -- several runs ---------------------------------------------------------------------------------


def said(answer: requests.Response) -> str:
    content = answer.json()["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


def test_the_first_run_answers_unless_a_header_or_the_model_id_names_another(url):
    named = ask(url, "twice@1#dusk")
    assert said(ask(url, "twice@1")) == "Good day."
    assert said(ask(url, "twice@1", headers={"x-recorded-run": "dusk"})) == said(named) == "Good evening."
    assert named.json()["model"] == "twice@1#dusk"


def test_runs_take_turns_where_the_behaviour_says_so(url):
    document = {"models": {"twice@1": {"rotate_runs": True}}}
    requests.post(f"{url}/_recorded/behaviour", json=document, timeout=10).raise_for_status()
    heard = [said(ask(url, "twice@1")) for _time in range(4)]
    assert heard == ["Good day.", "Good evening.", "Good day.", "Good evening."]


def test_an_unknown_run_is_told_the_known_ones(url):
    answer = ask(url, "twice@1#dawn")
    assert answer.json()["error"]["code"] == "no_recording"
    assert "noon, dusk" in answer.json()["error"]["message"]


# -- faults ---------------------------------------------------------------------------------------


def statuses(url: str, times: int) -> list[int]:
    return [ask(url).status_code for _time in range(times)]


def test_the_same_seed_fails_the_same_requests(url):
    behave(url, error_share=0.5)
    first = statuses(url, 30)
    behave(url, error_share=0.5)
    assert statuses(url, 30) == first
    assert set(first) == {200, 500}


def test_a_rate_limit_says_when_to_come_back(url, client):
    behave(url, rate_limited_share=1, retry_after_s=7)
    with pytest.raises(openai.RateLimitError) as refusal:
        client.chat.completions.create(model="moody@1", messages=HELLO)
    assert refusal.value.response.headers["retry-after"] == "7"
    assert refusal.value.code == "rate_limit_exceeded"


def test_a_cut_stream_begins_and_then_breaks_for_the_client(url, client):
    behave(url, cut_share=1)
    stream = client.chat.completions.create(model="moody@1", messages=HELLO, stream=True)
    assert next(stream).choices[0].delta.role == "assistant"
    with pytest.raises(openai.APIConnectionError):
        list(stream)
    assert ask(url, "calm@1").status_code == 200


def test_a_plain_answer_that_is_cut_is_an_error_and_never_half_an_answer(url, client):
    behave(url, cut_share=1)
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="moody@1", messages=HELLO)


def test_a_model_that_hangs_answers_nothing_until_the_client_gives_up(url, client):
    behave(url, hang_share=1)
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.3).chat.completions.create(model="moody@1", messages=HELLO)
    assert ask(url, "calm@1").status_code == 200


def test_a_hang_that_is_waited_out_ends_in_a_timeout(url):
    behave(url, hang_share=1, hang_s=0.05)
    assert ask(url).status_code == 504


def test_slow_answers_are_still_the_recording(url, client):
    behave(url, latency_p50_ms=40, latency_p95_ms=90, first_token_ms=10)
    stream = client.chat.completions.create(model="moody@1", messages=HELLO, stream=True)
    assert streamed(stream) == said(ask(url)) == "Hello."


# -- behaviour, decided with values ---------------------------------------------------------------

SHARES = st.floats(0, 0.25)


@given(
    shares=st.fixed_dictionaries(
        dict.fromkeys(("error_share", "rate_limited_share", "hang_share", "cut_share"), SHARES)
    ),
    seed=st.integers(0, 2**32),
)
def test_changing_one_share_leaves_the_latency_of_every_request_alone(shares, seed):
    steady = Behaviour(latency_p50_ms=200, latency_p95_ms=600)
    faulty = changed(steady, shares)
    one, other = random.Random(seed), random.Random(seed)
    for _request in range(20):
        without, with_faults = steady.draw(one), faulty.draw(other)
        assert without.outcome is Outcome.ANSWERED
        assert with_faults.outcome is Outcome.RATE_LIMITED or with_faults.latency_ms == without.latency_ms


def test_faults_come_as_often_as_their_shares_say():
    behaviour = Behaviour(error_share=0.06, rate_limited_share=0.03, hang_share=0.01, cut_share=0.02)
    rng = random.Random(20261124)
    drawn = Counter(behaviour.draw(rng).outcome for _request in range(20_000))
    for outcome, share in ((Outcome.FAILED, 0.06), (Outcome.RATE_LIMITED, 0.03), (Outcome.CUT, 0.02)):
        assert drawn[outcome] / 20_000 == pytest.approx(share, abs=0.006)


def test_log_normal_latency_has_the_median_and_the_95th_percentile_it_was_given():
    behaviour = Behaviour(latency_p50_ms=900, latency_p95_ms=2100)
    rng = random.Random(20261124)
    drawn = sorted(behaviour.draw(rng).latency_ms for _request in range(20_000))
    assert drawn[10_000] == pytest.approx(900, rel=0.03)
    assert drawn[19_000] == pytest.approx(2100, rel=0.04)


def test_recorded_latency_is_scaled_and_a_recording_without_one_takes_the_set_latency():
    behaviour = Behaviour(recorded_latency_scale=0.1, latency_ms=5)
    rng = random.Random(1)
    timed = behaviour.draw(rng, recorded_latency_s=2.0, recorded_first_token_s=0.5)
    assert timed.latency_ms == pytest.approx(200)
    assert timed.first_token_ms == pytest.approx(50)
    assert behaviour.draw(rng).latency_ms == 5


def test_every_fate_says_why():
    fate = Behaviour(error_share=1, latency_ms=20).draw(random.Random(1))
    assert fate.because == "error_share is 100.0%; fixed latency of 20 ms"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"error_share": 1.2}, "error_share is a share from 0 to 1"),
        ({"error_share": 0.6, "cut_share": 0.6}, "more than 1 together"),
        ({"latency_ms": -1}, "latency_ms cannot be -1"),
        ({"latency_p95_ms": 100}, "latency_p95_ms needs a latency_p50_ms"),
        ({"eror_share": 0.1}, "no setting 'eror_share'"),
        ({"hang_s": "long"}, "hang_s cannot be 'long'"),
        ({"rotate_runs": 1}, "rotate_runs cannot be 1"),
    ],
)
def test_a_behaviour_that_makes_no_sense_is_refused(settings, why):
    with pytest.raises(InvalidInput, match=why):
        changed(Behaviour(), settings)


def test_a_document_leaves_alone_what_it_does_not_mention():
    before = merged(Behaviours(), {"seed": 3, "models": {"a": {"error_share": 0.1, "latency_ms": 9}}})
    after = merged(before, {"models": {"a": {"error_share": 0.4}, "b": {"hang_share": 1}}})
    assert after.of("a") == Behaviour(error_share=0.4, latency_ms=9)
    assert after.of("b") == Behaviour(hang_share=1)
    assert (after.of("c"), after.seed) == (Behaviour(), 3)
    assert merged(after, {"models": {"a": {"latency_ms": None}}}).of("a") == Behaviour(error_share=0.4)


# -- behaviour, from files and live ---------------------------------------------------------------


def test_behaviour_beside_the_recordings_is_for_the_models_recorded_there(tmp_path):
    for name, behaviour in (("a", {"seed": 8, "default": {"latency_ms": 3}}), ("b", None)):
        write_set(
            tmp_path / name,
            prompts=[{"messages": HELLO}],
            outputs=[{"prompt_id": "p0", "model": f"{name}@1", "output": "Hi."}],
            behaviour=behaviour,
        )
    found = provider([tmp_path]).behaviours
    assert (found.of("a@1").latency_ms, found.of("b@1").latency_ms, found.seed) == (3, 0, 8)
    assert provider([tmp_path], calm=True).behaviours.of("a@1") == Behaviour()
    laid_over = provider([tmp_path], settings={"error_share": 0.2}, seed=1).behaviours
    assert laid_over.of("a@1") == Behaviour(latency_ms=3, error_share=0.2)
    assert (laid_over.of("b@1"), laid_over.seed) == (Behaviour(error_share=0.2), 1)


def test_behaviour_beside_several_sets_is_for_all_of_them_and_a_set_may_differ(tmp_path):
    for name, behaviour in (("a", None), ("b", {"default": {"latency_ms": 9}})):
        write_set(
            tmp_path / name,
            prompts=[{"messages": HELLO}],
            outputs=[{"prompt_id": "p0", "model": f"{name}@1", "output": "Hi."}],
            behaviour=behaviour,
        )
    (tmp_path / "behaviour.json").write_text('{"default": {"latency_ms": 3, "error_share": 0.1}}')
    found = provider([tmp_path]).behaviours
    assert found.of("a@1") == Behaviour(latency_ms=3, error_share=0.1)
    assert found.of("b@1") == Behaviour(latency_ms=9, error_share=0.1)


@pytest.mark.parametrize(
    "behaviour", [{"models": {"nobody@1": {}}}, {"default": {"error_share": 7}}, {"model": {}}, []]
)
def test_a_bad_behaviour_file_is_named(tmp_path, behaviour):
    outputs = [{"prompt_id": "p0", "model": "m@1", "output": "Hi."}]
    write_set(tmp_path, prompts=[{"messages": HELLO}], outputs=outputs, behaviour=behaviour)
    with pytest.raises(BadRecording, match=r"behaviour\.json"):
        provider([tmp_path])


def test_behaviour_is_changed_live_and_put_back(url):
    behave(url, error_share=1)
    assert ask(url).status_code == 500
    requests.delete(f"{url}/_recorded/behaviour", timeout=10).raise_for_status()
    assert ask(url).status_code == 200


@pytest.mark.parametrize(
    ("document", "status"),
    [({"models": {"nobody@1": {}}}, 404), ({"models": {"moody@1": {"error_share": 2}}}, 400), ([], 400)],
)
def test_a_live_change_that_makes_no_sense_changes_nothing(url, document, status):
    before = requests.get(f"{url}/_recorded/behaviour", timeout=10).json()
    refused = requests.post(f"{url}/_recorded/behaviour", json=document, timeout=10)
    assert refused.status_code == status
    assert requests.get(f"{url}/_recorded/behaviour", timeout=10).json() == before


def test_a_page_in_somebodys_browser_cannot_change_the_behaviour(url):
    forged = requests.post(
        f"{url}/_recorded/behaviour",
        data='{"models": {"moody@1": {"error_share": 1}}}',
        headers={"content-type": "text/plain"},
        timeout=10,
    )
    assert forged.status_code == 415
    assert ask(url).status_code == 200


@pytest.mark.parametrize("client_address", [("203.0.113.9", 40000), None], ids=["another machine", "unknown"])
async def test_only_this_machine_may_see_or_change_the_behaviour(folder, client_address):
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Any) -> None:
        sent.append(message)

    # A connection from another machine, as the server would describe it.
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/_recorded/behaviour",
        "headers": [(b"content-type", b"application/json"), (b"x-forwarded-for", b"127.0.0.1")],
        "client": client_address,
    }
    await provider([folder])(scope, receive, send)
    assert sent[0]["status"] == 403


def test_what_was_answered_is_counted_by_model_and_outcome(folder):
    with running([folder], settings={"rate_limited_share": 1}) as url:
        ask(url)
        ask(url)
        assert requests.get(f"{url}/_recorded/counts", timeout=10).json() == {"moody@1": {"rate_limited": 2}}


def test_served_in_the_foreground_it_says_where_and_ends_well_when_interrupted(folder):
    program = (
        "import sys, pathlib, functools; from core.connectors.recorded_server import serve;"
        "serve([pathlib.Path(sys.argv[1])], port=0, say=functools.partial(print, flush=True))"
    )
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as served:
        assert served.stdout is not None
        said_once = served.stdout.readline()
        place = said_once.split()[-1].removesuffix("/v1")
        assert said_once.startswith("Replaying 5 recordings of 4 models at http://127.0.0.1:")
        assert said(ask(place, "calm@1")) == GREETING
        served.send_signal(signal.SIGINT)
        assert served.wait(20) == 0


def test_a_port_in_use_is_refused_in_a_sentence(folder, url):
    taken = int(url.rpartition(":")[2])
    with pytest.raises(CannotStart, match=f"127.0.0.1:{taken}"), running([folder], port=taken):
        pass


# -- real recordings ------------------------------------------------------------------------------


def test_real_recordings_come_back_byte_for_byte_plain_and_streamed():
    if not LLMDRIFT.is_dir():
        pytest.skip("the shared recordings are not here: no llmdrift")
    prompts = {row["prompt_id"]: row["messages"] for row in rows_of(LLMDRIFT / "prompts.jsonl.gz")}
    rows = random.Random(4).sample(rows_of(LLMDRIFT / "outputs.jsonl.gz"), 120)
    with ExitStack() as stack:
        url = stack.enter_context(running([LLMDRIFT]))
        client = stack.enter_context(openai.OpenAI(base_url=f"{url}/v1", api_key="-", max_retries=0))
        for row in rows:
            asked: Any = {"model": row["model"], "messages": prompts[row["prompt_id"]]}
            plain = client.chat.completions.create(**asked)
            assert plain.choices[0].message.content == row["output"]
            assert plain.usage.completion_tokens == row["output_tokens"]
            assert streamed(client.chat.completions.create(**asked, stream=True)) == row["output"]


def test_real_tool_calls_come_back_as_the_model_made_them():
    if not BFCL.is_dir():
        pytest.skip("the shared recordings are not here: no bfcl")
    prompts = {row["prompt_id"]: row for row in rows_of(BFCL / "prompts.jsonl.gz")}
    rows = [row for row in rows_of(BFCL / "outputs.jsonl.gz") if row.get("tool_calls")]
    with running([BFCL]) as url:
        for row in random.Random(4).sample(rows, 60):
            prompt = prompts[row["prompt_id"]]
            body = {"model": row["model"], "messages": prompt["messages"], "tools": prompt["tools"]}
            answer = requests.post(
                f"{url}/v1/chat/completions", json=body, headers={"x-recorded-run": row["run"]}, timeout=20
            ).json()
            calls = [call["function"] for call in answer["choices"][0]["message"]["tool_calls"]]
            assert calls == row["tool_calls"]
            assert answer["usage"]["prompt_tokens"] == row["input_tokens"]
