"""Carries out a set-up: the environment, the installer, the packages, and the mark that says all is done.

Standard library only: it runs before anything else is installed.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from app.setup.refusals import EXIT_FAILED, EXIT_NO_NETWORK, SetupRefused, explain, no_installer

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
MARK = "pinrail-setup"  # in the environment: that it is ours, and how far its set-up came
ONLY_FOR_TESTS = "# What follows is needed by the tests only."

Say = Callable[[str], None]


# -- the lock file ----------------------------------------------------------------------------------


def requirements(lock_text: str, *, with_tests: bool) -> str:
    """The part of the lock file that is wanted: all of it, or what stands above the tests' own packages."""
    return lock_text if with_tests else lock_text.partition(ONLY_FOR_TESTS)[0]


def requirement(lock_text: str, name: str) -> str:
    """One package of the lock file with its hashes."""
    block = re.search(rf"^{re.escape(name)}==(?:.*\\\n)*.*$", lock_text, re.MULTILINE)
    if block is None:
        raise SetupRefused(f"requirements.lock does not hold {name}: get the file anew from git.", EXIT_FAILED)
    return block[0]


# -- the environment --------------------------------------------------------------------------------


def base_python() -> str:
    """The Python outside any environment, so that one can be rebuilt while we run inside it."""
    return getattr(sys, "_base_executable", None) or sys.executable


def version_of(python: Path) -> str | None:
    """The version of an environment's Python, or nothing if it does not start."""
    if Path(sys.prefix) == python.parent.parent:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = run([str(python), "-I", "-S", "-c", question])
    except OSError:
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None


def make_environment(folder: Path) -> None:
    """Begin anew. The empty mark says: ours, and unfinished; whoever finds it after an interruption does the same."""
    gone = folder.with_name(folder.name + ".gone")
    shutil.rmtree(gone, ignore_errors=True)
    if folder.exists():
        folder.rename(gone)  # at once, where removing could stop half way
    folder.mkdir()
    (folder / MARK).write_text("", encoding="utf-8")
    try:
        from venv import EnvBuilder
    except ImportError:
        raise no_installer("venv") from None
    EnvBuilder(symlinks=True, with_pip=False).create(folder)
    shutil.rmtree(gone, ignore_errors=True)


@contextmanager
def unfinished(folder: Path) -> Iterator[None]:
    """Mark a finished environment as unfinished while it is being changed.

    Without network nothing was changed: uv fetches everything before it touches anything, and a person on a train
    keeps what worked.
    """
    mark = folder / MARK
    before = mark.read_text(encoding="utf-8")
    mark.write_text("", encoding="utf-8")
    try:
        yield
    except SetupRefused as refusal:
        if refusal.exit_code == EXIT_NO_NETWORK:
            mark.write_text(before, encoding="utf-8")
        raise


# -- the installer ----------------------------------------------------------------------------------


def install_uv(folder: Path, lock_text: str, say: Say) -> None:
    """Have the environment's own uv, in the version that the lock names: six times as fast as pip for the rest."""
    python = str(folder / "bin" / "python")
    wanted = requirement(lock_text, "uv")
    version = wanted.partition("==")[2].split()[0]
    answer = run([python, "-m", "uv", "--version"])
    if answer.returncode == 0 and answer.stdout.split()[1:2] == [version]:
        return
    listed = folder / "pinrail-installer.txt"
    listed.write_text(wanted + "\n", encoding="utf-8")
    command = [*pip_for(python), "install", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--retries", "1", "--timeout", "20", "-r", str(listed)]
    settings = {name: value for name, value in os.environ.items() if name not in ("PIP_TARGET", "PIP_PREFIX")}
    follow(command, folder, env={**settings, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}, say=say)


def pip_for(python: str) -> list[str]:
    """A pip that installs into the environment: the one outside or, where there is none, Python's own spare."""
    outside = [base_python(), "-m", "pip"]
    if run([*outside, "--version"]).returncode == 0:
        return [*outside, "--python", python]
    if run([python, "-m", "ensurepip"]).returncode == 0:
        return [python, "-m", "pip"]
    raise no_installer("pip")


# -- the packages -----------------------------------------------------------------------------------


def install_packages(folder: Path, wanted: str, *, exactly: bool, say: Say) -> None:
    """Install what the lock names; ``exactly`` also removes what it does not name."""
    python = str(folder / "bin" / "python")
    listed = folder / "pinrail-requirements.txt"
    listed.write_text(wanted, encoding="utf-8")
    command = [python, "-m", "uv", "pip", *(["sync"] if exactly else ["install", "-r"]), str(listed)]
    command += ["--python", python, "--require-hashes", "--no-build"]
    if not cache_is_writable():
        command.append("--no-cache")
    follow(command, folder, env=environment_for_uv(), say=say)


def environment_for_uv() -> dict[str, str]:
    """uv does not read pip's settings, and people behind a mirror have often made only those."""
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    answer = run([base_python(), "-m", "pip", "config", "list"])
    settings = dict(re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", answer.stdout, re.MULTILINE))
    for pip_name, uv_name in (("index-url", "UV_DEFAULT_INDEX"), ("cert", "SSL_CERT_FILE")):
        if pip_name in settings:
            env.setdefault(uv_name, settings[pip_name])
    return env


def cache_is_writable() -> bool:
    env = os.environ
    chosen = Path(env.get("UV_CACHE_DIR") or env.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")).absolute()
    nearest = next(folder for folder in (chosen, *chosen.parents) if folder.exists())
    return os.access(nearest, os.W_OK | os.X_OK)


# -- running others ---------------------------------------------------------------------------------


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def follow(command: Sequence[str], folder: Path, *, env: Mapping[str, str], say: Say) -> None:
    """Run an installer, pass on what shows progress, and explain its failure."""
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read_into, args=(process, lines), daemon=True).start()
    started = time.monotonic()
    said: list[str] = []
    try:
        while (line := _next_line(lines, wait_s=5)) is not None:
            if not line:
                say(f"      ... {time.monotonic() - started:.0f} s")
            elif line.lstrip().startswith(("Downloading", "Prepared", "Installed")):
                say(f"      {line.strip()}")
            said.append(line)
    except BaseException:
        process.kill()
        raise
    if process.wait() != 0:
        raise explain("\n".join(said), folder)


def _read_into(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip():
            lines.put(line.rstrip("\n"))
    lines.put(None)


def _next_line(lines: queue.Queue[str | None], *, wait_s: float) -> str | None:
    """The next line, an empty one when there was none for a while, or nothing after the last."""
    try:
        return lines.get(timeout=wait_s)
    except queue.Empty:
        return ""


# -- the end ----------------------------------------------------------------------------------------


def finish(folder: Path, lock: str, *, with_tests: bool) -> None:
    """Make the code importable from the environment, add the `pinrail` command, and mark it as done."""
    version = version_of(folder / "bin" / "python")
    packages = folder / "lib" / f"python{version}" / "site-packages"
    (packages / "pinrail.pth").write_text(f"{ROOT}\n", encoding="utf-8")
    command = folder / "bin" / "pinrail"
    if not command.exists():
        # -P: a folder called `app` where somebody happens to stand is not ours.
        command.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" -P -m app "$@"\n', encoding="utf-8")
        command.chmod(0o755)
    fresh = folder / (MARK + ".new")
    fresh.write_text(f"{lock} {version} {'tests' if with_tests else 'app'}\n", encoding="utf-8")
    fresh.replace(folder / MARK)
