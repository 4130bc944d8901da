"""The control side of the gateways: the table they route by, what they report back, and the receipt of a revision."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from core.domain import quarantine, receipts
from core.domain.aliases import Revision
from core.domain.quarantine import Quarantine
from core.domain.receipts import Receipt
from core.domain.routing import AliasRoute, CallerKey, ProviderAddress, RouteTable, Target, Variant
from core.domain.traffic import Counts, WindowKey
from core.errors import NotFound, UnknownRevision
from core.store import repositories
from core.store.database import Store
from core.store.tables import (
    AcknowledgementRow,
    CallerKeyRow,
    LedgerRow,
    PromptRow,
    ProviderRow,
    ReplicaRow,
    RevisionRow,
    VersionRow,
    WindowRow,
)

# -- what gateways route by -----------------------------------------------------------------------


def current_serial(store: Store) -> int:
    """The number of the newest change that gateways must learn of."""
    with store.reading() as session:
        return session.scalars(select(col(LedgerRow.serial))).one()


def load_table(store: Store) -> RouteTable:
    """All that a gateway needs, from one consistent snapshot."""
    with store.reading() as session:
        serial = session.scalars(select(col(LedgerRow.serial))).one()
        resting = repositories.open_quarantines(session)
        newest = [_without_resting(session, r, resting) for r in repositories.newest_revisions(session)]
        routes = [route_of(r) for r in newest if not r.state.retired]
        wanted = {name for route in routes for name in versions_of(route)}
        return RouteTable(
            serial=serial,
            aliases={route.alias: route for route in routes},
            targets={target.version: target for target in _targets(session, wanted)},
            providers={p.name: _address(p) for p in session.scalars(select(ProviderRow))},
            callers={key.id: key for key in _keys(session)},
        )


def route_of(revision: Revision) -> AliasRoute:
    """How an alias is served at ``revision``: until there are rollouts, by its stable version alone."""
    stable = Variant("stable", revision.state.stable, 1.0)
    return AliasRoute(revision.alias, revision.number, (stable,), revision.state.fallbacks)


def _without_resting(session: Session, revision: Revision, quarantines: list[Quarantine]) -> Revision:
    """A fallback in quarantine is not tried: a failing provider must not bring back what was left for doing badly.

    Such an alias never comes to a gateway by its revisions alone: see ``quarantines.settle``.
    """
    if quarantine.names(quarantines).isdisjoint(revision.state.fallbacks):
        return revision
    standing = quarantine.standing_fallbacks(repositories.history(session, revision.alias), quarantines)
    return replace(revision, state=replace(revision.state, fallbacks=standing))


def versions_of(route: AliasRoute) -> tuple[str, ...]:
    """Every version that may have to answer for an alias."""
    return (*(variant.version for variant in route.variants), *route.fallbacks)


def _targets(session: Session, wanted: set[str]) -> list[Target]:
    rows = session.execute(
        select(VersionRow, col(PromptRow.text))
        .join(PromptRow, col(PromptRow.name) == col(VersionRow.prompt), isouter=True)
        .where(col(VersionRow.name).in_(wanted))
    )
    return [Target(v.name, v.provider, v.model_id, v.prompt, text, v.parameters) for v, text in rows]


def _address(row: ProviderRow) -> ProviderAddress:
    return ProviderAddress(row.name, row.kind, row.base_url, row.secret_env)


def _keys(session: Session) -> list[CallerKey]:
    rows = session.scalars(select(CallerKeyRow).where(col(CallerKeyRow.revoked_at).is_(None)))
    return [
        CallerKey(
            id=row.id,
            caller=row.caller,
            secret_sha256=row.secret_sha256,
            aliases=frozenset(row.aliases) if row.aliases is not None else None,
            expires_at=row.expires_at.timestamp() if row.expires_at else None,
        )
        for row in rows
    ]


# -- what gateways report -------------------------------------------------------------------------


def join(store: Store, *, replica: str, name: str, now: datetime) -> None:
    """A gateway process makes itself known; ``replica`` is unique to the process, ``name`` is for people."""
    with store.writing() as session:
        row = session.get(ReplicaRow, replica) or ReplicaRow(id=replica, name=name, started_at=now, seen_at=now)
        row.seen_at, row.stopped_at = now, None
        session.add(row)


def _replica(session: Session, replica: str) -> ReplicaRow:
    row = session.get(ReplicaRow, replica)
    if row is None:  # forgotten after a week of silence, or the store is another one now
        raise NotFound(f"This store knows no gateway process {replica}: it has to join again.")
    return row


def acknowledge(store: Store, *, replica: str, serial: int, at: datetime) -> None:
    """A gateway routes by change ``serial``, and all before it, since ``at``. Saying it again changes nothing."""
    with store.writing() as session:
        row = _replica(session, replica)
        row.applied_serial = max(row.applied_serial, serial)
        row.seen_at = max(row.seen_at, at)
        if session.get(AcknowledgementRow, (replica, serial)) is None:
            session.add(AcknowledgementRow(replica=replica, serial=serial, at=at))


def heartbeat(store: Store, *, replica: str, now: datetime, dropped: int) -> None:
    """A gateway is alive; ``dropped`` outcomes were not counted so far because its queue was full."""
    with store.writing() as session:
        row = _replica(session, replica)
        row.seen_at, row.dropped = now, dropped


def leave(store: Store, *, replica: str, now: datetime) -> None:
    """A gateway stops in good order; receipts no longer wait for it."""
    with store.writing() as session:
        row = session.get(ReplicaRow, replica)
        if row is not None:
            row.seen_at, row.stopped_at = now, now


def record_windows(store: Store, *, replica: str, windows: Mapping[WindowKey, Counts]) -> None:
    """Keep what ``replica`` counted. The counts are absolute: writing a window again replaces it."""
    if not windows:
        return
    rows = [_window_row(replica, key, counts) for key, counts in windows.items()]
    dialect = postgresql if store.dialect == "postgresql" else sqlite
    insert = dialect.insert(WindowRow)
    keys = ["alias", "version", "start", "replica"]
    replaced = {name: insert.excluded[name] for name in rows[0] if name not in keys}
    with store.writing() as session:
        session.execute(insert.on_conflict_do_update(index_elements=keys, set_=replaced), rows)


def _window_row(replica: str, key: WindowKey, counts: Counts) -> dict[str, object]:
    return {
        "alias": key.alias,
        "version": key.version,
        "start": key.start,
        "replica": replica,
        "requests": counts.requests,
        "failures": {str(kind): count for kind, count in counts.failures.items()},
        "callers": counts.callers,
        "format_checked": counts.format_checked,
        "format_valid": counts.format_valid,
        "input_tokens": counts.input_tokens,
        "output_tokens": counts.output_tokens,
        "fell_back": counts.fell_back,
        "latency_sum_ms": counts.latency_sum_ms,
        "buckets": counts.buckets,
    }


# -- receipts -------------------------------------------------------------------------------------


def receipt(store: Store, alias: str, revision: int, *, now: datetime) -> Receipt:
    """Where revision ``revision`` of ``alias`` is in force by now."""
    with store.reading() as session:
        row = session.get(RevisionRow, (alias, revision)) if 0 < revision < 2**31 else None
        if row is None:
            known = repositories.history(session, alias)
            raise UnknownRevision(f"{alias} has revisions 1 to {len(known)}, not {revision}.")
        replicas = [repositories.as_replica(r) for r in session.scalars(select(ReplicaRow))]
        first = (
            select(col(AcknowledgementRow.replica), func.min(col(AcknowledgementRow.at)))
            .where(col(AcknowledgementRow.serial) >= row.serial)
            .group_by(col(AcknowledgementRow.replica))
        )
        applied = {row[0]: row[1] for row in session.execute(first)}
    return receipts.drawn_up(
        alias=alias,
        revision=revision,
        version=row.stable,
        committed_at=row.at,
        replicas=replicas,
        applied_at=applied,
        now=now,
    )
