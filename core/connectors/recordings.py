"""Recordings are answers that models once gave, found again by model, run and the exact messages and tools.

A set of recordings is a folder:

    prompts.jsonl[.gz]   {prompt_id, messages[, tools], ...}
    outputs.jsonl[.gz]   {prompt_id, model, output[, tool_calls, run, latency_s, ttft_s, input_tokens,
                          output_tokens, finish_reason, recorded_at, error], ...}
    MANIFEST.json        where the set comes from; not read here
    behaviour.json       how each model behaves when replayed (see recorded_behaviour)

A folder that holds only such folders stands for all of them, and may have a behaviour.json for all of them.

Other fields (scores, references, costs) are left to whoever wants them. A row with an ``error`` and neither
output nor tool calls is a failure that was recorded, and is replayed as one; beside an output, ``error`` is
a scorer's remark.
"""

import gzip
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import orjson

from core.errors import BadRecording

Key: TypeAlias = bytes
Row: TypeAlias = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function the model asked for; the arguments are the text it wrote, valid or not."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Take:
    """One recorded answer of one model to one prompt."""

    model: str
    run: str | None
    prompt_id: str
    output: str
    prompt_chars: int
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    latency_s: float | None = None
    first_token_s: float | None = None
    recorded_at: str | None = None
    failure: str | None = None


Takes: TypeAlias = tuple[Take, ...]


@dataclass(frozen=True)
class Recordings:
    """All takes that are served together: per model, per prompt, in the order of the files."""

    by_model: Mapping[str, Mapping[Key, Takes]]
    runs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    models_by_folder: Mapping[Path, tuple[str, ...]] = field(default_factory=dict)

    def count(self, model: str) -> int:
        """How many prompts this model has an answer to."""
        return len(self.by_model.get(model, {}))


def canonical(messages: object, tools: object = None) -> bytes:
    """What was asked, in one spelling: the order of keys and an empty list of tools make no difference."""
    return orjson.dumps([messages, tools or None], option=orjson.OPT_SORT_KEYS)


def key_of(messages: object, tools: object = None) -> Key:
    """The key a recording is found by; parameters such as temperature are not part of it."""
    return fingerprint(canonical(messages, tools))


def fingerprint(asked: bytes) -> Key:
    """A short name for a canonical request."""
    return hashlib.blake2b(asked, digest_size=16).digest()


def load(paths: Iterable[Path]) -> Recordings:
    """Read the sets in these folders; a folder that holds only such folders stands for all of them."""
    by_model: dict[str, dict[Key, list[Take]]] = {}
    seen: dict[Path, dict[str, None]] = {}  # a dict for its order, outer folders before their sets
    for path in paths:
        for folder in _sets_at(path):
            for key, take in _takes_in(folder):
                by_model.setdefault(take.model, {}).setdefault(key, []).append(take)
                for place in (path, folder):
                    seen.setdefault(place, {})[take.model] = None
    models = {place: tuple(names) for place, names in seen.items()}
    frozen = {model: {key: tuple(takes) for key, takes in prompts.items()} for model, prompts in by_model.items()}
    runs = {model: _runs(prompts.values()) for model, prompts in frozen.items()}
    return Recordings(frozen, runs, models)


def _runs(answers: Iterable[Takes]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(take.run for takes in answers for take in takes if take.run is not None))


def _sets_at(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        raise BadRecording(f"{path}: there is no such folder of recordings")
    if _file(path, "prompts") is not None:
        return [path]
    inner = [folder for folder in sorted(path.iterdir()) if folder.is_dir() and _file(folder, "prompts") is not None]
    if not inner:
        raise BadRecording(f"{path}: no prompts.jsonl or prompts.jsonl.gz here or one folder below")
    return inner


def _file(folder: Path, name: str) -> Path | None:
    candidates = (folder / f"{name}.jsonl", folder / f"{name}.jsonl.gz")
    return next((path for path in candidates if path.is_file()), None)


@dataclass(frozen=True, slots=True)
class _Prompt:
    key: Key
    chars: int


def _takes_in(folder: Path) -> Iterator[tuple[Key, Take]]:
    prompts = _prompts_in(folder)
    path = _file(folder, "outputs")
    if path is None:
        raise BadRecording(f"{folder}: prompts but no outputs.jsonl or outputs.jsonl.gz")
    for where, row in _rows(path):
        prompt = prompts.get(_text(row, "prompt_id", where))
        if prompt is None:
            raise BadRecording(f"{where}: prompt_id {row['prompt_id']!r} is not among the prompts of this set")
        yield prompt.key, _take(row, prompt, where)


def _prompts_in(folder: Path) -> dict[str, _Prompt]:
    path = _file(folder, "prompts")
    assert path is not None, "a folder is a set only if it has prompts"
    prompts: dict[str, _Prompt] = {}
    for where, row in _rows(path):
        name = _text(row, "prompt_id", where)
        if name in prompts:
            raise BadRecording(f"{where}: prompt_id {name!r} appears twice")
        messages = row.get("messages")
        if not (isinstance(messages, list) and messages and all(isinstance(m, dict) for m in messages)):
            raise BadRecording(f"{where}: messages must be a list of at least one message")
        asked = canonical(messages, _optional(row, "tools", list, where))
        prompts[name] = _Prompt(fingerprint(asked), len(asked.decode()))
    return prompts


def _rows(path: Path) -> Iterator[tuple[str, Row]]:
    """The rows of a file, each with the place to name when it is bad. Blank lines are skipped."""
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{path}:{number}", _row(line, f"{path}:{number}")
    except (OSError, EOFError) as fault:
        raise BadRecording(f"{path}:{number + 1}: cannot be read: {fault}") from fault


def _row(line: bytes, where: str) -> Row:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as fault:
        raise BadRecording(f"{where}: not JSON: {fault}") from fault
    if not isinstance(row, dict):
        raise BadRecording(f"{where}: a row must be a JSON object")
    return row


def _take(row: Row, prompt: _Prompt, where: str) -> Take:
    output = _optional(row, "output", str, where)
    calls = tuple(_tool_call(call, where) for call in _optional(row, "tool_calls", list, where) or ())
    error = _optional(row, "error", str, where)
    if output is None and not calls and error is None:
        raise BadRecording(f"{where}: neither output nor tool_calls nor error")
    return Take(
        model=_text(row, "model", where),
        run=_optional(row, "run", str, where),
        prompt_id=row["prompt_id"],
        output=output or "",
        prompt_chars=prompt.chars,
        tool_calls=calls,
        finish_reason=_optional(row, "finish_reason", str, where),
        input_tokens=_optional(row, "input_tokens", int, where),
        output_tokens=_optional(row, "output_tokens", int, where),
        latency_s=_seconds(row, "latency_s", where),
        first_token_s=_seconds(row, "ttft_s", where),
        recorded_at=_optional(row, "recorded_at", str, where),
        failure=error if output is None and not calls else None,
    )


def _tool_call(call: object, where: str) -> ToolCall:
    """Both shapes are met: {name, arguments} and the wire's {function: {name, arguments}}."""
    inner = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        raise BadRecording(f"{where}: a tool call needs a name")
    arguments = inner.get("arguments", "{}")
    return ToolCall(inner["name"], arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode())


def _text(row: Row, name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise BadRecording(f"{where}: {name} must be a text that is not empty")
    return value


def _optional(row: Row, name: str, kind: type[T], where: str) -> T | None:
    value = row.get(name)
    # In Python a bool is an int, in a recording it is a mistake.
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    raise BadRecording(f"{where}: {name} must be {_WORDS[kind]}, not {value!r:.40}")


_WORDS: Mapping[type, str] = {str: "a text", list: "a list", int: "a whole number", float: "a number"}


def _seconds(row: Row, name: str, where: str) -> float | None:
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if value is None or (isinstance(value, float) and value >= 0):
        return value
    raise BadRecording(f"{where}: {name} must be a number of seconds, not {value!r:.40}")
