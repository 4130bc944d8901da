"""A small company in a store: a recorded provider, four versions, one alias, and people of every role."""

from datetime import datetime

from sqlalchemy import select
from sqlmodel import col

from core.domain.aliases import Revision
from core.domain.events import Event
from core.domain.permissions import Actor, ActorKind, Grant, Role, local, system
from core.domain.versions import Provider, Version
from core.services import flips, registry
from core.services.flips import Moved
from core.store import audit_log, repositories
from core.store.database import Store
from core.store.tables import AuditRow

ROOT = local("root")
SCHEDULER = system("scheduler")
VIEWER, OPERATOR, APPROVER, ADMIN = (Actor(str(role), ActorKind.PERSON, (Grant(role),)) for role in Role)


def stocked(store: Store, now: datetime, *, protected: bool = False) -> Moved:
    """Register versions a, b, c and d, and create the alias prod serving a."""
    registry.register_provider(store, ROOT, Provider("rec", "recorded", "http://127.0.0.1:9/v1"), now=now)
    for name in "abcd":
        registry.register_version(store, ROOT, Version(name, "rec", f"model-{name}"), now=now)
    return flips.create(store, ROOT, "prod", "a", protected=protected, now=now)


def history(store: Store, alias: str = "prod") -> list[Revision]:
    with store.reading() as session:
        return repositories.history(session, alias)


def events(store: Store) -> list[Event]:
    """The whole audit log, which must verify."""
    with store.reading() as session:
        audit_log.verify(session)
        return [audit_log.as_event(row) for row in session.scalars(select(AuditRow).order_by(col(AuditRow.seq)))]
