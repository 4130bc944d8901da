"""Transactions and faults: writers queue up, readers never wait, and whatever happens is said in our words."""

import threading

import pytest
from sqlalchemy import make_url, select, text
from sqlmodel import Session, col

from core.errors import CannotStart, InvalidInput, SchemaOutdated, StoreError, StoreUnreachable
from core.store import audit_log, database
from core.store.database import Store, open_store, ping
from core.store.tables import AttemptRow, AuditRow, PersonRow, ProviderRow, SessionRow
from tests.processes import at_once
from tests.store import hands
from tests.store.rows import AT, filled, log, said

# -- writers and readers --------------------------------------------------------------------------


def test_eight_processes_writing_at_once_lose_nothing(store):
    """Each reads a number under the lock and writes it back one higher; the chain must hold all of them in order."""
    filled(store)
    times = 25
    assert at_once(hands.count_up, [(store.url, hand, times) for hand in range(8)]) == [times] * 8
    with store.reading() as session:
        assert session.get_one(ProviderRow, "acme").description == str(8 * times)
        assert audit_log.verify(session).events == 1 + 8 * times
        for hand in range(8):
            ours = (
                select(col(AuditRow.reason)).where(col(AuditRow.subject) == f"hand:{hand}").order_by(col(AuditRow.seq))
            )
            assert session.scalars(ours).all() == [str(number) for number in range(times)]


def test_a_reader_never_waits_for_a_writer_and_sees_nothing_unfinished(store):
    with store.unit_of_work() as writing:
        audit_log.append(writing, said())
        writing.flush()
        with store.reading() as reading:
            assert reading.scalars(select(AuditRow)).all() == []
    with store.reading() as reading:
        assert len(reading.scalars(select(AuditRow)).all()) == 1


def test_a_writer_never_waits_for_a_reader_whose_picture_stays_the_same(store):
    log(store, 1)
    with store.reading() as reading:
        assert len(reading.scalars(select(AuditRow)).all()) == 1
        log(store, 2)
        assert len(reading.scalars(select(AuditRow)).all()) == 1
        assert audit_log.verify(reading).events == 1


def test_a_short_write_does_not_wait_for_a_unit_of_work_on_postgresql(postgres_store_url):
    store = open_store(postgres_store_url)
    with store.unit_of_work() as held:
        audit_log.append(held, said())
        with store.writing() as session:
            session.add(AttemptRow(name="ann", address="", at=AT))
    with store.reading() as session:
        assert len(session.scalars(select(AttemptRow)).all()) == 1
    store.close()


def test_a_writer_that_waited_too_long_says_so_and_what_to_do(store_url, monkeypatch):
    monkeypatch.setattr(database, "LOCK_PATIENCE_S", 0.2)
    holder, waiter = open_store(store_url), open_store(store_url)
    with holder.unit_of_work() as session:
        audit_log.append(session, said())
        message = r"Somebody else kept the store for more than 0.2 s. Nothing was changed; try again."
        with pytest.raises(StoreUnreachable, match=message), waiter.unit_of_work():
            pass
    log(waiter, 1)
    with holder.reading() as session:
        assert audit_log.verify(session).events == 2
    holder.close()
    waiter.close()


def test_threads_of_one_process_queue_up_too(store):
    filled(store)
    threads = [threading.Thread(target=hands.count_up, args=(store.url, hand, 5)) for hand in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as session:
        assert session.get_one(ProviderRow, "acme").description == "20"


# -- what cannot be kept --------------------------------------------------------------------------


def test_a_contradiction_is_refused_in_our_words(store):
    with pytest.raises(StoreError, match=r"refused a contradiction.*Nothing was changed"), store.writing() as session:
        session.add(SessionRow(id="s", person="nobody", created_at=AT, expires_at=AT))


def test_what_postgresql_cannot_hold_is_refused_in_our_words(postgres_store_url):
    store = open_store(postgres_store_url)
    with pytest.raises(InvalidInput, match="cannot keep a value"), store.reading() as session:
        session.get(PersonRow, "a\0b")
    with pytest.raises(InvalidInput, match="cannot keep a value"), store.reading() as session:
        session.get(AuditRow, 2**40)
    store.close()


def test_our_own_mistakes_are_not_dressed_up_as_a_lost_store(postgres_store_url):
    store = open_store(postgres_store_url)
    with pytest.raises(Exception, match="syntax error") as fault, store.reading() as session:
        session.execute(text("SELEKT 1"))
    assert not isinstance(fault.value, StoreError)
    store.close()


# -- a store that is not there --------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "nonsense", "://", "sqlite://", "sqlite:///:memory:", "mysql://x/y", "oracle://x"])
def test_what_is_no_address_of_a_store_is_refused_before_anything_starts(url):
    with pytest.raises(CannotStart):
        open_store(url)


def test_a_missing_folder_is_named_with_what_to_do(tmp_path):
    with pytest.raises(CannotStart, match=r"nowhere for the store does not exist. Create it, or choose another"):
        open_store(f"sqlite:///{tmp_path / 'nowhere' / 'pinrail.db'}")


def test_a_file_that_is_no_database_is_unreachable(tmp_path):
    path = tmp_path / "pinrail.db"
    path.write_text("This is a letter and no database at all. " * 50)
    store = open_store(f"sqlite:///{path}")
    with pytest.raises(StoreUnreachable, match=r"file is not a database\. Nothing was changed"):
        ping(store)
    with pytest.raises(StoreUnreachable, match=r"file is not a database\. Nothing was changed"), store.unit_of_work():
        pass
    assert path.read_text().startswith("This is a letter")


def test_a_store_whose_folder_went_away_is_unreachable(sqlite_store_url, tmp_path):
    store = open_store(sqlite_store_url)
    for path in tmp_path.glob("store.db*"):
        path.unlink()
    tmp_path.rmdir()
    with pytest.raises(StoreUnreachable, match=r"unable to open database file\. Nothing was changed"):
        ping(store)
    tmp_path.mkdir()


def test_a_server_that_does_not_answer_is_unreachable_and_its_password_stays_secret():
    store = open_store("postgresql://ann:s3cret-word@127.0.0.1:1/pinrail")
    with pytest.raises(StoreUnreachable) as refusal:
        ping(store)
    assert "s3cret-word" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_wrong_address_does_not_repeat_the_password():
    with pytest.raises(CannotStart) as refusal:
        open_store("postgresql//ann:s3cret-word@somewhere")
    assert "s3cret-word" not in str(refusal.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_usual_way_to_write_a_postgresql_address_is_understood(postgres_store_url, scheme):
    store = open_store(postgres_store_url.replace("postgresql", scheme, 1))
    assert store.dialect == "postgresql"
    ping(store)
    store.close()


def test_a_database_that_is_not_there_is_not_taken_for_one_without_tables(postgres_server):
    store = open_store(make_url(postgres_server).set(database="not_there").render_as_string(hide_password=False))
    with pytest.raises(StoreUnreachable, match=r"database .not_there. does not exist"):
        ping(store)
    store.close()


# -- a store that goes away in the middle ---------------------------------------------------------


def _kill(store: Store, session: Session) -> None:
    """End the server side of this session, as a restart of the server would."""
    number = session.scalar(text("SELECT pg_backend_pid()"))
    with store.writing() as other:
        other.execute(text("SELECT pg_terminate_backend(:number)"), {"number": number})


def _write_after_losing_the_connection(store: Store, session: Session) -> None:
    _kill(store, session)
    audit_log.append(session, said())


def _lose_the_connection_after_writing(store: Store, session: Session) -> None:
    audit_log.append(session, said())
    session.flush()
    _kill(store, session)


def test_a_connection_lost_before_the_commit_changed_nothing_and_the_next_one_works(postgres_store_url):
    store = open_store(postgres_store_url)
    with pytest.raises(StoreUnreachable, match="Nothing was changed"), store.unit_of_work() as session:
        _write_after_losing_the_connection(store, session)
    log(store, 1)
    with store.reading() as session:
        assert audit_log.verify(session).events == 1
    store.close()


def test_of_a_connection_lost_in_the_commit_nobody_claims_to_know_the_outcome(postgres_store_url):
    store = open_store(postgres_store_url)
    unknown = r"lost while it committed.*not known: look first, or ask again under the same idempotency key"
    with pytest.raises(StoreUnreachable, match=unknown), store.unit_of_work() as session:
        _lose_the_connection_after_writing(store, session)
    store.close()


def test_a_store_without_its_ledger_takes_no_changes(store):
    with store.writes.begin() as connection:
        connection.execute(text("DELETE FROM ledger"))
    with pytest.raises(SchemaOutdated, match="has no ledger"), store.unit_of_work():
        pass
