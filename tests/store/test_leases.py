"""However many schedulers ask, one holds the lease, and a slot is run once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import TypeVar

import pytest

from core.domain.schedule import slot_after, slot_at
from core.errors import LeaseLost
from core.store import leases
from core.store.database import Store, open_store
from core.store.leases import Lease, Run

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LASTS = timedelta(seconds=15)
HOUR = timedelta(hours=1)
T = TypeVar("T")


def taken(store: Store, holder: str, now: datetime = NOON) -> Lease:
    lease = leases.take(store, "scheduler", holder=holder, lasts=LASTS, now=now)
    assert lease is not None
    return lease


def claimed(store: Store, lease: Lease, slot: datetime = NOON, now: datetime = NOON) -> Run:
    run = leases.claim(store, lease, "prune", slot, now=now)
    assert run is not None
    return run


def at_once(store: Store, work: Callable[[Store, int], T], hands: int = 8) -> list[T]:
    """Do ``work`` from several threads at the same moment, each with a store of its own, as processes have."""
    start = Barrier(hands)

    def one(number: int) -> T:
        own = open_store(store.url)
        try:
            start.wait()
            return work(own, number)
        finally:
            own.close()

    with ThreadPoolExecutor(hands) as pool:
        return list(pool.map(one, range(hands)))


# -- the lease ------------------------------------------------------------------------------------


def test_of_eight_that_ask_at_once_one_gets_the_lease(store: Store):
    def ask(own: Store, number: int) -> Lease | None:
        return leases.take(own, "scheduler", holder=f"s{number}", lasts=LASTS, now=NOON)

    won = [lease for lease in at_once(store, ask) if lease is not None]
    assert len(won) == 1
    assert leases.holder_of(store, "scheduler") == won[0]


def test_of_eight_that_find_an_ended_lease_one_gets_it(store: Store):
    taken(store, "the one before")

    def ask(own: Store, number: int) -> Lease | None:
        return leases.take(own, "scheduler", holder=f"s{number}", lasts=LASTS, now=NOON + LASTS)

    won = [lease for lease in at_once(store, ask) if lease is not None]
    assert [lease.fence for lease in won] == [2]


def test_a_lease_that_has_not_ended_is_nobody_elses(store: Store):
    taken(store, "a")
    just_before = NOON + LASTS - timedelta(milliseconds=1)
    assert leases.take(store, "scheduler", holder="b", lasts=LASTS, now=just_before) is None


def test_a_renewed_lease_lasts_longer_under_the_same_fence(store: Store):
    first = taken(store, "a")
    again = leases.renew(store, first, lasts=LASTS, now=NOON + timedelta(seconds=10))
    assert (again.fence, again.expires_at) == (first.fence, NOON + timedelta(seconds=25))
    assert leases.take(store, "scheduler", holder="b", lasts=LASTS, now=NOON + LASTS) is None


def test_every_new_holder_has_a_higher_fence(store: Store):
    fences = [taken(store, holder, NOON + n * LASTS).fence for n, holder in enumerate(["a", "b", "a", "a"])]
    assert fences == [1, 2, 3, 4]


def test_a_holder_that_slept_through_its_end_cannot_renew(store: Store):
    stale = taken(store, "a")
    taken(store, "b", NOON + LASTS)
    with pytest.raises(LeaseLost, match="a does not hold"):
        leases.renew(store, stale, lasts=LASTS, now=NOON + LASTS)


def test_a_holder_that_nobody_replaced_goes_on_after_the_end(store: Store):
    late = leases.renew(store, taken(store, "a"), lasts=LASTS, now=NOON + HOUR)
    assert late.expires_at == NOON + HOUR + LASTS


def test_a_lease_given_back_is_free_at_once(store: Store):
    leases.give_back(store, taken(store, "a"), now=NOON)
    assert taken(store, "b").fence == 2


def test_giving_back_late_does_not_take_it_from_the_next_holder(store: Store):
    stale = taken(store, "a")
    current = taken(store, "b", NOON + LASTS)
    leases.give_back(store, stale, now=NOON + LASTS)
    assert leases.holder_of(store, "scheduler") == current


def test_two_names_are_two_leases(store: Store):
    taken(store, "a")
    other = leases.take(store, "something else", holder="b", lasts=LASTS, now=NOON)
    assert other is not None


def test_the_stores_clock_is_aware_utc_and_moves_on(store: Store):
    first, second = leases.time_of(store), leases.time_of(store)
    assert first.tzinfo == UTC
    assert first <= second
    assert abs(first - datetime.now(UTC)) < timedelta(minutes=1)


# -- runs -----------------------------------------------------------------------------------------


def test_of_eight_claims_of_one_slot_one_wins(store: Store):
    lease = taken(store, "a")

    def ask(own: Store, _number: int) -> Run | None:
        return leases.claim(own, lease, "prune", NOON, now=NOON)

    assert len([run for run in at_once(store, ask) if run is not None]) == 1
    assert len(leases.runs_of(store, "prune")) == 1


def test_a_slot_that_is_done_is_not_run_again_by_the_next_holder(store: Store):
    lease = taken(store, "a")
    leases.finish(store, lease, claimed(store, lease), leases.DONE, "", now=NOON)
    second = taken(store, "b", NOON + LASTS)
    assert leases.claim(store, second, "prune", NOON, now=NOON + LASTS) is None


def test_a_slot_that_failed_is_not_run_again(store: Store):
    lease = taken(store, "a")
    leases.finish(store, lease, claimed(store, lease), leases.FAILED, "audit_broken: …", now=NOON)
    assert leases.claim(store, lease, "prune", NOON, now=NOON) is None


def test_a_run_that_its_holder_left_is_taken_over(store: Store):
    claimed(store, taken(store, "a"))
    second = taken(store, "b", NOON + LASTS)
    run = claimed(store, second, now=NOON + LASTS)
    leases.finish(store, second, run, leases.DONE, "", now=NOON + LASTS)
    [only] = leases.runs_of(store, "prune")
    assert (only.holder, only.fence, only.outcome) == ("b", 2, leases.DONE)


def test_a_stale_holder_cannot_claim(store: Store):
    stale = taken(store, "a")
    taken(store, "b", NOON + LASTS)
    with pytest.raises(LeaseLost):
        leases.claim(store, stale, "prune", NOON + HOUR, now=NOON + HOUR)
    assert leases.runs_of(store, "prune") == []


def test_a_stale_holder_cannot_finish_a_run_with_its_old_fence(store: Store):
    stale = taken(store, "a")
    run = claimed(store, stale)
    second = taken(store, "b", NOON + LASTS)
    with pytest.raises(LeaseLost):
        leases.finish(store, stale, run, leases.DONE, "from the grave", now=NOON + LASTS)
    claimed(store, second, now=NOON + LASTS)
    with pytest.raises(LeaseLost):
        leases.finish(store, stale, run, leases.DONE, "from the grave", now=NOON + LASTS)
    [only] = leases.runs_of(store, "prune")
    assert (only.holder, only.outcome, only.note) == ("b", None, "")


def test_a_run_is_finished_once(store: Store):
    lease = taken(store, "a")
    run = claimed(store, lease)
    leases.finish(store, lease, run, leases.FAILED, "the truth", now=NOON)
    with pytest.raises(LeaseLost):
        leases.finish(store, lease, run, leases.DONE, "a second thought", now=NOON)
    assert leases.runs_of(store, "prune")[0].note == "the truth"


def test_a_run_nobody_finished_is_put_down_as_abandoned_when_the_next_begins(store: Store):
    claimed(store, taken(store, "a"))
    later = NOON + HOUR
    claimed(store, taken(store, "b", later), later, later)
    newest, oldest = leases.runs_of(store, "prune")
    assert (oldest.outcome, oldest.finished_at) == (leases.ABANDONED, later)
    assert newest.outcome is None


def test_jobs_do_not_stand_in_each_others_way(store: Store):
    lease = taken(store, "a")
    for job in ("prune", "verify-audit"):
        assert leases.claim(store, lease, job, NOON, now=NOON) is not None
    assert [run.job for run in leases.latest_runs(store)] == ["prune", "verify-audit"]


def test_the_latest_run_of_a_job_is_the_one_shown(store: Store):
    lease = taken(store, "a")
    for slot in (NOON, NOON + HOUR):
        leases.finish(store, lease, claimed(store, lease, slot, slot), leases.DONE, f"{slot:%H}", now=slot)
    assert [run.note for run in leases.latest_runs(store)] == ["13"]


# -- the grid -------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [timedelta(seconds=1), timedelta(minutes=7), HOUR, timedelta(days=1)], ids=str)
@pytest.mark.parametrize("offset_s", [0, 0.000001, 59.9, 3599.999999])
def test_every_moment_lies_in_exactly_one_slot(every: timedelta, offset_s: float):
    at = NOON + timedelta(seconds=offset_s)
    slot = slot_at(at, every)
    assert slot <= at < slot + every
    assert slot_at(slot, every) == slot
    assert slot_after(at, every) == slot + every


def test_days_begin_at_midnight_utc():
    assert slot_at(NOON, timedelta(days=1)) == datetime(2026, 11, 24, tzinfo=UTC)
