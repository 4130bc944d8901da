"""What gateways route by, what they report, and the receipt of a revision."""

import threading
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from core.domain.receipts import LIVE_FOR
from core.domain.traffic import WINDOW, Counts, Failure, Outcome, WindowKey, window_start
from core.domain.versions import Provider, Version
from core.errors import NotFound, UnknownAlias, UnknownRevision
from core.services import flips, registry, serving
from core.store import read_models
from core.store.database import Store
from core.store.tables import AcknowledgementRow
from core.store.windows import counts_by_version
from tests.clocks import SetClock
from tests.processes import at_once
from tests.services import hands
from tests.services.world import ADMIN, OPERATOR, ROOT, stocked

MS = timedelta(milliseconds=1)


@pytest.fixture
def served(store: Store, clock: SetClock) -> Store:
    stocked(store, clock.now())
    return store


def start(store: Store, clock: SetClock, *names: str) -> None:
    """Start gateways that route by what is in force."""
    for name in names:
        serving.join(store, replica=f"id-{name}", name=name, now=clock.now())
        serving.acknowledge(store, replica=f"id-{name}", serial=serving.current_serial(store), at=clock.now())


def flip(store: Store, clock: SetClock, version: str, seen: int) -> int:
    return flips.flip(store, OPERATOR, "prod", version, seen_revision=seen, now=clock.now()).serial


# -- the table ------------------------------------------------------------------------------------


def test_the_table_holds_what_a_gateway_needs_and_not_what_is_retired(served, clock):
    registry.register_provider(served, ROOT, Provider("oai", "openai", "https://x/v1", "OAI_KEY"), now=clock.now())
    registry.register_prompt(served, ROOT, "greet", "Say hello.", now=clock.now())
    full = Version("full", "oai", "gpt-4o-2024-08-06", prompt="greet", parameters={"temperature": 0})
    registry.register_version(served, ROOT, full, now=clock.now())
    flips.create(served, OPERATOR, "chat", "full", fallbacks=("b", "c"), now=clock.now())
    flips.create(served, OPERATOR, "gone", "d", now=clock.now())
    flips.retire(served, ADMIN, "gone", seen_revision=1, now=clock.now())
    table = serving.load_table(served)
    assert table.serial == serving.current_serial(served)
    assert sorted(table.aliases) == ["chat", "prod"]
    assert (table.aliases["chat"].revision, table.aliases["chat"].fallbacks) == (1, ("b", "c"))
    assert sorted(table.targets) == ["a", "b", "c", "full"]
    target = table.targets["full"]
    assert (target.provider, target.model_id, target.prompt, target.prompt_text, dict(target.parameters)) == (
        "oai", "gpt-4o-2024-08-06", "greet", "Say hello.", {"temperature": 0}
    )  # fmt: skip
    assert table.targets["a"].prompt_text is None
    assert (table.providers["oai"].base_url, table.providers["oai"].secret_env) == ("https://x/v1", "OAI_KEY")


def test_an_empty_store_has_an_empty_table(store):
    table = serving.load_table(store)
    assert (table.serial, table.aliases, table.callers) == (0, {}, {})


def test_only_what_gateways_must_learn_of_moves_the_counter(served, clock):
    before = serving.current_serial(served)
    registry.register_prompt(served, ROOT, "greet", "Say hello.", now=clock.now())
    registry.register_version(served, ROOT, Version("e", "rec", "model-e"), now=clock.now())
    registry.note(served, ROOT, "e", "a note", now=clock.now())
    assert serving.current_serial(served) == before
    assert flip(served, clock, "e", 1) == before + 1 == serving.current_serial(served)


def test_a_table_read_while_aliases_move_is_always_of_one_moment(served, clock):
    """Each flip moves counter and revision by one, so in every picture the two must have moved alike."""
    base, times = serving.current_serial(served), 40
    mover = threading.Thread(target=at_once, args=(hands.flip_to_and_fro, [(served.url, times)]))
    mover.start()
    seen = 0
    while seen < times and mover.is_alive():
        table = serving.load_table(served)
        seen = table.serial - base
        route = table.aliases["prod"]
        assert (route.revision, route.variants[0].version) == (seen + 1, "ab"[seen % 2])
    mover.join()
    assert serving.load_table(served).serial == base + times


# -- receipts -------------------------------------------------------------------------------------


def test_a_receipt_fills_up_as_gateways_confirm(served, clock):
    start(served, clock, "gw-1", "gw-2")
    serial = flip(served, clock, "b", 1)
    at = clock.now()
    assert serving.receipt(served, "prod", 2, now=at).waiting == ("gw-1", "gw-2")
    serving.acknowledge(served, replica="id-gw-1", serial=serial, at=at + 12 * MS)
    late = serving.receipt(served, "prod", 2, now=at + 20 * MS)
    assert (late.complete, late.waiting) == (False, ("gw-2",))
    serving.acknowledge(served, replica="id-gw-2", serial=serial, at=at + 41 * MS)
    done = serving.receipt(served, "prod", 2, now=at + 50 * MS)
    assert (done.complete, done.slowest_ms, done.version) == (True, 41.0, "b")
    assert [(c.name, c.after_ms) for c in done.confirmed] == [("gw-1", 12.0), ("gw-2", 41.0)]


def test_a_gateway_that_took_several_changes_at_once_confirms_them_all(served, clock):
    start(served, clock, "gw-1")
    flip(served, clock, "b", 1)
    flip(served, clock, "c", 2)
    newest = flip(served, clock, "d", 3)
    serving.acknowledge(served, replica="id-gw-1", serial=newest, at=clock.now() + 7 * MS)
    for revision in (2, 3, 4):
        assert serving.receipt(served, "prod", revision, now=clock.now()).slowest_ms == 7.0


def test_a_later_confirmation_does_not_make_an_earlier_one_slower(served, clock):
    start(served, clock, "gw-1")
    serial = flip(served, clock, "b", 1)
    serving.acknowledge(served, replica="id-gw-1", serial=serial, at=clock.now() + 5 * MS)
    serving.acknowledge(served, replica="id-gw-1", serial=serial, at=clock.now() + 900 * MS)
    serial = flip(served, clock, "c", 2)
    serving.acknowledge(served, replica="id-gw-1", serial=serial, at=clock.now() + 700 * MS)
    assert serving.receipt(served, "prod", 2, now=clock.now()).slowest_ms == 5.0


def test_a_gateway_that_stopped_is_not_waited_for(served, clock):
    start(served, clock, "gw-1", "gw-2")
    serial = flip(served, clock, "b", 1)
    serving.acknowledge(served, replica="id-gw-1", serial=serial, at=clock.now() + 5 * MS)
    serving.leave(served, replica="id-gw-2", now=clock.now())
    assert serving.receipt(served, "prod", 2, now=clock.now()).complete


def test_a_gateway_that_fell_silent_is_not_waited_for_and_counts_again_when_it_is_back(served, clock):
    start(served, clock, "gw-1", "gw-2")
    serial = flip(served, clock, "b", 1)
    later = clock.now() + LIVE_FOR + timedelta(seconds=1)
    serving.heartbeat(served, replica="id-gw-1", now=later, dropped=0)
    serving.acknowledge(served, replica="id-gw-1", serial=serial, at=later)
    assert serving.receipt(served, "prod", 2, now=later).complete
    serving.heartbeat(served, replica="id-gw-2", now=later, dropped=3)
    assert serving.receipt(served, "prod", 2, now=later).waiting == ("gw-2",)


def test_a_gateway_started_later_began_with_the_revision(served, clock):
    flip(served, clock, "b", 1)
    clock.wait(minutes=5)
    start(served, clock, "gw-9")
    found = serving.receipt(served, "prod", 2, now=clock.now())
    assert (found.complete, found.slowest_ms) == (True, 0.0)


def test_without_a_gateway_nothing_is_in_force_and_the_receipt_says_so(served, clock):
    flip(served, clock, "b", 1)
    found = serving.receipt(served, "prod", 2, now=clock.now())
    assert not found.complete
    assert found.sentence == "Stored as revision 2. No gateway is running, so nothing serves it yet."


@pytest.mark.parametrize("revision", [0, -1, 7, 2**31, 2**70])
def test_a_receipt_of_a_revision_that_never_was_is_refused_on_both_stores(served, clock, revision):
    with pytest.raises(UnknownRevision, match=f"prod has revisions 1 to 1, not {revision}"):
        serving.receipt(served, "prod", revision, now=clock.now())
    with pytest.raises(UnknownAlias, match="Closest: prod"):
        serving.receipt(served, "prdo", revision, now=clock.now())


# -- reports --------------------------------------------------------------------------------------


def test_a_gateway_that_the_store_forgot_is_told_to_join_again(served, clock):
    for report in (
        lambda: serving.acknowledge(served, replica="gone", serial=1, at=clock.now()),
        lambda: serving.heartbeat(served, replica="gone", now=clock.now(), dropped=0),
    ):
        with pytest.raises(NotFound, match="knows no gateway process gone: it has to join again"):
            report()
    serving.leave(served, replica="gone", now=clock.now())


def test_confirming_twice_is_confirming_once(served, clock):
    start(served, clock, "gw-1")
    serial = flip(served, clock, "b", 1)
    for _ in range(3):
        serving.acknowledge(served, replica="id-gw-1", serial=serial, at=clock.now())
    with served.reading() as session:
        assert len([r for r in session.scalars(select(AcknowledgementRow)) if r.serial == serial]) == 1


def test_an_old_confirmation_that_arrives_late_does_not_turn_a_gateway_back(served, clock):
    start(served, clock, "gw-1")
    serial = flip(served, clock, "b", 1)
    serving.acknowledge(served, replica="id-gw-1", serial=serial, at=clock.now())
    serving.acknowledge(served, replica="id-gw-1", serial=serial - 1, at=clock.now())
    [replica] = read_models.live_replicas(served, now=clock.now())
    assert replica.applied_serial == serial


def test_a_gateway_joins_again_after_it_left(served, clock):
    start(served, clock, "gw-1")
    serving.leave(served, replica="id-gw-1", now=clock.now())
    assert read_models.live_replicas(served, now=clock.now()) == ()
    serving.join(served, replica="id-gw-1", name="gw-1", now=clock.wait(seconds=1))
    assert [r.name for r in read_models.live_replicas(served, now=clock.now())] == ["gw-1"]


# -- traffic --------------------------------------------------------------------------------------


def counted(at: datetime, requests: int) -> Counts:
    counts = Counts()
    for number in range(requests):
        failure = Failure.TIMEOUT if number % 4 == 0 else None
        counts.note(Outcome("prod", "a", "web", at.timestamp(), 100.0 + number, failure, number % 2 == 0, 10, 20))
    return counts


def passed(store: Store, *, since: datetime) -> dict[tuple[str, str], Counts]:
    with store.reading() as session:
        return counts_by_version(session, since=since)


def test_windows_are_absolute_so_a_report_sent_twice_counts_once(served, clock):
    key = WindowKey("prod", "a", window_start(clock.now()))
    serving.record_windows(served, replica="r1", windows={key: counted(clock.now(), 3)})
    for _ in range(2):
        serving.record_windows(served, replica="r1", windows={key: counted(clock.now(), 8)})
    assert passed(served, since=clock.now() - timedelta(minutes=1)) == {("prod", "a"): counted(clock.now(), 8)}


def test_windows_of_two_gateways_and_two_times_add_up(served, clock):
    here, then = window_start(clock.now()), window_start(clock.now()) - WINDOW
    first, second = counted(clock.now(), 5), counted(clock.now(), 9)
    serving.record_windows(
        served, replica="r1", windows={WindowKey("prod", "a", here): first, WindowKey("prod", "a", then): second}
    )
    serving.record_windows(served, replica="r2", windows={WindowKey("prod", "a", here): second})
    serving.record_windows(served, replica="r3", windows={})
    assert passed(served, since=clock.now() - timedelta(minutes=1)) == {("prod", "a"): first + second + second}


def test_a_receipt_and_the_traffic_do_not_disturb_the_audit_log(served, clock):
    with served.reading() as session:
        before = read_models.audit_of(served, "alias:prod")
        session.rollback()
    start(served, clock, "gw-1")
    serving.heartbeat(served, replica="id-gw-1", now=clock.now(), dropped=0)
    serving.record_windows(served, replica="r", windows={WindowKey("prod", "a", clock.now()): Counts(requests=1)})
    assert [row.seq for row in read_models.audit_of(served, "alias:prod")] == [row.seq for row in before]
