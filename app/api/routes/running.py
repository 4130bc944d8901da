"""What runs and what happened, over HTTP: the status of everything, the gateways, the audit log."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from app.api.asking import AskingNow
from app.api.doors import door
from app.api.shapes import AuditEventView, AuditHeadView, Page, ReplicaView, StatusView
from core import errors
from core.services import reading

router = APIRouter()


@router.get("/status", tags=["running"], **door("alias:read"))
def get_status(at: AskingNow) -> StatusView:
    """See everything at a glance; aliases that need attention come first."""
    return StatusView.from_domain(reading.status(at.store, at.actor, now=at.now), now=at.now)


@router.get("/gateways", tags=["running"], **door("alias:read"))
def list_gateways(
    at: AskingNow, live: Annotated[bool, Query(description="Only gateways that were heard of lately.")] = False
) -> Page[ReplicaView]:
    """List the gateway processes that ever joined, by name, the newest of a name first."""
    seen = [ReplicaView.from_domain(r, now=at.now) for r in reading.replicas(at.store, at.actor)]
    return Page(items=tuple(replica for replica in seen if replica.live or not live))


@router.get("/audit", tags=["audit"], **door("audit:read"))
def list_audit_events(
    at: AskingNow,
    kind: Annotated[str | None, Query(max_length=64, description="Such as `alias.flipped`.")] = None,
    actor: Annotated[str | None, Query(max_length=128, description="The name of whoever did it.")] = None,
    subject: Annotated[str | None, Query(max_length=200, description="Such as `alias:prod-chat`.")] = None,
    outcome: Annotated[Literal["done", "refused"] | None, Query()] = None,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only events below this number.")] = None,
    limit: Annotated[int, Query(ge=1, le=reading.MAX_PAGE)] = 50,
) -> Page[AuditEventView]:
    """List audit events, newest first."""
    found = reading.audit(
        at.store,
        at.actor,
        kind=kind,
        by=actor,
        subject=subject,
        outcome=outcome,
        before=before,
        limit=limit,
    )
    page = tuple(AuditEventView.from_domain(e.event, seq=e.seq, hash=e.hash) for e in found)
    return Page(items=page, next=str(page[-1].seq) if len(page) == limit and page[-1].seq > 1 else None)


@router.get("/audit/head", tags=["audit"], **door("audit:read"))
def get_audit_head(at: AskingNow) -> AuditHeadView:
    """See how long the log is and the hash of its newest event, to be noted elsewhere."""
    return AuditHeadView(**vars(reading.audit_head(at.store, at.actor)))


@router.get("/audit/verify", tags=["audit"], **door("audit:read", errors.AuditBroken))
def verify_audit(
    at: AskingNow,
    head: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description="A head that was noted earlier.")] = None,
) -> AuditHeadView:
    """Recompute the whole chain. A log that was tampered with is a 409 naming the first event that does not fit."""
    return AuditHeadView(**vars(reading.audit_verified(at.store, at.actor, expected_head=head)))
