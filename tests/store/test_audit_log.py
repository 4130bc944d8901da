"""The audit log as it lies in the store: whatever is done to its rows is found, and the row is named."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlmodel import Session

from core.domain.events import GENESIS, chained
from core.errors import AuditBroken
from core.store import audit_log
from core.store.database import Store, open_store
from core.store.tables import AuditRow, LedgerRow
from tests.store.rows import log, said


@pytest.fixture
def logged(store: Store) -> Store:
    """Five events, and no trigger in the way of whoever tampers with them."""
    log(store, 5)
    with store.writes.begin() as connection:
        for verb in ("no_update", "no_delete", "no_replace") if store.dialect == "sqlite" else ("append_only",):
            on = " ON audit_event" if store.dialect == "postgresql" else ""
            connection.execute(text(f"DROP TRIGGER audit_event_{verb}{on}"))
    return store


def tamper(store: Store, *statements: str) -> None:
    with store.writes.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def verify(store: Store, expected_head: str | None = None) -> audit_log.Verified:
    with store.reading() as session:
        return audit_log.verify(session, expected_head=expected_head)


def copy_of(seq: int, place: int) -> str:
    columns = "at, kind, subject, actor, actor_kind, via, outcome, reason, before, after, hash"
    return f"INSERT INTO audit_event (seq, {columns}) SELECT {place}, {columns} FROM audit_event WHERE seq = {seq}"


MAKE_ROOM = [
    "UPDATE audit_event SET seq = seq + 100 WHERE seq >= 3",
    "UPDATE audit_event SET seq = seq - 99 WHERE seq > 99",
]
TAMPERING: dict[str, tuple[list[str], str]] = {
    "kind changed": (["UPDATE audit_event SET kind = 'store.pruned' WHERE seq = 3"], "Event 3 "),
    "subject changed": (["UPDATE audit_event SET subject = 'thing:9' WHERE seq = 3"], "Event 3 "),
    "actor changed": (["UPDATE audit_event SET actor = 'eve' WHERE seq = 3"], "Event 3 "),
    "kind of actor changed": (["UPDATE audit_event SET actor_kind = 'system' WHERE seq = 3"], "Event 3 "),
    "token changed": (["UPDATE audit_event SET via = 'laptop' WHERE seq = 3"], "Event 3 "),
    "time changed": (["UPDATE audit_event SET at = '2026-06-01 09:00:00.000001' WHERE seq = 3"], "Event 3 "),
    "outcome changed": (["UPDATE audit_event SET outcome = 'refused' WHERE seq = 3"], "Event 3 "),
    "reason changed": (["UPDATE audit_event SET reason = '' WHERE seq = 3"], "Event 3 "),
    "before changed": (["""UPDATE audit_event SET before = '{"a": 1}' WHERE seq = 3"""], "Event 3 "),
    "after changed": (["""UPDATE audit_event SET after = '{"a": 1}' WHERE seq = 3"""], "Event 3 "),
    "hash changed": ([f"UPDATE audit_event SET hash = '{GENESIS}' WHERE seq = 3"], "Event 3 "),
    "first changed": (["UPDATE audit_event SET reason = '' WHERE seq = 1"], "Event 1 "),
    "last changed": (["UPDATE audit_event SET reason = '' WHERE seq = 5"], "Event 5 "),
    "first removed": (["DELETE FROM audit_event WHERE seq = 1"], "Event 1 is missing: the next one is 2"),
    "middle removed": (["DELETE FROM audit_event WHERE seq = 3"], "Event 3 is missing: the next one is 4"),
    "last removed": (["DELETE FROM audit_event WHERE seq = 5"], "Event 5 is missing: the log ends at 4, but 5 "),
    "end removed": (["DELETE FROM audit_event WHERE seq > 2"], "Event 3 is missing: the log ends at 2, but 5 "),
    "all removed": (["DELETE FROM audit_event"], "Event 1 is missing: the log ends at 0, but 5 "),
    "removed and closed up": (
        [
            "DELETE FROM audit_event WHERE seq = 3",
            "UPDATE audit_event SET seq = 3 WHERE seq = 4",
            "UPDATE audit_event SET seq = 4 WHERE seq = 5",
        ],
        "Event 3 ",
    ),
    "inserted before the first": ([copy_of(1, 0)], "Event 0 was inserted"),
    "inserted below zero": ([copy_of(1, -7)], "Event -7 was inserted"),
    "inserted in the middle": ([*MAKE_ROOM, copy_of(2, 3)], "Event 3 "),
    "inserted at the end": ([copy_of(5, 6)], "Event 6 "),
    "inserted far off": ([copy_of(5, 900)], "Event 6 is missing: the next one is 900"),
    "two exchanged": (
        [
            "UPDATE audit_event SET seq = 99 WHERE seq = 2",
            "UPDATE audit_event SET seq = 2 WHERE seq = 3",
            "UPDATE audit_event SET seq = 3 WHERE seq = 99",
        ],
        "Event 2 ",
    ),
    "ledger turned back": (["UPDATE ledger SET audit_seq = 3"], "Event 4 was inserted: only 3 were written"),
    "ledger turned on": (["UPDATE ledger SET audit_seq = 8"], "Event 6 is missing"),
    "ledger's head changed": ([f"UPDATE ledger SET audit_hash = '{GENESIS}'"], "Event 5 is not the one"),
    "ledger gone": (["DELETE FROM ledger"], "The ledger, which counts the events, is gone"),
}


def test_a_log_that_nobody_touched_verifies(logged):
    verified = verify(logged)
    assert verified.events == 5
    assert verify(logged, verified.head) == verified


def test_an_empty_log_verifies(store):
    assert verify(store) == audit_log.Verified(0, GENESIS)
    assert verify(store, GENESIS).events == 0


def test_tampering_is_found_and_the_row_is_named(logged):
    for how, (statements, named) in TAMPERING.items():
        with Session(logged.writes) as session:  # taken back afterwards, so that one store serves for all
            for statement in statements:
                session.execute(text(statement))
            assert _what_verifying_says(session).startswith(named), how
    assert verify(logged).events == 5


def _what_verifying_says(session: Session) -> str:
    with pytest.raises(AuditBroken) as refusal:
        audit_log.verify(session)
    return str(refusal.value)


def _forged(session: Session, change: Callable[[AuditRow], None]) -> None:
    """Rewrite the log from event 2 on, with hashes that fit each other."""
    previous = session.get_one(AuditRow, 1).hash
    for seq in range(2, 6):
        row = session.get_one(AuditRow, seq)
        change(row)
        row.hash = previous = chained(seq, audit_log.as_event(row), previous)


def test_an_event_chained_by_a_forger_but_not_counted_is_found(logged):
    with logged.writing() as session:
        fifth = session.get_one(AuditRow, 5)
        event = said("thing:6")
        session.add(AuditRow(seq=6, hash=chained(6, event, fifth.hash), **vars(event)))
    with pytest.raises(AuditBroken, match="Event 6 was inserted: only 5 were written"):
        verify(logged)


def test_a_log_rewritten_without_the_ledger_is_found(logged):
    with logged.writing() as session:
        _forged(session, lambda row: setattr(row, "actor", "eve"))
    with pytest.raises(AuditBroken, match="Event 5 is not the one that was written last"):
        verify(logged)


def test_a_log_rewritten_with_its_ledger_is_found_by_a_head_noted_elsewhere(logged):
    noted = verify(logged).head
    with logged.writing() as session:
        _forged(session, lambda row: setattr(row, "actor", "eve"))
        session.get_one(LedgerRow, 1).audit_hash = session.get_one(AuditRow, 5).hash
    assert verify(logged).events == 5  # by itself it cannot be told
    with pytest.raises(AuditBroken, match="The head that was noted earlier is not in the log"):
        verify(logged, noted)


def test_a_head_noted_earlier_still_verifies_after_more_was_written(store):
    log(store, 2)
    noted = verify(store).head
    log(store, 3)
    assert verify(store, noted).events == 5


@pytest.mark.parametrize("column", ["before", "after", "at"])
def test_a_row_that_cannot_even_be_read_is_named_too(sqlite_store_url, column):
    store = open_store(sqlite_store_url)
    log(store, 5)
    tamper(store, "DROP TRIGGER audit_event_no_update", f"UPDATE audit_event SET {column} = '{{' WHERE seq = 4")
    with pytest.raises(AuditBroken, match=r"Event 4 cannot be read"):
        verify(store)
    store.close()


def test_a_log_longer_than_a_page_verifies_and_names_its_rows(store):
    with store.unit_of_work() as session:
        for number in range(2100):
            audit_log.append(session, said(f"thing:{number}"))
    assert verify(store).events == 2100
    tamper(
        store,
        *(["DROP TRIGGER audit_event_no_update"] if store.dialect == "sqlite" else []),
        *(["DROP TRIGGER audit_event_append_only ON audit_event"] if store.dialect == "postgresql" else []),
        "UPDATE audit_event SET subject = 'thing' WHERE seq = 2001",
    )
    with pytest.raises(AuditBroken, match="Event 2001 "):
        verify(store)


def test_whatever_an_event_says_comes_back_as_it_was_chained(store):
    said_things = {
        "numbers": [0, -1, 10**30, 0.1, 1e-300, 1.7976931348623157e308, -0.0],
        "text": ["", "ü😀", 'quotes " and \\ and \n', "\u2028", "\x7f", "null\\u0000"],
        "nothing": [None, True, False, {}, []],
        "Ünïcode key": {"b": 1, "a": {"z": [[]]}},
    }
    with store.unit_of_work() as session:
        audit_log.append(session, said("thing:ü😀", reason="multi\nline\ttext", via="laptop", after=said_things))
    verify(store)
    with store.reading() as session:
        assert audit_log.as_event(session.get_one(AuditRow, 1)).after == said_things
