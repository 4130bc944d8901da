"""Turns a bare Python into one that can run Pinrail: makes .venv from requirements.lock, then starts again inside it.

Standard library only: nothing else can be there yet. Everything it says goes to standard error, so that the output of
the first command can be piped like that of any other. How it ends when it cannot go on:

    10  this Python is too old               (app/setup/require_python.py)
    11  pip or venv is missing               (app/setup/refusals.py has the sentences)
    12  the package index cannot be reached
    13  the folder cannot be written to
    14  the disk is full
    15  the set-up failed otherwise
   130  stopped by Ctrl-C

PINRAIL_VENV=DIR puts the environment elsewhere; PINRAIL_NO_SETUP=1 uses the present Python as it is (for images), and
so does a copy that pip installed, which brings no lock file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from app.setup.installation import (
    LOCK,
    MARK,
    ROOT,
    Say,
    finish,
    install_packages,
    install_uv,
    make_environment,
    requirements,
    unfinished,
    version_of,
)
from app.setup.refusals import SetupRefused, explain_fault, foreign


@dataclass(frozen=True)
class Stamp:
    """What an environment holds: the lock it was made from, for which Python, and whether for the tests too."""

    lock: str
    python: str
    with_tests: bool

    def covers(self, wanted: Stamp) -> bool:
        same = (self.lock, self.python) == (wanted.lock, wanted.python)
        return same and (self.with_tests or not wanted.with_tests)


@dataclass(frozen=True)
class Found:
    """An environment as it lies on the disk."""

    folder: Path
    exists: bool
    ours: bool = False
    stamp: Stamp | None = None  # none as well when a set-up did not come to its end
    python: str | None = None  # none when its Python does not start


class Step(Enum):
    """What brings an environment to the state that is wanted; the value says why."""

    NOTHING = "it is ready"
    CREATE = "there is none yet"
    REBUILD = "it was left unfinished, or its Python is gone"
    UPDATE = "requirements.lock asks for something else than it holds"
    ADOPT = "somebody else made it, and it works"


def next_step(found: Found, *, lock: str, with_tests: bool) -> Step:
    """Decide what to do about the environment that was found."""
    if not found.exists:
        return Step.CREATE
    if not found.ours:
        if found.python is None:
            raise foreign(found.folder)
        return Step.ADOPT
    if found.python is None or found.stamp is None or found.stamp.python != found.python:
        return Step.REBUILD
    return Step.NOTHING if found.stamp.covers(Stamp(lock, found.python, with_tests)) else Step.UPDATE


def look_at(folder: Path) -> Found:
    """Read the mark of an environment, and ask its Python for its version."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return Found(folder, exists=False)
    mark = folder / MARK
    stamp = None
    if mark.is_file():
        words = mark.read_text(encoding="utf-8").split()
        if len(words) == 3:
            stamp = Stamp(words[0], words[1], words[2] == "tests")
    return Found(folder, True, mark.is_file(), stamp, version_of(folder / "bin" / "python"))


def environment_folder() -> Path:
    chosen = os.environ.get("PINRAIL_VENV")
    return Path(chosen).expanduser().absolute() if chosen else ROOT / ".venv"


def enter(module: str, *, with_tests: bool) -> None:
    """Return inside a ready environment: at once when in it already, otherwise by starting ``module`` anew there."""
    if os.environ.get("PINRAIL_NO_SETUP") or not LOCK.exists():
        return
    folder = environment_folder()
    try:
        prepare(folder, with_tests=with_tests, say=say)
    except SetupRefused as refusal:
        say(f"pinrail: {refusal}")
        sys.exit(refusal.exit_code)
    except KeyboardInterrupt:
        say("\npinrail: Stopped during the set-up: start again to finish it.")
        sys.exit(130)
    if Path(sys.prefix) == folder:
        return
    python = str(folder / "bin" / "python")
    sys.stdout.flush()
    os.execv(python, [python, "-m", module, *sys.argv[1:]])


def prepare(folder: Path, *, with_tests: bool, say: Say) -> None:
    """Bring the environment to what requirements.lock says; several starts at once wait for one another."""
    try:
        lock_text = LOCK.read_text(encoding="utf-8")
        lock = hashlib.sha256(lock_text.encode()).hexdigest()
        if next_step(look_at(folder), lock=lock, with_tests=with_tests) is Step.NOTHING:
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        with alone(folder.with_name(folder.name + ".lock"), say):
            found = look_at(folder)  # again: another start may have done it while this one waited
            step = next_step(found, lock=lock, with_tests=with_tests)
            if step is not Step.NOTHING:
                # What the tests needed once stays, or the two commands would undo each other's work.
                with_tests = with_tests or (found.stamp is not None and found.stamp.with_tests)
                carry_out(step, folder, lock_text, with_tests=with_tests, say=say)
                finish(folder, lock, with_tests=with_tests)
    except OSError as fault:
        raise explain_fault(fault, folder) from fault


@contextlib.contextmanager
def alone(lock_file: Path, say: Say) -> Iterator[None]:
    """Hold the set-up for this process. The system lets go of it when the process ends, in whatever way."""
    with lock_file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another start of Pinrail is setting up this folder; waiting for it ...")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def carry_out(step: Step, folder: Path, lock_text: str, *, with_tests: bool, say: Say) -> None:
    wanted = requirements(lock_text, with_tests=with_tests)
    count = len(re.findall(r"^[A-Za-z0-9]", wanted, re.MULTILINE))
    anew = step in (Step.CREATE, Step.REBUILD)
    started = time.monotonic()
    say(f"Setting up Pinrail in {folder}" + (" (first start only, usually under a minute)" if anew else ""))
    say(f"  1/3 environment: {step.value}")
    if anew:
        make_environment(folder)
    with unfinished(folder) if step is Step.UPDATE else contextlib.nullcontext():
        say("  2/3 installer")
        install_uv(folder, lock_text, say)
        say(f"  3/3 {count} packages from requirements.lock, each checked against its hash")
        install_packages(folder, wanted, exactly=step is not Step.ADOPT, say=say)
    say(f"Set up in {time.monotonic() - started:.0f} s.")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
