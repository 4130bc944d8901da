"""Recordings are found again by model, run and the exact messages and tools, and bad rows are named."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.connectors.recordings import Recordings, Take, ToolCall, key_of, load
from core.errors import BadRecording
from tests.connectors.sets import BFCL, HELLO, LLMDRIFT, TOOLS, WEATHER, rows_of, write_set

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.lists(st.dictionaries(st.text(max_size=8), JSON, max_size=3), min_size=1, max_size=3)


def only_take(recordings: Recordings, model: str) -> Take:
    [[take]] = recordings.by_model[model].values()
    return take


def reversed_keys(value: object) -> object:
    """The same JSON with every object spelled in the opposite order."""
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


# -- what is found again --------------------------------------------------------------------------


@given(messages=MESSAGES, tools=st.none() | st.lists(st.dictionaries(st.text(max_size=5), JSON), max_size=2))
def test_the_order_in_which_a_client_spells_keys_makes_no_difference(messages, tools):
    assert key_of(messages, tools) == key_of(reversed_keys(messages), reversed_keys(tools))


# Few words, so that the same prompt is met twice now and then; True, 1 and "1" are not the same to a model.
SHORT = st.lists(st.fixed_dictionaries({"content": st.sampled_from([True, 1, "1", "", None])}), min_size=1, max_size=2)


@given(one=SHORT, other=SHORT)
def test_two_prompts_share_a_key_only_if_they_are_the_same(one, other):
    assert (key_of(one) == key_of(other)) == (json.dumps(one) == json.dumps(other))


def test_tools_belong_to_the_key_and_none_is_the_same_as_no_tools():
    assert key_of(HELLO, TOOLS) != key_of(HELLO)
    assert key_of(HELLO, []) == key_of(HELLO, None) == key_of(HELLO)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_set_is_read_plain_and_zipped(tmp_path, zipped):
    folder = write_set(
        tmp_path / "greetings",
        prompts=[{"messages": HELLO}],
        outputs=[{"prompt_id": "p0", "model": "m@1", "output": "Hi.", "latency_s": 2, "output_tokens": 3, "score": 1}],
        zipped=zipped,
    )
    take = load([folder]).by_model["m@1"][key_of(HELLO)][0]
    assert (take.output, take.latency_s, take.output_tokens, take.input_tokens) == ("Hi.", 2.0, 3, None)


def test_several_sets_are_served_together_and_a_folder_of_sets_stands_for_all(tmp_path):
    for name, messages in (("a", HELLO), ("b", WEATHER)):
        write_set(
            tmp_path / name,
            prompts=[{"messages": messages}],
            outputs=[{"prompt_id": "p0", "model": "m@1", "output": name}],
        )
    together = load([tmp_path / "a", tmp_path / "b"])
    assert load([tmp_path]).by_model == together.by_model
    assert {key: takes[0].output for key, takes in together.by_model["m@1"].items()} == {
        key_of(HELLO): "a",
        key_of(WEATHER): "b",
    }
    assert together.models_by_folder == {tmp_path / "a": ("m@1",), tmp_path / "b": ("m@1",)}


def test_runs_of_one_prompt_stay_apart_and_in_order(tmp_path):
    runs = [{"prompt_id": "p0", "model": "m@1", "run": name, "output": name} for name in ("noon", "dusk")]
    recordings = load([write_set(tmp_path, prompts=[{"messages": HELLO}], outputs=runs)])
    assert [take.run for take in recordings.by_model["m@1"][key_of(HELLO)]] == ["noon", "dusk"]
    assert recordings.runs["m@1"] == ("noon", "dusk")
    assert recordings.count("m@1") == 1


@pytest.mark.parametrize(
    "call",
    [
        {"name": "weather", "arguments": '{"city": "Ghent"}'},
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ghent"}'}},
    ],
    ids=["short", "as on the wire"],
)
def test_tool_calls_are_understood_in_both_shapes(tmp_path, call):
    output = {"prompt_id": "p0", "model": "m@1", "output": "", "tool_calls": [call]}
    folder = write_set(tmp_path, prompts=[{"messages": WEATHER, "tools": TOOLS}], outputs=[output])
    assert only_take(load([folder]), "m@1").tool_calls == (ToolCall("weather", '{"city": "Ghent"}'),)


def test_an_error_without_an_output_is_a_recorded_failure_and_beside_one_it_is_a_remark(tmp_path):
    outputs = [
        {"prompt_id": "p0", "model": "broken@1", "error": "connection reset"},
        {"prompt_id": "p0", "model": "wrong@1", "output": "4", "error": "expected 5"},
    ]
    recordings = load([write_set(tmp_path, prompts=[{"messages": HELLO}], outputs=outputs)])
    assert only_take(recordings, "broken@1").failure == "connection reset"
    assert only_take(recordings, "wrong@1").failure is None


# -- what is refused ------------------------------------------------------------------------------

GOOD = {"prompt_id": "p0", "model": "m@1", "output": "Hi."}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({**GOOD, "prompt_id": "p9"}, "prompt_id 'p9' is not among the prompts"),
        ({"prompt_id": "p0", "output": "Hi."}, "model must be a text"),
        ({"prompt_id": "p0", "model": "m@1"}, "neither output nor tool_calls nor error"),
        ({**GOOD, "output": 4}, "output must be a text"),
        ({**GOOD, "output_tokens": True}, "output_tokens must be a whole number"),
        ({**GOOD, "latency_s": -1}, "latency_s must be a number of seconds"),
        ({**GOOD, "tool_calls": [{"arguments": "{}"}]}, "a tool call needs a name"),
        (["not", "a", "row"], "a row must be a JSON object"),
    ],
)
def test_a_bad_output_is_named_by_file_and_line(tmp_path, bad, why):
    folder = write_set(tmp_path, prompts=[{"messages": HELLO}], outputs=[GOOD, bad])
    with pytest.raises(BadRecording, match=r"outputs\.jsonl:2: ") as refusal:
        load([folder])
    assert why in str(refusal.value)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"prompt_id": "p0", "messages": HELLO}, "prompt_id 'p0' appears twice"),
        ({"messages": []}, "messages must be a list of at least one"),
        ({"messages": "Hello"}, "messages must be a list of at least one"),
        ({"messages": HELLO, "tools": {}}, "tools must be a list"),
    ],
)
def test_a_bad_prompt_is_named_by_file_and_line(tmp_path, bad, why):
    folder = write_set(tmp_path, prompts=[{"messages": HELLO}, bad], outputs=[GOOD])
    with pytest.raises(BadRecording, match=r"prompts\.jsonl:2: ") as refusal:
        load([folder])
    assert why in str(refusal.value)


def test_a_line_that_is_not_json_is_named_and_a_blank_one_is_not_minded(tmp_path):
    folder = write_set(tmp_path, prompts=[{"messages": HELLO}], outputs=[GOOD])
    with (folder / "outputs.jsonl").open("a") as file:
        file.write("\n{half a row\n")
    with pytest.raises(BadRecording, match=r"outputs\.jsonl:3: not JSON"):
        load([folder])


def test_a_zip_that_ends_too_soon_is_refused_in_our_words(tmp_path):
    many = [{"messages": [{"role": "user", "content": f"Number {n} of many"}]} for n in range(500)]
    folder = write_set(tmp_path, prompts=many, outputs=[GOOD], zipped=True)
    whole = (folder / "prompts.jsonl.gz").read_bytes()
    (folder / "prompts.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadRecording, match=r"prompts\.jsonl\.gz:\d+: cannot be read"):
        load([folder])


@pytest.mark.parametrize("there", [False, True], ids=["no folder", "an empty folder"])
def test_a_place_without_recordings_is_refused(tmp_path, there):
    folder = tmp_path / "nothing"
    if there:
        folder.mkdir()
    with pytest.raises(BadRecording, match="nothing"):
        load([folder])


# -- real recordings ------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [LLMDRIFT, BFCL], ids=lambda folder: folder.name)
def test_every_row_of_a_real_set_can_be_found_again(folder: Path):
    if not folder.is_dir():
        pytest.skip(f"the shared recordings are not here: no {folder.name}")
    prompts = {row["prompt_id"]: row for row in rows_of(folder / "prompts.jsonl.gz")}
    recordings = load([folder])
    outputs = rows_of(folder / "outputs.jsonl.gz")
    for row in outputs:
        prompt = prompts[row["prompt_id"]]
        takes = recordings.by_model[row["model"]][key_of(prompt["messages"], prompt.get("tools"))]
        assert [take.output for take in takes if take.run == row.get("run")] == [row["output"]]
    assert sum(len(takes) for answers in recordings.by_model.values() for takes in answers.values()) == len(outputs)
