"""An audit log of a million events: how long it takes to verify, filter and export, and what tampering is found.

The events are chained exactly as the product chains them, and written in bulk into a scratch store. On a smaller log of
the same making each way to tamper with a single row is tried, at the first, a middle and the last event.
"""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text, update
from sqlmodel import Session

from core.domain.events import GENESIS, Event, chained
from core.domain.permissions import local
from core.errors import AuditBroken
from core.services import reading
from core.store import audit_log, migrate
from core.store.database import Store, open_store
from core.store.tables import LedgerRow
from tests.benchmarks.machine import databases, percentile, scratch
from tests.benchmarks.table import drawn

EVENTS = 1_000_000
TAMPERED_EVENTS = 1000
HAND = local("bench")
BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
KINDS = ("alias.flipped", "alias.rolled_back", "person.signed_in", "version.registered", "alias.held")

FILTERS: dict[str, dict[str, Any]] = {
    "newest": {},
    "by kind": {"kind": "alias.rolled_back"},
    "by actor": {"by": "person-7"},
    "by subject": {"subject": "alias:chat-42"},
    "refused": {"outcome": "refused"},
    "of nobody": {"by": "nobody"},
}
"""What somebody looks for; each is one page of 50."""

COLUMNS = ("at", "kind", "subject", "actor", "actor_kind", "via", "outcome", "reason", "before", "after", "hash")


def run(events: int = EVENTS) -> dict[str, Any]:
    """Measure on both stores, on a log of so many events."""
    rows, tampering = [], []
    with scratch() as folder, databases(folder) as addresses:
        for name, url in addresses.items():
            store = open_store(url)
            try:
                migrate.upgrade(store)
                tampering.append({"store": name, **_tampering(store, min(TAMPERED_EVENTS, events))})
                rows.append({"store": name, **_measured(store, events)})
            finally:
                store.close()
    return {"what": __doc__, "rows": rows, "tampering": tampering}


# -- a long log -----------------------------------------------------------------------------------


def said(seq: int) -> Event:
    """Event number ``seq`` of a busy company."""
    kind = KINDS[seq % len(KINDS)]
    alias = f"chat-{seq % 211}"
    moved = kind.startswith("alias.")
    return Event(
        kind,
        f"alias:{alias}" if moved else f"person:person-{seq % 97}",
        f"person-{seq % 97}",
        "person",
        BEGAN + timedelta(seconds=41 * seq),
        outcome="refused" if seq % 1009 == 0 else "done",
        reason=f"because of incident {seq}" if seq % 3 else "",
        before={"stable": "gpt-4o-2024-05-13", "revision": seq} if moved else {},
        after={"stable": "gpt-4o-2024-08-06", "revision": seq + 1} if moved else {"address": "10.0.0.7"},
    )


def fill(store: Store, events: int) -> None:
    """Bring the log to ``events`` events, all valid, and the ledger with it."""
    with store.reading() as session:
        ledger = session.get_one(LedgerRow, 1)
        first, head = ledger.audit_seq + 1, ledger.audit_hash

    def rows() -> Iterator[tuple[Any, ...]]:
        nonlocal head
        for seq in range(first, events + 1):
            event = said(seq)
            head = chained(seq, event, head)
            yield seq, *_as_stored(store, event), head

    with store.writes.execution_options(migrating=True).begin() as connection:
        _written(connection, rows())
        connection.execute(update(LedgerRow).values(audit_seq=events, audit_hash=head))
    if store.dialect == "postgresql":
        with store.writes.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("ANALYZE audit_event"))


def _as_stored(store: Store, event: Event) -> tuple[Any, ...]:
    """The values in the order of COLUMNS, without the hash, as the database keeps them."""
    at = event.at.strftime("%Y-%m-%d %H:%M:%S.%f") + ("" if store.dialect == "sqlite" else "+00")
    parts = (event.kind, event.subject, event.actor, event.actor_kind, event.via, event.outcome, event.reason)
    return at, *parts, json.dumps(event.before), json.dumps(event.after)


def _written(connection: Connection, rows: Iterator[tuple[Any, ...]]) -> None:
    """By the driver itself, which is several times as fast as one statement for each batch."""
    named = ", ".join(("seq", *COLUMNS))
    cursor: Any = connection.connection.cursor()  # either driver's own
    if connection.dialect.name == "sqlite":
        cursor.executemany(f"INSERT INTO audit_event ({named}) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})", rows)
        return
    with cursor.copy(f"COPY audit_event ({named}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _measured(store: Store, events: int) -> dict[str, Any]:
    filled_s, _ = _timed(lambda: fill(store, events))
    with store.reading() as session:
        verify_s, found = _timed(lambda: audit_log.verify(session))
    with store.reading() as session:
        quick_s, _ = _timed(lambda: audit_log.verify(session, last=1000))
    export_s, exported = _timed(lambda: _exported(store))
    assert (found.events, exported) == (events, events)
    filters = {name: _filter_ms(store, wanted) for name, wanted in FILTERS.items()}
    return {
        "events": events,
        "filled_s": filled_s,
        "verify_s": verify_s,
        "verify_last_1000_ms": quick_s * 1000,
        "export_s": export_s,
        "filters_ms": filters,
    }


def _filter_ms(store: Store, wanted: dict[str, Any]) -> float:
    taken = [_timed(lambda: reading.audit(store, HAND, **wanted))[0] * 1000 for _ in range(5)]
    return percentile(taken, 0.5)


def _exported(store: Store) -> int:
    """Every event as a line of JSON, page by page, as a program would fetch them."""
    count, before = 0, None
    while True:
        page = reading.audit(store, HAND, before=before, limit=reading.MAX_PAGE)
        for entry in page:
            json.dumps({"seq": entry.seq, **vars(entry.event), "hash": entry.hash}, default=str)
        count += len(page)
        if len(page) < reading.MAX_PAGE or page[-1].seq == 1:
            return count
        before = page[-1].seq


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


# -- tampering ------------------------------------------------------------------------------------


def single_row_tamperings(events: int) -> Iterator[tuple[str, int, list[str]]]:
    """Every way to tamper with one row: each column changed, the row removed, doubled or moved."""
    changed = {
        "at": "'2020-01-01 00:00:00.000000'",
        "before": """'{"a": 1}'""",
        "after": """'{"a": 1}'""",
        "hash": f"'{GENESIS}'",
        "actor_kind": "'system'",
        "via": "'eve'",
        "outcome": "CASE outcome WHEN 'done' THEN 'refused' ELSE 'done' END",
    }
    for seq in (1, events // 2, events):
        for column in COLUMNS:
            yield (
                f"{column} changed",
                seq,
                [f"UPDATE audit_event SET {column} = {changed.get(column, repr('eve'))} WHERE seq = {seq}"],
            )
        yield "removed", seq, [f"DELETE FROM audit_event WHERE seq = {seq}"]
        yield "moved to the end", seq, [f"UPDATE audit_event SET seq = {events + 1} WHERE seq = {seq}"]
        named = ", ".join(COLUMNS)
        yield (
            "doubled",
            seq,
            [f"INSERT INTO audit_event (seq, {named}) SELECT {events + 1}, {named} FROM audit_event WHERE seq = {seq}"],
        )


def _tampering(store: Store, events: int) -> dict[str, Any]:
    fill(store, events)
    _without_triggers(store)
    tried, missed = 0, []
    for how, seq, statements in single_row_tamperings(events):
        tried += 1
        with Session(store.writes.execution_options(migrating=True)) as session:  # rolled back at its end
            for statement in statements:
                session.execute(text(statement))
            try:
                audit_log.verify(session)
            except AuditBroken:
                continue
            missed.append(f"{how} at {seq}")
    with store.reading() as session:
        audit_log.verify(session)
    return {"events": events, "tried": tried, "found": tried - len(missed), "missed": missed}


def _without_triggers(store: Store) -> None:
    """Whoever tampers is not stopped by what guards against mistakes. This is a scratch store."""
    sqlite = store.dialect == "sqlite"
    with store.writes.begin() as connection:
        for verb in ("no_update", "no_delete", "no_replace") if sqlite else ("append_only",):
            connection.execute(text(f"DROP TRIGGER audit_event_{verb}{'' if sqlite else ' ON audit_event'}"))


def shown(result: dict[str, Any]) -> str:
    """The figures as tables."""
    heads = ["store", "events", "fill s", "verify s", "verify last 1,000 ms", "export s"]
    keys = ("store", "events", "filled_s", "verify_s", "verify_last_1000_ms", "export_s")
    times = drawn("An audit log", heads, [[row[key] for key in keys] for row in result["rows"]])
    pages = drawn(
        "One page of 50 events, median of 5 (ms)",
        ["store", *FILTERS],
        [[row["store"], *row["filters_ms"].values()] for row in result["rows"]],
    )
    found = drawn(
        "Tampering with a single row",
        ["store", "events", "tried", "found", "missed"],
        [[*(row[key] for key in ("store", "events", "tried", "found")), ", ".join(row["missed"]) or "none"]
         for row in result["tampering"]],
    )  # fmt: skip
    return f"{times}\n{pages}\n{found}"
