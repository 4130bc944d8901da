"""What the records pages read, as far as the actor may see it: versions, audit, access, gateways, settings."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from core.domain.aliases import Revision
from core.domain.events import EVENTS
from core.domain.permissions import ACTIONS, Actor, ActorKind, Grant, Role, Ruling, insist, rule_on
from core.errors import InvalidInput, NotFound
from core.services import reading
from core.store import read_access, read_audit, read_gateways, read_settings, read_versions
from core.store.database import Store
from core.store.read_access import AccessPage, Account
from core.store.read_audit import AuditPage, Entry, Filter
from core.store.read_gateways import GatewaysPage
from core.store.read_settings import SettingsPage
from core.store.read_versions import Sees, VersionPage, VersionSummary

# -- versions -------------------------------------------------------------------------------------


def version_list(store: Store, actor: Actor) -> tuple[VersionSummary, ...]:
    """Every version with where it stands; aliases the actor may not see are counted, and not named."""
    insist(actor, "registry:read")
    return read_versions.version_list(store, sees=_eyes(actor))


def version_page(store: Store, actor: Actor, name: str) -> VersionPage:
    """One version with all that belongs to it; UnknownVersion names the nearest."""
    insist(actor, "registry:read")
    return read_versions.version_page(store, name, sees=_eyes(actor))


# -- the audit log --------------------------------------------------------------------------------


def audit_page(store: Store, actor: Actor, wanted: Filter, *, before: int | None = None) -> AuditPage:
    """One page of the events that fit, newest first."""
    insist(actor, "audit:read")
    return read_audit.audit_page(store, _checked(wanted), before=before)


def exported(store: Store, actor: Actor, wanted: Filter) -> Iterator[Entry]:
    """The newest events that fit, at most MOST_EXPORTED; ruled on before the first is read."""
    insist(actor, "audit:read")
    return read_audit.exported(store, _checked(wanted))


def _checked(wanted: Filter) -> Filter:
    if wanted.kind is not None and wanted.kind not in EVENTS:
        raise InvalidInput(f"There is no audit event {wanted.kind!r}. Kinds are {', '.join(EVENTS)}.")
    if wanted.since is not None and wanted.until is not None and wanted.since >= wanted.until:
        raise InvalidInput("The time it begins at lies after the time it ends at, so no event can fit.")
    return wanted


@dataclass(frozen=True)
class Served:
    """What an alias meant at a time: the revision in force, and the one by which its version came to serve."""

    at: datetime
    in_force: Revision
    decided: Revision
    until: Revision | None


def served(store: Store, actor: Actor, alias: str, at: datetime) -> Served:
    """What ``alias`` served at ``at`` and who decided it; UnknownRevision before it was created."""
    in_force = reading.served_at(store, actor, alias, at)
    history = reading.history(store, actor, alias)
    so_far = [r for r in history if r.number <= in_force.number]
    later = (r for r in history if r.number > in_force.number and r.state.stable != in_force.state.stable)
    return Served(at, in_force, _decision(so_far), next(later, None))


def _decision(so_far: Iterable[Revision]) -> Revision:
    """The revision since which the version of the last one serves without a break."""
    decided: Revision | None = None
    for revision in so_far:
        if decided is None or revision.state.stable != decided.state.stable:
            decided = revision
    assert decided is not None
    return decided


# -- access ---------------------------------------------------------------------------------------


def access_page(store: Store, actor: Actor, *, now: datetime) -> AccessPage:
    """Everybody and what they hold. Sessions are one's own; an admin sees everybody's, and everybody's tokens."""
    insist(actor, "access:read")
    sees_all = rule_on(actor, "access:write").allowed
    people = read_access.people(store, now=now)
    tokens = read_access.tokens(store)
    return AccessPage(
        people=tuple(p if sees_all or p.name == actor.name else replace(p, sessions=None) for p in people),
        tokens=tuple(t for t in tokens if sees_all or t.of == actor.name),
        keys=read_access.caller_keys(store),
        aliases=read_versions.alias_names(store),
    )


def own_access(store: Store, actor: Actor, *, now: datetime) -> AccessPage:
    """One's own account and tokens, for whoever may not see others'."""
    insist(actor, "token:own")
    return AccessPage(
        people=tuple(p for p in read_access.people(store, now=now) if p.name == actor.name),
        tokens=tuple(t for t in read_access.tokens(store) if t.of == actor.name),
        keys=(),
        aliases=tuple(revision.alias for revision in reading.alias_list(store, actor)),
    )


def ruling(actor: Actor, person: Account | None, action: str, alias: str | None) -> Ruling:
    """May ``person`` (or the actor) do ``action`` on ``alias``? A disabled account may nothing."""
    if action not in {known.name for known in ACTIONS}:
        raise InvalidInput(f"There is no action {action!r}. Actions are {', '.join(a.name for a in ACTIONS)}.")
    if person is None or person.name == actor.name:
        return rule_on(actor, action, alias)
    insist(actor, "access:read")
    if person.disabled_at is not None:
        return Ruling(False, f"the account {person.name} is disabled")
    return rule_on(Actor(person.name, ActorKind.PERSON, person.grants), action, alias)


def role_matrix() -> tuple[tuple[str, str, tuple[bool, ...]], ...]:
    """For each action its meaning, and for each role in order whether it may, when it is held everywhere."""
    return tuple((a.name, a.meaning, tuple(_may(role, a.name) for role in Role)) for a in ACTIONS)


def _may(role: Role, action: str) -> bool:
    return rule_on(Actor("somebody", ActorKind.PERSON, (Grant(role),)), action).allowed


# -- gateways and settings ------------------------------------------------------------------------


def gateways_page(store: Store, actor: Actor, *, now: datetime) -> GatewaysPage:
    """Gateways, and receipts of the aliases the actor may see."""
    reading.replicas(store, actor)
    return read_gateways.gateways_page(store, now=now, sees=_eyes(actor))


def settings_page(store: Store, actor: Actor) -> SettingsPage:
    """What is connected, without secrets."""
    insist(actor, "registry:read")
    return read_settings.settings_page(store)


def account(page: AccessPage, name: str) -> Account:
    """The account called ``name`` on the page; NotFound when it is not there."""
    for one in page.people:
        if one.name == name:
            return one
    raise NotFound(f"There is no person {name!r}.")


def _eyes(actor: Actor) -> Sees:
    return lambda alias: rule_on(actor, "alias:read", alias).allowed
