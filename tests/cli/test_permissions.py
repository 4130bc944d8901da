"""The command line on the store obeys the one permission table: every action, role, scope and limit of a token."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from app.api import shapes
from app.cli.local_door import LocalDoor
from app.settings import Settings
from app.wiring import Pinrail
from core.domain.permissions import ACTIONS, SCOPES, Grant, Role, rule_on
from core.errors import NotPermitted, PinrailError
from core.services import access, reading
from tests.cli.desk import ROOT, alias_of, desk_on, furnished, token_of

MINE, OTHER = "mine", "other"
Attempt = Callable[[LocalDoor, str, int], object]
"""Tries an action on an alias whose newest revision is known; a number makes new names new."""


def move(verb: str, body: type[shapes.Write] = shapes.Write, **more: Any) -> Attempt:
    def attempt(door: LocalDoor, alias: str, number: int) -> object:
        newest = reading.alias(door.pinrail.store, ROOT, alias).number
        return door.move(verb, alias, body(seen_revision=newest, **more), key=f"key-{number}")  # type: ignore[arg-type]

    return attempt


ATTEMPTS: dict[str, Attempt] = {
    "alias:read": lambda door, alias, _n: door.alias(alias),
    "alias:create": lambda door, alias, n: door.create_alias(
        shapes.CreateAlias(alias=alias, version="a"), key=f"key-{n}"
    ),
    "alias:describe": move("describe", shapes.DescribeAlias, description="in other words"),
    "alias:flip": move("flip", shapes.FlipAlias, version="c"),
    "alias:roll_back": move("rollback", shapes.RollBackAlias),
    "alias:hold": move("hold"),
    "alias:protect": move("protect", shapes.ProtectAlias, protected=False),
    "alias:retire": move("retire"),
    "registry:read": lambda door, _alias, _n: door.versions(),
    "registry:write": lambda door, _alias, n: door.register_prompt(shapes.RegisterPrompt(name=f"p-{n}", text="Kind.")),
    "provider:write": lambda door, _alias, n: door.register_provider(
        shapes.RegisterProvider(name=f"p-{n}", kind="recorded", base_url="http://127.0.0.1:9/v1")
    ),
    "audit:read": lambda door, _alias, _n: door.audit_head(),
    "access:read": lambda door, _alias, _n: door.people(),
    "access:write": lambda door, _alias, n: door.create_caller(shapes.CreateCallerKey(caller=f"c-{n}"), key=f"key-{n}"),
    "token:own": lambda door, _alias, n: door.create_token(
        shapes.CreateToken(name=f"t-{n}", scope=door.actor.scope.name if door.actor.scope else "read"), key=f"key-{n}"
    ),
}
NO_COMMAND = {"store:prune"}
"""Only the scheduler does it."""

PER_ALIAS = {action.name for action in ACTIONS if action.per_alias}
HELD = [(None, None), *((role, None) for role in Role), *((role, MINE) for role in Role)]


def test_every_action_has_a_command_or_is_known_to_have_none():
    assert set(ATTEMPTS) | NO_COMMAND == {action.name for action in ACTIONS}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pinrail]:
    folder = tmp_path_factory.mktemp("house")
    opened = furnished(Settings(database_url=f"sqlite:///{folder / 'pinrail.db'}", data_dir=folder, minimum_dwell_s=0))
    for name in (MINE, OTHER):
        alias_of(opened, name, "a", "b")
    yield opened
    opened.store.close()


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.mark.parametrize("scope", [scope.name for scope in SCOPES])
@pytest.mark.parametrize("held", HELD, ids=lambda held: f"{held[0] or 'nobody'}{' on one alias' if held[1] else ''}")
def test_a_token_may_do_exactly_what_the_table_says(
    house: Pinrail, numbers: Iterator[int], held: tuple[Role | None, str | None], scope: str
):
    role, place = held
    for only in (None, (MINE,), (OTHER,)):
        person = f"person-{next(numbers)}"
        secret = token_of(house, person, role=role if place is None else None, scope=scope, aliases=only)
        if role is not None and place is not None:
            access.grant(house.store, ROOT, person, Grant(role, place), now=house.now())
        actor = access.actor_for_token(house.store, secret, now=house.now())
        door = LocalDoor(house, actor)
        for action, alias in itertools.product(ATTEMPTS, (MINE, OTHER)):
            ruling = rule_on(actor, action, alias if action in PER_ALIAS else None)
            refused, why = _refused(ATTEMPTS[action], door, alias, next(numbers))
            assert refused is not ruling.allowed, f"{action} on {alias} with {only}: {ruling.because}"
            if refused:
                assert ruling.because in why


def _refused(attempt: Attempt, door: LocalDoor, alias: str, number: int) -> tuple[bool, str]:
    """Was it refused for want of permission? Any other refusal comes after the ruling, so it was allowed."""
    try:
        attempt(door, alias, number)
    except NotPermitted as refusal:
        return True, str(refusal)
    except PinrailError as other:
        return False, str(other)
    return False, ""


def test_who_may_not_is_told_why_and_leaves_no_trace_but_the_refusal(pinrail: Pinrail):
    alias_of(pinrail, "chat", "a")
    desk = desk_on(pinrail, token_of(pinrail, "vera", role=Role.VIEWER))
    said = desk("alias", "flip", "chat", "b", "--reason", "because")
    assert (said.code, said.out) == (5, "")
    assert said.err == "pinrail: Not permitted: vera is viewer on chat; alias:flip needs operator.\n"
    assert reading.alias(pinrail.store, ROOT, "chat").number == 1
    newest = reading.audit(pinrail.store, ROOT, limit=1)[0].event
    assert (newest.kind, newest.outcome, newest.actor, newest.via) == ("alias.flipped", "refused", "vera", "of-vera")


def test_without_a_token_the_store_is_root_under_the_name_of_the_os_user(
    lite: Pinrail, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LOGNAME", "mallory")
    alias_of(lite, "chat", "a")
    desk = desk_on(lite)
    assert "local:mallory" in desk.done("alias", "flip", "chat", "b", "--wait", "0")
    newest = reading.audit(lite.store, ROOT, limit=1)[0].event
    assert (newest.actor, newest.actor_kind) == ("local:mallory", "local")


def test_a_token_narrows_root_and_a_rollback_token_can_still_roll_back(lite: Pinrail):
    alias_of(lite, "chat", "a", "b")
    desk = desk_on(lite, token_of(lite, "olaf", role=Role.OPERATOR, scope="rollback"))
    refused = desk("alias", "flip", "chat", "c")
    assert refused.code == 5
    assert "scope rollback" in refused.err
    assert "Rolled back chat from b to a" in desk.done("rollback", "chat", "--wait", "0")


@pytest.mark.parametrize("token", ["pr_00000000_nonsense", "nonsense", "ünïcode"])
def test_a_token_that_is_not_known_opens_nothing(lite: Pinrail, token: str):
    said = desk_on(lite, token)("alias", "list")
    assert (said.code, said.out) == (5, "")
    assert said.err == "pinrail: This API token is not known.\n"


def test_a_ruling_can_be_asked_for_without_trying(lite: Pinrail):
    alias_of(lite, "chat", "a")
    desk = desk_on(lite, token_of(lite, "vera", role=Role.VIEWER))
    no = desk("whoami", "--can", "alias:flip", "--alias", "chat")
    assert (no.code, no.out) == (5, "No: vera is viewer on chat; alias:flip needs operator.\n")
    assert desk.done("whoami", "--can", "alias:read", "--alias", "chat").startswith("Yes: ")


def test_an_actor_without_a_scope_is_bound_by_its_roles_alone(lite: Pinrail):
    secret = token_of(lite, "ada", role=Role.ADMIN)
    actor = replace(access.actor_for_token(lite.store, secret, now=lite.now()), scope=None)
    assert LocalDoor(lite, actor).ruling("access:write", None).allowed
