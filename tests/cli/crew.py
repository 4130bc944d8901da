"""A supervisor in a process of its own, with parts of a few lines, as the tests of it need them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30

SUPERVISE = """
import json, sys
from app.running.supervisor import Part, run
parts = [Part(name, tuple(command), health_url=url) for name, command, url in json.loads(sys.argv[1])]
sys.exit(run(parts, say=lambda line: print(line, flush=True), when_ready=lambda: print("banner", flush=True)))
"""

SERVER = """
import http.server, os, sys
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Healthy)
print("pid", os.getpid()); server.serve_forever()
"""
POLITE = """
import os, signal, sys, time
def leave(*_): print("goodbye", flush=True); sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("pid", os.getpid(), flush=True); time.sleep(600)
"""
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("pid", os.getpid(), flush=True); time.sleep(600)
"""
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("pid", os.getpid(), flush=True); print("pid", child.pid, flush=True); time.sleep(600)
"""
BROKEN = "raise SystemExit('no such database')"

Spec = tuple[str, list[str], str | None]


def part(name: str, code: str, *arguments: object, url: str | None = None) -> Spec:
    return (name, [sys.executable, "-c", code, *map(str, arguments)], url)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def server(name: str) -> Spec:
    port = free_port()
    return part(name, SERVER, port, url=f"http://127.0.0.1:{port}/healthz")


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # dead, and only its parent has not been told yet


def until(what: str, true: object) -> None:
    """Wait until something holds, and say what was waited for if it never does."""
    assert callable(true)
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.02)


class Supervised:
    """The running supervisor and everything it has said."""

    def __init__(self, parts: Sequence[Spec]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISE, json.dumps(parts)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in self.process.stdout)

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.said):
            assert time.monotonic() < deadline, f"never said {pattern!r}, but:\n{self.said}"
            time.sleep(0.02)

    def pids(self) -> list[int]:
        return [int(pid) for pid in re.findall(r"\| pid (\d+)", self.said)]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ends(self) -> int:
        code = self.process.wait(timeout=PATIENCE_S)
        self._reader.join(timeout=PATIENCE_S)
        return code


@contextmanager
def supervised(*parts: Spec) -> Iterator[Supervised]:
    running = Supervised(parts)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()
        for pid in running.pids():
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        assert running.process.stdout is not None
        running._reader.join(timeout=PATIENCE_S)
        running.process.stdout.close()
