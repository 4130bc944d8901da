"""The demo's callers call through the real gateway, wait for it while it is away, and never outlive the demo."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app import demo
from app.demo.traffic import traffic
from app.demo.workspace import HISTORY, RECORDINGS, workspace
from app.settings import Settings
from app.wiring import Pinrail, ready_pinrail
from core.domain.traffic import Counts
from core.store.database import Store
from core.store.tables import WindowRow
from tests.parts import Part, free_port, recorded, running

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    """The recorded provider without delays and faults."""
    with recorded([RECORDINGS], tmp_path_factory.mktemp("recorded") / "log", calm=True) as part:
        yield part


@pytest.fixture
def pinrail(tmp_path: Path, provider: Part) -> Iterator[Pinrail]:
    """A seeded workspace whose gateway is not there yet."""
    found = ready_pinrail(Settings.read(data_dir=tmp_path, gateway_port=free_port()))
    demo.seed(found, recorded_url=provider.url)
    yield found
    found.store.close()


@contextlib.contextmanager
def gateway(settings: Settings) -> Iterator[int]:
    """The gateway of ``settings``; its pid."""
    env = {"PINRAIL_DATA_DIR": str(settings.data_dir), "PINRAIL_GATEWAY_PORT": str(settings.gateway_port)}
    ready = f"http://127.0.0.1:{settings.gateway_port}/readyz"
    command = [sys.executable, "-m", "app", "gateway"]
    with running(command, env=env, ready=ready, log=settings.data_dir / "gateway.log") as pid:
        yield pid


@contextlib.asynccontextmanager
async def calling(settings: Settings, rng: random.Random | None = None) -> AsyncIterator[list[str]]:
    """The callers, as a task; what they say."""
    said: list[str] = []
    stop = asyncio.Event()
    task = asyncio.create_task(traffic(settings, stop=stop, rng=rng, say=said.append))
    try:
        yield said
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


def real(store: Store) -> list[WindowRow]:
    """The windows of traffic that was, not of the invented hours before."""
    with store.reading() as session:
        return [row for row in session.scalars(select(WindowRow)) if row.replica != HISTORY]


def requested(store: Store) -> int:
    return sum(row.requests for row in real(store))


async def until(true: Callable[[], object], *, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "this did not come about in time"
        await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_every_alias_is_called_by_its_own_callers_and_every_request_is_answered(pinrail: Pinrail):
    with gateway(pinrail.settings):
        async with calling(pinrail.settings, random.Random(7)) as said:
            await until(lambda: len({row.alias for row in real(pinrail.store)}) == 4 and requested(pinrail.store) > 40)
    assert said == ["The demo's callers send about 4.3 requests a second through the gateway."]
    mix = {(part["alias"], part["caller"]) for part in workspace()["traffic"]}
    for row in real(pinrail.store):
        assert {(row.alias, caller) for caller in row.callers} <= mix
        assert Counts(row.requests, dict(row.failures)).errors == 0
        assert row.fell_back == 0


@pytest.mark.slow
async def test_callers_wait_for_a_gateway_that_is_away_and_go_on_when_it_is_back(pinrail: Pinrail):
    async with calling(pinrail.settings) as said:
        await until(lambda: "The gateway does not answer; nobody calls until it does." in said)
        with gateway(pinrail.settings) as pid:
            await until(lambda: requested(pinrail.store) > 3)
            os.kill(pid, signal.SIGKILL)
        await until(lambda: said.count("The gateway does not answer; nobody calls until it does.") == 2)
        before = requested(pinrail.store)
        with gateway(pinrail.settings):
            await until(lambda: requested(pinrail.store) > before + 3)
    assert said.count("The demo's callers send about 4.3 requests a second through the gateway.") == 2


async def test_nobody_calls_a_gateway_that_does_not_know_the_demo(tmp_path: Path):
    own = ready_pinrail(Settings.read(data_dir=tmp_path, gateway_port=free_port()))
    with gateway(own.settings):
        async with calling(own.settings) as said:
            await until(lambda: said)
    assert said == ["The gateway does not know the demo's callers; nobody calls."]
    assert real(own.store) == []
    own.store.close()


def _command() -> list[str]:
    code = (
        "import sys; from app import demo; from app.settings import Settings;"
        f"print('begun', flush=True); sys.exit(demo.run_traffic(Settings.read(gateway_port={free_port()})))"
    )
    return [sys.executable, "-c", code]


def test_the_process_stops_when_it_is_told_to():
    process = subprocess.Popen(_command(), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    assert process.stdout.readline() == "The gateway does not answer; nobody calls until it does.\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


async def test_the_process_does_not_outlive_its_parent():
    script = f"import subprocess; subprocess.Popen({_command()!r}).wait()"
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "begun\n"
    assert parent.stdout.readline() == "The gateway does not answer; nobody calls until it does.\n"
    parent.kill()
    parent.wait()
    # The child holds the other end of the pipe, so this ends when the child does.
    assert await asyncio.wait_for(asyncio.to_thread(parent.stdout.read), 30) == ""
