"""A table brought up to date equals one loaded anew, whatever happened in between; a flip costs one question."""

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from core.domain.permissions import local
from core.domain.routing import RouteTable
from core.domain.versions import Provider, Version
from core.errors import AliasRetired, InvalidInput, NoRollbackTarget, NothingToChange, UndoOvertaken, UnknownRevision
from core.services import callers, flips, registry, serving
from core.services.route_changes import refreshed
from core.store.database import Store

HAND = local("tests")
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
VERSIONS = ("a-1", "b-2", "c-3")
EXPECTED = (NothingToChange, NoRollbackTarget, UnknownRevision, UndoOvertaken, InvalidInput, AliasRetired)
"""Refusals that doing things at random must meet."""


@pytest.fixture
def furnished(store: Store) -> Store:
    registry.register_provider(store, HAND, Provider("rec", "recorded", "http://127.0.0.1:9/v1"), now=NOW)
    for name in VERSIONS:
        registry.register_version(store, HAND, Version(name, "rec", name), now=NOW)
    for alias in ("one", "two"):
        flips.create(store, HAND, alias, VERSIONS[0], fallbacks=(VERSIONS[1],), now=NOW)
    return store


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """The statements that are sent to the store meanwhile."""
    said: list[str] = []

    def note(_connection, _cursor, statement, *_rest):
        said.append(statement)

    event.listen(store.reads, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(store.reads, "before_cursor_execute", note)


def same_routes(table: RouteTable, anew: RouteTable) -> bool:
    """Equal, but that versions no alias serves any more may still be known."""
    kept = {name: target for name, target in table.targets.items() if name in anew.targets}
    return replace(table, targets=kept) == anew


def test_a_flip_to_a_version_that_is_known_costs_one_question(furnished: Store):
    table = serving.load_table(furnished)
    flips.flip(furnished, HAND, "one", VERSIONS[1], seen_revision=1, now=NOW)

    with statements(furnished) as said:
        new = refreshed(furnished, table)

    assert len([statement for statement in said if statement.startswith("SELECT")]) == 1
    assert same_routes(new, serving.load_table(furnished))


def test_without_a_change_the_table_stays_the_same_object(furnished: Store):
    table = serving.load_table(furnished)
    registry.note(furnished, HAND, VERSIONS[0], "A note that no gateway needs.", now=NOW)

    assert refreshed(furnished, table) is table


def test_a_version_new_to_the_table_is_fetched(furnished: Store):
    table = serving.load_table(furnished)
    flips.flip(furnished, HAND, "one", VERSIONS[2], seen_revision=1, now=NOW)

    new = refreshed(furnished, table)

    assert new.targets[VERSIONS[2]].model_id == VERSIONS[2]
    assert same_routes(new, serving.load_table(furnished))


def test_a_revoked_key_between_two_flips_is_not_missed(furnished: Store):
    key, _secret = callers.create_key(furnished, HAND, "web", now=NOW)
    table = serving.load_table(furnished)
    flips.flip(furnished, HAND, "one", VERSIONS[1], seen_revision=1, now=NOW)
    callers.revoke_key(furnished, HAND, key.id, now=NOW)
    flips.flip(furnished, HAND, "two", VERSIONS[1], seen_revision=1, now=NOW)

    assert key.id in table.callers
    assert key.id not in refreshed(furnished, table).callers


def test_whatever_happens_a_table_brought_up_to_date_equals_one_loaded_anew(furnished: Store):
    chance = random.Random(20261124)
    table = serving.load_table(furnished)
    for step in range(60):
        for _ in range(chance.randrange(4)):
            _something(furnished, chance, NOW + timedelta(minutes=step))
        table = refreshed(furnished, table)
        assert same_routes(table, serving.load_table(furnished)), f"after step {step}"


def _something(store: Store, chance: random.Random, now: datetime) -> None:
    alias, version = chance.choice(("one", "two")), chance.choice(VERSIONS)
    seen = serving.load_table(store).aliases
    revision = seen[alias].revision if alias in seen else 99
    doings = (
        lambda: flips.flip(store, HAND, alias, version, seen_revision=revision, now=now),
        lambda: flips.roll_back(store, HAND, alias, seen_revision=revision, now=now),
        lambda: flips.describe(store, HAND, alias, fallbacks=(version,), seen_revision=revision, now=now),
        lambda: flips.retire(store, HAND, alias, seen_revision=revision, now=now),
        lambda: flips.undo(store, HAND, alias, revision, seen_revision=revision, now=now),
        lambda: callers.create_key(store, HAND, "web", now=now),
        lambda: registry.change_provider(
            store, HAND, "rec", base_url=f"http://127.0.0.1:{chance.randrange(1, 99)}/v1", now=now
        ),
        lambda: registry.register_version(store, HAND, Version(f"v-{now:%H%M%S}", "rec", "x"), now=now),
    )
    with suppress(*EXPECTED):
        chance.choice(doings)()
