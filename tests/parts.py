"""Parts of Pinrail as real processes, for tests and benchmarks: each answers before it is given, and ends after."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Part:
    """A running process and where it answers."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: Sequence[str], *, env: dict[str, str] | None = None, ready: str, log: Path) -> Iterator[int]:
    """A process that answers at ``ready``; it is asked to end afterwards. Its pid is given."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **(env or {})}, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL
        )
    try:
        _wait_until_ready(process, ready, log)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, urllib.error.URLError), urllib.request.urlopen(url, timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"Not ready at {url}:\n{log.read_text(errors='replace')[-2000:]}")


@contextlib.contextmanager
def gateway(database_url: str, folder: Path, name: str) -> Iterator[Part]:
    """A gateway on the store."""
    port = free_port()
    env = {"PINRAIL_GATEWAY_NAME": name, "PINRAIL_GATEWAY_PORT": str(port)}
    with _part("gateway", database_url, folder / name, port, env, "/readyz") as part:
        yield part


@contextlib.contextmanager
def dashboard(database_url: str, folder: Path) -> Iterator[Part]:
    """A dashboard with the control API on the store."""
    port = free_port()
    with _part("dashboard", database_url, folder / "dashboard", port, {"PINRAIL_PORT": str(port)}, "/healthz") as part:
        yield part


@contextlib.contextmanager
def recorded(paths: Sequence[Path], log: Path, *, calm: bool = False) -> Iterator[Part]:
    """A recorded provider that serves the recordings at ``paths``; a calm one without their delays and faults."""
    port = free_port()
    command = [sys.executable, "-m", "app", "recorded", *map(str, paths), "--port", str(port)]
    command += ["--calm"] if calm else []
    with running(command, ready=f"http://127.0.0.1:{port}/healthz", log=log) as pid:
        yield Part(pid, port)


@contextlib.contextmanager
def _part(command: str, database_url: str, folder: Path, port: int, env: dict[str, str], health: str) -> Iterator[Part]:
    folder.mkdir(parents=True, exist_ok=True)
    common = {"PINRAIL_DATABASE_URL": database_url, "PINRAIL_DATA_DIR": str(folder), "PINRAIL_HOST": "127.0.0.1"}
    log = folder / f"{command}.log"
    ready = f"http://127.0.0.1:{port}{health}"
    with running([sys.executable, "-m", "app", command], env={**common, **env}, ready=ready, log=log) as pid:
        yield Part(pid, port)
