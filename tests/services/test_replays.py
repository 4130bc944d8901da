"""A key is worked on once: claimed, settled, let go, and taken over from whoever crashed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from core.domain.permissions import local
from core.errors import IdempotencyMismatch, InvalidInput
from core.services import replays
from core.services.replays import ABANDONED_AFTER, Claim
from core.store import migrate
from core.store.database import Store, open_store

ANN, BEN = local("ann"), local("ben")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINE = Claim()


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """An empty store."""
    opened = open_store(database_url)
    migrate.upgrade(opened)
    yield opened
    opened.close()


def test_the_first_works_the_next_waits_and_then_has_the_answer(store: Store):
    assert replays.claim(store, ANN, "k", "r", now=NOON) == MINE
    assert replays.claim(store, ANN, "k", "r", now=NOON).busy

    replays.settle(store, ANN, "k", {"answer": {"id": 7}})

    assert replays.claim(store, ANN, "k", "r", now=NOON) == Claim(answer={"answer": {"id": 7}})


def test_a_key_belongs_to_one_person_and_one_request(store: Store):
    assert replays.claim(store, ANN, "k", "r", now=NOON) == MINE
    assert replays.claim(store, BEN, "k", "s", now=NOON) == MINE

    with pytest.raises(IdempotencyMismatch):
        replays.claim(store, ANN, "k", "s", now=NOON)
    for key in ("", "k" * 201):
        with pytest.raises(InvalidInput):
            replays.claim(store, ANN, key, "r", now=NOON)


def test_a_claim_that_was_let_go_is_a_first_time_again(store: Store):
    replays.claim(store, ANN, "k", "r", now=NOON)

    replays.let_go(store, ANN, "k")

    assert replays.claim(store, ANN, "k", "another", now=NOON) == MINE


def test_a_claim_that_a_crash_left_behind_is_taken_over_by_one(store: Store):
    replays.claim(store, ANN, "k", "r", now=NOON)
    assert replays.claim(store, ANN, "k", "r", now=NOON + ABANDONED_AFTER).busy

    later = NOON + ABANDONED_AFTER + timedelta(seconds=1)

    assert replays.claim(store, ANN, "k", "r", now=later) == MINE
    assert replays.claim(store, ANN, "k", "r", now=later).busy
