"""Rows in, domain values out, and back: the only place that knows both."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from sqlalchemy import select
from sqlmodel import Session, col

from core.domain.aliases import Cause, Hold, Revision, State
from core.domain.names import no_such
from core.domain.permissions import Grant, Role
from core.domain.quarantine import Quarantine
from core.domain.receipts import Replica
from core.domain.versions import (
    Capabilities,
    DataVersion,
    KnownIssue,
    Price,
    PromptVersion,
    Provider,
    Version,
)
from core.errors import NotFound, UnknownAlias, UnknownVersion
from core.store.changes import announce
from core.store.tables import (
    AliasRow,
    DataVersionRow,
    GrantRow,
    KnownIssueRow,
    LedgerRow,
    PromptRow,
    ProviderRow,
    QuarantineRow,
    ReplicaRow,
    RevisionRow,
    VersionDataRow,
    VersionRow,
)


def next_serial(session: Session) -> int:
    """Count one more change that gateways must learn of, and announce it when this unit of work commits."""
    ledger: LedgerRow = session.info["ledger"]
    ledger.serial += 1
    announce(session, ledger.serial)
    return ledger.serial


# -- aliases --------------------------------------------------------------------------------------


def history(session: Session, alias: str) -> list[Revision]:
    """All revisions of ``alias``, oldest first; UnknownAlias names the nearest."""
    rows = session.scalars(select(RevisionRow).where(col(RevisionRow.alias) == alias).order_by(col(RevisionRow.number)))
    found = [as_revision(row) for row in rows]
    if not found:
        raise UnknownAlias(no_such("alias", alias, alias_names(session)))
    return found


def alias_names(session: Session) -> Sequence[str]:
    """The names of all aliases, retired ones too."""
    return session.scalars(select(col(AliasRow.name)).order_by(col(AliasRow.name))).all()


def newest_revisions(session: Session) -> list[Revision]:
    """The revision in force of every alias, by name."""
    joined = select(RevisionRow).join(
        AliasRow, (col(AliasRow.name) == col(RevisionRow.alias)) & (col(AliasRow.revision) == col(RevisionRow.number))
    )
    return [as_revision(row) for row in session.scalars(joined.order_by(col(RevisionRow.alias)))]


def add_revision(session: Session, revision: Revision) -> int:
    """Store a new revision and move the alias's head to it; the change number is returned."""
    serial = next_serial(session)
    head = session.get(AliasRow, revision.alias)
    if head is None:
        session.add(AliasRow(name=revision.alias, revision=revision.number))
        session.flush()
    else:
        head.revision = revision.number
    session.add(_revision_row(revision, serial))
    return serial


def as_revision(row: RevisionRow) -> Revision:
    """The value a row stands for."""
    held = Hold(row.held_by, row.held_at, row.held_reason or "") if row.held_by and row.held_at else None
    return Revision(
        alias=row.alias,
        number=row.number,
        state=State(
            stable=row.stable,
            fallbacks=tuple(row.fallbacks),
            description=row.description,
            owner=row.owner,
            protected=row.protected,
            hold=held,
            retired=row.retired,
        ),
        cause=Cause(row.cause),
        by=row.by,
        automatic=row.automatic,
        at=row.at,
        reason=row.reason,
        reverts=row.reverts,
        serial=row.serial,
    )


def _revision_row(revision: Revision, serial: int) -> RevisionRow:
    state = revision.state
    return RevisionRow(
        alias=revision.alias,
        number=revision.number,
        serial=serial,
        cause=revision.cause.value,
        by=revision.by,
        automatic=revision.automatic,
        at=revision.at,
        reason=revision.reason,
        reverts=revision.reverts,
        stable=state.stable,
        fallbacks=list(state.fallbacks),
        description=state.description,
        owner=state.owner,
        protected=state.protected,
        held_by=state.hold.by if state.hold else None,
        held_at=state.hold.at if state.hold else None,
        held_reason=state.hold.reason if state.hold else None,
        retired=state.retired,
    )


# -- the registry ---------------------------------------------------------------------------------


def provider(session: Session, name: str) -> Provider:
    """The provider called ``name``; NotFound names the nearest."""
    row = session.get(ProviderRow, name)
    if row is None:
        raise NotFound(no_such("provider", name, session.scalars(select(col(ProviderRow.name)))))
    return as_provider(row)


def as_provider(row: ProviderRow) -> Provider:
    """The value a row stands for."""
    return Provider(row.name, row.kind, row.base_url, row.secret_env, row.description)


def prompt(session: Session, name: str) -> PromptVersion:
    """The prompt version called ``name``; NotFound names the nearest."""
    row = session.get(PromptRow, name)
    if row is None:
        raise NotFound(no_such("prompt version", name, session.scalars(select(col(PromptRow.name)))))
    return as_prompt(row)


def as_prompt(row: PromptRow) -> PromptVersion:
    """The value a row stands for."""
    return PromptVersion(row.name, row.text, row.registered_at, row.registered_by)


def data_version(session: Session, name: str) -> DataVersion:
    """The data version called ``name``; NotFound names the nearest."""
    row = session.get(DataVersionRow, name)
    if row is None:
        raise NotFound(no_such("data version", name, session.scalars(select(col(DataVersionRow.name)))))
    return as_data_version(row)


def as_data_version(row: DataVersionRow) -> DataVersion:
    """The value a row stands for."""
    return DataVersion(
        row.name, row.description, row.sha256, row.rows, row.source, row.registered_at, row.registered_by
    )


def version(session: Session, name: str) -> Version:
    """The version called ``name``; UnknownVersion names the nearest."""
    row = session.get(VersionRow, name)
    if row is None:
        raise UnknownVersion(no_such("version", name, session.scalars(select(col(VersionRow.name)))))
    return versions_of(session, [row])[0]


def versions(session: Session) -> list[Version]:
    """Every version, newest registration first."""
    newest_first = select(VersionRow).order_by(col(VersionRow.registered_at).desc(), col(VersionRow.name))
    return versions_of(session, session.scalars(newest_first).all())


def versions_of(session: Session, rows: Iterable[VersionRow]) -> list[Version]:
    """The values that ``rows`` stand for, with their data versions, in two queries in all."""
    rows = list(rows)
    names = [row.name for row in rows]
    lineage: dict[str, list[str]] = {}
    links = select(VersionDataRow).where(col(VersionDataRow.version).in_(names)).order_by(col(VersionDataRow.place))
    for link in session.scalars(links):
        lineage.setdefault(link.version, []).append(link.data_version)
    return [_as_version(row, tuple(lineage.get(row.name, ()))) for row in rows]


def _as_version(row: VersionRow, data: tuple[str, ...]) -> Version:
    return Version(
        name=row.name,
        provider=row.provider,
        model_id=row.model_id,
        prompt=row.prompt,
        parameters=row.parameters,
        data_versions=data,
        introduced=row.introduced,
        price=Price(row.input_microdollars, row.output_microdollars),
        capabilities=Capabilities(**row.capabilities),
        notes=row.notes,
        pin_class=row.pin_class,
        pin_because=row.pin_because,
        registered_at=row.registered_at,
        registered_by=row.registered_by,
    )


def add_version(session: Session, added: Version) -> None:
    """Store a new version and its lineage; it must say when and by whom it was registered."""
    assert added.registered_at is not None
    session.add(
        VersionRow(
            name=added.name,
            provider=added.provider,
            model_id=added.model_id,
            prompt=added.prompt,
            parameters=dict(added.parameters),
            introduced=added.introduced,
            input_microdollars=added.price.input_microdollars,
            output_microdollars=added.price.output_microdollars,
            capabilities=asdict(added.capabilities),
            notes=added.notes,
            pin_class=added.pin_class,
            pin_because=added.pin_because,
            registered_at=added.registered_at,
            registered_by=added.registered_by,
        )
    )
    session.flush()
    for place, name in enumerate(added.data_versions):
        session.add(VersionDataRow(version=added.name, data_version=name, place=place))


def as_issue(row: KnownIssueRow) -> KnownIssue:
    """The value a row stands for."""
    assert row.id is not None
    return KnownIssue(row.id, row.version, row.text, row.added_at, row.added_by, row.resolved_at, row.resolved_by)


def open_quarantines(session: Session) -> list[Quarantine]:
    """What is quarantined and not lifted, oldest first."""
    query = select(QuarantineRow).where(col(QuarantineRow.lifted_at).is_(None)).order_by(col(QuarantineRow.id))
    return [as_quarantine(row) for row in session.scalars(query)]


def as_quarantine(row: QuarantineRow) -> Quarantine:
    """The value a row stands for."""
    assert row.id is not None
    return Quarantine(
        id=row.id,
        version=row.version,
        alias=row.alias,
        revision=row.revision,
        serial=row.serial,
        since=row.since,
        by=row.by,
        reason=row.reason,
        issue=row.issue,
        lifted_at=row.lifted_at,
        lifted_by=row.lifted_by,
        lift_reason=row.lift_reason,
    )


# -- access and gateways --------------------------------------------------------------------------


def grants(session: Session, person: str) -> tuple[Grant, ...]:
    """The roles ``person`` holds, the highest first."""
    rows = session.scalars(select(GrantRow).where(col(GrantRow.person) == person))
    found = [Grant(Role(row.role), row.alias) for row in rows]
    return tuple(sorted(found, key=lambda g: (-g.role.rank, g.alias or "")))


def as_replica(row: ReplicaRow) -> Replica:
    """The value a row stands for."""
    return Replica(row.id, row.name, row.started_at, row.seen_at, row.stopped_at, row.applied_serial, row.dropped)
