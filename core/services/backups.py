"""Writing a backup of the store and putting one back: who may, what is refused, and what the audit log is told."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from core.domain.events import Event
from core.domain.permissions import Actor, rule_on
from core.errors import AlreadyExists, BadBackup, InvalidInput, StoreError, StoreInUse
from core.services.recording import change, event
from core.store import audit_log, backups
from core.store.backup_file import BackupFile, Manifest, digest_of
from core.store.backups import Head
from core.store.database import Store


@dataclass(frozen=True)
class Written:
    """A backup that was written, read back and found whole. ``untold`` says why the audit log does not know of it."""

    path: Path
    sha256: str
    size_bytes: int
    manifest: Manifest
    untold: str = ""


@dataclass(frozen=True)
class Restored:
    """A store that is a backup's from now on; ``saved_as`` is what it held before."""

    manifest: Manifest
    sha256: str
    head: Head
    kept_out: tuple[str, ...]
    saved_as: Written | None


def back_up(store: Store, actor: Actor, path: Path, *, now: datetime) -> Written:
    """Write a backup of the store to ``path``, which must not exist: all of it or nothing, readable by its owner only.

    The store goes on being used meanwhile. A store that takes no more writes can be backed up too.
    """
    _insist(store, actor, "store:backup", "store.backed_up", now)
    with _fresh(path) as (part, sink):
        backups.dump(store, sink, now=now)
        _to_disk(sink)
        with contextlib.closing(BackupFile(part)) as again:
            manifest = again.manifest
            if not manifest.broken:
                backups.opened(again)
        digest = digest_of(part)
        size = part.stat().st_size
    made = Written(path, digest, size, manifest)
    try:
        _tell(store, actor, made, now)
    except StoreError as fault:
        return replace(made, untold=str(fault))
    return made


def _insist(store: Store, actor: Actor, action: str, kind: str, now: datetime) -> None:
    """NotPermitted, on record as every refusal by a rule, unless ``action`` is allowed."""
    if not rule_on(actor, action).allowed:
        with change(store, actor, action, event(actor, kind, "store", now=now)):
            raise AssertionError(f"{action} was ruled on twice, and differently")


def _tell(store: Store, actor: Actor, made: Written, now: datetime) -> None:
    holds = {"file": made.path.name, "sha256": made.sha256, "events": made.manifest.events, "head": made.manifest.head}
    said = event(actor, "store.backed_up", "store", now=now, after=holds)
    with change(store, actor, "store:backup", said) as session:
        audit_log.append(session, said)


def restore(
    store: Store,
    actor: Actor,
    path: Path,
    *,
    replacing: bool,
    save_in: Path,
    expected_sha256: str | None = None,
    now: datetime,
) -> Restored:
    """Put the backup at ``path`` in the place of all that the store holds; sessions end, and gateways load it anew.

    The backup is checked before anything is touched. StoreInUse when the store is not empty, unless ``replacing``:
    then what it holds is saved to a file in ``save_in`` first.
    """
    _insist(store, actor, "store:restore", "store.restored", now)
    digest = digest_of(path)
    if expected_sha256 is not None and digest != expected_sha256.lower():
        raise BadBackup(f"{path} is not the file you mean: its SHA-256 is {digest}. Nothing was touched.")
    with contextlib.closing(BackupFile(path)) as backup:
        backups.opened(backup)
        before = backups.head_of(store)
        saved = _saved(store, actor, before, replacing=replacing, folder=save_in, now=now)
        if saved is not None:
            before = backups.head_of(store)
            if before is None or before.events != saved.manifest.events + 1:  # that saving it was an event of its own
                raise StoreInUse("Somebody changed the store while it was saved. Nothing was touched; restore again.")
        kept_out: list[str] = []

        def said(kept: list[str]) -> Event:
            kept_out.extend(kept)
            return _event(actor, backup.manifest, digest, saved, kept, now)

        head = backups.load(store, backup, before, said, now=now)
        return Restored(backup.manifest, digest, head, tuple(kept_out), saved)


def _saved(
    store: Store, actor: Actor, before: Head | None, *, replacing: bool, folder: Path, now: datetime
) -> Written | None:
    if before is None:
        return None
    if not replacing:
        raise StoreInUse(
            f"This store is in use: {before.events:,} audit events. Give --replace to put the backup in its place; "
            "what it holds is saved first."
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"before-restore-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}.zip"
    saved = back_up(store, actor, folder / name, now=now)
    if saved.untold:
        raise StoreError(f"This store cannot be replaced. {saved.untold}")
    return saved


def _event(
    actor: Actor, manifest: Manifest, digest: str, saved: Written | None, kept_out: list[str], now: datetime
) -> Event:
    after = {
        "backup_sha256": digest,
        "taken_at": manifest.taken_at.isoformat(),
        "schema": manifest.schema,
        "events": manifest.events,
        "access_kept_out": kept_out,
    }
    before = {}
    if saved is not None:
        before = {"saved_as": saved.path.name, "saved_sha256": saved.sha256, "events": saved.manifest.events}
        before["head"] = saved.manifest.head  # what a head noted elsewhere since the backup is to be compared with
    return event(actor, "store.restored", "store", now=now, before=before, after=after)


# -- the file -------------------------------------------------------------------------------------


@contextlib.contextmanager
def _fresh(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A file that gets its name when the block ends well, and is gone when it does not."""
    if path.exists():
        raise AlreadyExists(f"{path} exists already, and no backup is written over another. Choose another name.")
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as fault:
        raise InvalidInput(f"{path} cannot be written: {fault.strerror}.") from fault
    try:
        with os.fdopen(handle, "w+b") as sink:
            yield part, sink
        os.link(part, path)  # where renaming would replace a file that came in between
        part.unlink()
        _folder_to_disk(path.parent)
    except FileExistsError as fault:
        raise AlreadyExists(f"{path} came into being in the meantime. Choose another name.") from fault
    except OSError as fault:
        full = " There is no room for it." if fault.errno == errno.ENOSPC else ""
        raise InvalidInput(f"{path} cannot be written: {fault.strerror}.{full} Nothing is left of it.") from fault
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _to_disk(sink: BinaryIO) -> None:
    sink.flush()
    os.fsync(sink.fileno())


def _folder_to_disk(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
