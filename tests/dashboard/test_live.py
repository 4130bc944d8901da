"""Figures keep themselves fresh, and say how old they are when they cannot."""

from datetime import UTC, datetime, timedelta

import pytest
import streamlit as st

from app.dashboard import live
from app.dashboard.session import Visit
from app.settings import Settings
from app.wiring import Pinrail, SystemClock
from core.domain.permissions import local
from core.errors import StoreUnreachable
from core.services import flips
from core.store import read_models
from tests.dashboard.stage import ALIAS, ROOT


@pytest.fixture
def asked(full, monkeypatch):
    """Reads the alias's revision number, counting how often the store is really asked."""
    monkeypatch.setattr(st, "session_state", {})
    times = []

    def number(visit):
        times.append(visit.now)
        return full.newest().number

    pinrail = Pinrail(Settings(), full.store, SystemClock())

    def read(now=None, **given):
        visit = Visit(pinrail, local("tests"), now or datetime.now(UTC))
        return live.read("number", visit, number, **given)

    return full, read, times


def test_nothing_is_read_again_while_the_pulse_is_the_same(asked):
    _full, read, times = asked
    assert read().value == read().value == 3
    assert len(times) == 1


def test_a_change_is_seen_at_the_next_look(asked):
    full, read, times = asked
    read()
    flips.hold(full.store, ROOT, ALIAS, seen_revision=3, now=datetime.now(UTC))
    assert read().value == 4
    assert len(times) == 2


def test_figures_of_the_last_minutes_age_even_without_a_change(asked):
    _full, read, times = asked
    now = datetime.now(UTC)
    read(now)
    read(now + timedelta(seconds=31))
    assert len(times) == 2


def test_a_silent_store_leaves_the_last_figures_with_their_age(asked, monkeypatch):
    _full, read, _times = asked
    now = datetime.now(UTC)
    read(now)

    def silent(_store, **_given):
        raise StoreUnreachable("The store did not answer.")

    monkeypatch.setattr(read_models, "pulse", silent)
    seen = read(now + timedelta(minutes=2))
    assert seen.value == 3
    assert seen.stale == "Data is 2 min old. The store did not answer."


def test_a_silent_store_that_never_answered_is_a_fault(asked, monkeypatch):
    _full, read, _times = asked

    def silent(_store, **_given):
        raise StoreUnreachable("The store did not answer.")

    monkeypatch.setattr(read_models, "pulse", silent)
    with pytest.raises(StoreUnreachable):
        read()
