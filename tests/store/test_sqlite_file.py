"""A store's file is its owner's alone, what people were told is on the disk, and a file that went away is missed."""

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from core.errors import StoreUnreachable
from core.store import audit_log, changes, migrate
from core.store.database import Store, open_store, ping
from tests.store.rows import log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def moved_away(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    for file in path.parent.glob("store.db*"):
        file.rename(path.parent / "elsewhere" / file.name)


def put_back(path: Path) -> None:
    for file in (path.parent / "elsewhere").iterdir():
        file.rename(path.parent / file.name)


def deleted(path: Path) -> None:
    for file in path.parent.glob("store.db*"):
        file.unlink()


def events(store: Store) -> int:
    with store.reading() as session:
        return audit_log.verify(session).events


# -- whose it is ----------------------------------------------------------------------------------


def test_nobody_else_may_read_what_a_new_store_keeps(path: Path):
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{path}")
        migrate.upgrade(store)
        log(store, 1)
    finally:
        os.umask(before)

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("store.db*")}
    assert set(modes) == {"store.db", "store.db-wal", "store.db-shm"}
    assert set(modes.values()) == {0o600}
    store.close()


def test_who_may_read_a_store_that_exists_is_left_to_its_owner(sqlite_store_url: str, path: Path):
    path.chmod(0o640)
    store = open_store(sqlite_store_url)
    log(store, 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    store.close()


# -- what is on the disk --------------------------------------------------------------------------


def test_a_change_that_was_acknowledged_is_on_the_disk_and_a_heartbeat_does_not_wait_for_it(sqlite_store_url: str):
    store = open_store(sqlite_store_url)
    synchronous = text("PRAGMA synchronous")
    with store.unit_of_work() as session:
        assert session.scalar(synchronous) == 2, "FULL: the commit returns when the disk has it"
    with store.writing() as session:
        assert session.scalar(synchronous) == 1, "NORMAL: a power cut may take it back"
    store.close()


# -- a file that went away --------------------------------------------------------------------------


@pytest.mark.parametrize("take", [moved_away, deleted])
def test_nothing_is_acknowledged_once_the_file_is_gone_and_none_is_made_in_its_place(
    sqlite_store_url: str, path: Path, take: Callable[[Path], None]
):
    store = open_store(sqlite_store_url)
    log(store, 1)
    take(path)

    gone = r"The store is gone: its file .* was moved or deleted while Pinrail ran\. Nothing was changed"
    with pytest.raises(StoreUnreachable, match=gone), store.unit_of_work():
        pass
    with pytest.raises(StoreUnreachable, match=gone):
        ping(store)
    assert not path.exists()
    store.close()


def test_a_file_that_is_back_is_used_again(sqlite_store_url: str, path: Path):
    store = open_store(sqlite_store_url)
    log(store, 1)
    moved_away(path)
    with pytest.raises(StoreUnreachable):
        ping(store)
    put_back(path)

    log(store, 1)

    assert events(store) == 2
    store.close()


def test_of_a_file_that_was_replaced_the_new_one_is_read_and_written(sqlite_store_url: str, path: Path):
    """As when somebody restores a backup without stopping anything."""
    store = open_store(sqlite_store_url)
    log(store, 1)
    backup = path.with_name("backup.db")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    log(store, 1)
    assert events(store) == 2
    deleted(path)
    backup.rename(path)

    assert events(store) == 1
    log(store, 1)
    assert events(open_store(sqlite_store_url)) == 2
    store.close()


def test_a_watch_notices_that_its_file_is_not_the_store_s_any_more(sqlite_store_url: str, path: Path):
    store = open_store(sqlite_store_url)
    watch = changes.watch(store)
    moved_away(path)
    with pytest.raises(StoreUnreachable, match="is not the file that was opened"):
        watch.wait(0.0)
    watch.close()
    store.close()
