"""The one door: who acts is asked at the click, a press keeps its key, and every refusal is told apart."""

from datetime import UTC, datetime

import pytest
import streamlit as st

from app.dashboard import actions, session
from app.dashboard.actions import Press
from core.domain.permissions import Grant, Role
from core.errors import StoreUnreachable
from core.services import access, flips
from tests.dashboard.stage import ALIAS, GOOD, ROOT


@pytest.fixture
def page(full, monkeypatch):
    """A page of the alias, open in the browser of oncall."""
    monkeypatch.setattr(st, "session_state", {})
    secret = full.secret_of("oncall")
    monkeypatch.setattr(session, "secret", lambda: secret)
    return full


def rolling_back(press):
    return lambda v: flips.roll_back(
        v.store, v.actor, ALIAS, to=GOOD, seen_revision=press.seen_revision, idempotency_key=press.key, now=v.now
    )


def pressed(seen_revision=3):
    actions.open_dialog("roll back", ALIAS, seen_revision, version=GOOD)
    return actions.opened(ALIAS)


def attempt(press):
    return actions.attempt("roll back prod-math", press, rolling_back(press))


def test_a_second_click_has_no_second_effect_and_shows_the_same_outcome(page):
    press = pressed()
    first, second = attempt(press), attempt(press)
    assert page.newest().number == 4
    assert (first.moved.revision, first.moved.replayed) == (4, False)
    assert (second.moved.revision, second.moved.replayed) == (4, True)
    assert actions.last_outcome(ALIAS) == second


def test_the_press_is_kept_after_success_so_that_a_late_click_finds_its_key(page):
    press = pressed()
    attempt(press)
    assert actions.opened(ALIAS) is None
    assert st.session_state["press"] == press


def test_pressing_the_trigger_again_is_another_press(page):
    assert pressed().key != pressed().key


def test_a_button_without_a_dialog_keeps_its_press_while_the_page_shows_the_same_revision(page):
    assert actions.standing("hold", ALIAS, 3) is actions.standing("hold", ALIAS, 3)
    assert actions.standing("hold", ALIAS, 3).key != actions.standing("hold", ALIAS, 4).key
    assert actions.standing("hold", ALIAS, 3).key != actions.standing("release", ALIAS, 3).key


def test_a_session_that_was_revoked_while_the_dialog_was_open_changes_nothing(page):
    press = pressed()
    access.revoke_sessions(page.store, ROOT, "oncall", now=datetime.now(UTC))
    outcome = attempt(press)
    assert (outcome.moved, outcome.code) == (None, "not_signed_in")
    assert page.newest().number == 3


def test_a_role_that_was_taken_while_the_dialog_was_open_changes_nothing(page):
    press = pressed()
    access.ungrant(page.store, ROOT, "oncall", Grant(Role.OPERATOR), now=datetime.now(UTC))
    outcome = attempt(press)
    assert outcome.code == "not_permitted"
    assert page.newest().number == 3


def test_somebody_else_was_faster(page):
    press = pressed()
    flips.roll_back(page.store, page.actor("lee"), ALIAS, seen_revision=3, now=datetime.now(UTC))
    outcome = attempt(press)
    assert outcome.code == "stale_revision"
    assert "rolled back by lee" in outcome.message
    assert page.newest().number == 4


def test_a_protected_alias_refuses_a_flip_also_after_the_click(page):
    flips.protect(page.store, ROOT, ALIAS, protected=True, seen_revision=3, now=datetime.now(UTC))
    press = Press("flip", ALIAS, 4, version=GOOD)
    outcome = actions.attempt(
        "flip prod-math",
        press,
        lambda v: flips.flip(v.store, v.actor, ALIAS, GOOD, seen_revision=4, idempotency_key=press.key, now=v.now),
    )
    assert outcome.code == "alias_protected"
    assert page.newest().number == 4


def test_a_store_that_does_not_answer_is_told_in_our_words(page):
    def gone(_visit):
        raise StoreUnreachable("The store did not take this: connection lost. Nothing was changed.")

    outcome = actions.attempt("roll back prod-math", pressed(), gone)
    assert outcome.code == "store_unreachable"
    assert not actions.is_dialog_open()


def test_a_fault_that_nobody_foresaw_is_an_unknown_outcome_and_not_a_success(page, caplog):
    def broken(_visit):
        raise ZeroDivisionError

    outcome = actions.attempt("roll back prod-math", pressed(), broken)
    assert (outcome.code, outcome.moved) == ("unknown", None)
    assert "Could not roll back prod-math" in caplog.text


def test_an_outcome_is_shown_until_it_is_dismissed(page):
    attempt(pressed())
    assert actions.last_outcome("another-alias") is None
    actions.dismiss(ALIAS)
    assert actions.last_outcome(ALIAS) is None
