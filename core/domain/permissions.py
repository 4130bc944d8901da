"""Who may do what: one table, and a reason in every ruling.

A *person* holds grants (a role, everywhere or for one alias). A *token* acts for a person and can only
narrow what the person may do. The machine is an actor too. Roles are ordered, each may all that the
one before may: viewer, operator, approver, admin.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.errors import InvalidInput, NotPermitted


class Role(StrEnum):
    """What a person is trusted with."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Place in the order of roles, 0 for viewer."""
        return list(Role).index(self)


class ActorKind(StrEnum):
    """What sort of hand did it: people outrank automatic steps (see ``aliases``)."""

    PERSON = "person"
    TOKEN = "token"
    LOCAL = "local"
    SYSTEM = "system"


@dataclass(frozen=True)
class Grant:
    """A role everywhere (``alias`` is None) or for one alias."""

    role: Role
    alias: str | None = None


@dataclass(frozen=True)
class Scope:
    """What a token may be used for at most."""

    name: str
    actions: frozenset[str]
    meaning: str


@dataclass(frozen=True)
class Actor:
    """Whoever asks: a name for the audit log and what they hold.

    ``via`` names the token used, ``scope`` narrows the grants, ``aliases`` narrows to those aliases, and the token
    ends at ``expires_at``.
    """

    name: str
    kind: ActorKind
    grants: tuple[Grant, ...] = ()
    scope: Scope | None = None
    aliases: frozenset[str] | None = None
    via: str | None = None
    expires_at: datetime | None = None

    @property
    def is_automatic(self) -> bool:
        """True for the scheduler and other machinery, False for people and what acts for them."""
        return self.kind is ActorKind.SYSTEM

    def role_on(self, alias: str | None) -> Role | None:
        """The highest role held for ``alias``, counting the grants that hold everywhere."""
        held = [g.role for g in self.grants if g.alias is None or g.alias == alias]
        return max(held, key=lambda role: role.rank, default=None)

    @property
    def highest_role(self) -> Role | None:
        """The highest role held anywhere, be it for one alias."""
        return max((g.role for g in self.grants), key=lambda role: role.rank, default=None)


@dataclass(frozen=True)
class Action:
    """Something that can be done, the lowest role that may, and whether it concerns one alias.

    What concerns no alias needs the role everywhere, unless ``anywhere`` says that a role on any alias is enough.
    """

    name: str
    least: Role
    per_alias: bool
    meaning: str
    anywhere: bool = False


ACTIONS: tuple[Action, ...] = (
    Action("alias:read", Role.VIEWER, True, "see an alias, its history and its traffic"),
    Action("alias:create", Role.OPERATOR, True, "create an alias"),
    Action("alias:describe", Role.OPERATOR, True, "edit description, owner and fallbacks"),
    Action("alias:flip", Role.OPERATOR, True, "move an alias to another version"),
    Action("alias:roll_back", Role.OPERATOR, True, "return an alias to a version that served it well"),
    Action("alias:hold", Role.OPERATOR, True, "hold an alias, or release it"),
    Action("alias:protect", Role.ADMIN, True, "make an alias protected, or unprotected"),
    Action("alias:retire", Role.ADMIN, True, "retire an alias for good"),
    Action("registry:read", Role.VIEWER, False, "see providers, versions, prompts and data versions", True),
    Action("registry:write", Role.OPERATOR, False, "register versions, prompts, data versions, known issues"),
    Action("provider:write", Role.ADMIN, False, "register or change a provider"),
    Action("audit:read", Role.VIEWER, False, "read and verify the audit log"),
    Action("store:prune", Role.ADMIN, False, "remove what has expired: sessions, attempts, old traffic windows"),
    Action("access:read", Role.VIEWER, False, "see who holds which role"),
    Action("access:write", Role.ADMIN, False, "manage people, grants, callers and everybody's tokens"),
    Action("token:own", Role.VIEWER, False, "manage tokens and the password of one's own", True),
)

_BY_NAME = {action.name: action for action in ACTIONS}
_READS = frozenset(a.name for a in ACTIONS if a.name.endswith(":read"))

SCOPES: tuple[Scope, ...] = (
    Scope("full", frozenset(_BY_NAME), "everything its person may do"),
    Scope("read", _READS, "reading only"),
    Scope("rollback", _READS | {"alias:roll_back", "alias:hold"}, "reading, rolling back, holding and releasing"),
    Scope(
        "operate",
        _READS | {"alias:create", "alias:describe", "alias:flip", "alias:roll_back", "alias:hold", "registry:write"},
        "reading, moving aliases and registering versions",
    ),
)


def scope_named(name: str) -> Scope:
    """The scope called ``name``; InvalidInput names the scopes there are."""
    for scope in SCOPES:
        if scope.name == name:
            return scope
    raise InvalidInput(f"There is no scope {name!r}. Scopes are {', '.join(s.name for s in SCOPES)}.")


@dataclass(frozen=True)
class Ruling:
    """Whether an action is allowed, and why."""

    allowed: bool
    because: str


def rule_on(actor: Actor, action: str, alias: str | None = None) -> Ruling:
    """May ``actor`` do ``action`` (on ``alias``)? Always says why."""
    wanted = _BY_NAME[action]
    alias = alias if wanted.per_alias else None
    where = f" on {alias}" if alias else ""
    if actor.scope is not None and action not in actor.scope.actions:
        return Ruling(False, f"token {actor.via} has scope {actor.scope.name}, which does not include {action}")
    if actor.aliases is not None and alias not in actor.aliases and wanted.per_alias:
        return Ruling(False, f"token {actor.via} is limited to {', '.join(sorted(actor.aliases))}")
    if actor.aliases is not None and not wanted.per_alias and action not in _READS:
        return Ruling(False, f"token {actor.via} is limited to aliases and may not {action}")
    role = actor.highest_role if wanted.anywhere else actor.role_on(alias)
    if role is None:
        return Ruling(False, f"{actor.name} has no role{where}; {action} needs {wanted.least}")
    if role.rank < wanted.least.rank:
        return Ruling(False, f"{actor.name} is {role}{where}; {action} needs {wanted.least}")
    return Ruling(True, f"{actor.name} is {role}{where}; {action} needs {wanted.least}")


def insist(actor: Actor, action: str, alias: str | None = None) -> Ruling:
    """The ruling when it allows; NotPermitted with its reason when it does not."""
    ruling = rule_on(actor, action, alias)
    if not ruling.allowed:
        raise NotPermitted(f"Not permitted: {ruling.because}.")
    return ruling


def who_may(action: str, people: Iterable[tuple[str, tuple[Grant, ...]]], alias: str | None = None) -> tuple[str, ...]:
    """The names among ``people`` whose grants allow ``action`` on ``alias``."""
    return tuple(
        name for name, grants in people if rule_on(Actor(name, ActorKind.PERSON, grants), action, alias).allowed
    )


def system(name: str) -> Actor:
    """An automatic actor such as the scheduler: an admin that gives way to people."""
    return Actor(name, ActorKind.SYSTEM, (Grant(Role.ADMIN),))


def local(os_user: str) -> Actor:
    """Whoever works directly on the store: access to it is root, and audited as such."""
    return Actor(f"local:{os_user}", ActorKind.LOCAL, (Grant(Role.ADMIN),))
