"""What `python3 -m tests` runs, in the order in which it is quickest to hear bad news."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

STATIC: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ruff check", ("-m", "ruff", "check", "--quiet", ".")),
    ("ruff format", ("-m", "ruff", "format", "--check", "--quiet", ".")),
    ("mypy", ("-m", "mypy")),
    ("import rules", ("-c", "from importlinter.cli import lint_imports_command as check; check()")),
)
OTHER = {"bench": "tests.benchmarks.run", "lock": "tests.lock"}


def main() -> None:
    os.chdir(ROOT)
    asked_for = sys.argv[1:]
    if asked_for and asked_for[0] in OTHER:
        sys.argv = asked_for
        sys.exit(importlib.import_module(OTHER[asked_for[0]]).main(asked_for[1:]))
    sys.exit(run_pytest(asked_for) if asked_for else run_all())


def run_all() -> int:
    """Check what needs no run first, all of it; run the tests only on code that passed."""
    failed = [name for name, command in STATIC if not passes(name, command)]
    if failed:
        print(f"Not run: the tests, because of {', '.join(failed)}.", flush=True)
        return 1
    return run_pytest(["-n", str(min(os.cpu_count() or 1, 4))])


def passes(name: str, command: Sequence[str]) -> bool:
    started = time.monotonic()
    answer = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, cwd=ROOT)
    word = "ok" if answer.returncode == 0 else "FAILED"
    print(f"{name:<13} {word} ({time.monotonic() - started:.1f} s)", flush=True)
    if answer.returncode != 0:
        print(answer.stdout + answer.stderr, flush=True)
    return answer.returncode == 0


def run_pytest(arguments: Sequence[str]) -> int:
    """In this terminal, so that colours, `--pdb` and Ctrl-C work, and its closing line is the last one."""
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False, cwd=ROOT).returncode
