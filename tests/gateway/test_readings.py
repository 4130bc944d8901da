"""What an answer says about itself is read from any pieces, in bounded memory."""

import tracemalloc
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateway.readings import HEAD, LARGEST_TEXT, NOTHING, TAIL, Found, PlainReading, Reading, StreamReading
from tests.gateway.upstream import completion, deltas, event


def read(reading: Reading, whole: bytes, cuts: list[int]) -> Found:
    """Read ``whole``, given in the pieces that these places cut it into."""
    places = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        reading.add(whole[start:end])
    return reading.found()


CUTS = st.lists(st.integers(0, 10**6), max_size=40)


@given(CUTS, st.text())
def test_a_plain_answer_is_read_from_any_pieces(cuts: list[int], text: str):
    assert read(PlainReading(), completion(text), cuts) == Found("m-1", 7, 3, (text,))


@given(CUTS, st.lists(st.text(), min_size=1, max_size=300))
def test_a_stream_s_text_is_read_from_any_pieces(cuts: list[int], texts: list[str]):
    whole = b"".join(deltas(texts, usage={"prompt_tokens": 7, "completion_tokens": 3}))

    assert read(StreamReading(needs_text=True), whole, cuts) == Found("m-1", 7, 3, ("".join(texts),))


@given(CUTS, st.integers(1, 400))
def test_a_stream_whose_text_nobody_needs_still_tells_its_model_and_tokens(cuts: list[int], events: int):
    whole = b"".join(deltas(["word "] * events, usage={"prompt_tokens": 7, "completion_tokens": 3}))

    assert read(StreamReading(needs_text=False), whole, cuts) == Found("m-1", 7, 3, None)


@given(st.lists(st.binary(max_size=200), max_size=20), st.booleans())
def test_whatever_a_provider_sends_is_survived(chunks: list[bytes], needs_text: bool):
    for reading in (PlainReading(), StreamReading(needs_text=needs_text)):
        for chunk in chunks:
            reading.add(chunk)
        assert reading.found().input_tokens >= 0


ODD = {
    "a list": [],
    "no choices": {"model": "m-1"},
    "choices that are no list": {"choices": 7},
    "a choice that is no object": {"choices": [7]},
    "usage that is no object": {"usage": [1]},
    "tokens that are no numbers": {"usage": {"prompt_tokens": "7", "completion_tokens": -3}},
    "a model that is no text": {"model": 7},
    "a delta that is no object": {"choices": [{"delta": 7}]},
}


@pytest.mark.parametrize("document", ODD.values(), ids=ODD)
def test_odd_answers_say_nothing_and_break_nothing(document: object):
    plain, streamed = PlainReading(), StreamReading(needs_text=True)
    plain.add(orjson.dumps(document))
    streamed.add(event(document))

    for found in (plain.found(), streamed.found()):
        assert (found.input_tokens, found.output_tokens) == (0, 0)


def test_several_choices_are_several_texts_in_their_order():
    chunks = [
        event({"choices": [{"index": 1, "delta": {"content": "b"}}]}),
        event({"choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "c"}}]}),
    ]
    reading = StreamReading(needs_text=True)
    for chunk in chunks:
        reading.add(chunk)

    assert reading.found().texts == ("a", "bc")


def test_a_choice_that_calls_tools_has_no_text():
    plain, streamed = PlainReading(), StreamReading(needs_text=True)
    call = [{"index": 0, "function": {"name": "weather", "arguments": "{}"}}]
    plain.add(orjson.dumps({"choices": [{"message": {"content": None, "tool_calls": call}}]}))
    streamed.add(event({"choices": [{"index": 0, "delta": {"tool_calls": call}}]}))

    assert plain.found().texts == streamed.found().texts == (None,)


def test_an_error_inside_an_answer_is_noticed():
    plain, streamed = PlainReading(), StreamReading(needs_text=False)
    plain.add(b'{"error": {"message": "no"}}')
    streamed.add(event({"model": "m-1"}) + event({"error": {"message": "no"}}))

    assert plain.found().failed
    assert streamed.found().failed


def test_an_error_that_is_null_is_none():
    reading = PlainReading()
    reading.add(orjson.dumps({"model": "m-1", "error": None}))

    assert reading.found() == Found("m-1")


def test_lines_may_end_as_on_windows():
    reading = StreamReading(needs_text=True)
    reading.add(b"".join(deltas(["a", "b"])).replace(b"\n", b"\r\n"))

    assert reading.found().texts == ("ab",)


def test_an_answer_too_large_to_keep_is_not_read():
    plain = PlainReading()
    plain.add(b"{")
    plain.add(b"x" * LARGEST_TEXT)
    streamed = StreamReading(needs_text=True)
    for _ in range(1 + LARGEST_TEXT // 10_000):
        streamed.add(event({"model": "m-1", "choices": [{"index": 0, "delta": {"content": "x" * 10_000}}]}))

    assert plain.found() == NOTHING
    assert streamed.found() == Found("m-1"), "what is not text is still told"


@pytest.mark.parametrize("needs_text", [False, True])
@pytest.mark.parametrize("chunk", [b"x" * 1000, event({"choices": [{"index": 0, "delta": {"content": "x"}}]})])
def test_an_endless_stream_is_kept_in_bounded_memory(needs_text: bool, chunk: bytes):
    reading = StreamReading(needs_text=needs_text)
    tracemalloc.start()
    for number in range(20_000):
        # Bytes of its own each time, as they come from a socket.
        reading.add(chunk + b"%d" % number)
    kept, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 2 * (LARGEST_TEXT if needs_text else HEAD + TAIL) + 20_000
