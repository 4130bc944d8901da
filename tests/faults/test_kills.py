"""kill -9 of gateway, dashboard, scheduler and PostgreSQL in turn, under traffic and flips."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from core.domain.permissions import Role, local
from core.domain.versions import Provider, Version
from core.services import access, callers, flips, registry, serving
from core.store import audit_log, leases, migrate, repositories
from core.store.database import Store, open_store
from tests.faults.house import (
    ALIAS,
    VERSIONS,
    Call,
    Callers,
    Flipper,
    Postgres,
    eventually,
    killed,
    postgres_of_ones_own,
    scheduler,
)
from tests.gateway import upstream as wire
from tests.parts import Part, dashboard, gateway

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
HAND = local("faults")
STEADY, STRUCK = "steady", "struck"


@dataclass
class House:
    """Everything running on a PostgreSQL that may be killed."""

    postgres: Postgres
    store: Store
    folder: Path
    stack: ExitStack
    calls: Callers
    person: Flipper
    parts: dict[str, Part]

    def start_gateway(self, name: str) -> None:
        """Start a gateway, perhaps in the place of one that was killed."""
        part = self.stack.enter_context(gateway(self.postgres.url, self.folder, name))
        self.parts[name] = part
        self.calls.addresses[name] = part.url

    def start_dashboard(self) -> None:
        """Start the dashboard with its API, perhaps anew."""
        self.parts["dashboard"] = self.stack.enter_context(dashboard(self.postgres.url, self.folder))
        self.person.url = self.parts["dashboard"].url


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    # Every answer takes a moment, so that requests are in flight whenever something is killed.
    script = [0.05, *wire.plain(wire.completion("Hi"))]
    with ExitStack() as stack:
        upstream = stack.enter_context(wire.running({"*": script}))
        postgres = stack.enter_context(postgres_of_ones_own())
        store = open_store(postgres.url)
        stack.callback(store.close)
        key, token = _furnished(store, upstream.url)
        house = House(postgres, store, tmp_path, stack, Callers({}, key), Flipper("", token), {})
        for name in (STEADY, STRUCK):
            house.start_gateway(name)
        house.start_dashboard()
        yield house


def _furnished(store: Store, upstream_url: str) -> tuple[str, str]:
    migrate.upgrade(store)
    now = datetime.now(UTC)
    registry.register_provider(store, HAND, Provider("acme", "recorded", upstream_url), now=now)
    for name in VERSIONS:
        registry.register_version(store, HAND, Version(name, "acme", f"m-{name}"), now=now)
    flips.create(store, HAND, ALIAS, VERSIONS[0], now=now)
    access.add_person(store, HAND, "ann", role=Role.OPERATOR, now=now)
    token = access.create_token(store, HAND, "laptop", scope="operate", person="ann", now=now)[1]
    return callers.create_key(store, HAND, "web", now=now)[1], token


def test_whatever_is_killed_no_acknowledged_write_is_lost_and_requests_go_on(house: House):
    with ExitStack() as others:
        first = others.enter_context(scheduler(house.postgres.url))
        calling = others.enter_context(house.calls.calling())
        flipping = others.enter_context(house.person.flipping())
        flipping.goes_on("flips before anything is killed")

        killed(first)  # the scheduler
        others.enter_context(scheduler(house.postgres.url))
        flipping.goes_on("flips without a scheduler")

        struck_at = time.monotonic()  # a gateway
        killed(house.parts[STRUCK].pid)
        dead_at = time.monotonic()
        house.start_gateway(STRUCK)
        flipping.goes_on("flips after a gateway was killed")
        lost = calling.failed(STRUCK)
        assert all(was_in_flight(call, struck_at, dead_at) for call in lost), lost

        killed(house.parts["dashboard"].pid)  # dashboard and API, in the middle of a flip or not
        house.start_dashboard()
        flipping.goes_on("flips over the dashboard that came back")

        _without_postgres(house, calling, flipping)

        lost_before = len(calling.failed(STRUCK))
        with_sigterm = house.parts[STRUCK].pid
        _terminated(with_sigterm)
        assert len(calling.failed(STRUCK)) == lost_before, "SIGTERM loses no request"

    assert not calling.failed(STEADY), "a gateway that nobody touched loses nothing, whatever else is killed"
    _everything_that_was_acknowledged_is_there(house)
    newer = leases.holder_of(house.store, "scheduler")
    assert newer is not None
    assert newer.fence >= 2, "another scheduler took over"


def was_in_flight(call: Call, struck_at: float, dead_at: float) -> bool:
    """Sent before the process was dead, and not answered before it was struck."""
    return call.sent_at <= dead_at + 0.1 and call.ended_at >= struck_at


def _without_postgres(house: House, calling: Callers, flipping: Flipper) -> None:
    house.postgres.kill()
    gone_at = time.monotonic()
    told = len(flipping.told)
    eventually(lambda: len(calling.answered_since(STEADY, gone_at)) > 20, "answers from memory without the store")

    killed(house.parts[STRUCK].pid)
    house.start_gateway(STRUCK)
    ready = requests.get(f"{house.parts[STRUCK].url}/readyz", timeout=5)
    assert (ready.status_code, ready.json()["source"]) == (200, "disk copy"), ready.text
    restarted_at = time.monotonic()
    eventually(lambda: len(calling.answered_since(STRUCK, restarted_at)) > 5, "answers from the copy on disk")
    assert len(flipping.told) <= told + 1, "nothing is acknowledged without a store"
    eventually(lambda: flipping.heard & {"store_unreachable"}, "the person is told that the store is away")

    house.postgres.start()
    flipping.goes_on("flips once the store is back")


def _terminated(pid: int) -> None:
    import os
    import signal

    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not _lives(pid), "the gateway has stopped")


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def _everything_that_was_acknowledged_is_there(house: House) -> None:
    told = house.person.told
    with house.store.reading() as session:
        history = repositories.history(session, ALIAS)
        audit_log.verify(session)
    by_number = {revision.number: revision for revision in history}
    for key, number, version in told:
        assert (by_number[number].reason, by_number[number].state.stable) == (key, version)
    reasons = [revision.reason for revision in history[1:]]
    assert len(reasons) == len(set(reasons)), "no flip was done twice, however often it was asked for"
    assert len(told) <= len(reasons) <= len(told) + 1

    newest = history[-1].number
    eventually(
        lambda: serving.receipt(house.store, ALIAS, newest, now=datetime.now(UTC)).complete,
        "every gateway that lives serves the newest revision",
    )
