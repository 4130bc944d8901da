"""A replica routes by the store's newest change, says so once it does, and goes on without the store."""

import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlmodel import select

from app.gateway.disk_copy import BadCopy, DiskCopy
from app.gateway.follower import Follower
from core.domain.routing import AliasRoute, CallerKey, ProviderAddress, RouteTable, Target, Variant
from core.services import serving
from core.store.tables import ReplicaRow
from tests.gateway.outage import without
from tests.gateway.world import Running, World, eventually, now


def served_version(gateway: Running) -> str:
    return gateway.post().headers["x-pinrail-version"]


def readiness(gateway: Running) -> dict[str, Any]:
    return gateway.get("/readyz").json()


# -- with the store -------------------------------------------------------------------------------


def test_a_flip_is_in_force_at_every_replica_once_its_receipt_is_complete(
    either_world: World, start: Callable[..., Running]
):
    world = either_world
    replicas = [start(world, gateway_name=name) for name in ("gw-1", "gw-2")]
    assert [served_version(gateway) for gateway in replicas] == ["one", "one"]

    for version in ("two", "one", "three"):
        moved = world.flip("prod-chat", version)
        eventually(
            lambda: serving.receipt(world.store, "prod-chat", moved.revision, now=now()).complete,  # noqa: B023
            "the receipt is complete",
        )
        assert [served_version(gateway) for gateway in replicas] == [version, version]

    receipt = serving.receipt(world.store, "prod-chat", moved.revision, now=now())
    assert [confirmed.name for confirmed in receipt.confirmed] == ["gw-1", "gw-2"]


def test_no_request_sent_after_the_receipt_is_answered_the_old_way_while_traffic_flows(
    either_world: World, start: Callable[..., Running]
):
    world = either_world
    gateway = start(world)
    answers: list[tuple[float, str]] = []
    over = threading.Event()

    def call() -> None:
        while not over.is_set():
            sent_at = time.monotonic()
            answers.append((sent_at, served_version(gateway)))

    caller = threading.Thread(target=call)
    caller.start()
    confirmed: list[tuple[float, str]] = []
    for version in ("two", "one", "two", "one"):
        moved = world.flip("prod-chat", version)
        eventually(
            lambda: serving.receipt(world.store, "prod-chat", moved.revision, now=now()).complete,  # noqa: B023
            "the receipt is complete",
        )
        confirmed.append((time.monotonic(), version))
        seen = len(answers)
        eventually(lambda: len(answers) > seen + 3, "some more answers")  # noqa: B023
        confirmed.append((time.monotonic(), ""))
    over.set()
    caller.join()

    for (since, version), (until, _) in zip(confirmed[::2], confirmed[1::2], strict=True):
        late = [answer for sent_at, answer in answers if since <= sent_at < until]
        # The last of them may still have been under way at the next flip.
        assert set(late[:-1]) == {version}


def test_a_table_is_in_force_before_it_is_acknowledged(
    either_world: World, start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
):
    gateway = start(either_world)
    in_force: list[tuple[int, int | None]] = []
    really = serving.acknowledge

    def noticing(store: Any, *, replica: str, serial: int, at: Any) -> None:
        in_force.append((serial, gateway.replica.state.serial))
        really(store, replica=replica, serial=serial, at=at)

    monkeypatch.setattr(serving, "acknowledge", noticing)
    moved = either_world.flip("prod-chat", "two")

    eventually(lambda: in_force, "an acknowledgement")
    assert in_force[0] == (moved.serial, moved.serial)


def test_a_change_that_was_announced_to_nobody_is_found_by_the_slow_poll(
    either_world: World, start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
):
    class Deaf:
        """A watch whose announcements are all lost."""

        def __init__(self, _store: Any) -> None: ...

        def wait(self, timeout_s: float) -> bool:
            time.sleep(timeout_s)
            return False

        def close(self) -> None: ...

    monkeypatch.setattr("core.store.changes.watch", Deaf)
    gateway = start(either_world)

    gateway.stands(serial=either_world.flip("prod-chat", "two").serial)

    assert served_version(gateway) == "two"


def test_a_replica_beats_with_its_drops_and_says_good_bye(
    either_world: World, start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.gateway.follower.BEAT_EVERY_S", 0.1)
    monkeypatch.setattr("app.gateway.recorder.Recorder.dropped", 3)
    gateway = start(either_world)

    def row() -> ReplicaRow:
        with either_world.store.reading() as session:
            return session.scalars(select(ReplicaRow)).one()

    eventually(lambda: row().dropped == 3, "a heartbeat with the drops")
    assert (row().name, row().stopped_at) == ("gw-1", None)
    gateway.replica.follower.finish()
    assert row().stopped_at is not None


def test_a_fault_of_the_follower_itself_does_not_end_it(
    world: World, start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    gateway = start(world)
    with monkeypatch.context() as broken:
        broken.setattr(serving, "load_table", lambda _store: 1 / 0)
        moved = world.flip("prod-chat", "two")
        eventually(lambda: readiness(gateway)["store"] != "reachable", "the fault is told")
        assert readiness(gateway)["store"] == "Following the store failed: ZeroDivisionError."
        assert served_version(gateway) == "one"

    gateway.stands(serial=moved.serial)
    eventually(lambda: readiness(gateway)["store"] == "reachable", "it follows again")
    assert "Following the store failed" in caplog.text


# -- with another one -------------------------------------------------------------------------------


def put_back_to_an_earlier_day(world: World, *, serial: int, statements: Sequence[str]) -> None:
    """What restoring a backup does to a store that is in use."""
    with world.store.writes.execution_options(migrating=True).begin() as connection:
        if world.store.dialect == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            connection.execute(text("DROP TRIGGER alias_revision_no_delete"))
        for statement in (*statements, f"UPDATE ledger SET serial = {serial}"):
            connection.execute(text(statement))


def test_a_store_that_was_put_back_to_an_earlier_day_is_followed_there(
    either_world: World, start: Callable[..., Running]
):
    world = either_world
    gateway = start(world)
    before = serving.current_serial(world.store)
    gateway.stands(serial=world.flip("prod-chat", "two").serial)
    assert served_version(gateway) == "two"

    undone = ("DELETE FROM alias_revision WHERE number = 2", "UPDATE alias SET revision = 1")
    put_back_to_an_earlier_day(world, serial=before, statements=undone)

    eventually(lambda: readiness(gateway)["serial"] == before, "the earlier change is in force")
    assert served_version(gateway) == "one"
    gateway.stands(serial=world.flip("prod-chat", "three").serial)
    assert served_version(gateway) == "three"


EMPTY = ("DELETE FROM alias_revision", "DELETE FROM alias")


def test_a_store_that_came_back_empty_takes_nothing_from_the_callers(
    either_world: World, start: Callable[..., Running]
):
    world = either_world
    gateway = start(world)

    put_back_to_an_earlier_day(world, serial=0, statements=EMPTY)

    eventually(lambda: readiness(gateway)["store"] != "reachable", "the loss is noticed")
    assert readiness(gateway)["store"].startswith("The store is empty, and at change 0 behind the routes of change ")
    assert (readiness(gateway)["ready"], served_version(gateway)) == (True, "one")


def test_an_alias_that_was_retired_as_the_last_one_is_gone(world: World, start: Callable[..., Running]):
    gateway = start(world)
    gateway.stands(serial=world.retire("prod-chat").serial)

    assert gateway.post().status_code == 404


def test_a_file_that_is_taken_away_is_a_store_that_is_gone_and_a_flip_after_its_return_arrives(
    world: World, start: Callable[..., Running]
):
    gateway = start(world)
    path = Path(make_url(world.store.url).database or "")
    elsewhere = path.with_suffix(".moved")
    path.rename(elsewhere)

    eventually(lambda: readiness(gateway)["store"] != "reachable", "the loss is noticed")
    assert (served_version(gateway), path.exists()) == ("one", False)

    elsewhere.rename(path)
    gateway.stands(serial=world.flip("prod-chat", "two").serial)
    assert served_version(gateway) == "two"


# -- without it -----------------------------------------------------------------------------------


def test_with_the_store_gone_a_replica_serves_on_and_joins_again_afterwards(
    either_world: World, start: Callable[..., Running]
):
    world = either_world
    gateway = start(world)
    with without(world.store, gateway.store):
        eventually(lambda: readiness(gateway)["store"] != "reachable", "the loss is noticed")
        assert served_version(gateway) == "one"
        said = readiness(gateway)
        assert (said["ready"], said["source"]) == (True, "memory")
        assert said["because"].startswith("Serving the last known routes, without the store. The store ")

    moved = world.flip("prod-chat", "two")
    gateway.stands(serial=moved.serial)
    eventually(lambda: readiness(gateway)["store"] == "reachable", "the return is noticed")
    assert served_version(gateway) == "two"
    eventually(
        lambda: serving.receipt(world.store, "prod-chat", moved.revision, now=now()).complete, "the receipt is complete"
    )


def test_what_was_counted_while_the_store_was_gone_is_written_afterwards(
    either_world: World, start: Callable[..., Running]
):
    world = either_world
    gateway = start(world)
    with without(world.store, gateway.store):
        eventually(lambda: readiness(gateway)["store"] != "reachable", "the loss is noticed")
        for _ in range(7):
            gateway.post()

    counts = gateway.counts(requests=7)
    assert (counts.requests, gateway.replica.recorder.dropped) == (7, 0)


def test_a_replica_started_without_the_store_serves_from_its_copy_on_disk(
    either_world: World, start: Callable[..., Running]
):
    world = either_world
    first = start(world)
    first.stands(serial=world.flip("prod-chat", "two").serial)
    copy = DiskCopy(world.data_dir, "gw-1")
    eventually(lambda: saved_serial(copy) == first.replica.state.serial, "the copy is written")

    with without(world.store, first.store):
        second = start(world)
        assert served_version(second) == "two"
        said = readiness(second)
        assert (said["ready"], said["source"], said["serial"]) == (True, "disk copy", first.replica.state.serial)
        assert said["confirmed_s_ago"] >= 0

    second.stands(serial=world.flip("prod-chat", "three").serial)
    assert served_version(second) == "three"
    assert readiness(second)["source"] == "store"


def saved_serial(copy: DiskCopy) -> int | None:
    loaded = copy.load()
    return loaded[0].serial if loaded else None


def test_without_store_and_copy_a_replica_lives_and_refuses_with_the_reason(
    either_world: World, start: Callable[..., Running]
):
    world = either_world
    key = world.key
    with without(world.store):
        gateway = start(world, gateway_name="gw-new")

        answer = gateway.get("/readyz")
        refused = gateway.post(key=key)

        assert answer.status_code == 503
        assert "There is no copy of the routes at" in answer.json()["because"]
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_routes")
        assert refused.headers["retry-after"] == "1"
        assert gateway.get("/healthz").status_code == 200

    eventually(lambda: gateway.get("/readyz").status_code == 200, "it is ready once the store is back")
    assert served_version(gateway) == "one"


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut short": (lambda whole: whole[: len(whole) // 2], "its checksum does not fit"),
    "changed in one letter": (lambda whole: whole.replace(b"prod-chat", b"prod-cHat", 1), "its checksum does not fit"),
    "empty": (lambda whole: b"", "cannot be used"),
    "not ours": (lambda whole: b"\x00\xff" * 500, "cannot be used"),
    "of another format": (lambda whole: whole.replace(b'"format":1', b'"format":2'), "has format 2"),
    "an object of nothing": (lambda whole: b"{}\n{}\n", "cannot be used"),
    "a list": (lambda whole: b"[]\n[]\n", "cannot be used"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_copy_is_a_reason_not_to_be_ready_and_no_crash(
    world: World, start: Callable[..., Running], damage: Callable[[bytes], bytes], reason: str
):
    copy = DiskCopy(world.data_dir, "gw-1")
    copy.save(serving.load_table(world.store))
    copy.path.write_bytes(damage(copy.path.read_bytes()))

    with without(world.store):
        gateway = start(world)
        answer = gateway.get("/readyz")

    assert answer.status_code == 503
    assert reason in answer.json()["because"]
    assert str(copy.path) in answer.json()["disk_copy"]


def test_an_outdated_schema_is_said_and_served_through(world: World, start: Callable[..., Running]):
    DiskCopy(world.data_dir, "gw-1").save(serving.load_table(world.store))
    with world.store.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999_from_the_future'"))

    gateway = start(world)

    said = readiness(gateway)
    assert (said["ready"], said["source"]) == (True, "disk copy")
    assert said["store"] != "reachable"
    assert served_version(gateway) == "one"


def test_a_copy_that_cannot_be_written_is_said_and_does_not_stop_anything(
    world: World, start: Callable[..., Running], tmp_path: Path
):
    blocked = tmp_path / "a file, not a folder"
    blocked.write_text("")

    gateway = start(world, data_dir=blocked)

    eventually(lambda: readiness(gateway)["disk_copy"] != "good", "the failure is told")
    assert "cannot be kept" in readiness(gateway)["disk_copy"]
    assert (readiness(gateway)["ready"], served_version(gateway)) == (True, "one")


# -- the copy itself ------------------------------------------------------------------------------

TABLE = RouteTable(
    serial=12,
    aliases={"a": AliasRoute("a", 3, (Variant("c", "two", 0.1), Variant("stable", "one", 0.9)), ("two",))},
    targets={
        "one": Target("one", "p", "m-1", "polite@1", "Be polite.", {"temperature": 0}),
        "two": Target("two", "p", "m"),
    },
    providers={"p": ProviderAddress("p", "recorded", "http://127.0.0.1:1/v1", "P_KEY")},
    callers={"k": CallerKey("k", "shop", "00", frozenset({"a"}), 12.5), "l": CallerKey("l", "till", "01")},
)


def test_a_table_comes_back_from_disk_as_it_was(tmp_path: Path):
    copy = DiskCopy(tmp_path, "gw-1")
    copy.save(RouteTable(serial=1))
    copy.save(TABLE)

    loaded = copy.load()

    assert loaded is not None
    assert loaded[0] == TABLE
    assert list(copy.path.parent.iterdir()) == [copy.path], "nothing else is left behind"


def test_the_copy_is_for_its_owner_s_eyes_only(tmp_path: Path):
    before = os.umask(0)
    try:
        copy = DiskCopy(tmp_path, "gw-1")
        copy.save(TABLE)
    finally:
        os.umask(before)

    assert stat.S_IMODE(copy.path.stat().st_mode) == 0o600


def test_a_copy_that_was_never_written_is_none(tmp_path: Path):
    assert DiskCopy(tmp_path, "gw-1").load() is None


def test_a_write_that_was_interrupted_leaves_the_old_copy_and_does_not_block_the_next(tmp_path: Path):
    copy = DiskCopy(tmp_path, "gw-1")
    copy.save(RouteTable(serial=1))
    copy.path.with_suffix(".new").write_bytes(b"half a")

    assert saved_serial(copy) == 1
    copy.save(TABLE)
    assert saved_serial(copy) == 12


def test_a_copy_in_place_of_which_something_else_lies_is_bad(tmp_path: Path):
    copy = DiskCopy(tmp_path, "gw-1")
    copy.path.mkdir(parents=True)

    with pytest.raises(BadCopy, match="cannot be read"):
        copy.load()


def test_a_follower_is_not_asked_to_leave_a_store_it_never_joined(world: World, start: Callable[..., Running]):
    gateway = start(world, table=TABLE)

    gateway.replica.follower.finish()

    assert isinstance(gateway.replica.follower, Follower)
    with world.store.reading() as session:
        assert session.scalars(select(ReplicaRow)).all() == []
