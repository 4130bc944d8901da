"""What each watch finds, on real stores: aliases that fail, gateways that are gone, holds, jobs, a broken log."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.scheduler import JOBS, watch_alerts
from app.settings import Settings
from app.wiring import Pinrail
from core.domain.alerts import Found, Severity
from core.domain.traffic import Counts, Failure, Outcome, WindowKey, window_start
from core.domain.versions import Provider, Version
from core.services import alerting, flips, registry, serving, watches
from core.services.watches import VERIFIES, WATCHES, Watch
from core.store import looking
from core.store.database import Store
from core.store.looking import Seen
from core.store.tables import JobRunRow
from tests.alerts.stage import ROOT
from tests.clocks import SetClock

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def served(store: Store) -> Store:
    """An alias that serves version a for days, and a gateway."""
    at = NOON - timedelta(days=3)
    registry.register_provider(store, ROOT, Provider("recorded", "recorded", "http://127.0.0.1:9/v1"), now=at)
    registry.register_version(store, ROOT, Version("a", "recorded", "model-a"), now=at)
    flips.create(store, ROOT, "chat", "a", owner="dana", now=at)
    serving.join(store, replica="r1", name="gateway-1", now=at)
    return store


def found(store: Store, watch: str, *, at: datetime = NOON, live: tuple[str, ...] = ("r1",)) -> list[Found]:
    """What a watch finds at that time, while these gateways are heard of."""
    for replica in live:
        serving.heartbeat(store, replica=replica, now=at, dropped=0)
    [chosen] = [one for one in WATCHES if one.name == watch]
    return list(chosen.find(looking.seen(store, now=at)))


def traffic(store: Store, *, requests: int, errors: int, at: datetime = NOON - MINUTE) -> None:
    counts = Counts()
    for number in range(requests):
        failure = Failure.PROVIDER if number < errors else None
        counts.note(Outcome("chat", "a", "web", at.timestamp(), 300.0, failure, failure is None))
    serving.record_windows(store, replica="r1", windows={WindowKey("chat", "a", window_start(at)): counts})


def ended(store: Store, job: str, outcome: str, note: str, *, at: datetime = NOON) -> None:
    with store.writing() as session:
        session.add(
            JobRunRow(
                job=job,
                scheduled_for=at,
                holder="a",
                fence=1,
                started_at=at,
                finished_at=at,
                outcome=outcome,
                note=note,
            )
        )


@pytest.mark.parametrize("watch", WATCHES, ids=lambda watch: watch.name)
def test_no_watch_finds_anything_where_there_is_nothing(watch: Watch):
    assert list(watch.find(Seen(NOON))) == []
    assert watch.meaning


def test_all_that_a_watch_finds_has_a_key_that_begins_with_its_name_and_says_why(served: Store):
    traffic(served, requests=100, errors=30)
    flips.hold(served, ROOT, "chat", seen_revision=1, now=NOON - timedelta(hours=25))
    serving.join(served, replica="r2", name="gateway-2", now=NOON - MINUTE)
    ended(served, VERIFIES, "failed", "audit_broken: Event 3 does not fit the chain.")
    ended(served, "prune", "failed", "store_unreachable: It is away.")
    for watch in WATCHES:
        live = () if watch.name == "no-gateway" else ("r1",)
        later = NOON if live else NOON + MINUTE
        [one] = found(served, watch.name, at=later, live=live)
        assert one.key == watch.key(one.key.partition(":")[2])
        assert one.title
        assert one.because
        assert not one.because.endswith(".")
        assert not one.blind


# -- each by itself -------------------------------------------------------------------------------


def test_a_degraded_alias_is_found_with_what_it_serves_and_whose_it_is(served: Store):
    traffic(served, requests=100, errors=30)
    [one] = found(served, "alias-degraded")
    assert (one.alias, one.owner, one.path) == ("chat", "dana", "/alias?name=chat")
    assert one.because.startswith("errors 30.0%, limit 2%")
    assert "it serves a, last created by local:tests at 2026-11-21 12:00 UTC" in one.because


def test_a_healthy_alias_is_not_found_and_one_without_traffic_is_blind(served: Store):
    traffic(served, requests=100, errors=0)
    assert found(served, "alias-degraded") == []
    [later] = found(served, "alias-degraded", at=NOON + timedelta(hours=1))
    assert later.blind


def test_a_retired_alias_is_found_by_no_watch(served: Store):
    flips.hold(served, ROOT, "chat", seen_revision=1, now=NOON - timedelta(hours=25))
    flips.retire(served, ROOT, "chat", seen_revision=2, now=NOON - timedelta(hours=1))
    for name in ("alias-degraded", "hold-long", "no-gateway"):
        assert found(served, name, at=NOON + MINUTE, live=()) == []


def test_a_hold_is_found_after_a_day_with_who_held_and_why(served: Store):
    flips.hold(served, ROOT, "chat", seen_revision=1, reason="INC-1", now=NOON - timedelta(hours=25))
    [one] = found(served, "hold-long")
    assert one.because == "held by local:tests since 2026-11-23 11:00 UTC: INC-1"
    assert found(served, "hold-long", at=NOON - timedelta(hours=2)) == []


def test_a_gateway_that_fell_silent_is_found_while_others_run(served: Store):
    serving.join(served, replica="r2", name="gateway-2", now=NOON - MINUTE)
    [one] = found(served, "gateway-silent")
    assert one.key == "gateway-silent:gateway-2"
    assert "last heard of 2026-11-24 11:59:00 UTC, without a good-bye; 1 other runs" in one.because


@pytest.mark.parametrize("end", ["good-bye", "another of its name", "a day"])
def test_a_gateway_that_left_in_order_or_was_replaced_or_is_long_gone_is_not_found(served: Store, end: str):
    serving.join(served, replica="r2", name="gateway-2", now=NOON - MINUTE)
    if end == "good-bye":
        serving.leave(served, replica="r2", now=NOON - MINUTE)
    if end == "another of its name":
        serving.join(served, replica="r3", name="gateway-2", now=NOON)
    at = NOON + timedelta(days=2) if end == "a day" else NOON
    assert found(served, "gateway-silent", at=at, live=("r1", "r3") if end.startswith("another") else ("r1",)) == []


def test_when_no_gateway_runs_that_is_one_alert_and_not_one_for_each(served: Store):
    serving.join(served, replica="r2", name="gateway-2", now=NOON - MINUTE)
    at = NOON + 10 * MINUTE
    assert {one.blind for one in found(served, "gateway-silent", at=at, live=())} == {True}
    [one] = found(served, "no-gateway", at=at, live=())
    assert one.because == "nothing serves chat"


def test_a_log_that_does_not_verify_is_found_by_its_own_watch_alone(served: Store):
    ended(served, VERIFIES, "failed", "audit_broken: Event 3 does not fit the chain.")
    [one] = found(served, "audit-broken")
    assert one.because == "Event 3 does not fit the chain"
    assert found(served, "job-failing") == []
    ended(served, VERIFIES, "done", "the audit log is whole", at=NOON + timedelta(days=1))
    assert found(served, "audit-broken") == []


def test_the_newest_run_that_ended_counts_and_one_under_way_does_not(served: Store):
    ended(served, "prune", "failed", "ZeroDivisionError: x", at=NOON - 2 * MINUTE)
    with served.writing() as session:
        session.add(JobRunRow(job="prune", scheduled_for=NOON, holder="a", fence=1, started_at=NOON))
    [one] = found(served, "job-failing")
    assert (one.title, one.because) == ("The job prune failed", "ZeroDivisionError: x")
    ended(served, "prune", "done", "", at=NOON + MINUTE)
    assert found(served, "job-failing") == []


def test_the_job_that_the_watch_of_the_log_reads_is_there():
    assert {VERIFIES, looking.LOOKS} <= {job.name for job in JOBS}


# -- through the job ------------------------------------------------------------------------------


@pytest.fixture
def job(served: Store) -> tuple[Pinrail, SetClock]:
    clock = SetClock(NOON)
    return Pinrail(Settings(), served, clock), clock


def test_a_degradation_is_raised_after_two_minutes_and_resolved_after_five_good_ones(job: tuple[Pinrail, SetClock]):
    pinrail, clock = job
    said = []
    for minute in range(20):
        traffic(pinrail.store, requests=200, errors=60 if minute < 6 else 0, at=clock.now() - timedelta(seconds=30))
        serving.heartbeat(pinrail.store, replica="r1", now=clock.now(), dropped=0)
        said.append(watch_alerts(pinrail, clock.now()))
        clock.wait(minutes=1)
    told = [(minute, note) for minute, note in enumerate(said) if note]
    assert [note for _minute, note in told] == ["raised 1 (chat is degraded)", "resolved 1 (chat is degraded)"]
    raised_at, resolved_at = (minute for minute, _note in told)
    assert raised_at == 2
    assert 11 <= resolved_at < 20
    [alert] = alerting.alert_list(pinrail.store, ROOT)
    assert (alert.severity, alert.resolved_by) == (Severity.CRITICAL, "scheduler")


def test_a_tampered_log_is_raised_by_the_look_after_its_verification(job: tuple[Pinrail, SetClock]):
    pinrail, clock = job
    store = pinrail.store
    trigger = "audit_event_no_update" if store.dialect == "sqlite" else "audit_event_append_only ON audit_event"
    with store.writes.connect() as connection:
        connection.execute(text(f"DROP TRIGGER {trigger}"))
        connection.execute(text("UPDATE audit_event SET reason = 'forged' WHERE seq = 2"))
        connection.commit()
    [verify] = [one for one in JOBS if one.name == VERIFIES]
    try:
        verify.work(pinrail, clock.now())
    except Exception as fault:  # noqa: BLE001  # as the scheduler puts it down
        ended(store, VERIFIES, "failed", f"{getattr(fault, 'code', '')}: {fault}")
    serving.heartbeat(store, replica="r1", now=NOON, dropped=0)
    assert watch_alerts(pinrail, NOON) == "raised 1 (The audit log does not verify)"


def test_a_watch_that_was_taken_away_leaves_no_alert_open(job: tuple[Pinrail, SetClock]):
    pinrail, _clock = job
    gone = Watch("gone", Severity.WARNING, lambda _seen: iter([Found("gone:x", "x", "y")]), "was here")
    given = {"escalate_after": timedelta(days=1)}
    alerting.look(pinrail.store, ROOT, Seen(NOON), watches=(gone,), now=NOON, **given)
    looked = alerting.look(pinrail.store, ROOT, Seen(NOON), watches=(), now=NOON + MINUTE, **given)
    assert [alert.key for alert in looked.resolved] == ["gone:x"]


def test_patience_is_part_of_the_watch():
    quick = replace(WATCHES[0], patience=watches.AT_ONCE)
    assert quick.patience != WATCHES[0].patience
