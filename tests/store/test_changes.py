"""A watch hears of every commit, also of another process, and says when the store is gone."""

import contextlib
import threading

import pytest
from sqlalchemy import select, text
from sqlmodel import col

from core.errors import StoreUnreachable
from core.services import serving
from core.store import changes, repositories
from core.store.database import Store, open_store
from core.store.tables import LedgerRow
from tests.processes import at_once
from tests.store import hands

LONG_S = 20.0


def change_once(store: Store) -> None:
    with store.unit_of_work() as session:
        repositories.next_serial(session)


def test_a_watch_wakes_at_a_commit_and_not_before(store):
    watch = changes.watch(store)
    assert watch.wait(0.05) is False
    change_once(store)
    assert watch.wait(LONG_S) is True
    watch.close()


def test_a_change_made_between_two_waits_is_not_missed(store):
    watch = changes.watch(store)
    for _ in range(3):
        change_once(store)
        assert watch.wait(LONG_S) is True
        while watch.wait(0.03):
            pass
    watch.close()


def test_a_change_that_was_rolled_back_leaves_the_counter_alone(store):
    with contextlib.suppress(ZeroDivisionError), store.unit_of_work() as session:
        repositories.next_serial(session)
        raise ZeroDivisionError
    assert serving.current_serial(store) == 0


def test_every_watch_hears_of_a_change(store):
    one, other = changes.watch(store), changes.watch(store)
    change_once(store)
    assert one.wait(LONG_S)
    assert other.wait(LONG_S)
    one.close()
    other.close()


def test_whoever_pairs_the_watch_with_the_counter_misses_no_change_of_another_process(store):
    """The watch is begun before the counter is first read; from then on each wait must end by news and not by time."""
    times = 40
    watch = changes.watch(store)
    seen, timed_out = serving.current_serial(store), 0
    writer = threading.Thread(target=at_once, args=(hands.change_serials, [(store.url, times, 0.01)]))
    writer.start()
    while seen < times and timed_out < 3:
        timed_out += not watch.wait(LONG_S)
        now = serving.current_serial(store)
        assert now >= seen
        seen = now
    writer.join()
    watch.close()
    assert (seen, timed_out) == (times, 0)


def test_the_counter_is_the_one_in_the_ledger(store):
    change_once(store)
    change_once(store)
    with store.reading() as session:
        assert session.scalars(select(col(LedgerRow.serial))).one() == serving.current_serial(store) == 2


# -- a store that is gone -------------------------------------------------------------------------


def test_a_watch_on_a_file_that_cannot_be_opened_is_refused_in_our_words(sqlite_store_url, tmp_path):
    store = open_store(sqlite_store_url)
    for path in tmp_path.glob("store.db*"):
        path.unlink()
    tmp_path.rmdir()
    with pytest.raises(StoreUnreachable, match="did not answer"):
        changes.watch(store)
    tmp_path.mkdir()


def test_a_watch_on_a_server_that_does_not_answer_is_refused_in_our_words():
    store = open_store("postgresql://ann:s3cret-word@127.0.0.1:1/pinrail")
    with pytest.raises(StoreUnreachable, match="did not answer") as refusal:
        changes.watch(store)
    assert "s3cret-word" not in str(refusal.value)


def test_a_watch_whose_connection_is_cut_says_so(postgres_store_url):
    store = open_store(postgres_store_url)
    watch = changes.watch(store)
    ours = "datname = current_database() AND query LIKE 'LISTEN%'"
    with store.writing() as session:
        cut = session.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}"))
        assert cut.scalars().all() == [True]
    with pytest.raises(StoreUnreachable, match="did not answer"):
        watch.wait(LONG_S)
    watch.close()
    store.close()
