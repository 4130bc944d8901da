"""The route table on disk, for a start while the store is gone.

Two lines: what the second one is (its SHA-256 among it), and the table as JSON. It is replaced as a whole, and readable
by its owner only, since it holds digests of callers' keys. Its modification time is when the store last confirmed it.
"""

import contextlib
import os
from hashlib import sha256
from pathlib import Path

import orjson

from core.domain.routing import RouteTable, from_document, to_document
from core.errors import PinrailError

FORMAT = 1


class BadCopy(PinrailError):
    """The copy of the route table on disk cannot be used."""

    code = "bad_copy"


class DiskCopy:
    """The copy that one gateway keeps, by its name."""

    def __init__(self, data_dir: Path, name: str) -> None:
        self.path = data_dir / f"gateway-{name}" / "routes.json"

    def save(self, table: RouteTable) -> None:
        """Replace the copy: whoever reads sees the old one or the new one, also after a power cut. OSError if not."""
        body = orjson.dumps(to_document(table))
        about = {"format": FORMAT, "serial": table.serial, "sha256": sha256(body).hexdigest()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(about) + b"\n" + body + b"\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def confirm(self) -> None:
        """The store says that the copy is still what it would give."""
        with contextlib.suppress(OSError):
            os.utime(self.path)

    def load(self) -> tuple[RouteTable, float] | None:
        """The table, and when the store last confirmed it; None without a copy, BadCopy if it cannot be used."""
        try:
            confirmed_at_s = self.path.stat().st_mtime
            first, _, rest = self.path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise BadCopy(f"The copy of the routes at {self.path} cannot be read: {fault.strerror}.") from fault
        try:
            return _table(first, rest.removesuffix(b"\n")), confirmed_at_s
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            raise BadCopy(
                f"The copy of the routes at {self.path} cannot be used: {fault}. "
                "It is written anew once the store answers."
            ) from fault


def _table(about: bytes, body: bytes) -> RouteTable:
    said = orjson.loads(about)
    if said["format"] != FORMAT:
        raise ValueError(f"it has format {said['format']}, and this gateway reads {FORMAT}")
    if said["sha256"] != sha256(body).hexdigest():
        raise ValueError("it was damaged, its checksum does not fit")
    return from_document(orjson.loads(body))
