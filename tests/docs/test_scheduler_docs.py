"""What runs by itself is documented: when, and what it does."""

from datetime import timedelta
from pathlib import Path

import pytest

from app.scheduler import JOBS, LEASE_LASTS, Job
from core.domain.events import EVENTS
from core.services import housekeeping
from core.services.attempts import ATTEMPTS_WINDOW

PAGE = (Path(__file__).parents[2] / "docs" / "scheduler.md").read_text()
UNITS = {timedelta(days=1): "d", timedelta(hours=1): "h", timedelta(minutes=1): "min"}


def words(span: timedelta) -> str:
    """A span as the page writes it."""
    unit, letter = next((unit, letter) for unit, letter in UNITS.items() if span % unit == timedelta(0))
    return f"{span // unit} {letter}"


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_job_is_documented_with_its_interval_and_its_meaning(job: Job):
    assert f"| `{job.name}` | {words(job.every)} | {job.meaning} |" in PAGE
    assert f"### {job.name}\n" in PAGE


def test_no_job_is_documented_that_does_not_exist():
    documented = {line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `")}
    assert documented == {job.name for job in JOBS}


@pytest.mark.parametrize(
    ("what", "kept"),
    [
        ("sessions, after they ended or expired", housekeeping.KEEP_SESSIONS),
        ("failed sign-ins", ATTEMPTS_WINDOW),
        ("idempotency keys", housekeeping.KEEP_KEYS),
        ("gateways not heard of, with what they acknowledged", housekeeping.KEEP_REPLICAS),
        ("job runs", housekeeping.KEEP_RUNS),
    ],
)
def test_how_long_things_are_kept_is_documented(what: str, kept: timedelta):
    assert f"| {what} | {words(kept)}" in PAGE


def test_the_limits_are_documented():
    assert f"{housekeeping.MOST_PER_RUN:,} rows, {housekeeping.BATCH:,}" in PAGE.replace("\n", " ")
    assert f"lasts {LEASE_LASTS.seconds} s" in PAGE
    assert f"renewed every {LEASE_LASTS.seconds // 3} s" in PAGE
    assert "store.pruned" in EVENTS
