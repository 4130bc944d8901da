"""The page is a door like any other: whoever stands before it, a click does what the permission table says."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest
import streamlit as st

from app.dashboard import actions, session
from app.dashboard.actions import Press, Work
from core.domain.permissions import Grant, Role, rule_on
from core.services import access, flips
from tests.dashboard.stage import ALIAS, GOOD, PASSWORD, ROOT, Stage

PEOPLE: Mapping[str, tuple[Grant, ...]] = {
    "nothing": (),
    **{f"{role} everywhere": (Grant(role),) for role in Role},
    **{f"{role} here": (Grant(role, ALIAS),) for role in Role},
    **{f"{role} elsewhere": (Grant(role, "other"),) for role in Role},
}

PRESSES: Mapping[str, tuple[str, Callable[[Press], Work]]] = {
    "roll back": (
        "alias:roll_back",
        lambda p: lambda v: flips.roll_back(v.store, v.actor, ALIAS, seen_revision=3, idempotency_key=p.key, now=v.now),
    ),
    "flip": (
        "alias:flip",
        lambda p: lambda v: flips.flip(v.store, v.actor, ALIAS, GOOD, seen_revision=3, reason="r", now=v.now),
    ),
    "undo": (
        "alias:roll_back",
        lambda p: lambda v: flips.undo(v.store, v.actor, ALIAS, 3, seen_revision=3, now=v.now),
    ),
    "hold": ("alias:hold", lambda p: lambda v: flips.hold(v.store, v.actor, ALIAS, seen_revision=3, now=v.now)),
}


@pytest.mark.parametrize("holds", PEOPLE)
@pytest.mark.parametrize("kind", PRESSES)
def test_a_click_does_what_the_permission_table_says(
    full: Stage, monkeypatch: pytest.MonkeyPatch, kind: str, holds: str
):
    now = datetime.now(UTC)
    flips.create(full.store, ROOT, "other", GOOD, now=now)
    access.add_person(full.store, ROOT, "somebody", password=PASSWORD, now=now)
    for grant in PEOPLE[holds]:
        access.grant(full.store, ROOT, "somebody", grant, now=now)
    secret = full.secret_of("somebody")
    monkeypatch.setattr(st, "session_state", {})
    monkeypatch.setattr(session, "secret", lambda: secret)
    action, work = PRESSES[kind]
    allowed = rule_on(full.actor("somebody"), action, ALIAS).allowed
    press = Press(kind, ALIAS, 3)

    outcome = actions.attempt(f"{kind} {ALIAS}", press, work(press))

    assert (outcome.moved is not None) == allowed, outcome.message
    assert full.newest().number == (4 if allowed else 3)
    if not allowed:
        assert outcome.code == "not_permitted"
        assert action in outcome.message or "alias:read" in outcome.message
