"""A backup holds everything, restores into either kind of store, and is refused whole when anything is wrong."""

import json
import os
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, select, text
from sqlmodel import col

from core.domain.permissions import Actor, ActorKind, Grant, Role, local
from core.domain.versions import Provider, Version
from core.errors import (
    AlreadyExists,
    BadBackup,
    InvalidInput,
    NotPermitted,
    NotSignedIn,
    PinrailError,
    StoreError,
    StoreInUse,
)
from core.services import access, backups, callers, flips, registry, serving
from core.services.backups import back_up, restore
from core.services.route_changes import refreshed
from core.store import audit_log, migrate
from core.store import backups as rows
from core.store.database import Store, open_store
from core.store.tables import AuditRow, Base, KnownIssueRow, RevisionRow
from tests.store.rows import everything, filled

HAND = local("tests")
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TODAY = NOW + timedelta(days=1)


@pytest.fixture
def furnished(store: Store) -> Store:
    """A store as one in use looks: aliases that moved, people, sessions, keys, gateways, traffic."""
    registry.register_provider(store, HAND, Provider("rec", "recorded", "http://127.0.0.1:9/v1"), now=NOW)
    registry.register_prompt(store, HAND, "greet@1", "Hello, ü😀 \u2028.", now=NOW)
    for name in ("a-1", "b-2"):
        registry.register_version(store, HAND, Version(name, "rec", name, "greet@1", {"temperature": 0.1}), now=NOW)
    registry.add_issue(store, HAND, "a-1", "It rambles.", now=NOW)
    flips.create(store, HAND, "chat", "a-1", now=NOW)
    flips.flip(store, HAND, "chat", "b-2", seen_revision=1, reason="newer", now=NOW)
    access.add_person(store, HAND, "ann", password="a long password", role=Role.ADMIN, now=NOW)
    serving.join(store, replica="p1", name="gateway-1", now=NOW)
    serving.acknowledge(store, replica="p1", serial=serving.current_serial(store), at=NOW)
    return store


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Another store, without tables, of each kind."""
    if request.param == "sqlite":
        opened = open_store(f"sqlite:///{tmp_path / 'other.db'}")
        yield opened
        opened.close()
        return
    server = request.getfixturevalue("postgres_server")
    from tests.conftest import postgres_database

    with postgres_database(server) as url:
        opened = open_store(url)
        yield opened
        opened.close()


def put_back(
    store: Store, path: Path, folder: Path, *, replacing: bool = False, now: datetime = TODAY
) -> backups.Restored:
    return restore(store, HAND, path, replacing=replacing, save_in=folder / "saved", now=now)


def test_what_was_backed_up_is_restored_on_either_kind_of_store(furnished: Store, other: Store, tmp_path: Path):
    secret = access.sign_in(furnished, "ann", "a long password", now=NOW)
    before = everything(furnished)
    back_up(furnished, HAND, tmp_path / "b.zip", now=NOW)

    done = put_back(other, tmp_path / "b.zip", tmp_path)

    after = everything(other)
    changed = {"ledger", "audit_event", "web_session", *rows.LEFT_OUT}
    assert {name: after[name] for name in after if name not in changed} == {
        name: before[name] for name in before if name not in changed
    }
    with other.reading() as session:
        newest = session.scalars(select(AuditRow).order_by(col(AuditRow.seq).desc())).first()
        assert newest is not None
        assert (newest.kind, newest.actor) == ("store.restored", HAND.name)
        assert len(after["audit_event"]) == len(before["audit_event"]) + 1
        assert audit_log.verify(session).events == done.head.events
    with pytest.raises(NotSignedIn):
        access.who_is(other, secret, now=NOW + timedelta(minutes=1))
    migrate.check_schema(other)


def test_a_restored_store_goes_on(furnished: Store, other: Store, tmp_path: Path):
    back_up(furnished, HAND, tmp_path / "b.zip", now=NOW)
    put_back(other, tmp_path / "b.zip", tmp_path)

    issue = registry.add_issue(other, HAND, "b-2", "It stutters.", now=TODAY)
    access.add_person(other, HAND, "ben", role=Role.VIEWER, now=TODAY)
    flips.roll_back(other, HAND, "chat", seen_revision=2, now=TODAY, minimum_dwell=timedelta(0))

    with other.reading() as session:
        assert len(session.scalars(select(KnownIssueRow)).all()) == 2
        audit_log.verify(session)
    assert issue.id == 2
    with pytest.raises(StoreError, match="append-only"), other.writing() as session:
        session.execute(text("UPDATE audit_event SET reason = 'x'"))


def test_every_table_is_kept_or_is_left_out_on_purpose(furnished: Store, tmp_path: Path):
    filled_tables = set(back_up(furnished, HAND, tmp_path / "b.zip", now=NOW).manifest.tables)
    assert filled_tables | rows.LEFT_OUT == set(Base.metadata.tables)
    assert not filled_tables & rows.LEFT_OUT


def test_every_watched_row_survives(store: Store, other: Store, tmp_path: Path):
    filled(store)
    before = everything(store)
    back_up(store, HAND, tmp_path / "b.zip", now=NOW)
    put_back(other, tmp_path / "b.zip", tmp_path)
    after = everything(other)
    for table in ("provider", "version", "version_data", "known_issue", "alias_revision", "role_grant", "api_token"):
        assert after[table] == before[table], table


def test_a_store_in_use_is_only_replaced_when_asked_and_saved_first(furnished: Store, tmp_path: Path):
    back_up(furnished, HAND, tmp_path / "b.zip", now=NOW)
    flips.flip(furnished, HAND, "chat", "a-1", seen_revision=2, now=TODAY)
    today = everything(furnished)

    with pytest.raises(StoreInUse, match="Give --replace"):
        put_back(furnished, tmp_path / "b.zip", tmp_path)
    assert everything(furnished) == today

    done = put_back(furnished, tmp_path / "b.zip", tmp_path, replacing=True)
    assert serving.load_table(furnished).aliases["chat"].revision == 2
    assert done.saved_as is not None

    back = put_back(furnished, done.saved_as.path, tmp_path, replacing=True)
    assert back.manifest.events == done.saved_as.manifest.events
    assert serving.load_table(furnished).aliases["chat"].revision == 3


def test_a_gateway_with_newer_routes_takes_the_restored_ones(furnished: Store, tmp_path: Path):
    back_up(furnished, HAND, tmp_path / "b.zip", now=NOW)
    flips.flip(furnished, HAND, "chat", "a-1", seen_revision=2, now=TODAY)
    newer = serving.load_table(furnished)

    put_back(furnished, tmp_path / "b.zip", tmp_path, replacing=True)

    restored = refreshed(furnished, newer)
    assert restored.serial > newer.serial
    assert restored.aliases["chat"].variants[0].version == "b-2"
    receipt = serving.receipt(furnished, "chat", 2, now=NOW)
    assert not receipt.confirmed, "what a gateway said before the restore says nothing of the restored store"


def test_a_gateway_notices_a_store_that_went_back_by_other_means(furnished: Store):
    newer = serving.load_table(furnished)
    with furnished.writing() as session:
        session.execute(text("UPDATE ledger SET serial = 1"))
    flips.flip(furnished, HAND, "chat", "a-1", seen_revision=2, now=TODAY)

    assert refreshed(furnished, newer) == serving.load_table(furnished)


def test_what_was_taken_away_after_the_backup_is_not_given_back(furnished: Store, tmp_path: Path):
    key, _ = callers.create_key(furnished, HAND, "web", now=NOW)
    token, secret = access.create_token(furnished, HAND, "laptop", scope="full", person="ann", now=NOW)
    back_up(furnished, HAND, tmp_path / "b.zip", now=NOW)
    callers.revoke_key(furnished, HAND, key.id, now=TODAY)
    access.revoke_token(furnished, HAND, token.id, now=TODAY)

    done = put_back(furnished, tmp_path / "b.zip", tmp_path, replacing=True)

    assert set(done.kept_out) == {f"caller_key:{key.id}", f"api_token:{token.id}"}
    assert key.id not in serving.load_table(furnished).callers
    with pytest.raises(NotSignedIn):
        access.actor_for_token(furnished, secret, now=TODAY)


def test_a_backup_taken_while_others_write_is_one_moment(furnished: Store, other: Store, tmp_path: Path, monkeypatch):
    seen = audit_log.verify

    def meanwhile(session):
        flips.flip(furnished, HAND, "chat", "a-1", seen_revision=2, now=NOW)
        return seen(session)

    monkeypatch.setattr(audit_log, "verify", meanwhile)
    made = back_up(furnished, HAND, tmp_path / "b.zip", now=NOW)
    monkeypatch.undo()

    put_back(other, tmp_path / "b.zip", tmp_path)
    assert serving.load_table(other).aliases["chat"].revision == 2
    assert not made.manifest.broken


def test_a_change_that_comes_between_saving_and_replacing_stops_the_restore(
    furnished: Store, tmp_path: Path, monkeypatch
):
    back_up(furnished, HAND, tmp_path / "b.zip", now=NOW)
    load = rows.load

    def late(*given, **named):
        flips.flip(furnished, HAND, "chat", "a-1", seen_revision=2, now=NOW)
        return load(*given, **named)

    monkeypatch.setattr(rows, "load", late)
    with pytest.raises(StoreInUse, match="in the meantime"):
        put_back(furnished, tmp_path / "b.zip", tmp_path, replacing=True)
    assert serving.load_table(furnished).aliases["chat"].revision == 3


# -- the file -------------------------------------------------------------------------------------


def test_a_backup_is_its_owner_s_alone_and_never_written_over_another(furnished: Store, tmp_path: Path):
    path = tmp_path / "b.zip"
    made = back_up(furnished, HAND, path, now=NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert made.sha256 == sha256(path.read_bytes()).hexdigest()
    with pytest.raises(AlreadyExists, match="exists already"):
        back_up(furnished, HAND, path, now=NOW)
    with pytest.raises(InvalidInput, match="No such file or directory"):
        back_up(furnished, HAND, tmp_path / "nowhere" / "b.zip", now=NOW)
    assert [one.name for one in tmp_path.iterdir() if "b.zip" in one.name] == ["b.zip"]


def shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def one_byte(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 3] ^= 0x40
    path.write_bytes(whole)


def nothing_in_it(path: Path) -> None:
    path.write_bytes(b"")


def rewritten(path: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    """The same archive with other members, well-formed as an archive."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)


def a_row_changed(path: Path) -> None:
    rewritten(path, lambda m: m.update({"alias_revision.jsonl": m["alias_revision.jsonl"].replace(b"b-2", b"a-1")}))


def a_row_taken(path: Path) -> None:
    rewritten(path, lambda m: m.update({"known_issue.jsonl": b""}))


def a_member_added(path: Path) -> None:
    rewritten(path, lambda m: m.update({"more.jsonl": b"[]\n"}))


def a_table_taken(path: Path) -> None:
    rewritten(path, lambda m: m.pop("person.jsonl"))


def manifest_changed(path: Path) -> None:
    rewritten(path, lambda m: m.update({"manifest.json": m["manifest.json"].replace(b'"events": ', b'"events": 1')}))


def sealed_anew(change: Callable[[dict], None]) -> Callable[[Path], None]:
    """Altered by somebody who makes the digests fit again."""

    def forge(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"])
        audit = members["audit_event.jsonl"].replace(b"newer", b"older")
        members["audit_event.jsonl"] = audit
        manifest["tables"]["audit_event"]["sha256"] = sha256(audit).hexdigest()
        change(manifest)
        body = json.dumps(manifest).encode()
        members["manifest.json"], members["manifest.sha256"] = body, sha256(body).hexdigest().encode()

    return lambda path: rewritten(path, forge)


ALTERED: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut short": (shorter, "it is cut short, or is no backup"),
    "one byte of it changed": (one_byte, "cannot be used"),
    "emptied": (nothing_in_it, "it is cut short, or is no backup"),
    "a row changed": (a_row_changed, "the table alias_revision was altered"),
    "a row taken": (a_row_taken, "the table known_issue was altered"),
    "a member added": (a_member_added, "something was added to it"),
    "a table taken": (a_table_taken, "taken from it"),
    "its manifest changed": (manifest_changed, "its manifest was altered"),
    "an event changed and all digests made anew": (sealed_anew(lambda _m: None), "does not fit the chain"),
    "of another format": (sealed_anew(lambda m: m.update(format=2)), "in a format that this one does not read"),
    "naming a table that is a statement": (
        sealed_anew(lambda m: m["tables"].update({"x; DROP TABLE person": m["tables"]["person"]})),
        "cannot be used",
    ),
}


def test_a_damaged_or_altered_backup_is_refused_before_anything_is_touched(furnished: Store, tmp_path: Path):
    path, good = tmp_path / "b.zip", tmp_path / "good.zip"
    back_up(furnished, HAND, good, now=NOW)
    before = everything(furnished)
    for how, (alter, said) in ALTERED.items():
        shutil.copyfile(good, path)
        alter(path)
        with pytest.raises(BadBackup) as refusal:
            put_back(furnished, path, tmp_path, replacing=True)
        assert said in str(refusal.value), how
    assert everything(furnished) == before
    assert not (tmp_path / "saved").exists()


def test_another_file_than_the_one_meant_is_refused(furnished: Store, tmp_path: Path):
    back_up(furnished, HAND, tmp_path / "b.zip", now=NOW)
    with pytest.raises(BadBackup, match="is not the file you mean"):
        restore(
            furnished, HAND, tmp_path / "b.zip", replacing=True, save_in=tmp_path, expected_sha256="0" * 64, now=NOW
        )


def test_a_backup_of_a_newer_schema_is_refused_and_nothing_is_touched(furnished: Store, tmp_path: Path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "newest", lambda: "9999")
        patch.setattr(migrate, "check_schema", lambda _store: None)
        back_up(furnished, HAND, tmp_path / "b.zip", now=NOW)
    before = everything(furnished)
    with pytest.raises(PinrailError, match="9999"):
        put_back(furnished, tmp_path / "b.zip", tmp_path, replacing=True)
    after = everything(furnished)
    assert after["alias_revision"] == before["alias_revision"]
    migrate.check_schema(furnished)


def test_a_log_that_does_not_verify_is_backed_up_as_evidence_and_not_restored(
    furnished: Store, other: Store, tmp_path: Path
):
    with furnished.writes.begin() as connection:
        trigger = "audit_event_no_update" if furnished.dialect == "sqlite" else "audit_event_append_only"
        on = "" if furnished.dialect == "sqlite" else " ON audit_event"
        connection.execute(text(f"DROP TRIGGER {trigger}{on}"))
        connection.execute(text("UPDATE audit_event SET actor = 'eve' WHERE seq = 2"))

    made = back_up(furnished, HAND, tmp_path / "b.zip", now=NOW)

    assert made.manifest.broken.startswith("Event 2 ")
    with pytest.raises(BadBackup, match=r"did not verify \(Event 2 .*Restore an earlier one"):
        put_back(other, tmp_path / "b.zip", tmp_path)


def test_only_an_admin_backs_up_and_restores(furnished: Store, tmp_path: Path):
    operator = Actor("olga", ActorKind.PERSON, (Grant(Role.APPROVER),))
    with pytest.raises(NotPermitted, match="store:backup needs admin"):
        back_up(furnished, operator, tmp_path / "b.zip", now=NOW)
    back_up(furnished, HAND, tmp_path / "b.zip", now=NOW)
    with pytest.raises(NotPermitted, match="store:restore needs admin"):
        restore(furnished, operator, tmp_path / "b.zip", replacing=True, save_in=tmp_path, now=NOW)
    with furnished.reading() as session:
        newest = session.scalars(select(AuditRow).order_by(col(AuditRow.seq).desc())).first()
    assert newest is not None
    assert (newest.kind, newest.actor, newest.outcome) == ("store.restored", "olga", "refused")


def test_a_store_that_takes_no_writes_is_backed_up_and_says_that_nobody_was_told(
    furnished: Store, tmp_path: Path, monkeypatch
):
    def refused(*_given, **_named):
        raise StoreError("The store did not take this: attempt to write a readonly database. Nothing was changed.")

    monkeypatch.setattr(backups, "change", refused)
    made = back_up(furnished, HAND, tmp_path / "b.zip", now=NOW)
    assert "readonly" in made.untold
    assert (tmp_path / "b.zip").is_file()


def test_a_restore_that_fails_in_the_middle_leaves_everything_as_it_was(furnished: Store, tmp_path: Path, monkeypatch):
    back_up(furnished, HAND, tmp_path / "b.zip", now=NOW)
    monkeypatch.setattr(rows, "_refuse_loose_ends", lambda _session: (_ for _ in ()).throw(StoreError("in the middle")))
    with pytest.raises(StoreError, match="in the middle"):
        put_back(furnished, tmp_path / "b.zip", tmp_path, replacing=True)
    with furnished.reading() as session:
        assert session.get(RevisionRow, ("chat", 2)) is not None
        audit_log.verify(session)
    flips.flip(furnished, HAND, "chat", "a-1", seen_revision=2, now=TODAY)


def test_a_damaged_sqlite_file_is_not_backed_up_as_if_it_were_well(sqlite_store_url: str, tmp_path: Path):
    store = open_store(sqlite_store_url)
    filled(store)
    store.close()
    path = Path(make_url(sqlite_store_url).database or "")
    engine = create_engine(sqlite_store_url)
    with engine.connect() as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    engine.dispose()
    whole = bytearray(path.read_bytes())
    page = 4096
    for number in range(4, len(whole) // page):
        whole[number * page + 5 : number * page + 60] = os.urandom(55)
    path.write_bytes(whole)
    damaged = open_store(sqlite_store_url)
    with pytest.raises(PinrailError):
        back_up(damaged, HAND, tmp_path / "b.zip", now=NOW)
    damaged.close()
    assert not (tmp_path / "b.zip").exists()
    shutil.rmtree(tmp_path / "saved", ignore_errors=True)
