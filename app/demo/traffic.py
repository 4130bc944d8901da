"""Gentle traffic through the gateway while the demo runs: the company's applications, calling as applications do.

Callers are independent of each other, so requests arrive at random (a Poisson process) at the rates of the workspace, a
handful a second in all. While the gateway is away nobody calls; when it is back nothing is made up for.
"""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Callable
from typing import Any

import aiohttp

from app.demo.workspace import key_of, requests, workspace
from app.settings import Settings

MOST_AT_ONCE = 32
"""Requests under way, above which further callers hang up before they are heard."""
ANSWER_WITHIN_S = 60.0
LONGEST_PAUSE_S = 5.0
LOOK_AT_PARENT_S = 1.0

Say = Callable[[str], None]


def run_traffic(settings: Settings) -> int:
    """Send the demo's traffic until told to stop, or until the supervisor is gone; the exit code is returned."""
    asyncio.run(_until_told(settings))
    return 0


async def _until_told(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watching = asyncio.create_task(_stop_with_parent(stop))
    await traffic(settings, stop=stop)
    watching.cancel()


async def _stop_with_parent(stop: asyncio.Event) -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(LOOK_AT_PARENT_S)
    stop.set()


def say(line: str) -> None:
    """One line for the supervisor."""
    print(line, flush=True)


async def traffic(settings: Settings, *, stop: asyncio.Event, rng: random.Random | None = None, say: Say = say) -> None:
    """Send traffic to the gateway of ``settings`` until ``stop`` is set; waits for a gateway that is not there."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    async with aiohttp.ClientSession(gateway_url(settings), timeout=timeout) as session:
        callers = Callers(session, rng or random.Random(), say)
        await callers.call(stop)


def gateway_url(settings: Settings) -> str:
    """Where the gateway answers from this machine."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.gateway_port}"


class Callers:
    """All the applications of the demo together."""

    def __init__(self, session: aiohttp.ClientSession, rng: random.Random, say: Say) -> None:
        self._session, self._rng, self._say = session, rng, say
        self._parts = workspace()["traffic"]
        self._rates = [part["requests_per_second"] for part in self._parts]
        self._under_way: set[asyncio.Task[None]] = set()
        self._gateway_is_away = True

    async def call(self, stop: asyncio.Event) -> None:
        """Call until ``stop`` is set."""
        while not stop.is_set():
            if self._gateway_is_away and not await self._gateway_is_back(stop):
                break
            await _pause(stop, self._rng.expovariate(sum(self._rates)))
            if not stop.is_set() and len(self._under_way) < MOST_AT_ONCE:
                task = asyncio.create_task(self._one(*self._drawn()))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _gateway_is_back(self, stop: asyncio.Event) -> bool:
        """Wait until the gateway is ready; False if told to stop before."""
        pause_s, said = 0.1, ""
        while not stop.is_set():
            in_the_way = await self._in_the_way()
            if not in_the_way:
                self._gateway_is_away = False
                rate = sum(self._rates)
                self._say(f"The demo's callers send about {rate:.1f} requests a second through the gateway.")
                return True
            if in_the_way != said and pause_s > 1:  # a start takes a moment, and that is no news
                said = in_the_way
                self._say(in_the_way)
            await _pause(stop, pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        return False

    async def _in_the_way(self) -> str:
        """Why there is no calling yet; empty when there is."""
        caller = self._parts[0]["caller"]
        try:
            async with self._session.get("/readyz") as ready:
                if ready.status != 200:
                    return "The gateway is not ready yet; nobody calls until it is."
            async with self._session.get("/v1/models", headers=_headers(caller)) as models:
                return "" if models.status == 200 else "The gateway does not know the demo's callers; nobody calls."
        except (aiohttp.ClientError, TimeoutError):
            return "The gateway does not answer; nobody calls until it does."

    def _drawn(self) -> tuple[str, dict[str, Any]]:
        """Who calls next, and with what."""
        [part] = self._rng.choices(self._parts, self._rates)
        body = self._rng.choice(requests()[part["alias"]])
        if self._rng.random() < part["streamed_share"]:
            body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        return part["caller"], body

    async def _one(self, caller: str, body: dict[str, Any]) -> None:
        try:
            async with self._session.post("/v1/chat/completions", json=body, headers=_headers(caller)) as answer:
                async for _chunk in answer.content.iter_any():
                    pass
        except aiohttp.ClientConnectorError:
            self._gateway_is_away = True
        except (aiohttp.ClientError, TimeoutError):
            return  # a failed request is what the dashboard shows; the next caller calls all the same


def _headers(caller: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key_of(caller)}"}


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
