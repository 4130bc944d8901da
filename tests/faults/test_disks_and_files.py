"""Full and read-only disks, damaged copies, half a migration, yesterday's backup: what is said, and nothing silent."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import inspect

from app.gateway.disk_copy import DiskCopy
from core.domain.permissions import local
from core.domain.versions import Provider, Version
from core.errors import InvalidInput, PinrailError, StoreError
from core.services import backups, callers, flips, registry, serving
from core.store import audit_log, migrate, repositories
from core.store.database import Store, open_store
from tests.cli.shell import run
from tests.faults.house import ALIAS, VERSIONS, eventually
from tests.gateway import upstream as wire
from tests.gateway.outage import without
from tests.parts import ROOT, Part, gateway

pytestmark = pytest.mark.slow
HAND = local("faults")


def now() -> datetime:
    return datetime.now(UTC)


def furnished(url: str, upstream_url: str = "http://127.0.0.1:9/v1") -> tuple[Store, str]:
    """A store with an alias that moved once, and a caller's key."""
    store = open_store(url)
    migrate.upgrade(store)
    registry.register_provider(store, HAND, Provider("acme", "recorded", upstream_url), now=now())
    for name in VERSIONS:
        registry.register_version(store, HAND, Version(name, "acme", f"m-{name}"), now=now())
    flips.create(store, HAND, ALIAS, VERSIONS[0], now=now() - timedelta(hours=1))
    flips.flip(store, HAND, ALIAS, VERSIONS[1], seen_revision=1, now=now())
    return store, callers.create_key(store, HAND, "web", now=now())[1]


def revisions(store: Store) -> int:
    with store.reading() as session:
        audit_log.verify(session)
        return len(repositories.history(session, ALIAS))


def flip(store: Store, seen: int) -> None:
    """To the other version, with a long reason."""
    flips.flip(store, HAND, ALIAS, VERSIONS[seen % 2], seen_revision=seen, reason="x" * 2000, now=now())


def flipped_until_refused(store: Store, seen: int) -> int:
    """Flip until the room that the store has left in its pages is used up; the revision it is at then."""
    for number in range(seen, seen + 2000):
        try:
            flip(store, number)
        except StoreError:
            return number
    raise AssertionError("this disk is never full")


# -- disks ----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes."""
    with mounted(tmp_path / "disk", "size=6m") as folder:
        yield folder


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("A small disk can only be mounted by root, where mounting is allowed.")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """No byte is free meanwhile."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**16, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    try:
        yield
    finally:
        ballast.unlink()


def test_with_a_full_disk_every_change_is_refused_in_words_and_none_is_half_made(small_disk: Path):
    store, _key = furnished(f"sqlite:///{small_disk / 'pinrail.db'}")
    before = revisions(store)
    with full(small_disk):
        before = flipped_until_refused(store, before)
        for _ in range(2):
            with pytest.raises(StoreError, match=r"disk is full.*Nothing was changed.*Make room"):
                flip(store, before)
        assert revisions(store) == before, "what was acknowledged is there, and what was refused is not"

        with pytest.raises(InvalidInput, match=r"(?i)no space left.*Nothing is left of it"):
            backups.back_up(store, HAND, small_disk / "b.zip", now=now())
        with pytest.raises(OSError, match="No space left"):
            DiskCopy(small_disk, "gateway-1").save(serving.load_table(store))
        assert DiskCopy(small_disk, "gateway-1").load() is None, "no half copy is left"
    assert not list(small_disk.glob("*.zip*"))

    flip(store, before)
    assert revisions(store) == before + 1
    store.close()
    with sqlite3.connect(small_disk / "pinrail.db") as again:
        assert again.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_store_on_a_disk_that_turned_read_only_refuses_in_words_and_goes_on_afterwards(small_disk: Path):
    url = f"sqlite:///{small_disk / 'pinrail.db'}"
    store, _key = furnished(url)
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        with pytest.raises(StoreError, match=r"(unable to open|cannot be written to).*Nothing was changed"):
            flip(store, 2)
        env = {"PINRAIL_DATABASE_URL": url}
        rollback = run("rollback", ALIAS, "--wait", "0", env=env)
        assert rollback.returncode in (1, 6), rollback.stdout
        assert "Traceback" not in rollback.stderr
        assert rollback.stderr.count("\n") == 1
        doctor = run("doctor", env=env)
        assert doctor.returncode == 9
        assert "Traceback" not in doctor.stderr
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    flip(store, 2)
    assert revisions(store) == 3
    store.close()


# -- half a migration -----------------------------------------------------------------------------

HALF = """
import os, signal, sys
from sqlalchemy import event
from core.store import migrate
from core.store.database import open_store
store = open_store(sys.argv[1])
made = []
@event.listens_for(store.writes, "after_cursor_execute")
def count(connection, cursor, statement, *rest):
    if statement.lstrip().upper().startswith("CREATE TABLE"):
        made.append(statement)
        if len(made) == 7:
            os.kill(os.getpid(), signal.SIGKILL)
migrate.upgrade(store)
"""


def test_a_migration_that_is_killed_half_way_leaves_nothing_and_is_made_the_next_time(database_url: str):
    done = subprocess.run([sys.executable, "-c", HALF, database_url], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()

    store = open_store(database_url)
    assert migrate.current(store) is None
    with store.reads.connect() as connection:
        assert inspect(connection).get_table_names() == []
    said = run("status", env={"PINRAIL_DATABASE_URL": database_url})
    assert said.returncode == 6
    assert "pinrail db upgrade" in said.stderr

    assert migrate.upgrade(store)
    migrate.check_schema(store)
    store.close()


# -- yesterday's backup, and damaged copies of the routes -----------------------------------------


@contextmanager
def serving_house(database_url: str, folder: Path) -> Iterator[tuple[Store, Part, Callable[[], str]]]:
    """A store, a gateway process on it, and a way to ask which version answers now."""
    with wire.running({"*": wire.plain(wire.completion("Hi"))}) as upstream:
        store, key = furnished(database_url, upstream.url)
        try:
            with gateway(database_url, folder, "gateway-1") as part:
                yield store, part, lambda: asked(part, key)
        finally:
            store.close()


def asked(part: Part, key: str) -> str:
    """Which version answered, or the refusal's code."""
    body = {"model": ALIAS, "messages": [{"role": "user", "content": "Hello"}]}
    answer = requests.post(
        f"{part.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}, timeout=20
    )
    return answer.headers.get("x-pinrail-version") or answer.json()["error"]["code"]


def test_gateways_serve_yesterday_s_backup_within_seconds_and_say_so(database_url: str, tmp_path: Path):
    with serving_house(database_url, tmp_path) as (store, part, who_answers):
        env = {"PINRAIL_DATABASE_URL": database_url, "PINRAIL_DATA_DIR": str(tmp_path)}
        backup = run("backup", str(tmp_path / "yesterday.zip"), env=env)
        assert backup.returncode == 0, backup.stderr
        for number in range(2, 5):
            flips.flip(store, HAND, ALIAS, VERSIONS[number % 2], seen_revision=number, now=now())
        eventually(lambda: who_answers() == VERSIONS[0], "today's version answers")

        restored = run("restore", str(tmp_path / "yesterday.zip"), "--replace", env=env)
        assert restored.returncode == 0, restored.stderr

        eventually(lambda: who_answers() == VERSIONS[1], "yesterday's version answers")
        eventually(
            lambda: serving.receipt(store, ALIAS, 2, now=now()).complete, "the gateway confirms the restored revision"
        )
        eventually(
            lambda: requests.get(f"{part.url}/readyz", timeout=5).json()["store"] == "reachable", "nothing is amiss"
        )
        moved = flips.flip(store, HAND, ALIAS, VERSIONS[0], seen_revision=2, now=now())
        eventually(lambda: who_answers() == VERSIONS[0], "a flip after the restore arrives")
        assert serving.receipt(store, ALIAS, moved.revision, now=now()).gateways == 1
        assert revisions(store) == 3


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda whole: whole[: len(whole) // 2],
    "a byte changed": lambda whole: whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:],
    "emptied": lambda _whole: b"",
    "zeros": lambda whole: b"\0" * len(whole),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_gateway_never_serves_from_a_damaged_copy_and_says_what_is_wrong(
    sqlite_url: str, tmp_path: Path, damage: Callable[[bytes], bytes]
):
    """In this process: a start without a store from a copy that was damaged, and the store's return."""
    from app.gateway.server import create
    from app.settings import Settings
    from app.wiring import open_pinrail

    store, _key = furnished(sqlite_url)
    copy = DiskCopy(tmp_path, "gateway-1")
    copy.save(serving.load_table(store))
    copy.path.write_bytes(damage(copy.path.read_bytes()))
    pinrail = open_pinrail(Settings(database_url=sqlite_url, data_dir=tmp_path))
    with without(store, pinrail.store):
        replica = create(pinrail)
        replica.start()
        eventually(lambda: "cannot be used" in str(replica.state.copy_fault), "the damage is named")
        ready, document = replica.state.readiness(0)
        assert (ready, replica.state.standing) == (False, None)
        assert "cannot be used" in str(document["because"])
    try:
        eventually(lambda: replica.state.standing is not None, "it serves once the store is back")
        eventually(lambda: _loads(copy), "the copy is written anew")
        assert replica.state.copy_fault is None
    finally:
        replica.finish()
        pinrail.store.close()
        store.close()


def _loads(copy: DiskCopy) -> bool:
    try:
        return copy.load() is not None
    except PinrailError:
        return False
