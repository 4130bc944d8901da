"""How long after a flip the last request is still routed the old way, with three gateways under traffic.

The upstream notes when a request for a model arrives; a request for the old model that arrives after the flip was
committed was routed the old way. Beside it stands the scheduling delay of the same run, the noise under the figures.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.services import flips, serving
from core.store.database import Store
from tests.benchmarks.machine import SchedulingDelay, databases, percentile, scratch
from tests.benchmarks.store_for_benchmarks import ALIAS, HAND, KEY, NEW, OLD, prepared
from tests.benchmarks.table import drawn
from tests.parts import free_port, gateway

FLIPS = 200
GATEWAYS = 3
REQUESTS_PER_S = 600
PAUSE_S = 0.1

_BODY = b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[]}'
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


def run(flips_wanted: int = FLIPS) -> dict[str, Any]:
    """Measure on both stores."""
    rows = []
    with scratch() as folder, _Upstream().running() as upstream, databases(folder) as addresses:
        for name, url in addresses.items():
            rows.append(_on_store(name, url, folder, upstream, flips_wanted))
    return {"what": __doc__, "rows": rows}


def _on_store(name: str, url: str, folder: Path, upstream: "_Upstream", flips_wanted: int) -> dict[str, Any]:
    store = prepared(url, f"http://127.0.0.1:{upstream.port}/v1")
    noise = SchedulingDelay()
    place = folder / name
    place.mkdir()
    with ExitStack() as stack:
        stack.callback(store.close)
        ports = [stack.enter_context(gateway(url, place, f"gateway-{n}")).port for n in range(1, GATEWAYS + 1)]
        load = stack.enter_context(_Load(ports).running())
        stack.enter_context(noise.watched())
        time.sleep(2)
        late, seen = _flip_back_and_forth(store, upstream, flips_wanted)
    return {
        "store": name,
        "flips": flips_wanted,
        "gateways": GATEWAYS,
        "requests": load.answered,
        "failed": load.failed,
        "last_old_p50_ms": percentile(late, 0.5),
        "last_old_p99_ms": percentile(late, 0.99),
        "receipt_p50_ms": percentile(seen, 0.5),
        "receipt_p99_ms": percentile(seen, 0.99),
        "scheduling_p50_ms": percentile(noise.late_ms, 0.5),
        "scheduling_p99_ms": percentile(noise.late_ms, 0.99),
        "scheduling_p999_ms": percentile(noise.late_ms, 0.999),
    }


def _flip_back_and_forth(store: Store, upstream: "_Upstream", count: int) -> tuple[list[float], list[float]]:
    late, seen = [], []
    old, new, revision = OLD, NEW, 1
    for _ in range(count):
        moved = flips.flip(store, HAND, ALIAS, new, seen_revision=revision, now=datetime.now(UTC))
        committed = time.time()
        revision = moved.revision
        seen.append(_receipt_complete_after(store, revision, committed))
        time.sleep(PAUSE_S)
        late.append(max(0.0, (upstream.last_arrival(old) - committed) * 1000))
        old, new = new, old
    return late, seen


def _receipt_complete_after(store: Store, revision: int, committed: float) -> float:
    deadline = committed + 10
    while time.time() < deadline:
        if serving.receipt(store, ALIAS, revision, now=datetime.now(UTC)).complete:
            return (time.time() - committed) * 1000
        time.sleep(0.005)  # asking more often would itself load the store
    raise RuntimeError(f"revision {revision} was not confirmed within 10 s")


class _Upstream:
    """A provider that answers at once and notes when each model was last asked for."""

    def __init__(self) -> None:
        self.port = free_port()
        self._last: dict[str, float] = {}
        self._loop = asyncio.new_event_loop()

    def last_arrival(self, model: str) -> float:
        return self._last.get(model, 0.0)

    @contextmanager
    def running(self) -> Iterator["_Upstream"]:
        ready = threading.Event()

        async def serve() -> None:
            server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)
            ready.set()
            async with server:
                await server.serve_forever()

        def work() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(serve())

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        ready.wait(5)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(_cancel_all, self._loop)
            thread.join(5)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                arrived = time.time()
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                body = await reader.readexactly(length)
                self._last[json.loads(body)["model"]] = arrived
                writer.write(_ANSWER)
        writer.close()


class _Load:
    """Steady traffic over kept connections, spread over the gateways."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self.answered = 0
        self.failed = 0
        self._loop = asyncio.new_event_loop()
        body = json.dumps({"model": ALIAS, "messages": [{"role": "user", "content": "hello"}]}).encode()
        self._request = (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            b"authorization: Bearer %s\r\ncontent-length: %d\r\n\r\n%s" % (KEY.encode(), len(body), body)
        )

    @contextmanager
    def running(self) -> Iterator["_Load"]:
        def work() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._all())

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(_cancel_all, self._loop)
            thread.join(5)

    async def _all(self) -> None:
        lanes = [self._lane(port) for port in self._ports for _ in range(2)]
        await asyncio.gather(*lanes)

    async def _lane(self, port: int) -> None:
        every = 2 * len(self._ports) / REQUESTS_PER_S
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        due = time.perf_counter()
        while True:
            due = max(due + every, time.perf_counter() - 1)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            await reader.readexactly(length)
            self.answered += 1
            self.failed += not head.startswith(b"HTTP/1.1 200")


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()


def shown(result: dict[str, Any]) -> str:
    """The figures as a table."""
    heads = ["store", "flips", "gateways", "requests", "failed", "last old p50 ms", "last old p99 ms"]
    keys = ["store", "flips", "gateways", "requests", "failed", "last_old_p50_ms", "last_old_p99_ms"]
    heads += ["receipt p50 ms", "receipt p99 ms", "scheduling delay p50 / p99 / p99.9 ms"]
    rows = []
    for row in result["rows"]:
        noise = " / ".join(f"{row[f'scheduling_{p}_ms']:.2f}" for p in ("p50", "p99", "p999"))
        rows.append([*(row[key] for key in keys), row["receipt_p50_ms"], row["receipt_p99_ms"], noise])
    return drawn("After a flip, the last request routed the old way (after the commit)", heads, rows)
