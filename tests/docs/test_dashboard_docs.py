"""The page on the dashboard is whole and true: its pages, states, banners, addresses and keys are the code's own."""

import re

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from app.api.app import PREFIX
from app.dashboard import outcomes, server
from app.dashboard.main import KEYS, PAGES
from app.dashboard.main import Page as DashboardPage
from app.dashboard.screens.overview import SHOWS
from app.dashboard.widgets import ATTENTION, STATES
from app.settings import Settings
from app.wiring import open_pinrail
from core.domain.permissions import Role
from core.store.attention import FALLING_BACK, LATE_AFTER
from core.store.read_models import ERRORS_DEGRADED, FORMAT_DEGRADED
from tests.docs.pages import Page

PAGE = Page("dashboard.md")


def first_cells(heading: str) -> list[str]:
    """What stands first in each row of the tables of a section, header lines included."""
    lines = [line for line in PAGE.section(heading).splitlines() if line.startswith("| ")]
    return [line.split(" | ")[0].strip("| `") for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_page_has_a_heading(page: DashboardPage):
    assert page.title in PAGE.headings


@pytest.mark.parametrize("look", STATES.values(), ids=STATES)
def test_every_state_is_explained(look):
    assert look.word in first_cells("Alias")


@pytest.mark.parametrize("look", ATTENTION.values(), ids=ATTENTION)
def test_every_card_of_the_overview_is_explained(look):
    assert look.word in first_cells("Overview")


def test_the_limits_on_the_page_are_those_of_the_code():
    states, cards = PAGE.section("Alias"), PAGE.section("Overview")
    assert f"at most {ERRORS_DEGRADED * 100:g} %" in states
    assert f"at least {FORMAT_DEGRADED * 100:g} %" in states
    assert f"within {LATE_AFTER.seconds} seconds" in cards
    assert f"more than {FALLING_BACK * 100:g} %" in cards
    assert f"after {outcomes.PATIENCE.seconds} seconds is named" in PAGE.section("What the banner says")


def test_every_banner_is_explained():
    told = PAGE.section("What the banner says")
    for title in (*outcomes.DONE.values(), *outcomes.DOING.values(), *outcomes.NOT_DONE.values()):
        assert title in told
    assert first_cells("What the banner says")[1:6] == list(outcomes.DONE.values())


def test_every_key_is_explained_as_the_menu_explains_it():
    assert {key: cells[0] for key, cells in PAGE.rows("Keyboard").items()} == dict(KEYS)


def test_every_filter_of_the_overview_is_named():
    told = PAGE.rows("Addresses")["/?show=Held"][0]
    assert re.findall(r"`([^`]+)`", told) == list(SHOWS)


def test_every_address_is_named(tmp_path):
    pinrail = open_pinrail(Settings.read(data_dir=tmp_path))
    try:
        routes = server.fronted(pinrail, Starlette()).routes
    finally:
        pinrail.store.close()
    paths = {route.path for route in routes if isinstance(route, Route | Mount)}
    named = {address.split("?")[0].replace("ALIAS", "{alias}") for address in PAGE.rows("Addresses")}
    pages = {"/" if page.default else f"/{page.path}" for page in PAGES}
    assert paths - {"/front/mark.svg", ""} <= named
    assert pages <= named
    assert named <= paths | pages | {PREFIX, "name", "do", "to", "incident"}


def test_every_parameter_of_the_alias_page_is_named():
    source = "\n".join(path.read_text() for path in server.HERE.rglob("alias.py"))
    read = set(re.findall(r'query_params(?:\.get\(|\[)"(\w+)"', source))
    assert read == {"name", "do", "to", "incident"}
    assert read <= set(PAGE.rows("Addresses"))


@pytest.mark.parametrize("role", Role)
def test_every_role_is_explained(role: Role):
    assert role.value in first_cells("Who may what")
