"""A provider of the tests' own: a real server on a real socket that writes exactly the bytes it is told to."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias


class Then(Enum):
    """What a script may end with; without one the connection stays open for the next request."""

    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


Step: TypeAlias = bytes | float | threading.Event | Then
Script: TypeAlias = Sequence[Step]
"""Bytes are written, a number is a pause in seconds, an event is waited for."""


@dataclass(frozen=True)
class Seen:
    """One request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def document(self) -> dict[str, Any]:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass
class Upstream:
    """Answers by the model that is asked for; ``*`` is for all others."""

    url: str = ""
    scripts: dict[str, Script] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    gone: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released once for each connection that the other side let go of in the middle of an answer."""
    closing_once: set[int] = field(default_factory=set)
    """Connections that are closed instead of answering their next request."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while await self._answer_one(reader, writer):
                pass
        except asyncio.IncompleteReadError:
            pass  # no further request
        except ConnectionError:
            self.gone.release()
        finally:
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.seen.append(Seen(head[0].split()[1], headers, body, id(writer)))
        if id(writer) in self.closing_once:
            return False
        model = json.loads(body).get("model", "*")
        for step in self.scripts.get(model, self.scripts.get("*", plain(b"{}"))):
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            elif isinstance(step, threading.Event):
                await asyncio.to_thread(step.wait, 10)
            elif step is Then.RESET:
                writer.transport.abort()
                return False
            elif step is Then.CLOSE:
                return False
            elif step is Then.HANG:
                with contextlib.suppress(ConnectionError):
                    await reader.read()
                self.gone.release()
                return False
        return True


@contextmanager
def running(scripts: Mapping[str, Script] | None = None) -> Iterator[Upstream]:
    """An upstream that listens in a thread."""
    upstream = Upstream(scripts=dict(scripts or {}))
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(upstream.serve, "127.0.0.1", 0))
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    thread = threading.Thread(target=loop.run_forever, name="upstream", daemon=True)
    thread.start()
    try:
        yield upstream
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(_end_all(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


async def _end_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


# -- scripts --------------------------------------------------------------------------------------


def head(status: int = 200, *headers: str) -> bytes:
    """A status line and headers."""
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *headers, "", ""]).encode()


def plain(body: bytes, status: int = 200, *headers: str) -> Script:
    """A whole answer."""
    return [head(status, "content-type: application/json", f"content-length: {len(body)}", *headers) + body]


def stream(chunks: Sequence[bytes], *then: Step, content_type: str = "text/event-stream") -> Script:
    """A chunked answer that ends well, unless ``then`` says how it goes on instead."""
    begin = head(200, f"content-type: {content_type}", "transfer-encoding: chunked")
    return [begin, *(chunked(chunk) for chunk in chunks), *(then or (b"0\r\n\r\n",))]


def chunked(chunk: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(chunk), chunk)


def event(document: object) -> bytes:
    """One server-sent event."""
    return b"data: " + (document if isinstance(document, bytes) else json.dumps(document).encode()) + b"\n\n"


def completion(content: str | None, model: str = "m-1", **usage: int) -> bytes:
    """A chat completion as providers send it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    counted = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10} | usage
    return json.dumps(
        {"id": "c-1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": counted}
    ).encode()


def deltas(texts: Sequence[str], model: str = "m-1", usage: Mapping[str, int] | None = None) -> list[bytes]:
    """A streamed chat completion as providers send it, one event each."""
    common = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    events = [
        event(common | {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}) for text in texts
    ]
    events.append(event(common | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
    if usage is not None:
        events.append(event(common | {"choices": [], "usage": usage}))
    return [*events, event(b"[DONE]")]
