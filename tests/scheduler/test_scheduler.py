"""Any number of schedulers may run: each slot is run once, and somebody always goes on."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text, update
from sqlalchemy.engine import make_url

from app.scheduler import JOBS, LEASE, GridTrigger, Job, Scheduler
from app.settings import Settings
from app.wiring import Pinrail, SystemClock
from core.domain.schedule import slot_at
from core.errors import AuditBroken
from core.store import leases, migrate
from core.store.database import Store, open_store
from core.store.tables import LeaseRow

ROOT = Path(__file__).parents[2]
DAY = timedelta(days=1)
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def until(true: Callable[[], object], *, within_s: float = 30) -> None:
    """Wait until something is the case."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "this did not come about in time"
        time.sleep(0.02)


@contextlib.contextmanager
def process(*command: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A Python process from the project's folder; killed at the end if it still runs."""
    started = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, text=True
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def beating(store: Store, file: Path, *, every_s: float, lease_s: float, then: str = "end"):
    command = ("-m", "tests.scheduler.beating", store.url, str(file), str(every_s), str(lease_s), then)
    return process(*command)


def lines(file: Path) -> list[tuple[str, str]]:
    """What the job left: slot and holder of each time it ran."""
    if not file.exists():
        return []
    return [(slot, holder) for slot, holder in (line.split() for line in file.read_text().splitlines())]


@contextlib.contextmanager
def scheduling(
    store: Store, *jobs: Job, holder: str = "a", lasts: timedelta = timedelta(seconds=15)
) -> Iterator[list[str]]:
    """A scheduler in a thread of this process; gives what it says."""
    said: list[str] = []
    stop = threading.Event()
    pinrail = Pinrail(Settings(), store, SystemClock())
    scheduler = Scheduler(pinrail, holder=holder, say=said.append, jobs=jobs, lease_lasts=lasts)
    thread = threading.Thread(target=scheduler.run, args=(stop,))
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def outcomes(store: Store) -> dict[str, str | None]:
    return {run.job: run.outcome for run in leases.latest_runs(store)}


# -- several schedulers ---------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_run_every_slot_once(store: Store, tmp_path: Path):
    file = tmp_path / "beats"
    with (
        beating(store, file, every_s=0.5, lease_s=5) as one,
        beating(store, file, every_s=0.5, lease_s=5) as two,
    ):
        until(lambda: Path(f"{file}.said").exists() and Path(f"{file}.said").read_text().count("is ready") == 2)
        until(lambda: len(lines(file)) >= 6)
        for each in (one, two):
            each.send_signal(signal.SIGTERM)
        assert [one.wait(30), two.wait(30)] == [0, 0]
    slots = [datetime.fromisoformat(slot) for slot, _holder in lines(file)]
    assert len(slots) == len(set(slots)), "a slot was run twice"
    assert slots == sorted(slots)
    assert len({holder for _slot, holder in lines(file)}) == 1, "both ran jobs"
    runs = leases.runs_of(store, "beat")
    assert {run.scheduled_for for run in runs} == set(slots)
    assert {run.outcome for run in runs} == {leases.DONE}


@pytest.mark.slow
def test_when_the_holder_is_killed_another_takes_over_after_the_lease_has_ended(store: Store, tmp_path: Path):
    file = tmp_path / "beats"
    with beating(store, file, every_s=86400, lease_s=2, then="hang") as first:
        until(lambda: lines(file))
        with beating(store, file, every_s=86400, lease_s=2) as _second:
            first.kill()
            first.wait()
            left = leases.holder_of(store, LEASE)
            assert left is not None
            until(lambda: outcomes(store).get("beat") == leases.DONE)
    [run] = leases.runs_of(store, "beat")
    assert run.holder != left.holder
    assert run.fence == left.fence + 1
    assert run.started_at >= left.expires_at


def test_a_scheduler_that_stops_leaves_the_lease_to_the_next_at_once(store: Store):
    beat = Job("beat", DAY, lambda _pinrail, _now: "", "does nothing")
    with scheduling(store, beat, holder="a"):
        until(lambda: outcomes(store))
    given_back = leases.holder_of(store, LEASE)
    assert given_back is not None
    assert given_back.expires_at <= leases.time_of(store)
    with scheduling(store, beat, holder="b") as said:
        until(lambda: said)
        assert said == ["The scheduler is ready and runs 1 jobs."]


def test_the_second_scheduler_stands_by_and_says_so(store: Store):
    beat = Job("beat", DAY, lambda _pinrail, _now: "", "does nothing")
    with scheduling(store, beat, holder="a") as first:
        until(lambda: first)
        with scheduling(store, beat, holder="b") as second:
            until(lambda: second)
            assert second == ["The scheduler is ready and stands by while another one runs the jobs."]


def test_a_holder_that_lost_the_lease_during_a_run_cannot_finish_it(store: Store):
    begun, go_on = threading.Event(), threading.Event()

    def slow(_pinrail: Pinrail, _now: datetime) -> str:
        begun.set()
        go_on.wait(30)
        return "from the grave"

    with scheduling(store, Job("slow", DAY, slow, "takes its time"), lasts=timedelta(minutes=5)) as said:
        assert begun.wait(30)
        with store.writing() as session:  # as if its machine had slept through the end of the lease
            session.execute(update(LeaseRow).values(expires_at=datetime.now(UTC) - DAY))
        now = leases.time_of(store)
        lease = leases.take(store, LEASE, holder="b", lasts=timedelta(minutes=5), now=now)
        assert lease is not None
        taken_over = leases.claim(store, lease, "slow", slot_at(now, DAY), now=now)
        assert taken_over is not None
        go_on.set()
        until(lambda: any(line.startswith("slow was not put down") for line in said))
    [run] = leases.runs_of(store, "slow")
    assert (run.holder, run.outcome, run.note) == ("b", None, "")


# -- runs -----------------------------------------------------------------------------------------


def test_a_failing_job_is_put_down_with_its_sentence_and_the_others_go_on(store: Store):
    def forged(_pinrail: Pinrail, _now: datetime) -> str:
        raise AuditBroken("Event 7 does not fit the chain.")

    def careless(_pinrail: Pinrail, _now: datetime) -> str:
        return str(1 / 0)

    jobs = (
        Job("forged", DAY, forged, "finds a forgery"),
        Job("careless", DAY, careless, "has a fault"),
        Job("fine", DAY, lambda _pinrail, _now: "all is well", "works"),
    )
    with scheduling(store, *jobs) as said:
        until(lambda: set(outcomes(store).values()) == {leases.FAILED, leases.DONE} and len(outcomes(store)) == 3)
        until(lambda: len(said) == 4)
    notes = {run.job: (run.outcome, run.note) for run in leases.latest_runs(store)}
    assert notes == {
        "forged": (leases.FAILED, "audit_broken: Event 7 does not fit the chain."),
        "careless": (leases.FAILED, "ZeroDivisionError: division by zero"),
        "fine": (leases.DONE, "all is well"),
    }
    assert "forged FAILED: audit_broken: Event 7 does not fit the chain." in said


def test_at_the_end_a_running_job_is_let_finish(store: Store):
    begun = threading.Event()

    def slow(_pinrail: Pinrail, _now: datetime) -> str:
        begun.set()
        time.sleep(0.5)
        return "in peace"

    with scheduling(store, Job("slow", DAY, slow, "takes its time")):
        assert begun.wait(30)
    [run] = leases.runs_of(store, "slow")
    assert (run.outcome, run.note) == (leases.DONE, "in peace")


@pytest.mark.postgres
def test_while_the_store_is_away_the_scheduler_waits_and_then_goes_on(postgres_server: str, postgres_url: str):
    store = open_store(postgres_url)
    migrate.upgrade(store)
    admin = create_engine(make_url(postgres_server), isolation_level="AUTOCOMMIT")
    name = make_url(postgres_url).database
    jobs = tuple(Job(f"beat-{n}", timedelta(seconds=n), lambda _pinrail, _now: "", "does nothing") for n in (1, 86400))
    with scheduling(store, *jobs, lasts=timedelta(seconds=0.6)) as said, admin.connect() as other:
        until(lambda: len(outcomes(store)) == 2)
        other.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        other.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        until(lambda: "The scheduler is ready and waits for the store." in said)
        until(lambda: any("has run out" in line for line in said))
        other.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        until(lambda: said[-1] == "The scheduler is ready and runs 2 jobs.")
        before = leases.runs_of(store, "beat-1")[0].scheduled_for
        until(lambda: leases.runs_of(store, "beat-1")[0].scheduled_for > before)
    store.close()
    admin.dispose()


# -- the jobs and their times ---------------------------------------------------------------------


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_job_says_what_it_is_for_and_has_nothing_to_do_in_an_empty_store(job: Job, store: Store):
    assert job.meaning
    assert timedelta(seconds=10) <= job.every <= DAY
    assert "failed" not in job.work(Pinrail(Settings(), store, SystemClock()), NOON)


def test_no_two_jobs_share_a_name():
    assert len({job.name for job in JOBS}) == len(JOBS)


def test_firing_begins_at_once_and_never_wanders_off_the_grid():
    every = timedelta(minutes=10)
    trigger = GridTrigger(every, jitter_s=30)
    at = trigger.get_next_fire_time(None, NOON + timedelta(minutes=3))
    assert at == NOON + timedelta(minutes=3)
    for slot in range(1, 2000):
        at = trigger.get_next_fire_time(at, at)
        begins = NOON + slot * every
        assert begins <= at <= begins + timedelta(seconds=30)


def test_the_real_process_says_it_is_ready_runs_the_jobs_and_stops_cleanly(tmp_path: Path):
    code = (
        "import sys; from app.scheduler import run; from app.settings import Settings; sys.exit(run(Settings.read()))"
    )
    with process("-c", code, env={"PINRAIL_DATA_DIR": str(tmp_path)}) as scheduler:
        assert scheduler.stdout is not None
        assert scheduler.stdout.readline() == f"The scheduler is ready and runs {len(JOBS)} jobs.\n"
        store = open_store(f"sqlite:///{tmp_path / 'pinrail.db'}")
        until(lambda: outcomes(store) == {job.name: leases.DONE for job in JOBS})
        store.close()
        scheduler.send_signal(signal.SIGTERM)
        assert scheduler.wait(30) == 0
