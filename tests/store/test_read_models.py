"""What the screens read: exact last moves, honest states, and what the domain would refuse, on both stores."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from core.domain.permissions import Actor, ActorKind, Grant, Role
from core.domain.traffic import Counts, Failure, Outcome, WindowKey, window_start
from core.domain.versions import Provider, Version
from core.errors import UnknownAlias
from core.services import flips, reading, registry, serving
from core.store import migrate, read_models
from core.store.attention import KINDS, attention
from core.store.database import Store, open_store

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
ADMIN = Actor("root", ActorKind.LOCAL, (Grant(Role.ADMIN),))
DWELL = timedelta(minutes=10)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store with versions a to d and one alias that went a, b, c; it is held since."""
    opened = open_store(database_url)
    migrate.upgrade(opened)
    registry.register_provider(opened, ADMIN, Provider("acme", "recorded", "http://127.0.0.1:9/v1"), now=ago(days=9))
    for name in "abcd":
        registry.register_version(opened, ADMIN, Version(name, "acme", name), now=ago(days=9))
    flips.create(opened, ADMIN, "prod", "a", now=ago(days=5))
    flips.flip(opened, ADMIN, "prod", "b", seen_revision=1, now=ago(days=2))
    flips.flip(opened, ADMIN, "prod", "c", seen_revision=2, now=ago(minutes=30))
    flips.hold(opened, ADMIN, "prod", seen_revision=3, now=ago(minutes=20))
    yield opened
    opened.close()


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def requests(
    store: Store, version: str, at: datetime, number: int, *, errors: int = 0, fell_back: bool = False
) -> None:
    counts = Counts()
    for i in range(number):
        failure = Failure.PROVIDER if i < errors else None
        counts.note(Outcome("prod", version, "web", at.timestamp(), 100, failure, fell_back=fell_back))
    serving.record_windows(store, replica="r", windows={WindowKey("prod", version, window_start(at)): counts})


def gateway(store: Store, name: str = "gw", *, applied: bool = True) -> None:
    serving.join(store, replica=name, name=name, now=NOW)
    if applied:
        serving.acknowledge(store, replica=name, serial=serving.current_serial(store), at=NOW)


def page(store: Store) -> read_models.AliasPage:
    return read_models.alias_page(store, "prod", now=NOW, minimum_dwell=DWELL)


def summary(store: Store) -> read_models.AliasSummary:
    [one] = read_models.overview(store, now=NOW).aliases
    return one


# -- moves ------------------------------------------------------------------------------------------


def test_the_last_move_is_the_flip_and_not_the_hold_after_it(store):
    assert (summary(store).moved.number, summary(store).came_from) == (3, "b")
    previous = page(store).previous
    assert previous is not None
    assert (page(store).moved.number, previous.version.name) == (3, "b")


def test_the_last_day_holds_every_change_newest_first_with_where_it_came_from(store):
    recent = read_models.overview(store, now=NOW).recent
    assert [(c.revision.number, c.came_from) for c in recent] == [(4, None), (3, "b")]


def test_the_history_says_for_every_revision_what_it_left(store):
    assert [(c.revision.number, c.came_from) for c in page(store).changes] == [
        (4, None),
        (3, "b"),
        (2, "a"),
        (1, None),
    ]


def test_what_the_domain_would_refuse_stands_beside_each_revision(store):
    why = page(store).why_not_undo
    assert set(why) == {1, 2}
    assert "changed again since" in why[2]
    assert page(store).why_not_flip is None


def test_a_protected_alias_says_why_it_cannot_be_flipped(store):
    flips.protect(store, ADMIN, "prod", protected=True, seen_revision=4, now=ago(minutes=1))
    assert "needs a second person" in (page(store).why_not_flip or "")


def test_an_unknown_alias_names_the_nearest(store):
    with pytest.raises(UnknownAlias, match=r"Closest: prod\."):
        read_models.alias_page(store, "prdo", now=NOW, minimum_dwell=DWELL)


def test_somebody_with_one_alias_reads_the_changes_of_that_one_only(store):
    flips.create(store, ADMIN, "other", "a", now=ago(hours=1))
    guest = Actor("guest", ActorKind.PERSON, (Grant(Role.VIEWER, "other"),))
    seen = reading.status(store, guest, now=NOW)
    assert {s.revision.alias for s in seen.aliases} == {c.revision.alias for c in seen.recent} == {"other"}
    assert seen.changes_last_day == 1


# -- states -----------------------------------------------------------------------------------------


def test_without_a_gateway_no_alias_is_called_healthy(store):
    requests(store, "c", ago(minutes=1), 500)
    assert summary(store).condition == page(store).condition
    assert summary(store).condition.word == "unknown"
    gateway(store)
    assert summary(store).condition.word == page(store).condition.word == "healthy"


def test_silence_is_unknown(store):
    gateway(store)
    assert summary(store).condition.word == "unknown"


def test_one_error_among_the_first_requests_is_not_yet_degraded(store):
    gateway(store)
    requests(store, "c", ago(minutes=1), 42, errors=1)
    assert summary(store).condition.word == "unknown"
    assert "too few to tell" in summary(store).condition.because


def test_many_errors_are_degraded_and_compared_with_the_hour_before_the_move(store):
    gateway(store)
    requests(store, "b", ago(minutes=45), 200, errors=2)
    requests(store, "c", ago(minutes=1), 200, errors=30)
    assert summary(store).condition.word == "degraded"
    before = summary(store).before
    assert before is not None
    assert before.error_rate == 0.01
    assert page(store).before.counts.error_rate == 0.01


def test_a_version_that_serves_again_is_judged_by_what_it_did_since(store):
    gateway(store)
    requests(store, "b", ago(minutes=4), 100, errors=50)
    flips.flip(store, ADMIN, "prod", "b", seen_revision=4, now=ago(minutes=2))
    requests(store, "b", ago(minutes=1), 100)
    assert summary(store).serving.requests == page(store).recent.counts.requests == 100
    assert summary(store).condition.word == page(store).condition.word == "healthy"


def test_the_pulse_changes_with_a_flip_with_traffic_and_with_a_gateway_and_only_then(store):
    seen = [read_models.pulse(store, now=NOW)]
    assert read_models.pulse(store, now=NOW) == seen[0]
    for happening in (
        lambda: flips.release(store, ADMIN, "prod", seen_revision=4, now=NOW),
        lambda: requests(store, "c", ago(seconds=20), 3),
        lambda: gateway(store),
    ):
        happening()
        seen.append(read_models.pulse(store, now=NOW))
    assert len(set(seen)) == 4


# -- what needs somebody ----------------------------------------------------------------------------


def kinds(store: Store, *, now: datetime = NOW) -> list[str]:
    return [one.kind for one in attention(read_models.overview(store, now=now), now=now)]


def test_nothing_needs_attention_when_all_is_well(store):
    gateway(store)
    requests(store, "c", ago(minutes=1), 100)
    assert kinds(store) == []


def test_no_gateway_comes_before_everything_else(store):
    assert kinds(store)[0] == "no gateway"


def test_a_gateway_that_did_not_take_the_newest_revision_is_named(store):
    gateway(store, "slow-one", applied=False)
    requests(store, "c", ago(minutes=1), 100)
    [late] = attention(read_models.overview(store, now=NOW), now=NOW)
    assert late.kind == "late gateway"
    assert "slow-one" in late.because


def test_an_alias_that_fell_silent_needs_attention_and_one_that_was_never_called_does_not(store):
    gateway(store)
    assert kinds(store) == []
    requests(store, "c", ago(minutes=9), 100)
    assert kinds(store) == ["no traffic"]


def test_answers_by_a_fallback_need_attention(store):
    gateway(store)
    requests(store, "a", ago(minutes=1), 100, fell_back=True)
    assert "falling back" in kinds(store)


def test_a_hold_needs_attention_only_after_a_day(store):
    requests(store, "c", ago(minutes=1), 100)
    gateway(store)
    assert "held long" not in kinds(store)
    assert "held long" in kinds(store, now=NOW + timedelta(hours=24))


def test_a_retired_alias_needs_nobody(store):
    gateway(store)
    requests(store, "c", ago(minutes=9), 100)
    flips.retire(store, ADMIN, "prod", seen_revision=4, now=ago(minutes=1))
    serving.acknowledge(store, replica="gw", serial=serving.current_serial(store), at=NOW)
    assert kinds(store) == []


def test_the_worst_kind_comes_first(store):
    order = list(KINDS)
    found = kinds(store, now=NOW + timedelta(hours=25))
    assert found == sorted(found, key=order.index)
