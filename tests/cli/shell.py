"""`pinrail` as a real process."""

import os
import subprocess
import sys
from collections.abc import Mapping

from tests.parts import ROOT

COMMAND = (sys.executable, "-m", "app.cli")


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without any Pinrail settings, and then ``env``."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PINRAIL_")}
    return {**clean, "NO_COLOR": "", **env}


def started(*words: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """A command that runs; its output is piped."""
    return subprocess.Popen(
        [*COMMAND, *words],
        cwd=ROOT,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*words: str, env: Mapping[str, str], sent: str | None = None) -> subprocess.CompletedProcess[str]:
    """A command that has ended."""
    return subprocess.run(
        [*COMMAND, *words],
        cwd=ROOT,
        env=environment(env),
        input=sent,
        stdin=subprocess.DEVNULL if sent is None else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
