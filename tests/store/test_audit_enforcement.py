"""No watched row changes without an audit event, whoever sends the statement."""

import contextlib
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy import delete, func, insert, select, text, update
from sqlmodel import Session, SQLModel, col

from core.errors import PinrailError, StoreError, UnrecordedChange
from core.store import audit_log
from core.store.database import Store, open_store
from core.store.tables import WATCHED, AliasRow, AuditRow, PersonRow, PromptRow, ProviderRow, RevisionRow, WindowRow
from core.store.watching import changed_tables
from tests.store.rows import AT, CHANGES, add_in_order, every_row, everything, filled, log, said

TABLES = sorted(WATCHED, key=lambda row: str(row.__tablename__))


def _names(row: type[SQLModel]) -> str:
    return str(row.__tablename__)


def test_every_watched_table_is_tried_below():
    assert {type(row) for row in every_row()} == WATCHED


@pytest.mark.parametrize("row", TABLES, ids=_names)
def test_a_row_added_without_an_audit_event_is_not_kept(store, row):
    with store.unit_of_work() as session:
        rows = every_row()
        position = next(n for n, made in enumerate(rows) if type(made) is row)
        add_in_order(session, rows[:position])
        audit_log.append(session, said())
    before = everything(store)
    with pytest.raises(UnrecordedChange, match=rf"^{row.__tablename__} would have changed"), store.unit_of_work() as s:
        s.add(rows[position])
    assert everything(store) == before


HANDS: dict[str, Callable[[Session, type[SQLModel]], object]] = {
    "the mapper": lambda session, row: _touch(session, row),
    "the mapper, removing": lambda session, row: session.delete(session.scalars(select(row)).one()),
    "a bulk update": lambda session, row: session.execute(update(row).values(CHANGES[_names(row)])),
    "a bulk delete": lambda session, row: session.execute(delete(row)),
    "a core update": lambda session, row: session.execute(update(row.__table__).values(CHANGES[_names(row)])),  # type: ignore[attr-defined]
    "a core delete on the connection": lambda session, row: session.connection().execute(delete(row.__table__)),  # type: ignore[attr-defined]
    "plain SQL": lambda session, row: session.execute(text(f"DELETE FROM {row.__tablename__}")),
    "plain SQL, dressed up": lambda session, row: session.execute(
        text(f'/* UPDATE job_run */ delete\n  from "{row.__tablename__}"')
    ),
}


def _touch(session: Session, row: type[SQLModel]) -> None:
    found = session.scalars(select(row)).one()
    for name, value in CHANGES[_names(row)].items():
        setattr(found, name, value)


@pytest.mark.parametrize("how", HANDS)
@pytest.mark.parametrize("row", TABLES, ids=_names)
def test_a_row_changed_without_an_audit_event_stays_as_it_was(sqlite_watched, row, how):
    """On SQLite for every table; the next test does the same on both stores for one."""
    _refused_without_trace(sqlite_watched, row, how)


@pytest.mark.parametrize("how", HANDS)
def test_a_prompt_changed_without_an_audit_event_stays_as_it_was_on_both_stores(store, how):
    with store.unit_of_work() as session:
        session.add(next(row for row in every_row() if isinstance(row, PromptRow)))
        audit_log.append(session, said())
    _refused_without_trace(store, PromptRow, how)


def _refused_without_trace(store: Store, row: type[SQLModel], how: str) -> None:
    before = everything(store)
    by_trigger = row is RevisionRow  # the history refuses any change on its own
    with pytest.raises(StoreError if by_trigger else UnrecordedChange), store.unit_of_work() as session:
        HANDS[how](session, row)
    assert everything(store) == before


@pytest.fixture
def sqlite_watched(sqlite_store_url):
    """A filled store that does not mind broken references, so that it is the watch that refuses."""
    store = open_store(sqlite_store_url)
    sa.event.listen(store.writes, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=OFF"))
    filled(store)
    yield store
    store.close()


def test_with_its_audit_event_the_same_change_is_kept(store):
    filled(store)
    with store.unit_of_work() as session:
        session.execute(update(PersonRow).values(disabled_at=AT))
        session.execute(text("UPDATE provider SET description = 'told'"))
        audit_log.append(session, said())
    with store.reading() as session:
        assert session.scalars(select(col(PersonRow.disabled_at))).one() == AT
        assert session.scalars(select(col(ProviderRow.description))).one() == "told"


def test_a_short_write_cannot_change_watched_rows_either(store):
    filled(store)
    with pytest.raises(UnrecordedChange), store.writing() as session:
        session.get_one(ProviderRow, "acme").base_url = "http://elsewhere"
    with store.reading() as session:
        assert session.get_one(ProviderRow, "acme").base_url == "http://127.0.0.1:9/v1"


def test_a_reader_cannot_change_anything(store):
    with pytest.raises(PinrailError), store.reading() as session:
        session.execute(insert(PersonRow).values(name="eve", added_at=AT))
    with store.reading() as session:
        assert session.scalars(select(PersonRow)).all() == []


def test_rows_that_nobody_watches_need_no_event(store):
    with store.writing() as session:
        session.execute(
            insert(WindowRow).values(
                alias="prod", version="a", start=AT, replica="r", requests=1, failures={}, callers={}, format_checked=0,
                format_valid=0, input_tokens=2**40, output_tokens=0, fell_back=0, latency_sum_ms=0.0, buckets=[],
            )
        )  # fmt: skip
    with store.reading() as session:
        assert session.scalars(select(col(WindowRow.input_tokens))).one() == 2**40


def _add_and_fail(session: Session, *rows: SQLModel) -> None:
    session.add_all(rows)
    audit_log.append(session, said())
    session.flush()
    raise ZeroDivisionError


def test_a_unit_of_work_that_fails_leaves_nothing_and_lets_the_next_one_in(store):
    filled(store)
    before = everything(store)
    with pytest.raises(ZeroDivisionError), store.unit_of_work() as session:
        _add_and_fail(session, PersonRow(name="eve", added_at=AT))
    assert everything(store) == before
    with store.unit_of_work() as session:
        audit_log.append(session, said())
    with store.reading() as session:
        assert audit_log.verify(session).events == 2


def test_a_refused_change_is_not_carried_along_by_the_next_commit_of_its_connection(store):
    filled(store)
    for _ in range(3):
        with pytest.raises(UnrecordedChange), store.unit_of_work() as session:
            session.get_one(AliasRow, "prod").revision = 99
        with store.unit_of_work() as session:
            audit_log.append(session, said())
    with store.reading() as session:
        assert session.get_one(AliasRow, "prod").revision == 1


def _change_and_take_back_the_event(session: Session) -> None:
    session.get_one(ProviderRow, "acme").description = "unseen"
    session.flush()
    with contextlib.suppress(ZeroDivisionError), session.begin_nested():
        _add_and_fail(session)


def test_an_event_that_a_savepoint_took_back_does_not_count(store):
    filled(store)
    with pytest.raises(UnrecordedChange), store.unit_of_work() as session:
        _change_and_take_back_the_event(session)
    with store.reading() as session:
        assert session.get_one(ProviderRow, "acme").description == ""


def test_an_event_of_no_known_kind_is_refused(store):
    with pytest.raises(UnrecordedChange, match=r"no audit event 'alias.teleported'"), store.unit_of_work() as session:
        audit_log.append(session, said(kind="alias.teleported"))


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("SELECT * FROM alias FOR UPDATE", set()),
        ("INSERT OR REPLACE INTO Alias VALUES (1)", {"alias"}),
        ("REPLACE INTO alias VALUES (1)", {"alias"}),
        ('UPDATE OR IGNORE main."alias" SET x = 1', {"alias"}),
        ("UPDATE ONLY public.alias SET x = 1", {"alias"}),
        ("TRUNCATE TABLE alias", {"alias"}),
        ("WITH gone AS (DELETE FROM alias RETURNING 1) INSERT INTO lease SELECT 1", {"alias", "lease"}),
        ("COPY alias FROM STDIN", {"alias"}),
        ("MERGE INTO alias USING lease ON true", {"alias"}),
        ("UPDATE -- nothing\n alias SET x = 1", {"alias"}),
        ("CREATE TABLE alias (name TEXT)", set()),
    ],
)
def test_the_watch_reads_what_a_statement_changes(statement, tables):
    assert tables <= changed_tables(statement)
    assert bool(tables) is bool(changed_tables(statement))


# -- what was said stays said ---------------------------------------------------------------------

REWRITES = {
    "audit_event": [
        "UPDATE audit_event SET reason = 'other' WHERE seq = 1",
        "DELETE FROM audit_event WHERE seq = 1",
        "DELETE FROM audit_event",
        "INSERT INTO audit_event SELECT * FROM audit_event WHERE seq = 1 ON CONFLICT (seq) DO UPDATE SET reason = 'x'",
    ],
    "alias_revision": [
        "UPDATE alias_revision SET stable = 'a', reason = 'other'",
        "DELETE FROM alias_revision",
    ],
}
ONLY = {
    "sqlite": [
        "REPLACE INTO audit_event SELECT * FROM audit_event WHERE seq = 1",
        "INSERT OR REPLACE INTO alias_revision SELECT * FROM alias_revision",
    ],
    "postgresql": ["TRUNCATE audit_event", "TRUNCATE alias_revision"],
}


def test_neither_the_log_nor_the_history_can_be_rewritten_even_by_plain_sql(store):
    filled(store)
    log(store, 2)
    before = everything(store)
    for statement in [s for found in REWRITES.values() for s in found] + ONLY[store.dialect]:
        with store.writes.connect() as connection, connection.begin() as transaction:
            with pytest.raises(sa.exc.DBAPIError, match="append-only"):
                connection.execute(text(statement))
            transaction.rollback()
    assert everything(store) == before


def test_a_unit_of_work_says_in_our_words_that_the_log_is_append_only(store):
    log(store, 1)
    with pytest.raises(StoreError, match="audit_event is append-only"), store.unit_of_work() as session:
        session.execute(update(AuditRow).values(reason="other"))
    with store.reading() as session:
        assert session.scalar(select(func.count()).select_from(AuditRow)) == 1
