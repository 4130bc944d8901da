"""Outlives the supervisor by a moment: when that is gone without a word, stops what it left running.

The supervisor writes "+123" when it starts a process group and "-123" when that has ended. The end of this input with
groups still noted means that the supervisor was killed. Linux could send each part a signal in that case
(PR_SET_PDEATHSIG), but only to the part and not to its children, only one signal however it is answered, and not on
macOS. Standard library only, and quick to start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable

PATIENCE_S = 10.0


def main() -> None:
    # Whoever stops everything else in the terminal must not stop this first.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        if line[0] == "+":
            groups.add(int(line[1:]))
        else:
            groups.discard(int(line[1:]))
    stop(groups, patience_s=PATIENCE_S)


def stop(groups: Iterable[int], *, patience_s: float) -> None:
    """Ask every group to end, and make those that do not."""
    left = [group for group in groups if send(group, signal.SIGTERM)]
    deadline = time.monotonic() + patience_s
    while (left := [group for group in left if send(group, 0)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for group in left:
        send(group, signal.SIGKILL)


def send(group: int, number: int) -> bool:
    """Signal a process group; false when nobody is left in it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


if __name__ == "__main__":
    main()
