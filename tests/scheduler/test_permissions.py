"""The scheduler is a door like any other: its jobs pass the permission table, with a name of their own."""

from datetime import UTC, datetime, timedelta

import pytest

from app import scheduler
from app.scheduler import JOBS, Job
from app.settings import Settings
from app.wiring import Pinrail, SystemClock
from core.domain.permissions import Actor, ActorKind, local
from core.domain.versions import Provider, Version
from core.errors import NotPermitted
from core.services import flips, registry
from core.store.database import Store

ROOT = local("tests")


@pytest.fixture
def pinrail(store: Store) -> Pinrail:
    """A store with an alias that has been held for two days, which a job would speak of."""
    then = datetime.now(UTC) - timedelta(days=2)
    registry.register_provider(store, ROOT, Provider("rec", "recorded", "http://127.0.0.1:9/v1"), now=then)
    registry.register_version(store, ROOT, Version("a", "rec", "a"), now=then)
    flips.create(store, ROOT, "prod", "a", now=then)
    flips.hold(store, ROOT, "prod", seen_revision=1, reason="forgotten", now=then)
    return Pinrail(Settings(database_url=store.url), store, SystemClock())


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_scheduler_that_holds_no_role_does_nothing_and_learns_nothing(
    job: Job, pinrail: Pinrail, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scheduler, "ACTOR", Actor("scheduler", ActorKind.SYSTEM, ()))
    try:
        said = job.work(pinrail, pinrail.now())
    except NotPermitted as refusal:
        said, reason = "", str(refusal)
        assert "scheduler has no role" in reason  # a job that only reads answers nothing instead
    assert said == ""


def test_with_its_role_it_speaks_of_the_same_hold(pinrail: Pinrail):
    job = next(job for job in JOBS if job.name == "remind-of-holds")
    assert "prod" in job.work(pinrail, pinrail.now())


def test_the_scheduler_is_known_as_an_automatic_actor():
    assert scheduler.ACTOR.is_automatic
    assert scheduler.ACTOR.name == "scheduler"
