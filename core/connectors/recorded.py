"""An OpenAI-compatible server that answers with recordings: for demos, tests and dry runs.

It answers ``POST /v1/chat/completions`` (plain and streamed), ``GET /v1/models`` and ``/healthz``. What
decides which take is answered:

- the model and the exact messages and tools; parameters play no part;
- among several takes of the same, the run that the header ``x-recorded-run`` or a model id ``model#run``
  names; without one the first in the files, or each in turn where the behaviour has ``rotate_runs``.

Faults and latency come from the model's behaviour, drawn from a generator seeded per model, so the n-th
request to a model always meets the same fate. From this machine they can be read, changed and put back
while it serves (``GET``, ``POST`` and ``DELETE /_recorded/behaviour``), and counted
(``GET /_recorded/counts``).
"""

import asyncio
import ipaddress
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import orjson

from core.connectors.recorded_answers import Answer, paced
from core.connectors.recorded_behaviour import (
    ANSWERED_AT_ONCE,
    Behaviours,
    Fate,
    Outcome,
    merged,
)
from core.connectors.recordings import Key, Recordings, Take, Takes, key_of
from core.errors import InvalidInput

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

LARGEST_BODY_BYTES = 32 * 1024 * 1024
# Streams are many times larger than what they carry, so not all of them are kept.
ANSWERS_KEPT_READY = 2048
_MODELS_NAMED = 5
_STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
]


class Refused(Exception):
    """A request that gets an error in OpenAI's shape instead of a recording."""

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after_s = status, code, message, retry_after_s

    def reply(self) -> "Reply":
        """The error as it goes over the wire."""
        kind = _ERROR_TYPES.get(self.status, "invalid_request_error")
        error = {"message": self.message, "type": kind, "param": None, "code": self.code}
        more = [] if self.retry_after_s is None else [(b"retry-after", b"%d" % self.retry_after_s)]
        return Reply(self.status, orjson.dumps({"error": error}), more)


_ERROR_TYPES = {429: "rate_limit_error", 500: "server_error", 504: "server_error"}


@dataclass(frozen=True)
class Reply:
    """A whole JSON answer."""

    status: int
    body: bytes
    more_headers: Iterable[tuple[bytes, bytes]] = ()


@dataclass(frozen=True)
class Asked:
    """What of a request decides which recording answers it, and how."""

    model: str
    run: str | None
    served_as: str
    key: Key
    stream: bool
    with_usage: bool


def asked_in(body: bytes, recordings: Recordings, run: str | None) -> Asked:
    """Read a chat request."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise Refused(400, "invalid_json", f"The body is not JSON: {fault}") from fault
    if not isinstance(document, dict) or not isinstance(model := document.get("model"), str):
        raise Refused(400, "invalid_request", "The body must be an object with a model.")
    if not isinstance(messages := document.get("messages"), list):
        raise Refused(400, "invalid_request", "messages must be a list.")
    options = document.get("stream_options")
    with_usage = isinstance(options, dict) and options.get("include_usage") is True
    name, named_run = _split(model, recordings)
    key = key_of(messages, document.get("tools"))
    return Asked(name, run or named_run, model, key, document.get("stream") is True, with_usage)


def _split(model: str, recordings: Recordings) -> tuple[str, str | None]:
    """``model#run`` names one run of a model, unless a model is really called so."""
    if model in recordings.by_model or "#" not in model:
        return model, None
    name, _hash, run = model.partition("#")
    return name, run


def takes_for(asked: Asked, recordings: Recordings) -> Takes:
    """The takes that may answer, of the run asked for if one was."""
    prompts = recordings.by_model.get(asked.model)
    if prompts is None:
        known = ", ".join(list(recordings.by_model)[:_MODELS_NAMED])
        raise Refused(404, "model_not_found", f"There are no recordings of {asked.model}. Some models: {known}.")
    takes = prompts.get(asked.key)
    if takes is None:
        raise Refused(
            404,
            "no_recording",
            f"{asked.model} has recordings for {len(prompts)} prompts, but none for exactly these messages and tools.",
        )
    if asked.run is not None:
        takes = tuple(take for take in takes if take.run == asked.run)
        if not takes:
            runs = ", ".join(recordings.runs[asked.model][:_MODELS_NAMED]) or "none with a name"
            raise Refused(
                404, "no_recording", f"{asked.model} has no run {asked.run} of this prompt. Its runs: {runs}."
            )
    return takes


class RecordedProvider:
    """The ASGI application."""

    def __init__(self, recordings: Recordings, behaviours: Behaviours | None = None) -> None:
        self.recordings = recordings
        self.counts: Counter[tuple[str, str]] = Counter()
        self._at_start = behaviours or Behaviours()
        self._turns: Counter[tuple[str, Key]] = Counter()
        self._answer = lru_cache(maxsize=ANSWERS_KEPT_READY)(Answer)
        self._use(self._at_start)

    def _use(self, behaviours: Behaviours) -> None:
        self.behaviours = behaviours
        self._generators: dict[str, random.Random] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "the recorded provider speaks HTTP only"
        try:
            reply = await self._route(scope, receive, send)
        except Refused as refusal:
            reply = refusal.reply()
        if reply is not None:
            await _send(send, reply)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> Reply | None:
        method, path = scope["method"], scope["path"].removesuffix("/")
        if path == "/v1/chat/completions" and method == "POST":
            return await self._chat(scope, receive, send)
        if path.startswith("/_recorded/"):
            return await self._control(scope, receive, method, path.removeprefix("/_recorded/"))
        if method in ("GET", "HEAD"):
            if path == "/v1/models":
                return Reply(200, self._models())
            if path == "/healthz":
                count = sum(map(self.recordings.count, self.recordings.by_model))
                return Reply(200, orjson.dumps({"status": "ok", "recordings": count}))
        elif path in ("/v1/models", "/healthz", "/v1/chat/completions"):
            raise Refused(405, "method_not_allowed", f"{path} does not answer {method}.")
        raise Refused(404, "unknown_path", f"The recorded provider has no {method} {path or '/'}.")

    # -- answering ------------------------------------------------------------------------------------

    async def _chat(self, scope: Scope, receive: Receive, send: Send) -> Reply | None:
        header = _header(scope, b"x-recorded-run")
        asked = asked_in(await _body(receive), self.recordings, header)
        take = self._pick(takes_for(asked, self.recordings), asked)
        fate = self._fate(asked.model, take)
        self.counts[asked.model, fate.outcome.value] += 1
        if fate is not ANSWERED_AT_ONCE:
            await self._refuse_if_fated(asked, fate, receive)
        if take.failure is not None:
            await asyncio.sleep(fate.latency_ms / 1000)
            raise Refused(500, "recorded_failure", f"{asked.served_as} failed when this was recorded: {take.failure}")
        answer = self._answer(take, asked.served_as)
        if asked.stream:
            await _stream(send, paced(answer.events(with_usage=asked.with_usage), fate), fate)
        else:
            await _whole(send, answer.body, fate)
        return None

    def _pick(self, takes: Takes, asked: Asked) -> Take:
        if len(takes) == 1 or not self.behaviours.of(asked.model).rotate_runs:
            return takes[0]
        turn = self._turns[asked.model, asked.key]
        self._turns[asked.model, asked.key] += 1
        return takes[turn % len(takes)]

    def _fate(self, model: str, take: Take) -> Fate:
        behaviour = self.behaviours.of(model)
        if behaviour.is_calm:
            return ANSWERED_AT_ONCE
        rng = self._generators.get(model)
        if rng is None:
            # One generator per model: traffic on one model does not move the faults of another.
            rng = self._generators[model] = random.Random(f"{self.behaviours.seed}:{model}")
        return behaviour.draw(rng, recorded_latency_s=take.latency_s, recorded_first_token_s=take.first_token_s)

    async def _refuse_if_fated(self, asked: Asked, fate: Fate, receive: Receive) -> None:
        behaviour = self.behaviours.of(asked.model)
        match fate.outcome:
            case Outcome.FAILED:
                await asyncio.sleep(fate.latency_ms / 1000)
                raise Refused(500, "server_error", f"{asked.served_as} failed, as it is set to: {fate.because}.")
            case Outcome.RATE_LIMITED:
                raise Refused(
                    429,
                    "rate_limit_exceeded",
                    f"{asked.served_as} refuses more requests, as it is set to: {fate.because}.",
                    retry_after_s=behaviour.retry_after_s,
                )
            case Outcome.HUNG:
                await _until_gone(receive, behaviour.hang_s)
                raise Refused(504, "timeout", f"{asked.served_as} hung for {behaviour.hang_s:g} s, as it is set to.")

    def _models(self) -> bytes:
        listed = [
            {
                "id": model,
                "object": "model",
                "created": 0,
                "owned_by": "recorded",
                "recordings": self.recordings.count(model),
                "runs": self.recordings.runs.get(model, ()),
            }
            for model in self.recordings.by_model
        ]
        return orjson.dumps({"object": "list", "data": listed})

    # -- from this machine only -----------------------------------------------------------------------

    async def _control(self, scope: Scope, receive: Receive, method: str, what: str) -> Reply:
        if not _is_local(scope):
            raise Refused(403, "loopback_only", "/_recorded/ answers to this machine only.")
        if what == "counts" and method == "GET":
            counted: dict[str, dict[str, int]] = {}
            for (model, outcome), times in self.counts.items():
                counted.setdefault(model, {})[outcome] = times
            return Reply(200, orjson.dumps(counted))
        if what != "behaviour" or method not in ("GET", "POST", "DELETE"):
            raise Refused(404, "unknown_path", f"There is no {method} /_recorded/{what}.")
        if method == "DELETE":
            self._use(self._at_start)
        elif method == "POST":
            # A page in somebody's browser can post text here unasked, but not JSON.
            if not (_header(scope, b"content-type") or "").startswith("application/json"):
                raise Refused(415, "json_only", "Send the behaviour as application/json.")
            self._use(_changed(self.behaviours, await _body(receive), self.recordings))
        return Reply(200, orjson.dumps(self.behaviours.as_json()))


def _changed(behaviours: Behaviours, body: bytes, recordings: Recordings) -> Behaviours:
    try:
        changed = merged(behaviours, orjson.loads(body))
    except orjson.JSONDecodeError as fault:
        raise Refused(400, "invalid_json", f"The body is not JSON: {fault}") from fault
    except InvalidInput as refusal:
        raise Refused(400, refusal.code, f"{refusal}") from refusal
    unknown = [model for model in changed.models if model not in recordings.by_model]
    if unknown:
        raise Refused(404, "model_not_found", f"There are no recordings of {', '.join(unknown)}.")
    return changed


def _header(scope: Scope, name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def _is_local(scope: Scope) -> bool:
    client = scope.get("client")
    return client is not None and ipaddress.ip_address(client[0]).is_loopback


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST_BODY_BYTES:
            raise Refused(413, "too_large", f"A body may have {LARGEST_BODY_BYTES} bytes.")
    return b"".join(parts)


async def _until_gone(receive: Receive, seconds: float) -> None:
    """Wait until the caller gives up, or for so long."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    try:
        await asyncio.wait_for(gone(), seconds)
    except TimeoutError:
        return


async def _send(send: Send, reply: Reply) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(reply.body)),
        *reply.more_headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _whole(send: Send, body: bytes, fate: Fate) -> None:
    if fate.latency_ms:
        await asyncio.sleep(fate.latency_ms / 1000)
    if fate.outcome is not Outcome.CUT:
        await _send(send, Reply(200, body))
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    # Returning with less than was announced makes the server close the connection.
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})


async def _stream(send: Send, writes: list[tuple[float, bytes]], fate: Fate) -> None:
    begun = asyncio.get_running_loop().time()
    await asyncio.sleep(writes[0][0] / 1000)
    await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
    for number, (at_ms, events) in enumerate(writes, start=1):
        late_s = asyncio.get_running_loop().time() - begun - at_ms / 1000
        if late_s < 0:
            await asyncio.sleep(-late_s)
        # A stream that is cut never says that this was all.
        more = number < len(writes) or fate.outcome is Outcome.CUT
        await send({"type": "http.response.body", "body": events, "more_body": more})
