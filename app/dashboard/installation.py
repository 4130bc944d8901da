"""The installation that this process shows: what the server was started with, or what the environment says."""

import threading

from app.settings import Settings
from app.wiring import Pinrail, ready_pinrail

_lock = threading.Lock()
_held: list[Pinrail] = []


def hold(pinrail: Pinrail | None) -> None:
    """Let every page of this process show ``pinrail``; None forgets it."""
    with _lock:
        _held[:] = [pinrail] if pinrail else []


def installation() -> Pinrail:
    """The installation this process shows, opened at first use where no server holds one."""
    with _lock:
        if not _held:
            _held.append(ready_pinrail(Settings.read()))
        return _held[0]
