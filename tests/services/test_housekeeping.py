"""What has expired goes, what is needed stays, and a broken audit log does not stay unseen."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text
from sqlmodel import SQLModel, col

from core.domain.permissions import Actor, ActorKind, Grant, Role, system
from core.domain.traffic import Counts, WindowKey
from core.domain.versions import Provider, Version
from core.errors import AuditBroken, NotPermitted
from core.services import access, flips, housekeeping, registry, serving
from core.services.housekeeping import Pruned
from core.store import read_models
from core.store.database import Store
from core.store.tables import (
    AcknowledgementRow,
    AttemptRow,
    AuditRow,
    IdempotencyRow,
    JobRunRow,
    ReplicaRow,
    SessionRow,
    WindowRow,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SCHEDULER = system("scheduler")


def pruned(store: Store, *, now: datetime = NOW, **limits: int) -> Pruned:
    return housekeeping.prune(store, SCHEDULER, keep_windows=30 * DAY, now=now, **limits)


def count(store: Store, row: type[SQLModel]) -> int:
    with store.reading() as session:
        return session.scalars(select(func.count()).select_from(row)).one()


def add(store: Store, *rows: SQLModel) -> None:
    with store.writing() as session:
        for row in rows:
            session.add(row)
            session.flush()


def windows(store: Store, *ages: timedelta, replica: str = "r1") -> None:
    found: Mapping[WindowKey, Counts] = {WindowKey("prod-chat", "v1", NOW - age): Counts(requests=1) for age in ages}
    serving.record_windows(store, replica=replica, windows=found)


def replica(store: Store, name: str, *, seen: timedelta, acknowledged: Mapping[int, timedelta]) -> None:
    at = NOW - seen
    add(store, ReplicaRow(id=name, name=name, started_at=at, seen_at=at))
    add(store, *(AcknowledgementRow(replica=name, serial=s, at=NOW - age) for s, age in acknowledged.items()))


def acknowledgements(store: Store) -> set[tuple[str, int]]:
    with store.reading() as session:
        return {(row.replica, row.serial) for row in session.scalars(select(AcknowledgementRow))}


def audit_kinds(store: Store) -> list[str]:
    with store.reading() as session:
        return [row.kind for row in session.scalars(select(AuditRow).order_by(col(AuditRow.seq)))]


def alias(store: Store, name: str = "prod-chat", *, now: datetime = NOW) -> None:
    registry.register_provider(store, SCHEDULER, Provider("p", "recorded", "http://127.0.0.1:1/v1"), now=now)
    registry.register_version(store, SCHEDULER, Version("v1", "p", "m-1"), now=now)
    flips.create(store, SCHEDULER, name, "v1", owner="support", now=now)


# -- removing -------------------------------------------------------------------------------------


def test_in_an_empty_store_there_is_nothing_to_remove_and_nothing_to_say(store: Store):
    assert pruned(store) == Pruned({}, more=False)
    assert pruned(store).note == ""
    assert audit_kinds(store) == []


def test_windows_older_than_the_setting_go_and_the_others_stay(store: Store):
    windows(store, HOUR, 29 * DAY, 31 * DAY, 400 * DAY)
    assert pruned(store).removed == {"traffic windows": 2}
    assert count(store, WindowRow) == 2
    assert pruned(store).removed == {}


def test_what_somebody_may_miss_leaves_an_audit_event_with_the_number(store: Store):
    windows(store, 40 * DAY, 41 * DAY)
    pruned(store)
    [event] = read_models.audit_of(store, "store")
    assert (event.kind, event.actor, event.after) == ("store.pruned", "scheduler", {"traffic windows": 2})
    assert housekeeping.verify_audit(store, SCHEDULER).events == 1


def test_windows_go_by_whole_days_so_that_there_is_one_event_a_day(store: Store):
    windows(store, *(30 * DAY + n * HOUR for n in range(24)))
    for hour in range(24):
        pruned(store, now=NOW + hour * HOUR)
    assert audit_kinds(store) == ["store.pruned", "store.pruned"]  # today's, and tomorrow's after midnight


def test_sessions_go_a_month_after_they_ended_or_expired(store: Store):
    access.add_person(store, SCHEDULER, "oncall", now=NOW)

    def session(name: str, *, expires: timedelta, ended: timedelta | None = None) -> SessionRow:
        ended_at = NOW - ended if ended else None
        begun, expiry = NOW - 90 * DAY, NOW - expires
        return SessionRow(id=name, person="oncall", created_at=begun, expires_at=expiry, ended_at=ended_at)

    add(
        store,
        session("expired long ago", expires=31 * DAY),
        session("signed out long ago", expires=-HOUR, ended=31 * DAY),
        session("expired lately", expires=29 * DAY),
        session("in use", expires=-HOUR),
    )
    assert pruned(store).removed == {"sessions": 2}
    with store.reading() as found:
        assert set(found.scalars(select(col(SessionRow.id)))) == {"expired lately", "in use"}
    assert audit_kinds(store)[-1] == "store.pruned"


def test_attempts_stay_as_long_as_they_count_against_further_ones(store: Store):
    for minutes in (14, 16):
        add(store, AttemptRow(name="oncall", address="", at=NOW - timedelta(minutes=minutes)))
    assert pruned(store).removed == {"sign-in attempts": 1}
    assert count(store, AttemptRow) == 1


def test_idempotency_keys_go_after_a_week_without_an_audit_event(store: Store):
    for key, age in (("old", 8 * DAY), ("new", 6 * DAY)):
        add(store, IdempotencyRow(actor="a", key=key, request_sha256="", result={}, at=NOW - age))
    assert pruned(store).removed == {"idempotency keys": 1}
    assert count(store, IdempotencyRow) == 1
    assert audit_kinds(store) == []


def test_a_receipt_tells_the_true_time_as_long_as_its_gateway_runs(store: Store):
    alias(store, now=NOW - 300 * DAY)
    serving.join(store, replica="g1", name="gw-1", now=NOW - 400 * DAY)
    serial = serving.current_serial(store)
    serving.acknowledge(store, replica="g1", serial=serial, at=NOW - 300 * DAY + timedelta(milliseconds=40))
    serving.acknowledge(store, replica="g1", serial=serial + 1, at=NOW)
    pruned(store)
    assert serving.receipt(store, "prod-chat", 1, now=NOW).slowest_ms == 40


def test_a_gateway_gone_for_a_week_is_forgotten_with_its_acknowledgements(store: Store):
    replica(store, "gone", seen=8 * DAY, acknowledged={1: 9 * DAY, 2: 8 * DAY})
    replica(store, "away", seen=6 * DAY, acknowledged={1: 6 * DAY})
    assert pruned(store).removed == {"acknowledgements": 2, "gateways long gone": 1}
    assert acknowledgements(store) == {("away", 1)}


def test_runs_of_jobs_are_kept_for_a_month(store: Store):
    for age in (31 * DAY, 29 * DAY):
        at = NOW - age
        add(store, JobRunRow(job="prune", scheduled_for=at, holder="h", fence=1, started_at=at))
    assert pruned(store).removed == {"job runs": 1}


def test_one_run_removes_at_most_so_many_and_says_that_more_is_left(store: Store):
    windows(store, *(40 * DAY + timedelta(minutes=n) for n in range(25)))
    first = pruned(store, most=20, batch=7)
    assert (first.removed, first.more) == ({"traffic windows": 20}, True)
    assert first.note == "removed 20 traffic windows; more is left for the next run"
    assert pruned(store, most=20, batch=7).removed == {"traffic windows": 5}


def test_a_viewer_cannot_prune_and_nothing_is_removed(store: Store):
    windows(store, 40 * DAY)
    viewer = Actor("vera", ActorKind.PERSON, (Grant(Role.VIEWER),))
    with pytest.raises(NotPermitted, match="store:prune needs admin"):
        housekeeping.prune(store, viewer, keep_windows=30 * DAY, now=NOW)
    assert count(store, WindowRow) == 1


# -- verifying ------------------------------------------------------------------------------------


def test_a_whole_log_is_counted_and_its_head_named(store: Store):
    alias(store)
    found = housekeeping.verify_audit(store, SCHEDULER)
    assert found.events == 3
    assert len(found.head) == 64


def test_a_changed_event_is_found(store: Store):
    alias(store)
    on = " ON audit_event" if store.dialect == "postgresql" else ""
    triggers = _triggers(store)
    with store.writing() as session:
        for trigger in triggers:
            session.execute(text(f"DROP TRIGGER {trigger}{on}"))
        session.execute(text("UPDATE audit_event SET actor = 'somebody else' WHERE seq = 2"))
    with pytest.raises(AuditBroken, match="Event 2"):
        housekeeping.verify_audit(store, SCHEDULER)


def _triggers(store: Store) -> list[str]:
    names = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_event'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid = 'audit_event'::regclass AND NOT tgisinternal",
    }
    with store.reading() as session:
        return [str(name) for name in session.scalars(text(names[store.dialect]))]


# -- reminding ------------------------------------------------------------------------------------


def test_a_hold_is_long_after_a_day(store: Store):
    alias(store)
    oncall = Actor("oncall", ActorKind.PERSON, (Grant(Role.OPERATOR),))
    flips.hold(store, oncall, "prod-chat", seen_revision=1, reason="INC-7", now=NOW)
    assert housekeeping.long_holds(store, SCHEDULER, now=NOW + timedelta(hours=24)) == []
    [hold] = housekeeping.long_holds(store, SCHEDULER, now=NOW + timedelta(hours=25))
    assert hold.sentence(NOW + timedelta(hours=25)) == "prod-chat (owner support) is held by oncall for 25 h: INC-7"


def test_a_released_or_retired_alias_reminds_nobody(store: Store):
    alias(store, "released")
    flips.create(store, SCHEDULER, "retired", "v1", now=NOW)
    admin = Actor("ada", ActorKind.PERSON, (Grant(Role.ADMIN),))
    for name in ("released", "retired"):
        flips.hold(store, admin, name, seen_revision=1, now=NOW)
    flips.release(store, admin, "released", seen_revision=2, now=NOW + 2 * DAY)
    flips.retire(store, admin, "retired", seen_revision=2, now=NOW + 2 * DAY)
    assert housekeeping.long_holds(store, SCHEDULER, now=NOW + 3 * DAY) == []


def test_one_is_reminded_only_of_what_one_may_see(store: Store):
    alias(store)
    flips.hold(store, SCHEDULER, "prod-chat", seen_revision=1, now=NOW)
    stranger = Actor("sam", ActorKind.PERSON, (Grant(Role.VIEWER, "another"),))
    assert housekeeping.long_holds(store, stranger, now=NOW + 2 * DAY) == []
