"""The jobs that run by themselves and the clock that starts them: which service, how often, and by whom.

Any number of schedulers may run beside each other. One holds the lease and starts jobs; the others stand by and take
over when it stops or falls silent. See ``core.store.leases`` for what keeps two from doing the same work.
"""

import logging
import os
import random
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import FrameType

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from app.settings import Settings
from app.wiring import Pinrail, ready_pinrail
from core.domain.permissions import system
from core.domain.schedule import slot_after, slot_at
from core.errors import LeaseLost, PinrailError
from core.services import housekeeping
from core.store import leases
from core.store.leases import Lease, Run

ACTOR = system("scheduler")
LEASE = "scheduler"
LEASE_LASTS = timedelta(seconds=15)
PATIENCE_S = 8.0  # for running jobs at the end; the supervisor has ten
LONGEST_JITTER_S = 30.0

Say = Callable[[str], None]
log = logging.getLogger("pinrail.scheduler")


# -- the jobs -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """Work that is due once in every slot of ``every``. It returns a sentence, empty when there was nothing to do."""

    name: str
    every: timedelta
    work: Callable[[Pinrail, datetime], str]
    meaning: str

    @property
    def jitter_s(self) -> float:
        """How much later than its slot it may begin, so that not everything begins at the full hour."""
        return min(LONGEST_JITTER_S, self.every.total_seconds() / 20)


def prune(pinrail: Pinrail, now: datetime) -> str:
    """Remove what has expired."""
    keep = timedelta(days=pinrail.settings.keep_windows_days)
    return housekeeping.prune(pinrail.store, ACTOR, keep_windows=keep, now=now).note


def verify_audit(pinrail: Pinrail, _now: datetime) -> str:
    """Recompute the chain of the audit log."""
    found = housekeeping.verify_audit(pinrail.store, ACTOR)
    return f"the audit log is whole: {found.events} events, head {found.head}"


def remind_of_holds(pinrail: Pinrail, now: datetime) -> str:
    """Find the holds that somebody may have forgotten."""
    return "; ".join(hold.sentence(now) for hold in housekeeping.long_holds(pinrail.store, ACTOR, now=now))


JOBS: tuple[Job, ...] = (
    Job("prune", timedelta(hours=1), prune, "removes expired sessions, attempts, keys and old traffic windows"),
    Job("verify-audit", timedelta(days=1), verify_audit, "recomputes the hash chain of the audit log"),
    Job("remind-of-holds", timedelta(hours=1), remind_of_holds, "reminds of aliases held for more than 24 hours"),
)


class GridTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Fires at once, and then shortly after the beginning of every slot.

    APScheduler's own interval adds each jitter to the last one, so that its times wander off the grid.
    """

    def __init__(self, every: timedelta, jitter_s: float) -> None:
        self.every, self.jitter_s = every, jitter_s

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The next time to fire; APScheduler asks with its own clock."""
        if previous_fire_time is None:
            return now
        jitter = timedelta(seconds=random.uniform(0, self.jitter_s))
        return slot_after(previous_fire_time.astimezone(UTC), self.every) + jitter


# -- the clock ------------------------------------------------------------------------------------


class Scheduler:
    """One scheduler: takes the lease when it is free, runs the jobs while it has it."""

    def __init__(
        self,
        pinrail: Pinrail,
        *,
        holder: str,
        say: Say,
        jobs: tuple[Job, ...] = JOBS,
        lease_lasts: timedelta = LEASE_LASTS,
    ) -> None:
        self._pinrail, self._store = pinrail, pinrail.store
        self._holder, self._say = holder, say
        self._jobs, self._lease_lasts = jobs, lease_lasts
        self._lease: Lease | None = None
        self._ours_until_s = 0.0
        self._store_is_lost = False
        self._running = _Running()
        self._clock = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(max_workers=4)},
            job_defaults={"coalesce": True, "max_instances": 1},
            timezone=UTC,
        )

    def run(self, stop: threading.Event) -> None:
        """Keep at it until ``stop`` is set; then let running jobs end and give the lease back."""
        self._clock.start()
        said = ""
        try:
            while True:
                self._tend()
                if (standing := self._standing()) != said:
                    said = standing
                    self._say(f"The scheduler is ready and {standing}.")
                if stop.wait(self._lease_lasts.total_seconds() / 3):
                    return
        finally:
            self._wind_up()

    def _standing(self) -> str:
        if self._store_is_lost:
            return "waits for the store"
        if self._lease is None:
            return "stands by while another one runs the jobs"
        return f"runs {len(self._jobs)} jobs"

    # -- the lease --------------------------------------------------------------------------------

    def _tend(self) -> None:
        """Renew the lease or try to get it; while the store does not answer, it is ours until it runs out."""
        asked_at_s = time.monotonic()
        try:
            now = leases.time_of(self._store)
            if self._lease is not None:
                self._lease = leases.renew(self._store, self._lease, lasts=self._lease_lasts, now=now)
            else:
                self._take(now)
        except LeaseLost as refusal:
            self._stand_by(str(refusal))
        except PinrailError as refusal:
            self._bear_store_loss(refusal)
            return
        if self._lease is not None:
            self._ours_until_s = asked_at_s + self._lease_lasts.total_seconds()
            # What was due while the machine slept or the store was away is due now.
            self._fire_all() if self._store_is_lost else self._clock.wakeup()
        self._store_is_lost = False

    def _take(self, now: datetime) -> None:
        self._lease = leases.take(self._store, LEASE, holder=self._holder, lasts=self._lease_lasts, now=now)
        for job in self._jobs if self._lease is not None else ():
            self._clock.add_job(
                self._start,
                GridTrigger(job.every, job.jitter_s),
                args=(job,),
                id=job.name,
                # Late within its slot is better than not at all, and a slot that is done is not claimed again.
                misfire_grace_time=max(1, int(job.every.total_seconds())),
            )

    def _fire_all(self) -> None:
        for job in self._clock.get_jobs():
            job.modify(next_run_time=datetime.now(UTC))

    def _stand_by(self, because: str) -> None:
        self._lease = None
        self._clock.remove_all_jobs()
        self._say(because)

    def _bear_store_loss(self, refusal: PinrailError) -> None:
        if not self._store_is_lost:
            self._say(str(refusal))
        self._store_is_lost = True
        if self._lease is not None and time.monotonic() > self._ours_until_s:
            self._stand_by("The lease has run out meanwhile, so another scheduler may have it.")

    # -- runs -------------------------------------------------------------------------------------

    def _start(self, job: Job) -> None:
        """One firing of a job, in a thread of the pool: claim the slot, do the work, put down how it ended."""
        lease = self._lease
        if lease is None:
            return
        with self._running.counted(job.name):
            try:
                now = self._pinrail.now()
                run = leases.claim(self._store, lease, job.name, slot_at(now, job.every), now=now)
                if run is not None:
                    self._put_down(lease, run, *self._attempt(job, now))
            except PinrailError as refusal:
                self._say(f"{job.name} was not put down: {refusal}")

    def _attempt(self, job: Job, now: datetime) -> tuple[str, str]:
        try:
            return leases.DONE, job.work(self._pinrail, now)
        except PinrailError as refusal:
            return leases.FAILED, f"{refusal.code}: {refusal}"
        except Exception as fault:  # whatever it was, it is put down, and the other jobs go on
            log.exception("%s failed", job.name)
            return leases.FAILED, f"{type(fault).__name__}: {fault}"

    def _put_down(self, lease: Lease, run: Run, outcome: str, note: str) -> None:
        leases.finish(self._store, lease, run, outcome, note, now=self._pinrail.now())
        if note:
            self._say(f"{run.job}{' FAILED' if outcome == leases.FAILED else ''}: {note}")

    # -- the end ----------------------------------------------------------------------------------

    def _wind_up(self) -> None:
        self._clock.remove_all_jobs()
        self._clock.shutdown(wait=False)
        left = self._running.wait(PATIENCE_S)
        if left:
            self._say(f"Stopped during {', '.join(left)}; whoever takes the lease next takes that over.")
        elif self._lease is not None:
            try:
                leases.give_back(self._store, self._lease, now=leases.time_of(self._store))
            except PinrailError as refusal:
                self._say(f"The lease was not given back and runs out by itself. {refusal}")


class _Running:
    """The names of the jobs that are being run now."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._changed = threading.Condition()

    @contextmanager
    def counted(self, name: str) -> Iterator[None]:
        with self._changed:
            self._names.append(name)
        try:
            yield
        finally:
            with self._changed:
                self._names.remove(name)
                self._changed.notify_all()

    def wait(self, seconds: float) -> tuple[str, ...]:
        """Wait until none runs, or so long; those still running are returned."""
        with self._changed:
            self._changed.wait_for(lambda: not self._names, seconds)
            return tuple(self._names)


# -- the process ----------------------------------------------------------------------------------


def run(settings: Settings) -> int:
    """Be a scheduler until told to stop; the exit code is returned."""
    pinrail = ready_pinrail(settings)
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        # In a thread: set here, in the middle of the main thread's own wait, it could block on itself.
        threading.Thread(target=stop.set, daemon=True).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    try:
        Scheduler(pinrail, holder=own_name(), say=say).run(stop)
    finally:
        pinrail.store.close()
    return 0


def own_name() -> str:
    """A name that no other scheduler has, and that says where to look for this one."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


def say(line: str) -> None:
    """One line for the supervisor or the service's log."""
    print(line, flush=True)
