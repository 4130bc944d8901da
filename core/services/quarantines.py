"""Putting versions into quarantine with the move that left them, and lifting it, by undo or by hand."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from core.domain import quarantine
from core.domain.aliases import Asked, History, Revision
from core.domain.names import checked_text
from core.domain.permissions import Actor, insist
from core.domain.quarantine import Quarantine
from core.errors import InvalidInput, NothingToChange
from core.services.recording import change, event
from core.store import audit_log, repositories
from core.store.database import Store
from core.store.tables import KnownIssueRow, QuarantineRow

MAX_WHY = 500


def of(store: Store, actor: Actor, version: str) -> Sequence[Quarantine]:
    """Every quarantine of a version, open ones first, then newest first; UnknownVersion names the nearest."""
    insist(actor, "registry:read")
    query = select(QuarantineRow).where(col(QuarantineRow.version) == version)
    query = query.order_by(col(QuarantineRow.lifted_at).is_not(None), col(QuarantineRow.id).desc())
    with store.reading() as session:
        repositories.version(session, version)
        return [repositories.as_quarantine(row) for row in session.scalars(query)]


def lift(store: Store, actor: Actor, version: str, *, reason: str, now: datetime) -> Sequence[Quarantine]:
    """Say that a version may serve again, and why; the known issues that came with the quarantine are resolved."""
    checked_why("The reason for lifting a quarantine", reason)
    attempted = event(actor, "version.quarantine_lifted", f"version:{version}", now=now, reason=reason)
    with change(store, actor, "registry:write", attempted) as session:
        repositories.version(session, version)
        found = [q for q in repositories.open_quarantines(session) if q.version == version]
        if not found:
            raise NothingToChange(f"{version} is not quarantined.")
        lifted = _lifted(session, actor, found, reason=reason, now=now)
        if _is_fallback(session, version):
            repositories.next_serial(session)
        return lifted


def checked_why(what: str, reason: str) -> None:
    """A reason that must be given; InvalidInput without one."""
    checked_text(what, reason, most=MAX_WHY)
    if not reason.strip():
        raise InvalidInput(f"{what} must be given.")


# -- inside the unit of work of a move ---------------------------------------------------------------


def aware(session: Session, asked: Asked) -> Asked:
    """What was asked, knowing what is quarantined now."""
    return replace(asked, quarantined=quarantine.names(repositories.open_quarantines(session)))


def ruled(
    session: Session, history: History, after: Revision, asked: Asked, *, override: str | None
) -> tuple[Revision, tuple[str, ...]]:
    """``after``, and the versions whose quarantine it overrides; Quarantined when it must not be."""
    if override is not None:
        checked_why("The reason for overriding a quarantine", override)
    before = history[-1] if history else None
    return quarantine.ruled(before, after, repositories.open_quarantines(session), asked, override=override)


def settle(
    session: Session, actor: Actor, history: History, after: Revision, *, serial: int, blames: bool | None = None
) -> str | None:
    """Lift and impose what the stored revision ``after`` lifts and imposes; the version now quarantined, or None.

    An evacuation says itself whether the version left is to blame (``blames``); otherwise the kind of move does.
    """
    touched: set[str] = set()
    if history:
        undone = quarantine.lifted_by_undo(history[-1], after, repositories.open_quarantines(session))
        reason = f"revision {after.reverts} of {after.alias} was undone"
        touched.update(q.version for q in _lifted(session, actor, undone, reason=reason, now=after.at))
    left = quarantine.left_badly([*history, after])
    if blames is not None and history:
        before = history[-1].state.stable
        left = before if blames and before != after.state.stable else None
    if left is not None:
        _impose(session, actor, left, after, serial)
        touched.add(left)
    # Gateways follow revisions one by one, and a revision does not say which of its fallbacks rest. Where one does, or
    # did, the change is counted once more: they find a number without a revision, and load everything anew.
    resting = quarantine.names(repositories.open_quarantines(session))
    if not resting.isdisjoint(after.state.fallbacks) or any(_is_fallback(session, name) for name in touched):
        repositories.next_serial(session)
    return left


def _impose(session: Session, actor: Actor, version: str, after: Revision, serial: int) -> None:
    text = quarantine.why(after)
    issue = KnownIssueRow(version=version, text=text, added_at=after.at, added_by=actor.name)
    session.add(issue)
    session.flush()
    assert issue.id is not None
    session.add(
        QuarantineRow(
            version=version,
            alias=after.alias,
            revision=after.number,
            serial=serial,
            since=after.at,
            by=after.by,
            reason=text,
            issue=issue.id,
        )
    )
    facts = {"alias": after.alias, "revision": after.number, "issue": text}
    said = event(actor, "version.quarantined", f"version:{version}", now=after.at, reason=after.reason, after=facts)
    audit_log.append(session, said)


def _lifted(
    session: Session, actor: Actor, found: Sequence[Quarantine], *, reason: str, now: datetime
) -> list[Quarantine]:
    lifted = []
    for one in found:
        row = session.get_one(QuarantineRow, one.id)
        row.lifted_at, row.lifted_by, row.lift_reason = now, actor.name, reason
        issue = session.get_one(KnownIssueRow, one.issue)
        if issue.resolved_at is None:
            issue.resolved_at, issue.resolved_by = now, actor.name
        facts = {"alias": one.alias, "revision": one.revision, "issue": one.reason}
        said = event(actor, "version.quarantine_lifted", f"version:{one.version}", now=now, reason=reason, after=facts)
        audit_log.append(session, said)
        lifted.append(repositories.as_quarantine(row))
    session.flush()
    return lifted


def _is_fallback(session: Session, version: str) -> bool:
    """Does any alias name it as a fallback?"""
    return any(version in revision.state.fallbacks for revision in repositories.newest_revisions(session))
