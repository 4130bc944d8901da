"""A store with conditions of the test's own, and a webhook."""

from collections.abc import Iterator

import pytest

from core.store.database import Store
from tests.alerts.receiver import Hook, webhook
from tests.alerts.stage import SECRET, SECRET_ENV, Stage


@pytest.fixture
def stage(store: Store, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A store without alerts, on SQLite and on PostgreSQL."""
    monkeypatch.setenv(SECRET_ENV, SECRET)
    return Stage(store)


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook that keeps what it was sent."""
    with webhook() as opened:
        yield opened
