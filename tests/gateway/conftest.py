"""A store with aliases, and gateways that serve from it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from core.store import migrate
from core.store.database import Store, open_store
from tests.gateway import upstream as wire
from tests.gateway.upstream import Upstream
from tests.gateway.world import Running, World, running


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A provider that does as the test says."""
    with wire.running() as started:
        yield started


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """An empty store of each kind, up to date."""
    opened = open_store(database_url)
    migrate.upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, up-to-date SQLite store to copy, because making one takes longer than most of these tests."""
    path = tmp_path_factory.mktemp("migrated") / "pinrail.db"
    opened = open_store(f"sqlite:///{path}")
    migrate.upgrade(opened)
    opened.close()
    return path


@pytest.fixture
def lite_store(migrated: Path, tmp_path: Path) -> Iterator[Store]:
    """An empty store on SQLite, for what has nothing to do with the store."""
    opened = open_store(f"sqlite:///{shutil.copy(migrated, tmp_path)}")
    yield opened
    opened.close()


@pytest.fixture
def world(lite_store: Store, upstream: Upstream, tmp_path: Path) -> World:
    """The usual aliases on SQLite."""
    return World(lite_store, upstream, tmp_path)


@pytest.fixture
def either_world(store: Store, upstream: Upstream, tmp_path: Path) -> World:
    """The usual aliases, once on SQLite and once on PostgreSQL."""
    return World(store, upstream, tmp_path)


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Start a gateway on a world; it is stopped after the test."""
    with ExitStack() as stack:

        def started(world: World, **settings: Any) -> Running:
            return stack.enter_context(running(world, **settings))

        yield started


@pytest.fixture
def gateway(world: World, start: Callable[..., Running]) -> Running:
    """One gateway on the usual aliases."""
    return start(world)
