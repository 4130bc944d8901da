"""What an answer says about itself: served model, tokens, and its text where a format was asked for.

On the request's path chunks are only kept; reading them is the recorder's work, later and in its own thread. Memory is
bounded: of a stream whose text nobody needs only head and tail are kept, and one whose text is needed is folded into
that text as it grows.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

LARGEST_TEXT = 1 << 20
"""Bytes of a plain answer, or characters of a streamed one, beyond which it is not read: its format is unknown."""
HEAD = 4 << 10
TAIL = 8 << 10
FOLD_AFTER = 8 << 10


@dataclass(frozen=True)
class Found:
    """What could be read. ``texts`` has one entry for each choice, None for one that calls tools instead."""

    served_model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    texts: tuple[str | None, ...] | None = None
    failed: bool = False


NOTHING = Found()


class Reading(Protocol):
    """Keeps the bytes of one answer until somebody has time to read them."""

    def add(self, chunk: bytes) -> None:
        """Keep one more chunk."""
        ...

    def found(self) -> Found:
        """Read what was kept; NOTHING when it makes no sense."""
        ...


class NoReading:
    """For answers that say nothing of interest: errors, and what is compressed."""

    def add(self, chunk: bytes) -> None:
        """Keep nothing."""

    def found(self) -> Found:
        """Nothing."""
        return NOTHING


class PlainReading:
    """Reads one whole chat completion."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, chunk: bytes) -> None:
        """Keep one more chunk, unless it is too much already."""
        self._size += len(chunk)
        if self._size <= LARGEST_TEXT:
            self._parts.append(chunk)
        else:
            self._parts.clear()

    def found(self) -> Found:
        """Read the answer."""
        document = _document(b"".join(self._parts))
        if document is None:
            return NOTHING
        choices = document.get("choices")
        texts = tuple(_text(choice) for choice in choices) if isinstance(choices, list) else None
        return _with_usage(Found(_model(document), texts=texts, failed=bool(document.get("error"))), document)


class StreamReading:
    """Reads a stream of chat completion chunks; its text only if that is needed."""

    __slots__ = (
        "_calling",
        "_chars",
        "_folded",
        "_head_read",
        "_kept",
        "_needs_text",
        "_pending",
        "_size",
        "_texts",
        "_too_long",
    )

    def __init__(self, *, needs_text: bool) -> None:
        self._needs_text = needs_text
        self._folded = NOTHING
        self._head_read = False
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._pending = b""
        self._texts: dict[int, list[str]] = {}
        self._calling: set[int] = set()
        self._chars = 0
        self._too_long = False

    def add(self, chunk: bytes) -> None:
        """Keep one more chunk; now and then, take in what was kept."""
        self._kept.append(chunk)
        self._size += len(chunk)
        if self._needs_text:
            # With what is pending, each byte is looked at a few times at most, even where no line ever ends.
            if self._size >= max(FOLD_AFTER, len(self._pending)):
                self._fold()
        elif not self._head_read:
            if self._size >= HEAD:
                self._fold()
                self._head_read = True
        else:
            while self._size - len(self._kept[0]) >= TAIL:
                self._size -= len(self._kept.popleft())

    def found(self) -> Found:
        """Read what was kept."""
        self._fold(to_the_end=True)
        texts = None
        if self._needs_text and not self._too_long:
            texts = tuple(
                None if index in self._calling else "".join(self._texts[index]) for index in sorted(self._texts)
            )
        return Found(
            self._folded.served_model,
            self._folded.input_tokens,
            self._folded.output_tokens,
            texts or None,
            self._folded.failed,
        )

    def _fold(self, *, to_the_end: bool = False) -> None:
        """Take in the complete lines, and keep what follows the last of them."""
        lines = b"".join([self._pending, *self._kept]).split(b"\n")
        self._pending = b"" if to_the_end else lines.pop()
        if len(self._pending) > LARGEST_TEXT:
            self._pending = b""
            self._give_up()
        self._kept.clear()
        self._size = 0
        for line in lines:
            # A tail may begin amid a line; what is left of it is no JSON, and passed by.
            if line.startswith(b"data:") and (document := _document(line[5:])) is not None:
                self._take_in(document)

    def _take_in(self, document: dict[str, Any]) -> None:
        before = self._folded
        found = Found(before.served_model or _model(document), failed=before.failed or bool(document.get("error")))
        self._folded = _with_usage(found, document, before)
        choices = document.get("choices")
        if not self._needs_text or not isinstance(choices, list):
            return
        for choice in choices:
            if isinstance(choice, dict) and isinstance(delta := choice.get("delta"), dict):
                self._take_delta(choice.get("index"), delta)

    def _take_delta(self, index: object, delta: dict[str, Any]) -> None:
        place = index if isinstance(index, int) else 0
        if self._too_long:
            return
        parts = self._texts.setdefault(place, [])
        if delta.get("tool_calls") or delta.get("function_call"):
            self._calling.add(place)
        if isinstance(text := delta.get("content"), str):
            parts.append(text)
            self._chars += len(text)
            if self._chars > LARGEST_TEXT:
                self._give_up()

    def _give_up(self) -> None:
        self._too_long = True
        self._texts.clear()


def _document(raw: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _model(document: dict[str, Any]) -> str | None:
    model = document.get("model")
    return model if isinstance(model, str) else None


def _text(choice: object) -> str | None:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return ""
    if message.get("tool_calls") or message.get("function_call"):
        return None
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _with_usage(found: Found, document: dict[str, Any], before: Found = NOTHING) -> Found:
    usage = document.get("usage")
    tokens = [before.input_tokens, before.output_tokens]
    if isinstance(usage, dict):
        tokens = [_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))]
    return Found(found.served_model, tokens[0], tokens[1], found.texts, found.failed)


def _count(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
