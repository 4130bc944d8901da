"""What somebody may see: every reading that is not part of a write, ruled on like a write."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlmodel import Session, col

from core.domain import aliases
from core.domain.aliases import Revision, RollbackTarget
from core.domain.events import EVENTS
from core.domain.names import no_such
from core.domain.permissions import Actor, insist, rule_on
from core.domain.quarantine import names
from core.domain.receipts import Receipt, Replica
from core.domain.versions import DataVersion, Provider
from core.errors import InvalidInput, NotFound, UnknownRevision
from core.services import access, serving
from core.services.access import Person
from core.store import audit_log, read_models, repositories
from core.store.audit_log import Verified
from core.store.database import Store
from core.store.read_audit import Entry
from core.store.tables import AuditRow, LedgerRow, ReplicaRow

MAX_PAGE = 500

# -- aliases --------------------------------------------------------------------------------------


def alias_list(store: Store, actor: Actor) -> list[Revision]:
    """The revision in force of every alias the actor may see, by name."""
    insist_on_some_alias(actor)
    with store.reading() as session:
        return [r for r in repositories.newest_revisions(session) if _may_see(actor, r.alias)]


def alias(store: Store, actor: Actor, name: str) -> Revision:
    """The revision in force of one alias; UnknownAlias names the nearest."""
    return history(store, actor, name)[-1]


def history(store: Store, actor: Actor, name: str) -> Sequence[Revision]:
    """All revisions of one alias, oldest first."""
    insist(actor, "alias:read", name)
    with store.reading() as session:
        return repositories.history(session, name)


def served_at(store: Store, actor: Actor, name: str, at: datetime) -> Revision:
    """The revision that was in force at ``at``; UnknownRevision when there was none yet."""
    revisions = history(store, actor, name)
    found = aliases.state_at(revisions, at)
    if found is None:
        first = revisions[0]
        raise UnknownRevision(f"{name} was created at {first.at:%Y-%m-%d %H:%M:%S} UTC; before that nothing served it.")
    return found


def rollback_targets(
    store: Store, actor: Actor, name: str, *, now: datetime, minimum_dwell: timedelta = aliases.MINIMUM_DWELL
) -> tuple[RollbackTarget, ...]:
    """The versions the alias may be rolled back to, the best first."""
    insist(actor, "alias:read", name)
    with store.reading() as session:
        revisions = repositories.history(session, name)
        resting = names(repositories.open_quarantines(session))
    return aliases.rollback_targets(revisions, now=now, minimum_dwell=minimum_dwell, quarantined=resting)


def receipt(store: Store, actor: Actor, name: str, revision: int, *, now: datetime) -> Receipt:
    """Where a revision of the alias is in force by now."""
    insist(actor, "alias:read", name)
    return serving.receipt(store, name, revision, now=now)


# -- the registry ---------------------------------------------------------------------------------


def provider(store: Store, actor: Actor, name: str) -> Provider:
    """One provider; NotFound names the nearest."""
    insist(actor, "registry:read")
    with store.reading() as session:
        return repositories.provider(session, name)


def data_version(store: Store, actor: Actor, name: str) -> DataVersion:
    """One data version; NotFound names the nearest."""
    insist(actor, "registry:read")
    with store.reading() as session:
        return repositories.data_version(session, name)


# -- access ---------------------------------------------------------------------------------------


def person(store: Store, actor: Actor, name: str) -> Person:
    """One account; NotFound names the nearest."""
    everybody = {one.name: one for one in access.people(store, actor)}
    if name not in everybody:
        raise NotFound(no_such("person", name, everybody))
    return everybody[name]


# -- running --------------------------------------------------------------------------------------


def status(store: Store, actor: Actor, *, now: datetime) -> read_models.Overview:
    """Everything at a glance, as far as the actor may see aliases."""
    insist_on_some_alias(actor)
    seen = read_models.overview(store, now=now)
    recent = tuple(c for c in seen.recent if _may_see(actor, c.revision.alias))
    summaries = tuple(s for s in seen.aliases if _may_see(actor, s.revision.alias))
    return replace(seen, aliases=summaries, recent=recent, changes_last_day=len(recent))


def replicas(store: Store, actor: Actor) -> list[Replica]:
    """Every gateway that ever joined, by name, the newest process of a name first."""
    insist_on_some_alias(actor)
    newest = select(ReplicaRow).order_by(col(ReplicaRow.name), col(ReplicaRow.started_at).desc())
    with store.reading() as session:
        return [repositories.as_replica(row) for row in session.scalars(newest)]


# -- the audit log --------------------------------------------------------------------------------


def audit(
    store: Store,
    actor: Actor,
    *,
    kind: str | None = None,
    by: str | None = None,
    subject: str | None = None,
    outcome: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Entry]:
    """Audit events that fit every filter, newest first; ``before`` goes on after an earlier page."""
    insist(actor, "audit:read")
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput(f"A page holds 1 to {MAX_PAGE} events, not {limit}.")
    if kind is not None and kind not in EVENTS:
        raise InvalidInput(f"There is no audit event {kind!r}. Kinds are {', '.join(EVENTS)}.")
    filters = {"kind": kind, "actor": by, "subject": subject, "outcome": outcome}
    query = select(AuditRow).order_by(col(AuditRow.seq).desc()).limit(limit)
    for name, wanted in filters.items():
        if wanted is not None:
            query = query.where(getattr(AuditRow, name) == wanted)
    if before is not None:
        query = query.where(col(AuditRow.seq) < before)
    with store.reading() as session:
        return [Entry(row.seq, audit_log.as_event(row), row.hash) for row in session.scalars(query)]


def audit_head(store: Store, actor: Actor) -> Verified:
    """The length of the log and the hash of its newest event, to be noted elsewhere; nothing is recomputed."""
    insist(actor, "audit:read")
    with store.reading() as session:
        return _head(session)


def audit_verified(store: Store, actor: Actor, *, expected_head: str | None = None) -> Verified:
    """Recompute the whole chain; AuditBroken names the first event that does not fit."""
    insist(actor, "audit:read")
    with store.reading() as session:
        return audit_log.verify(session, expected_head=expected_head)


def _head(session: Session) -> Verified:
    ledger = session.get_one(LedgerRow, 1)
    return Verified(ledger.audit_seq, ledger.audit_hash)


# -- what they share ------------------------------------------------------------------------------


def _may_see(actor: Actor, alias: str) -> bool:
    return rule_on(actor, "alias:read", alias).allowed


def insist_on_some_alias(actor: Actor) -> None:
    """Whoever may see a single alias may ask for the list; it holds only what they may see."""
    named = {grant.alias for grant in actor.grants if grant.alias} | (actor.aliases or frozenset())
    if not any(_may_see(actor, alias) for alias in named):
        insist(actor, "alias:read")
