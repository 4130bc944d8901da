"""One row of every watched table, a change to each, and the audit event to go with it: tests of the store alone."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, SQLModel

from core.domain.events import Event
from core.store import audit_log
from core.store.database import Store
from core.store.tables import (
    AlertChannelRow,
    AlertRow,
    AliasRow,
    Base,
    CallerKeyRow,
    DataVersionRow,
    EvacuationMoveRow,
    EvacuationRow,
    GrantRow,
    KnownIssueRow,
    PersonRow,
    PromptRow,
    ProviderRow,
    QuarantineRow,
    RevisionRow,
    TokenRow,
    VersionDataRow,
    VersionRow,
)

AT = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)

CHANGES: dict[str, dict[str, Any]] = {
    "provider": {"description": "changed"},
    "prompt_version": {"text": "changed"},
    "data_version": {"description": "changed"},
    "version": {"notes": "changed"},
    "version_data": {"place": 7},
    "known_issue": {"text": "changed"},
    "alias": {"revision": 7},
    "alias_revision": {"reason": "changed"},
    "quarantine": {"lifted_at": AT},
    "evacuation": {"reason": "changed"},
    "evacuation_move": {"revision": 7},
    "person": {"disabled_at": AT},
    "role_grant": {"role": "admin"},
    "api_token": {"scope": "full"},
    "caller_key": {"caller": "changed"},
    "alert": {"state": "resolved"},
    "alert_channel": {"url": "http://127.0.0.1:9/elsewhere"},
}
"""A change to each watched table."""


def said(subject: str = "store", kind: str = "store.seeded", **parts: Any) -> Event:
    return replace(Event(kind, subject, "ann", "person", AT), **parts)


def log(store: Store, count: int) -> None:
    """Write ``count`` audit events, each in a unit of work of its own."""
    for number in range(1, count + 1):
        with store.unit_of_work() as session:
            audit_log.append(session, said(f"thing:{number}", reason=f"reason {number}"))


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, to see that nothing changed."""
    with store.reading() as session:
        tables = Base.metadata.sorted_tables
        return {table.name: sorted(map(tuple, session.execute(select(table))), key=repr) for table in tables}


def every_row() -> list[SQLModel]:
    """New rows, one for each watched table, in an order in which they may be added."""
    made: dict[str, Any] = {"registered_at": AT, "registered_by": "ann"}
    pin: dict[str, Any] = {"pin_class": "pinned", "pin_because": "x"}
    empty: dict[str, Any] = {"reason": "", "fallbacks": [], "description": "", "protected": False, "retired": False}
    known: dict[str, Any] = {"secret_sha256": "0" * 64, "created_at": AT, "created_by": "ann"}
    found: dict[str, Any] = {"watch": "held-long", "severity": "warning", "title": "held", "because": "x", "path": "/"}
    found |= {"state": "open", "opened_at": AT, "changes": 1}
    sends: dict[str, Any] = {"escalations_only": False, "enabled": True, "added_at": AT, "added_by": "ann"}
    return [
        ProviderRow(name="acme", kind="recorded", base_url="http://127.0.0.1:9/v1", **made),
        PromptRow(name="greet", text="Hello", sha256="0" * 64, **made),
        DataVersionRow(name="faq", **made),
        VersionRow(name="a", provider="acme", model_id="m", parameters={}, capabilities={}, **pin, **made),
        VersionDataRow(version="a", data_version="faq"),
        KnownIssueRow(version="a", text="slow", added_at=AT, added_by="ann"),
        AliasRow(name="prod", revision=1),
        RevisionRow(
            alias="prod", number=1, serial=1, cause="created", by="ann", automatic=False, at=AT, stable="a", **empty
        ),
        QuarantineRow(version="a", alias="prod", revision=1, serial=1, since=AT, by="ann", reason="slow", issue=1),
        EvacuationRow(id="ev-1", provider="acme", reason="down", by="ann", at=AT),
        EvacuationMoveRow(evacuation="ev-1", alias="prod", revision=1),
        PersonRow(name="ben", added_at=AT),
        GrantRow(person="ben", role="viewer", given_at=AT, given_by="ann"),
        TokenRow(id="t1", name="laptop", person="ben", scope="read", **known),
        CallerKeyRow(id="k1", caller="web", **known),
        AlertRow(id=1, key="held-long:prod", **found),
        AlertChannelRow(name="pager", kind="webhook", recipients=[], least="warning", **sends),
    ]


def add_in_order(session: Session, rows: list[SQLModel]) -> None:
    for row in rows:
        session.add(row)
        session.flush()


def filled(store: Store) -> None:
    """Put one row into every watched table, with an audit event."""
    with store.unit_of_work() as session:
        add_in_order(session, every_row())
        audit_log.append(session, said())
