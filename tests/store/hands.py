"""What other processes do to a store in tests; they import this module by name."""

import time

from core.store import audit_log, migrate, repositories
from core.store.database import open_store
from core.store.tables import ProviderRow
from tests.store.rows import said


def count_up(url: str, hand: int, times: int) -> int:
    """Read a number from a watched row, write it back one higher, with an audit event; as often as asked."""
    store = open_store(url)
    for number in range(times):
        with store.unit_of_work() as session:
            row = session.get_one(ProviderRow, "acme")
            row.description = str(int(row.description or 0) + 1)
            audit_log.append(session, said(f"hand:{hand}", reason=str(number)))
    store.close()
    return times


def change_serials(url: str, times: int, pause_s: float) -> int:
    """Commit changes that gateways must learn of, one after the other."""
    store = open_store(url)
    for _ in range(times):
        time.sleep(pause_s)
        with store.unit_of_work() as session:
            repositories.next_serial(session)
    store.close()
    return times


def upgrade(url: str) -> bool:
    """Bring a store up to date, as every process does at its start."""
    store = open_store(url)
    done = migrate.upgrade(store)
    migrate.check_schema(store)
    store.close()
    return done
