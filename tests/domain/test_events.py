"""The chain of audit events: whatever is tampered with no longer fits."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from core.domain.events import EVENTS, GENESIS, Event, chained

AT = datetime(2026, 6, 1, 9, 0, 0, 123456, tzinfo=UTC)
EVENT = Event(
    "alias.flipped", "alias:prod", "ann", "person", AT, "done", "because", "laptop", {"stable": "a"}, {"stable": "b"}
)
TAMPERED = {
    "kind": "alias.created",
    "subject": "alias:other",
    "actor": "ben",
    "actor_kind": "local",
    "at": AT + timedelta(microseconds=1),
    "outcome": "refused",
    "reason": "",
    "via": None,
    "before": {},
    "after": {"stable": "c"},
}


def test_every_part_of_an_event_is_tampered_with_below():
    assert TAMPERED.keys() == {field.name for field in fields(Event)}


@pytest.mark.parametrize("part", TAMPERED)
def test_changing_any_part_of_an_event_changes_its_hash(part):
    tampered = Event(**{**vars(EVENT), part: TAMPERED[part]})
    assert chained(1, EVENT, GENESIS) != chained(1, tampered, GENESIS)


def test_an_event_fits_only_its_own_place():
    assert chained(1, EVENT, GENESIS) != chained(2, EVENT, GENESIS)
    assert chained(1, EVENT, GENESIS) != chained(1, EVENT, chained(1, EVENT, GENESIS))


def test_the_hash_does_not_depend_on_how_a_store_keeps_time_or_order():
    elsewhere = replace(EVENT, at=AT.astimezone(timezone(timedelta(hours=-8))))
    assert chained(1, EVENT, GENESIS) == chained(1, elsewhere, GENESIS)
    turned = replace(EVENT, before={"x": 1, "y": [{"b": 1, "a": 2}]})
    assert chained(1, turned, GENESIS) == chained(1, replace(EVENT, before={"y": [{"a": 2, "b": 1}], "x": 1}), GENESIS)


def test_parts_cannot_be_shifted_into_each_other():
    one = replace(EVENT, subject="alias:prod", actor="ann")
    other = replace(EVENT, subject="alias:prodann", actor="")
    assert chained(1, one, GENESIS) != chained(1, other, GENESIS)


@pytest.mark.parametrize(("kind", "meaning"), EVENTS.items())
def test_every_kind_of_event_says_what_happened(kind, meaning):
    noun, _, verb = kind.partition(".")
    assert noun
    assert verb
    assert meaning
    assert not meaning.endswith(".")
