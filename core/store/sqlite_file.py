"""The file of a SQLite store: made for its owner only, and missed when it is taken away or replaced.

SQLite goes on with a file that was moved or deleted under it. Whatever is written then is acknowledged, and lost with
the last process that has the file open. So each connection remembers which file it opened, and is not used for another.
"""

import contextlib
import os
from typing import Any

from sqlalchemy import Engine, event, exc
from sqlalchemy.pool import ConnectionPoolEntry

from core.errors import StoreUnreachable

Identity = tuple[int, int]


def identity(path: str) -> Identity | None:
    """What tells this file from any other, also from a later one of its name; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class StoreFile:
    """The file that the engines of one store share."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._was_there = False

    def guard(self, engine: Engine) -> None:
        """Let no connection of ``engine`` outlive its file."""
        event.listen(engine, "do_connect", self._prepare)
        event.listen(engine, "connect", self._remember)
        event.listen(engine, "checkout", self._insist)

    def _prepare(self, _dialect: object, _record: object, _args: object, _options: object) -> None:
        if identity(self._path) is not None:
            return
        if self._was_there:  # SQLite would make an empty one in its place
            raise StoreUnreachable(
                f"The store is gone: its file {self._path} was moved or deleted while Pinrail ran. Nothing was "
                "changed. Put it back, or stop Pinrail if it shall begin anew."
            )
        # Its name, and the names of what SQLite puts beside it, say who may read it: it holds digests of secrets. Where
        # it cannot be made, SQLite will say why.
        with contextlib.suppress(OSError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))

    def _remember(self, _connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["file"] = identity(self._path)
        self._was_there = True

    def _insist(self, _connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        if record.info["file"] != identity(self._path):
            raise exc.DisconnectionError("The store's file is another one now.")  # the pool connects anew
