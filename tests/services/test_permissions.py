"""Every use case obeys the permission table: one below the role it needs is refused, on record and without effect."""

from collections.abc import Callable

import pytest

from core.domain.permissions import ACTIONS, Actor, ActorKind, Grant, Role
from core.domain.versions import DataVersion, Provider, Version
from core.errors import NotPermitted
from core.services import access, callers, flips, quarantines, registry
from core.store.database import Store
from tests.services.hands import NOW
from tests.services.world import ROOT, events, stocked
from tests.store.rows import everything

Call = Callable[[Store, Actor], object]

# Every use case that changes something, by the action it needs. They are tried in this order on one store.
WRITES: list[tuple[str, str, Call]] = [
    ("registry:write", "register_prompt", lambda s, a: registry.register_prompt(s, a, "p", "Hello", now=NOW)),
    (
        "registry:write",
        "register_data_version",
        lambda s, a: registry.register_data_version(s, a, DataVersion("d"), now=NOW),
    ),
    (
        "registry:write",
        "register_version",
        lambda s, a: registry.register_version(s, a, Version("e", "rec", "m"), now=NOW),
    ),
    ("registry:write", "note", lambda s, a: registry.note(s, a, "a", "a note", now=NOW)),
    ("registry:write", "add_issue", lambda s, a: registry.add_issue(s, a, "a", "slow", now=NOW)),
    ("registry:write", "resolve_issue", lambda s, a: registry.resolve_issue(s, a, 1, now=NOW)),
    (
        "provider:write",
        "register_provider",
        lambda s, a: registry.register_provider(s, a, Provider("new", "recorded", "http://x/v1"), now=NOW),
    ),
    ("provider:write", "change_provider", lambda s, a: registry.change_provider(s, a, "rec", description="x", now=NOW)),
    ("alias:create", "create", lambda s, a: flips.create(s, a, "new", "a", now=NOW)),
    ("alias:flip", "flip", lambda s, a: flips.flip(s, a, "prod", "b", seen_revision=1, now=NOW)),
    ("alias:roll_back", "roll_back", lambda s, a: flips.roll_back(s, a, "prod", seen_revision=2, now=NOW)),
    ("registry:write", "lift", lambda s, a: quarantines.lift(s, a, "b", reason="fixed", now=NOW)),
    ("alias:flip", "undo", lambda s, a: flips.undo(s, a, "prod", 3, seen_revision=3, now=NOW)),
    ("alias:hold", "hold", lambda s, a: flips.hold(s, a, "prod", seen_revision=4, now=NOW)),
    ("alias:hold", "release", lambda s, a: flips.release(s, a, "prod", seen_revision=5, now=NOW)),
    ("alias:describe", "describe", lambda s, a: flips.describe(s, a, "prod", owner="x", seen_revision=6, now=NOW)),
    ("alias:protect", "protect", lambda s, a: flips.protect(s, a, "prod", protected=True, seen_revision=7, now=NOW)),
    ("alias:retire", "retire", lambda s, a: flips.retire(s, a, "prod", seen_revision=8, now=NOW)),
    ("access:write", "add_person", lambda s, a: access.add_person(s, a, "ben", now=NOW)),
    ("access:write", "set_password", lambda s, a: access.set_password(s, a, "ben", "long enough", now=NOW)),
    ("access:write", "grant", lambda s, a: access.grant(s, a, "ben", Grant(Role.OPERATOR), now=NOW)),
    ("access:write", "ungrant", lambda s, a: access.ungrant(s, a, "ben", Grant(Role.OPERATOR), now=NOW)),
    ("access:write", "revoke_sessions", lambda s, a: access.revoke_sessions(s, a, "ben", now=NOW)),
    ("access:write", "disable_person", lambda s, a: access.disable_person(s, a, "ben", now=NOW)),
    ("access:write", "enable_person", lambda s, a: access.enable_person(s, a, "ben", now=NOW)),
    ("access:write", "create_key", lambda s, a: callers.create_key(s, a, "web", demo_key="pk-x", now=NOW)),
    ("access:write", "revoke_key", lambda s, a: callers.revoke_key(s, a, "pk-x", now=NOW)),
    (
        "access:write",
        "token for another",
        lambda s, a: access.create_token(s, a, "t", scope="read", person="ben", now=NOW),
    ),
    ("token:own", "create_token", lambda s, a: access.create_token(s, a, "t", scope="read", now=NOW)),
]
READS: list[tuple[str, Call]] = [
    ("registry:read", lambda s, a: registry.providers(s, a)),
    ("registry:read", lambda s, a: registry.prompts(s, a)),
    ("registry:read", lambda s, a: registry.data_versions(s, a)),
    ("registry:read", lambda s, a: registry.versions(s, a)),
    ("registry:read", lambda s, a: registry.version(s, a, "a")),
    ("registry:read", lambda s, a: registry.issues(s, a)),
    ("registry:read", lambda s, a: quarantines.of(s, a, "a")),
    ("access:read", lambda s, a: access.people(s, a)),
    ("access:read", lambda s, a: access.tokens(s, a)),
    ("access:read", lambda s, a: callers.keys(s, a)),
]


def holder(role: Role | None, name: str = "somebody") -> Actor:
    return Actor(name, ActorKind.PERSON, (Grant(role),) if role else ())


def below(action: str) -> list[Role | None]:
    """Every role that is not enough for ``action``, and none at all."""
    needs = next(known.least for known in ACTIONS if known.name == action)
    return [None, *(role for role in Role if role.rank < needs.rank)]


def test_every_use_case_refuses_whoever_is_below_its_role_and_serves_whoever_holds_it(store):
    stocked(store, NOW)
    access.add_person(store, ROOT, "somebody", now=NOW)
    for action, name, call in WRITES:
        for role in below(action):
            _refused_on_record(store, name, call, holder(role))
        least = next(known.least for known in ACTIONS if known.name == action)
        call(store, holder(least))
        assert events(store)[-1].outcome == "done" or name == "revoke_sessions", name


def _refused_on_record(store: Store, name: str, call: Call, actor: Actor) -> None:
    before, told = everything(store), events(store)
    with pytest.raises(NotPermitted):
        call(store, actor)
    after = everything(store)
    assert {table for table in before if before[table] != after[table]} == {"audit_event", "ledger"}, name
    [refusal] = events(store)[len(told) :]
    assert (refusal.actor, refusal.outcome, refusal.after["refused"]) == ("somebody", "refused", "not_permitted"), name


def test_every_reading_refuses_whoever_holds_no_role_and_serves_a_viewer(store):
    stocked(store, NOW)
    for _action, call in READS:
        with pytest.raises(NotPermitted):
            call(store, holder(None))
        call(store, holder(Role.VIEWER))


def test_every_action_that_changes_something_is_tried_above():
    elsewhere = {"store:prune", "store:backup", "store:restore"}  # with the housekeeping and the backups
    changing = {action.name for action in ACTIONS if not action.name.endswith(":read")}
    assert changing == {action for action, _name, _call in WRITES} | elsewhere
