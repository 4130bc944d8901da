"""One chat request from its body to the last byte of its answer: route, ask, fall back, pass on, leave an outcome.

Until the first byte of an answer is there, the next version of the chain may be asked; after it a fault becomes an
event in a stream, or a cut connection where an answer was counted. Either way it is recorded.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from itertools import count
from typing import Any, NamedTuple

from app.gateway.asking import Asked, as_json, asked_in, recognised, rewritten, routed
from app.gateway.failures import BEFORE_AN_ANSWER, another_may_answer, failure_of_fault, failure_of_status
from app.gateway.formats import wanted_format
from app.gateway.readings import NoReading, PlainReading, Reading, StreamReading
from app.gateway.recorder import Finished, Recorder
from app.gateway.refusals import BodyTooLarge, NoRoutes, Stopped, error_document
from app.gateway.routes import FALLBACK, HeaderPairs, Ready, Routes
from app.gateway.state import State
from app.gateway.wire import Receive, Scope, Send, passed_back, passed_on, refuse
from core.domain.routing import CallerKey, Route
from core.domain.traffic import Failure
from core.errors import PinrailError, ProviderFailed
from core.ports import Answer, ChatProvider

WATCH_AFTER_S = 0.05
"""An answer that takes longer is worth a task that notices when the caller leaves; a quicker one is not."""
UNREAD = NoReading()


class CallerLeft(Exception):
    """The caller closed the connection while still sending; there is nobody to tell."""


class Around:
    """What all exchanges of one replica share."""

    __slots__ = ("_numbers", "_prefix", "_served_by", "largest_body", "provider", "recorder", "state")

    def __init__(
        self, state: State, provider: ChatProvider, recorder: Recorder, *, replica: str, largest_body: int
    ) -> None:
        self.state = state
        self.provider = provider
        self.recorder = recorder
        self.largest_body = largest_body
        self._served_by = (b"x-pinrail-served-by", state.name.encode("ascii", "replace"))
        self._prefix = replica[:8].encode()
        self._numbers = count(1)

    def headers(self) -> HeaderPairs:
        """The headers of every answer of this replica, refusals among them."""
        headers = [self._served_by, (b"x-pinrail-request-id", b"%b-%x" % (self._prefix, next(self._numbers)))]
        if self.state.draining:
            headers.append((b"connection", b"close"))
        return headers

    def routes(self) -> Routes:
        """The routes in force now."""
        standing = self.state.standing
        if standing is None:
            raise NoRoutes(str(self.state.readiness(time.time())[1]["because"]))
        return standing.routes


class Begun(NamedTuple):
    """An answer of which the first bytes are here; none if it is empty."""

    answer: Answer
    chunks: AsyncIterator[bytes]
    first: bytes


class Try(NamedTuple):
    """One version that was asked, and what its outcome will need."""

    alias: str
    version: str
    fell_back: bool
    wanted: Mapping[str, Any] | None
    asked_at: float


class Exchange:
    """One chat request and its answer."""

    __slots__ = (
        "_around", "_caller", "_caller_left", "_complete_at", "_headers", "_named", "_over", "_provider_s",
        "_receive", "_scope", "_send", "_task", "_trying", "_watcher", "begun",
    )  # fmt: skip

    def __init__(self, around: Around, scope: Scope, receive: Receive, send: Send) -> None:
        self._around = around
        self._scope = scope
        self._receive = receive
        self._send = send
        self._headers = around.headers()
        self._named: HeaderPairs = []
        self._complete_at: float | None = None
        self._provider_s = 0.0
        self._trying: Try | None = None
        self._task: asyncio.Task[Any] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._caller_left = False
        self._over = False
        self.begun = False
        """Whether an answer is under way, so that no other can be given."""

    async def run(self) -> None:
        """Answer, or refuse in OpenAI's error shape."""
        timer: asyncio.TimerHandle | None = None
        try:
            headers = dict(self._scope["headers"])
            # Strangers are turned away before their body is read.
            self._caller = self._recognised(headers)
            body = await self._body(headers.get(b"content-length"))
            self._complete_at = time.perf_counter()
            self._task = asyncio.current_task()
            timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._watch)
            await self._answer(asked_in(body), headers)
        except PinrailError as refusal:
            self._over = self.begun = True
            await refuse(self._send, refusal, [*self._headers, *self._named, *self._overhead()])
        except CallerLeft:
            return
        except asyncio.CancelledError:
            await self._given_up()
        finally:
            self._over = True
            if timer is not None:
                timer.cancel()
            if self._watcher is not None:
                self._watcher.cancel()

    async def _given_up(self) -> None:
        """Either the caller left, or this gateway stops and has waited long enough; no version is to blame."""
        if self._task is not None:
            self._task.uncancel()
        if self._caller_left:
            self._note(Failure.CALLER)
        elif not self.begun:
            self.begun = True
            late = Stopped("This gateway was stopped before an answer came; ask again.")
            await refuse(self._send, late, [*self._headers, *self._named, *self._overhead()])

    def _overhead(self) -> HeaderPairs:
        """The time since the request was complete in which no provider had it."""
        if self._complete_at is None:
            return []
        ms = (time.perf_counter() - self._complete_at - self._provider_s) * 1000
        return [(b"x-pinrail-overhead-ms", b"%.3f" % ms)]

    # -- the request ----------------------------------------------------------------------------------

    def _recognised(self, headers: Mapping[bytes, bytes]) -> CallerKey:
        callers = self._around.routes().table.callers
        return recognised(callers, headers.get(b"authorization"), now_s=time.time())

    async def _body(self, announced: bytes | None) -> bytes:
        most = self._around.largest_body
        if announced is not None and int(announced) > most:
            raise BodyTooLarge(f"The body has {int(announced)} bytes; this gateway takes {most}.")
        message = await self._receive()
        parts = [message.get("body", b"")]
        size = len(parts[0])
        while message.get("more_body") and size <= most:
            message = await self._receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
        if message["type"] == "http.disconnect":
            raise CallerLeft
        if size > most:
            raise BodyTooLarge(f"The body has more than the {most} bytes that this gateway takes.")
        return b"".join(parts)

    # -- the answer -----------------------------------------------------------------------------------

    async def _answer(self, asked: Asked, headers: Mapping[bytes, bytes]) -> None:
        # The routes of this moment, not of when the body began to come.
        routes = self._around.routes()
        sticky_by = headers.get(b"x-pinrail-routing-key", b"").decode("latin-1")
        route = routed(routes.table, self._caller, asked, sticky_by=sticky_by or None)
        begun = await self._first_bytes(routes, route, asked, passed_on(headers.items()))
        try:
            await self._pass_on(begun)
        finally:
            await begun.answer.close()

    async def _first_bytes(self, routes: Routes, route: Route, asked: Asked, headers: Mapping[str, str]) -> Begun:
        """Ask the versions of the chain in turn until one answers; the last one's answer or fault stands."""
        before: list[str] = []
        chain = (route.version, *route.fallbacks)
        for place, version in enumerate(chain):
            self._named = routes.head(route.alias, FALLBACK if place else route.variant)
            is_last = place + 1 == len(chain)
            try:
                ready = routes.ready(version)
                self._named = self._named + ready.headers
                begun = await self._ask(ready, asked, headers, alias=route.alias, fell_back=place > 0)
            except BEFORE_AN_ANSWER as fault:
                self._note(failure_of_fault(fault))
                if is_last:
                    raise _with_those_before(fault, before) from fault
                before.append(f"{version}: {str(fault).rstrip('.')}")
                continue
            status = begun.answer.status
            if is_last or not another_may_answer(status):
                return begun
            self._note(failure_of_status(status))
            await begun.answer.close()
            before.append(f"{version} answered with status {status}")
        raise AssertionError("a chain has at least one version")

    async def _ask(
        self, ready: Ready, asked: Asked, headers: Mapping[str, str], *, alias: str, fell_back: bool
    ) -> Begun:
        document = rewritten(asked, ready)
        body = as_json(document)
        asked_at = time.perf_counter()
        self._trying = Try(alias, ready.version, fell_back, wanted_format(document), asked_at)
        try:
            answer = await self._around.provider.ask(ready.provider, body, headers)
            try:
                chunks = answer.chunks()
                return Begun(answer, chunks, await anext(chunks, b""))
            except BaseException:
                await answer.close()
                raise
        finally:
            self._provider_s += time.perf_counter() - asked_at

    async def _pass_on(self, begun: Begun) -> None:
        answer, chunks, chunk = begun
        headers = [*passed_back(answer.headers), *self._headers, *self._named, *self._overhead()]
        reading = self._reading(answer)
        self.begun = True
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        try:
            if chunk:
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
                reading.add(chunk)
            async for chunk in chunks:
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
                reading.add(chunk)
        except ProviderFailed as fault:
            self._note(Failure.CUT)
            await self._break_off(answer, fault, after=chunk)
            return
        self._note(failure_of_status(answer.status), reading)
        self._over = True
        await self._send({"type": "http.response.body", "body": b""})

    async def _break_off(self, answer: Answer, fault: ProviderFailed, *, after: bytes) -> None:
        if not _is_stream(answer) or "content-length" in answer.headers:
            # Returning with less than was announced makes the server cut the connection: no other sign is left.
            return
        lead = b"" if after.endswith((b"\n\n", b"\r\n\r\n")) else b"\n\n"
        self._over = True
        event = b"%bdata: %b\n\n" % (lead, error_document(fault))
        await self._send({"type": "http.response.body", "body": event})

    def _reading(self, answer: Answer) -> Reading:
        if answer.status != 200 or "content-encoding" in answer.headers or self._trying is None:
            return UNREAD
        if _is_stream(answer):
            return StreamReading(needs_text=self._trying.wanted is not None)
        return PlainReading()

    # -- what is left of it ---------------------------------------------------------------------------

    def _note(self, failure: Failure | None, reading: Reading = UNREAD) -> None:
        """Leave the outcome of the version that was tried; nothing if none was."""
        trying, self._trying = self._trying, None
        if trying is None:
            return
        self._around.recorder.note(
            Finished(
                alias=trying.alias,
                version=trying.version,
                caller=self._caller.caller,
                at_s=time.time(),
                latency_ms=(time.perf_counter() - trying.asked_at) * 1000,
                failure=failure,
                fell_back=trying.fell_back,
                reading=reading,
                wanted=trying.wanted,
            )
        )

    def _watch(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._wait_until_caller_leaves())

    async def _wait_until_caller_leaves(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        # The server says the same when the answer is complete.
        if not self._over and self._task is not None:
            self._caller_left = True
            self._task.cancel()


def _is_stream(answer: Answer) -> bool:
    return answer.headers.get("content-type", "").startswith("text/event-stream")


def _with_those_before(fault: ProviderFailed | PinrailError, before: list[str]) -> PinrailError:
    return type(fault)(f"{fault} Before that, {'; '.join(before)}.") if before else fault
