"""A recorded take in the words of OpenAI's chat completions: the same take always gives the same bytes.

Nothing in an answer is drawn or taken from a clock: ``id``, ``created`` and ``system_fingerprint`` follow
from the recording. Tokens are the recorded ones; where a recording has none they are estimated as one for
every four characters begun: of the canonical JSON of messages and tools for the prompt, of the output and
the names and arguments of tool calls for the answer.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import orjson

from core.connectors.recorded_behaviour import Fate, Outcome
from core.connectors.recordings import Take

CHARS_PER_TOKEN = 4
WITHOUT_A_DATE = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
DONE = b"data: [DONE]\n\n"
KNOWN_ENDS = frozenset({"stop", "length", "tool_calls", "content_filter"})
# Words with the space before them, long ones in parts, like the tokens of a real stream.
_PIECES = re.compile(r"\s*\S{1,8}|\s+")
# Writing more often than this costs more than it shows.
_SHORTEST_PAUSE_MS = 20.0


def pieces_of(text: str) -> list[str]:
    """The text in the pieces it is streamed in; joined they are the text."""
    return _PIECES.findall(text)


def estimated_tokens(characters: int) -> int:
    """How many tokens a text of this length is said to have."""
    return math.ceil(characters / CHARS_PER_TOKEN)


def created_at(recorded_at: str | None) -> int:
    """When the answer was recorded, if it says so in ISO 8601, else one fixed day: never the clock."""
    try:
        moment = datetime.fromisoformat(recorded_at or "")
    except ValueError:
        return WITHOUT_A_DATE
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _digest(*parts: str | None) -> str:
    # A recording may hold half a surrogate pair; a digest need not care.
    text = "\0".join(part or "" for part in parts)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=14).hexdigest()


@dataclass(frozen=True)
class Answer:
    """One take as it goes over the wire; ``served_as`` is the model id as the caller spelled it."""

    take: Take
    served_as: str

    @cached_property
    def _shared(self) -> dict[str, object]:
        take = self.take
        return {
            "id": f"chatcmpl-{_digest(self.served_as, take.run, take.prompt_id, take.output)}",
            "created": created_at(take.recorded_at),
            "model": self.served_as,
            "system_fingerprint": f"fp_{_digest(take.model, take.run)[:10]}",
        }

    @cached_property
    def _finish_reason(self) -> str:
        recorded = self.take.finish_reason
        if recorded in KNOWN_ENDS and recorded is not None:
            return recorded
        return "tool_calls" if self.take.tool_calls else "stop"

    @cached_property
    def usage(self) -> dict[str, int]:
        """The tokens of prompt and answer, recorded or estimated."""
        take = self.take
        written = len(take.output) + sum(len(call.name) + len(call.arguments) for call in take.tool_calls)
        asked = estimated_tokens(take.prompt_chars) if take.input_tokens is None else take.input_tokens
        given = estimated_tokens(written) if take.output_tokens is None else take.output_tokens
        return {"prompt_tokens": asked, "completion_tokens": given, "total_tokens": asked + given}

    @cached_property
    def _tool_calls(self) -> list[dict[str, object]]:
        return [
            {
                "id": f"call_{_digest(str(self._shared['id']), str(place))[:24]}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for place, call in enumerate(self.take.tool_calls)
        ]

    @cached_property
    def body(self) -> bytes:
        """The answer in one piece."""
        take = self.take
        content = None if take.tool_calls and not take.output else take.output
        message: dict[str, object] = {"role": "assistant", "content": content, "refusal": None}
        if take.tool_calls:
            message["tool_calls"] = self._tool_calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish_reason}
        return orjson.dumps({**self._shared, "object": "chat.completion", "choices": [choice], "usage": self.usage})

    @cached_property
    def frames(self) -> tuple[bytes, ...]:
        """The answer as server-sent events, the last saying how it ended; usage and [DONE] come after."""
        content = None if self.take.tool_calls and not self.take.output else ""
        return (
            self._chunk({"role": "assistant", "content": content, "refusal": None}),
            *self._content_frames(),
            *self._tool_frames(),
            self._chunk({}, self._finish_reason),
        )

    @cached_property
    def usage_frame(self) -> bytes:
        """The event with the tokens, for callers who asked for it with stream_options.include_usage."""
        chunk = {**self._shared, "object": "chat.completion.chunk", "choices": [], "usage": self.usage}
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    def events(self, *, with_usage: bool) -> tuple[bytes, ...]:
        """The whole stream, event by event."""
        return (*self.frames, self.usage_frame, DONE) if with_usage else (*self.frames, DONE)

    def _chunk(self, delta: dict[str, object], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._shared, "object": "chat.completion.chunk", "choices": [choice]}
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    def _content_frames(self) -> Iterator[bytes]:
        # All these chunks differ in one string only, so the rest is spelled once.
        before, after = self._chunk({"content": "\x00"}).split(rb'"\u0000"')
        for piece in pieces_of(self.take.output):
            yield before + orjson.dumps(piece) + after

    def _tool_frames(self) -> Iterator[bytes]:
        for place, call in enumerate(self.take.tool_calls):
            opened = {
                **self._tool_calls[place],
                "index": place,
                "function": {"name": call.name, "arguments": ""},
            }
            yield self._chunk({"tool_calls": [opened]})
            for piece in pieces_of(call.arguments):
                more = {"index": place, "function": {"arguments": piece}}
                yield self._chunk({"tool_calls": [more]})


def paced(events: tuple[bytes, ...], fate: Fate) -> list[tuple[float, bytes]]:
    """When to write what, in milliseconds after the request; a stream that is cut lacks its end."""
    if fate.outcome is Outcome.CUT:
        # The opening at least, so that a stream has begun; never the end, or nothing would be missing.
        events = events[: max(1, min(len(events) - 2, int(len(events) * fate.cut_after_share)))]
    spread_ms = fate.latency_ms - fate.first_token_ms
    writes = max(1, min(len(events), int(spread_ms / _SHORTEST_PAUSE_MS)))
    if writes == 1:
        return [(fate.latency_ms, b"".join(events))]
    bounds = [round(len(events) * n / writes) for n in range(writes + 1)]
    return [
        (fate.first_token_ms + spread_ms * n / (writes - 1), b"".join(events[bounds[n] : bounds[n + 1]]))
        for n in range(writes)
    ]
