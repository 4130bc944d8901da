"""A backup as a file: every table as lines of JSON in a zip archive, and a manifest that counts and digests them.

The manifest comes last, is itself digested, and nothing is taken from a file before all of it was checked. That finds
whatever breaks a file. Whoever alters one on purpose can make its digests anew: keep the SHA-256 of the file, which
`pinrail backup` prints, elsewhere, and hand it to `pinrail restore`.
"""

import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Self

from core.errors import BadBackup, StoreError

FORMAT = 1
MANIFEST, SEAL = "manifest.json", "manifest.sha256"
LARGEST_MANIFEST = 2**20
_ANYTHING_WRONG = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, TypeError, EOFError, NotImplementedError)


class Kind(StrEnum):
    """How the values of a column are written."""

    PLAIN = "plain"
    TIME = "time"
    DAY = "day"
    JSON = "json"


@dataclass(frozen=True)
class TableFacts:
    """What the manifest says of one table; ``columns`` are in the order of the values in a line."""

    columns: Mapping[str, Kind]
    rows: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a backup holds, its tables in an order in which they can be filled."""

    schema: str
    taken_at: datetime
    dialect: str
    events: int
    head: str
    broken: str  # what was wrong with the audit log when the backup was taken; empty when it was whole
    tables: Mapping[str, TableFacts]


# -- writing --------------------------------------------------------------------------------------


class Writer:
    """Writes one backup into ``sink``, table by table."""

    def __init__(self, sink: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self.tables: dict[str, TableFacts] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        """Without a manifest, what was written is no backup."""
        self._zip.close()

    def table(self, name: str, columns: Mapping[str, Kind], rows: Iterable[Sequence[Any]]) -> None:
        """Write one table; StoreError when a value is none that a store of ours can hold."""
        digest, count = sha256(), 0
        with self._zip.open(f"{name}.jsonl", "w", force_zip64=True) as member:
            try:
                for row in rows:
                    line = _line(columns, row)
                    digest.update(line)
                    member.write(line)
                    count += 1
            except (ValueError, TypeError) as fault:  # SQLite keeps anything in any column
                raise StoreError(f"The table {name} holds a value that cannot be read: {fault}.") from fault
        self.tables[name] = TableFacts(columns, count, digest.hexdigest())

    def close(self, manifest: Manifest) -> None:
        """Write the manifest, without which a file is no backup."""
        body = json.dumps({"format": FORMAT, **_as_document(manifest)}, indent=1).encode()
        self._zip.writestr(MANIFEST, body)
        self._zip.writestr(SEAL, sha256(body).hexdigest())
        self._zip.close()


def _line(columns: Mapping[str, Kind], row: Sequence[Any]) -> bytes:
    values = [
        value.isoformat() if kind in (Kind.TIME, Kind.DAY) and value is not None else value
        for kind, value in zip(columns.values(), row, strict=True)
    ]
    return json.dumps(values, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _as_document(manifest: Manifest) -> dict[str, Any]:
    tables = {name: {**vars(facts), "columns": dict(facts.columns)} for name, facts in manifest.tables.items()}
    return {**vars(manifest), "taken_at": manifest.taken_at.isoformat(), "tables": tables}


# -- reading --------------------------------------------------------------------------------------


class BackupFile:
    """A backup that was found whole when it was opened, and is counted and digested again as it is read."""

    def __init__(self, path: Path) -> None:
        """BadBackup when the file is not what `pinrail backup` wrote."""
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as fault:
            raise BadBackup(f"{path} cannot be read: {fault.strerror or fault}.") from fault
        except _ANYTHING_WRONG as fault:
            raise self._refusal("it is cut short, or is no backup") from fault
        try:
            self.manifest = self._manifest()
            for name in self.manifest.tables:
                for _row in self.rows(name):
                    pass
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the file go."""
        self._zip.close()

    def _refusal(self, because: str) -> BadBackup:
        return BadBackup(f"{self.path} cannot be used: {because}. Nothing was touched.")

    def _manifest(self) -> Manifest:
        try:
            if self._zip.getinfo(MANIFEST).file_size > LARGEST_MANIFEST:
                raise ValueError("its manifest is too large")
            body = self._zip.read(MANIFEST)
            if self._zip.read(SEAL) != sha256(body).hexdigest().encode():
                raise ValueError("its manifest was altered")
            document = json.loads(body)
            if document.pop("format") != FORMAT:
                raise ValueError("another Pinrail wrote it, in a format that this one does not read")
            manifest = _from_document(document)
        except _ANYTHING_WRONG as fault:
            raise self._refusal(_because(fault)) from fault
        expected = {MANIFEST, SEAL, *(f"{name}.jsonl" for name in manifest.tables)}
        if sorted(self._zip.namelist()) != sorted(expected):
            raise self._refusal("something was added to it or taken from it")
        return manifest

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The rows of a table; BadBackup at the end when they were not those that were written."""
        facts = self.manifest.tables[table]
        digest, count = sha256(), 0
        try:
            with self._zip.open(f"{table}.jsonl") as member:
                for line in member:
                    digest.update(line)
                    count += 1
                    yield _row(facts.columns, json.loads(line))
        except (*_ANYTHING_WRONG, OSError) as fault:
            raise self._refusal(f"the table {table} cannot be read ({_because(fault)})") from fault
        if (count, digest.hexdigest()) != (facts.rows, facts.sha256):
            raise self._refusal(f"the table {table} was altered")


def _row(columns: Mapping[str, Kind], values: list[Any]) -> dict[str, Any]:
    return {name: _READ[kind](value) for (name, kind), value in zip(columns.items(), values, strict=True)}


def _same(value: Any) -> Any:
    return value


_READ: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.PLAIN: _same,
    Kind.JSON: _same,
    Kind.TIME: lambda value: None if value is None else datetime.fromisoformat(value),
    Kind.DAY: lambda value: None if value is None else date.fromisoformat(value),
}


def _from_document(document: dict[str, Any]) -> Manifest:
    tables = {
        name: TableFacts(
            {column: Kind(kind) for column, kind in facts["columns"].items()}, facts["rows"], facts["sha256"]
        )
        for name, facts in document.pop("tables").items()
    }
    for name in [*tables, *(column for facts in tables.values() for column in facts.columns)]:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):  # they become part of statements
            raise ValueError(f"it names a table or column {name!r}")
    taken_at = datetime.fromisoformat(document.pop("taken_at"))
    return Manifest(**document, taken_at=taken_at, tables=tables)


def _because(fault: BaseException) -> str:
    said = str(fault).strip("'\"").rstrip(".")
    return said[:1].lower() + said[1:] if said else type(fault).__name__


def digest_of(path: Path) -> str:
    """The SHA-256 of a file; BadBackup when it cannot be read."""
    digest = sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    except OSError as fault:
        raise BadBackup(f"{path} cannot be read: {fault.strerror or fault}.") from fault
    return digest.hexdigest()
