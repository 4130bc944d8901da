"""A small company for the pages: versions, one alias that moved twice, people of every role, gateways and traffic."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from core.domain.permissions import Actor, Role, local
from core.domain.traffic import Counts, Failure, Outcome, WindowKey, window_start
from core.domain.versions import Provider, Version
from core.services import access, callers, flips, registry, serving
from core.store import migrate
from core.store.database import Store, open_store
from core.store.tables import RevisionRow

ROOT = local("tests")
PASSWORD = "a long enough password"
ALIAS = "prod-math"
OLD, GOOD, BAD = "math-2026-01-05", "math-2026-03-14", "math-2026-06-13"
PEOPLE = {"viewer": Role.VIEWER, "oncall": Role.OPERATOR, "lee": Role.OPERATOR, "admin": Role.ADMIN}


@dataclass(frozen=True)
class Stage:
    """A store with something in it, and the moment it was made."""

    store: Store
    now: datetime

    def secret_of(self, person: str) -> str:
        """A new session of ``person``, as the cookie holds it."""
        return access.sign_in(self.store, person, PASSWORD, now=datetime.now(UTC))

    def actor(self, person: str) -> Actor:
        """``person`` as a service sees them."""
        return access.who_is(self.store, self.secret_of(person), now=datetime.now(UTC))

    def revisions(self, alias: str = ALIAS) -> list[RevisionRow]:
        """All revisions of ``alias``, oldest first."""
        query = select(RevisionRow).where(col(RevisionRow.alias) == alias).order_by(col(RevisionRow.number))
        with self.store.reading() as session:
            return list(session.scalars(query))

    def newest(self, alias: str = ALIAS) -> RevisionRow:
        """The revision in force."""
        return self.revisions(alias)[-1]


def empty(url: str) -> Stage:
    """A store with people and nothing else."""
    store = open_store(url)
    migrate.upgrade(store)
    now = datetime.now(UTC)
    for name, role in PEOPLE.items():
        access.add_person(store, ROOT, name, password=PASSWORD, role=role, now=now - timedelta(days=9))
    return Stage(store, now)


def full(url: str) -> Stage:
    """The alias served OLD for days, then GOOD for a day, and was flipped to BAD 12 minutes ago."""
    stage = empty(url)
    store, now = stage.store, stage.now
    long_ago = now - timedelta(days=8)
    registry.register_provider(store, ROOT, Provider("acme", "recorded", "http://127.0.0.1:9/v1"), now=long_ago)
    for prompt in ("math-v1", "math-v2"):
        registry.register_prompt(store, ROOT, prompt, f"Answer with a number. {prompt}", now=long_ago)
    for name, prompt, temperature in ((OLD, "math-v1", 0.0), (GOOD, "math-v1", 0.0), (BAD, "math-v2", 0.7)):
        version = Version(name, "acme", name, prompt=prompt, parameters={"temperature": temperature})
        registry.register_version(store, ROOT, version, now=long_ago)
    story(stage, ALIAS)
    callers.create_key(store, ROOT, "web", now=long_ago)
    return stage


def story(stage: Stage, alias: str) -> str:
    """Let ``alias`` serve OLD for days, GOOD for a day, and BAD for 12 minutes; its name is returned."""
    store, now = stage.store, stage.now
    flips.create(store, ROOT, alias, OLD, owner="oncall", description="Sums for the shop.", now=now - timedelta(days=7))
    for seen, version, reason, ago in (
        (1, GOOD, "better sums", timedelta(days=1)),
        (2, BAD, "newer", timedelta(minutes=12)),
    ):
        # What another test rolled back on the same stage must not be in the way of this story.
        told = {"reason": reason, "override_quarantine": "for a story", "now": now - ago}
        flips.flip(store, ROOT, alias, version, seen_revision=seen, **told)
    return alias


def traffic(stage: Stage, version: str, *, minutes_ago: int, requests: int, errors: int = 0, **given: Any) -> None:
    """One window of requests to ALIAS, answered by ``version``."""
    at = stage.now - timedelta(minutes=minutes_ago)
    counts = Counts()
    for i in range(requests):
        failure = Failure.PROVIDER if i < errors else None
        valid = None if failure else bool(given.get("valid", True))
        latency_ms = float(given.get("latency_ms", 300))
        counts.note(Outcome(ALIAS, version, "web", at.timestamp(), latency_ms, failure, valid))
    replica = str(given.get("replica", "counter"))
    serving.record_windows(stage.store, replica=replica, windows={WindowKey(ALIAS, version, window_start(at)): counts})


@contextlib.contextmanager
def gateways(store: Store, *names: str, deaf: tuple[str, ...] = ()) -> Iterator[None]:
    """Stand-ins for gateways, which join, beat and acknowledge like real ones; those that are ``deaf`` never do."""
    done = threading.Event()

    def work() -> None:
        beaten = datetime.min.replace(tzinfo=UTC)
        for name in names:
            serving.join(store, replica=name, name=name, now=datetime.now(UTC))
        while not done.wait(0.02):
            now, serial = datetime.now(UTC), serving.current_serial(store)
            for name in names:
                if name not in deaf:
                    serving.acknowledge(store, replica=name, serial=serial, at=now)
                if now - beaten > timedelta(seconds=3):
                    serving.heartbeat(store, replica=name, now=now, dropped=0)
            beaten = now if now - beaten > timedelta(seconds=3) else beaten

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=10)
