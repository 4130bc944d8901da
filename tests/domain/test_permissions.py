"""Who may do what: the whole table, role by action by place by scope, written down a second time."""

import itertools

import pytest

from core.domain.permissions import (
    ACTIONS,
    SCOPES,
    Actor,
    ActorKind,
    Grant,
    Role,
    insist,
    local,
    rule_on,
    scope_named,
    system,
    who_may,
)
from core.errors import InvalidInput, NotPermitted

# What each role adds to the one before. A new action is put here on purpose, or the first test is red.
ADDS = {
    Role.VIEWER: {"alias:read", "registry:read", "audit:read", "access:read", "token:own"},
    Role.OPERATOR: {
        "alias:create",
        "alias:describe",
        "alias:flip",
        "alias:roll_back",
        "alias:hold",
        "registry:write",
    },
    Role.APPROVER: set(),
    Role.ADMIN: {"alias:protect", "alias:retire", "provider:write", "access:write", "store:prune"},
}
WITH_ANY_ROLE_ON_ANY_ALIAS = {"registry:read", "token:own"}
READS = {"alias:read", "registry:read", "audit:read", "access:read"}
SCOPED = {
    "full": {name for names in ADDS.values() for name in names},
    "read": READS,
    "rollback": READS | {"alias:roll_back", "alias:hold"},
    "operate": READS
    | {"alias:create", "alias:describe", "alias:flip", "alias:roll_back", "alias:hold", "registry:write"},
}
NAMES = [action.name for action in ACTIONS]
PLACES = {"everywhere": None, "on the alias": "prod", "on another alias": "other"}


def may_of(role: Role) -> set[str]:
    """All that ``role`` may by the table above."""
    return {name for lower in Role if lower.rank <= role.rank for name in ADDS[lower]}


def holder(*grants: Grant, scope: str | None = None, aliases: frozenset[str] | None = None) -> Actor:
    if scope is None:
        return Actor("ann", ActorKind.PERSON, grants)
    return Actor("ann", ActorKind.TOKEN, grants, scope_named(scope), aliases, "laptop")


def test_every_action_is_in_the_table_once():
    assert sorted(NAMES) == sorted(name for names in ADDS.values() for name in names)
    assert sorted(s.name for s in SCOPES) == sorted(SCOPED)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a.name)
def test_every_action_says_what_it_means(action):
    assert action.meaning
    assert action.meaning[0].islower()
    assert not action.meaning.endswith(".")
    assert action.per_alias is action.name.startswith("alias:")


@pytest.mark.parametrize("scope", [None, *SCOPED])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("role", Role)
def test_a_role_may_what_the_table_says_where_it_is_held_and_within_the_scope(role, place, scope):
    actor = holder(Grant(role, PLACES[place]), scope=scope)
    for name in NAMES:
        reaches = (
            place == "everywhere"
            or (place == "on the alias" and name.startswith("alias:"))
            or name in WITH_ANY_ROLE_ON_ANY_ALIAS
        )
        within = scope is None or name in SCOPED[scope]
        ruling = rule_on(actor, name, "prod")
        assert ruling.allowed is (name in may_of(role) and reaches and within), f"{role} {name} {place} {scope}"
        assert name in ruling.because
        assert "ann" in ruling.because or "laptop" in ruling.because


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a.name)
def test_whoever_holds_no_role_may_nothing_and_is_told_which_role_is_needed(action):
    ruling = rule_on(holder(), action.name, "prod")
    assert not ruling.allowed
    assert f"needs {action.least}" in ruling.because


@pytest.mark.parametrize("role", Role)
def test_a_role_on_an_alias_gives_no_right_that_concerns_all(role):
    for name in NAMES:
        if name.startswith("alias:") or name in WITH_ANY_ROLE_ON_ANY_ALIAS:
            continue
        assert not rule_on(holder(Grant(role, "prod")), name).allowed
        assert not rule_on(holder(Grant(role, "prod")), name, "prod").allowed


def test_the_highest_of_several_roles_counts():
    actor = holder(Grant(Role.VIEWER), Grant(Role.OPERATOR, "prod"))
    assert rule_on(actor, "alias:flip", "prod").allowed
    assert not rule_on(actor, "alias:flip", "other").allowed
    assert rule_on(actor, "alias:read", "other").allowed


@pytest.mark.parametrize("name", NAMES)
def test_a_token_limited_to_an_alias_moves_nothing_else(name):
    actor = holder(Grant(Role.ADMIN), scope="full", aliases=frozenset({"prod"}))
    assert rule_on(actor, name, "prod").allowed is (name.startswith("alias:") or name in READS)
    assert rule_on(actor, name, "other").allowed is (name in READS - {"alias:read"})


@pytest.mark.parametrize("role", [None, *Role])
def test_a_token_never_may_more_than_its_person(role):
    grants = (Grant(role),) if role else ()
    for scope, name in itertools.product(SCOPED, NAMES):
        if rule_on(holder(*grants, scope=scope), name, "prod").allowed:
            assert rule_on(holder(*grants), name, "prod").allowed


@pytest.mark.parametrize("name", NAMES)
def test_the_machine_and_whoever_has_the_store_may_everything(name):
    assert rule_on(system("scheduler"), name, "prod").allowed
    assert rule_on(local("root"), name, "prod").allowed


def test_only_the_machine_counts_as_automatic():
    assert system("scheduler").is_automatic
    assert not local("root").is_automatic
    assert not holder(Grant(Role.ADMIN), scope="full").is_automatic


def test_a_refusal_is_the_ruling_in_words():
    with pytest.raises(NotPermitted, match=r"ann is viewer on prod; alias:flip needs operator"):
        insist(holder(Grant(Role.VIEWER)), "alias:flip", "prod")
    with pytest.raises(NotPermitted, match=r"token laptop has scope read, which does not include alias:flip"):
        insist(holder(Grant(Role.ADMIN), scope="read"), "alias:flip", "prod")


def test_permission_that_is_given_says_why_too():
    assert insist(holder(Grant(Role.ADMIN)), "alias:flip", "prod").because == (
        "ann is admin on prod; alias:flip needs operator"
    )


def test_those_who_may_are_named_so_that_one_can_ask_them():
    people = [
        ("ann", (Grant(Role.VIEWER),)),
        ("ben", (Grant(Role.OPERATOR, "prod"),)),
        ("cyd", (Grant(Role.OPERATOR, "other"), Grant(Role.VIEWER))),
        ("dot", (Grant(Role.ADMIN),)),
        ("eve", ()),
    ]
    assert who_may("alias:flip", people, "prod") == ("ben", "dot")
    assert who_may("access:write", people) == ("dot",)


def test_an_unknown_scope_is_refused_with_those_there_are():
    with pytest.raises(InvalidInput, match=r"no scope 'everything'. Scopes are full, read, rollback, operate"):
        scope_named("everything")
