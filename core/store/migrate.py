"""Bringing a store's schema up to date, and refusing one that this program does not understand."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select, text

from core.errors import SchemaOutdated, SchemaTooNew
from core.store.database import Store, in_our_words
from core.store.tables import AliasRow, PersonRow, ProviderRow

_HERE = Path(__file__).parent / "migrations"
_LOCK = 7_264_351_190  # any number, the same in every process: one migration at a time on PostgreSQL


def newest() -> str:
    """The schema revision this program was written for."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def current(store: Store) -> str | None:
    """The schema revision the store has, or None when it has no tables."""
    with in_our_words(), store.reads.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(store: Store) -> bool:
    """Bring the schema up to date; True if anything was done. SchemaTooNew when a newer program wrote it."""
    # What a migration does to the tables is no change that somebody made: it needs no audit event.
    with in_our_words(), store.writes.execution_options(migrating=True).begin() as connection:
        _wait_for_turn(connection)
        at = MigrationContext.configure(connection).get_current_revision()
        _refuse_newer(at)
        if at == newest():
            return False
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return True


def check_schema(store: Store) -> None:
    """Return when this program and the store fit; SchemaOutdated or SchemaTooNew when not."""
    at = current(store)
    _refuse_newer(at)
    if at != newest():
        has = f"is at {at}" if at else "has no tables yet"
        raise SchemaOutdated(f"The store {has}, this program needs {newest()}. Run `pinrail db upgrade`.")


def is_empty(store: Store) -> bool:
    """True while nobody has put anything into the store: no people, no providers, no aliases."""
    with store.reading() as session:
        return all(session.scalar(select(row).limit(1)) is None for row in (PersonRow, ProviderRow, AliasRow))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    return config


def _wait_for_turn(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _refuse_newer(at: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if at is not None and at not in known:
        raise SchemaTooNew(
            f"The store is at schema {at}, which this program does not know: a newer Pinrail wrote it. "
            "Start that one, or restore a backup from before the upgrade."
        )
