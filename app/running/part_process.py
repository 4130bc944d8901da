"""One started process of a part: its group, its output line by line, and whether it is ready."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from app.running.warden import send

WARDEN = str(Path(__file__).resolve().with_name("warden.py"))
READY_WITHOUT_URL_S = 2.0
ASK_EVERY_S = 0.1
ANSWER_WITHIN_S = 2.0

# Health is asked on this machine: no proxy has a say in it.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Warden:
    """The supervisor's end of the line to app/running/warden.py, which stops everything if the supervisor is killed."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process = self._started()

    def _started(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", WARDEN],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,  # or a kill of the whole terminal would take it along
        )

    def note(self, group: int) -> None:
        self._groups.add(group)
        self._tell(f"+{group}")

    def forget(self, group: int) -> None:
        self._groups.discard(group)
        self._tell(f"-{group}")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            print(line, file=self._process.stdin, flush=True)
        except BrokenPipeError:  # somebody killed it: another one takes over with all that is known
            self._process.wait()
            self._process = self._started()
            assert self._process.stdin is not None
            for group in self._groups:
                print(f"+{group}", file=self._process.stdin, flush=True)

    def dismiss(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class PartProcess:
    """A running process in a group of its own, so that Ctrl-C reaches it through the supervisor only."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        health_url: str | None,
        warden: Warden,
        forward: Callable[[str], None],
    ) -> None:
        self.started_at = time.monotonic()
        self.ready_at: float | None = None
        self._warden = warden
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )
        self._group = self._process.pid
        warden.note(self._group)
        self._reading = threading.Thread(target=self._pass_on, args=(forward,), daemon=True)
        self._reading.start()
        threading.Thread(target=self._wait_until_ready, args=(health_url,), daemon=True).start()

    def how_it_ended(self) -> str | None:
        """Say how, or nothing while it lives."""
        code = self._process.poll()
        if code is None:
            return None
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended by itself with exit code {code}"

    def ask_to_stop(self) -> None:
        send(self._group, signal.SIGTERM)

    def clear_away(self) -> None:
        send(self._group, signal.SIGKILL)  # to children it may have left, too
        self._process.wait()
        self._reading.join(timeout=1.0)  # its last words
        self._warden.forget(self._group)

    def _pass_on(self, forward: Callable[[str], None]) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                forward(line.rstrip("\n"))

    def _wait_until_ready(self, health_url: str | None) -> None:
        while self._process.poll() is None:
            lived_s = time.monotonic() - self.started_at
            if lived_s > READY_WITHOUT_URL_S if health_url is None else answers_well(health_url):
                self.ready_at = time.monotonic()
                return
            time.sleep(ASK_EVERY_S)


def answers_well(url: str) -> bool:
    try:
        with _OPENER.open(url, timeout=ANSWER_WITHIN_S) as answer:
            return 200 <= int(answer.status) < 300
    except (OSError, ValueError):  # urllib's own faults are OSErrors
        return False
