"""The schema: the same as the tables, made once whoever comes first, and refused when it does not fit."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from core.errors import SchemaOutdated, SchemaTooNew, StoreError
from core.store import audit_log, migrate
from core.store.database import open_store
from core.store.tables import Base, PersonRow
from tests.processes import at_once
from tests.store import hands
from tests.store.rows import AT, said


def test_the_migrations_make_exactly_the_tables(store):
    with store.reads.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_upgrading_twice_does_nothing_the_second_time(database_url):
    store = open_store(database_url)
    assert migrate.upgrade(store) is True
    assert migrate.upgrade(store) is False
    migrate.check_schema(store)
    assert migrate.current(store) == migrate.newest()
    store.close()


def test_eight_processes_upgrading_at_once_make_one_schema(database_url):
    done = at_once(hands.upgrade, [(database_url,)] * 8)
    assert sorted(done) == [False] * 7 + [True]
    store = open_store(database_url)
    with store.reading() as session:
        assert audit_log.verify(session).events == 0
    store.close()


def test_a_store_without_tables_is_refused_with_what_to_do(database_url):
    store = open_store(database_url)
    with pytest.raises(SchemaOutdated, match=r"has no tables yet.*pinrail db upgrade"):
        migrate.check_schema(store)
    with pytest.raises(SchemaOutdated, match=r"pinrail db upgrade"), store.unit_of_work():
        pass
    with pytest.raises(SchemaOutdated, match=r"pinrail db upgrade"):
        migrate.is_empty(store)
    store.close()


def test_an_older_schema_is_refused_with_what_to_do(store, monkeypatch):
    monkeypatch.setattr(migrate, "newest", lambda: "9998")
    with pytest.raises(SchemaOutdated, match=r"is at \d+, this program needs 9998. Run `pinrail db upgrade`"):
        migrate.check_schema(store)


def test_a_store_that_lacks_a_column_is_named_older_and_not_unreachable(store):
    with store.writes.begin() as connection:
        connection.execute(text("ALTER TABLE person DROP COLUMN disabled_at"))
    with pytest.raises(SchemaOutdated, match="older than this program"), store.reading() as session:
        session.get(PersonRow, "ann")


def test_a_newer_schema_is_refused_and_left_alone(store):
    with store.writes.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for attempt in (migrate.check_schema, migrate.upgrade):
        with pytest.raises(SchemaTooNew, match=r"at schema 9999.*a newer Pinrail wrote it"):
            attempt(store)
    assert migrate.current(store) == "9999"


def test_a_migration_that_fails_leaves_nothing_behind(database_url):
    store = open_store(database_url)
    with store.writes.begin() as connection:
        connection.execute(text("CREATE TABLE version_data (in_the_way INTEGER)"))
    with pytest.raises(StoreError):
        migrate.upgrade(store)
    with store.reads.connect() as connection:
        assert inspect(connection).get_table_names() == ["version_data"]
    store.close()


def test_a_store_is_empty_until_somebody_or_something_is_in_it(store):
    assert migrate.is_empty(store)
    with store.unit_of_work() as session:
        session.add(PersonRow(name="ann", added_at=AT))
        audit_log.append(session, said())
    assert not migrate.is_empty(store)
