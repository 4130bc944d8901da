"""What the settings page reads of the store: providers, schema, scheduled work, and how much there is of everything."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlmodel import Session, SQLModel, col

from core.domain.versions import Provider
from core.store import leases, migrate, repositories
from core.store.database import Store
from core.store.leases import Lease, Run
from core.store.tables import (
    AliasRow,
    CallerKeyRow,
    LedgerRow,
    PersonRow,
    ProviderRow,
    ReplicaRow,
    VersionRow,
    WindowRow,
)

SCHEDULER = "scheduler"
"""The name of the lease under which scheduled work is done."""

COUNTED: Mapping[str, type[SQLModel]] = {
    "aliases": AliasRow,
    "versions": VersionRow,
    "people": PersonRow,
    "caller keys": CallerKeyRow,
    "gateway processes": ReplicaRow,
    "traffic windows": WindowRow,
}
"""What is counted, by the word for it."""


@dataclass(frozen=True)
class Connected:
    """A provider, and how many versions are its."""

    provider: Provider
    versions: int


@dataclass(frozen=True)
class SettingsPage:
    """What is connected and stored. ``runs`` is the newest run of each job; ``lease`` says who runs them."""

    providers: tuple[Connected, ...]
    dialect: str
    schema: str | None
    newest_schema: str
    counts: Mapping[str, int]
    events: int
    lease: Lease | None
    runs: tuple[Run, ...]


def settings_page(store: Store) -> SettingsPage:
    """The store as it stands."""
    with store.reading() as session:
        providers, counts = _providers(session), {what: _count(session, row) for what, row in COUNTED.items()}
        events = session.scalars(select(col(LedgerRow.audit_seq))).one()
    return SettingsPage(
        providers=providers,
        dialect=store.dialect,
        schema=migrate.current(store),
        newest_schema=migrate.newest(),
        counts=counts,
        events=events,
        lease=leases.holder_of(store, SCHEDULER),
        runs=tuple(leases.latest_runs(store)),
    )


def _providers(session: Session) -> tuple[Connected, ...]:
    by_provider = select(col(VersionRow.provider), func.count()).group_by(col(VersionRow.provider))
    used = {row[0]: row[1] for row in session.execute(by_provider)}
    rows = session.scalars(select(ProviderRow).order_by(col(ProviderRow.name)))
    return tuple(Connected(repositories.as_provider(row), used.get(row.name, 0)) for row in rows)


def _count(session: Session, row: type[SQLModel]) -> int:
    return session.scalars(select(func.count()).select_from(row)).one()
