"""The records pages in a real browser: for everybody to read, kept in the address, written to once by two clicks."""

import csv
import io
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from core.domain.permissions import Grant, Role
from core.services import access, flips, registry
from tests.dashboard import stage as stages
from tests.dashboard import test_in_chromium
from tests.dashboard.stage import ALIAS, BAD, OLD, ROOT, story
from tests.dashboard.test_in_chromium import AXE, DESKTOP, NARROW, PHONE, House

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SECOND_CLICK = """
[...document.querySelectorAll('[role=dialog] button')].find(b => b.innerText.includes('Create the'))?.click()
"""

house = test_in_chromium.house
"""One dashboard for all tests here."""


def opened(page: Page, button: str):
    page.get_by_role("button", name=button).first.click()
    return page.get_by_role("dialog")


def banner(page: Page, text: str):
    return page.get_by_role("status").or_(page.get_by_role("alert")).filter(has_text=text).first


# -- writing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap_ms", [0, 60, 400])
def test_two_clicks_make_one_token_whose_secret_is_shown_once(house: House, gap_ms: int):
    name = f"laptop-{gap_ms}"
    with house.tab("oncall", "/access?part=Tokens") as page:
        dialog = opened(page, "Create a token…")
        dialog.get_by_label("Name").fill(name)
        go = dialog.get_by_role("button", name="Create the token")
        go.click()
        page.wait_for_timeout(gap_ms)
        page.evaluate(SECOND_CLICK)  # if the button still stands there
        expect(page.get_by_text("Copy it now")).to_be_visible()
        secret = page.locator("code").filter(has_text="pr_").first.inner_text()
        assert access.actor_for_token(house.stage.store, secret, now=datetime.now(UTC)).name == "oncall"
        page.reload()
        expect(page.get_by_role("heading", name="Access")).to_be_visible()
        expect(page.get_by_text(secret)).to_have_count(0)
    made = [token for token in access.tokens(house.stage.store, house.stage.actor("oncall")) if token.name == name]
    assert len(made) == 1


def test_the_keyboard_alone_puts_an_issue_on_record_and_the_outcome_is_in_sight(house: House):
    with house.tab("oncall", f"/versions?v={OLD}") as page:
        dialog = opened(page, "Add a known issue…")
        dialog.get_by_label("What is wrong with it?").click()
        page.keyboard.type("It rounds down.")
        page.keyboard.press("Control+Enter")
        said = banner(page, "is on the record")
        expect(said).to_be_visible()
        box = said.bounding_box()
        assert box is not None
        assert 0 <= box["y"] < DESKTOP[1], "whoever acted further down the page sees it"
    assert [issue.text for issue in registry.issues(house.stage.store, ROOT, OLD)] == ["It rounds down."]


def test_a_session_that_ends_while_a_dialog_is_open_writes_nothing(house: House):
    access.add_person(house.stage.store, ROOT, "kay", password=stages.PASSWORD, now=datetime.now(UTC))
    access.grant(house.stage.store, ROOT, "kay", Grant(Role.OPERATOR), now=datetime.now(UTC))
    with house.tab("kay", f"/versions?v={BAD}") as page:
        dialog = opened(page, "Edit the notes…")
        dialog.get_by_label("Notes").fill("never kept")
        access.revoke_sessions(house.stage.store, ROOT, "kay", now=datetime.now(UTC))
        dialog.get_by_role("button", name="Save the notes").click()
        way_back = page.get_by_role("link", name="Sign in").first
        expect(way_back).to_be_visible()
        assert BAD in (way_back.get_attribute("href") or "")
    assert registry.version(house.stage.store, ROOT, BAD).notes == ""


# -- reading ----------------------------------------------------------------------------------------


def test_a_filter_that_is_typed_is_kept_in_the_address_and_survives_a_reload(house: House):
    with house.tab("viewer", "/audit") as page:
        page.get_by_label("Alias", exact=True).fill(ALIAS)
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(rf"[?&]alias={ALIAS}"))
        expect(page.get_by_text("alias.created")).to_have_count(1)
        page.reload()
        expect(page.get_by_label("Alias", exact=True)).to_have_value(ALIAS)
        expect(page.get_by_text("alias.created")).to_have_count(1)
        expect(page.get_by_text("person.added")).to_have_count(0)


def test_the_export_is_a_file_with_what_the_page_shows(house: House):
    with house.tab("viewer", f"/audit?alias={ALIAS}") as page:
        with page.expect_download() as begun:
            page.get_by_role("link", name="CSV").click()
        path = begun.value.path()
        found = list(csv.DictReader(io.StringIO(Path(path).read_text(encoding="utf-8-sig"))))
    assert begun.value.suggested_filename.endswith(".csv")
    assert {row["subject"] for row in found} == {f"alias:{ALIAS}"}


def test_a_comparison_can_be_chosen_and_sent_as_a_link(house: House):
    with house.tab("viewer", f"/versions?v={BAD}") as page:
        page.get_by_role("combobox", name="Compare with").click()
        page.get_by_role("option", name=OLD).click()
        expect(page.get_by_role("heading", name="What differs")).to_be_visible()
        expect(page).to_have_url(re.compile(rf"diff={OLD}"))
        expect(page.locator(".pr-diff del").first).to_have_css("text-decoration-line", "line-through")


def test_a_new_revision_appears_on_the_gateways_page_without_a_reload(house: House):
    alias = story(house.stage, "watched-by-gateways")
    with house.tab("viewer", "/gateways") as page:
        expect(page.get_by_text("Current").first).to_be_visible()
        flips.hold(house.stage.store, ROOT, alias, seen_revision=3, now=datetime.now(UTC))
        row = page.get_by_role("row").filter(has_text=alias).filter(has_text="revision 4")
        expect(row).to_contain_text("3 of 3 gateways")


# -- for everybody ----------------------------------------------------------------------------------

SCREENS = {
    "versions": ("viewer", "/versions", "Versions", None),
    "version": ("oncall", f"/versions?v={BAD}&diff={OLD}", BAD, None),
    "no such version": ("viewer", "/versions?v=math-2026", "There is no version ‘math-2026’", None),
    "issue": ("oncall", f"/versions?v={BAD}", BAD, "Add a known issue…"),
    "audit": ("viewer", f"/audit?alias={ALIAS}&served={ALIAS}", "Audit", None),
    "gateways": ("viewer", "/gateways", "Gateways", None),
    "people": ("admin", "/access?person=lee", "Access", None),
    "token": ("admin", "/access?part=Tokens", "Access", "Create a token…"),
    "keys": ("viewer", "/access?part=Caller+keys", "Access", None),
    "roles": ("viewer", "/access?part=Roles", "Access", None),
    "can i": ("viewer", "/access?part=Can+I%E2%80%A6%3F", "Access", None),
    "settings": ("viewer", "/settings", "Settings", None),
}


@pytest.mark.parametrize(
    ("size", "scheme"),
    [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark"), (NARROW, "light")],
    ids=["desktop-light", "desktop-dark", "phone-light", "phone-dark", "narrow-light"],
)
def test_no_records_page_breaks_a_rule_of_accessibility_or_scrolls_sideways(house: House, size, scheme):
    for name, (person, path, heading, dialog) in SCREENS.items():
        with house.tab(person, path, size=size, scheme=scheme) as page:
            expect(page.get_by_role("heading", name=heading, exact=True).first).to_be_visible()
            if dialog is not None:
                expect(opened(page, dialog)).to_be_visible()
            page.wait_for_timeout(800)  # what fades in has no contrast yet
            found = Axe().run(page, options=AXE).response["violations"]
            assert [(v["id"], v["nodes"][0]["html"]) for v in found] == [], name
            wider = page.evaluate(
                "[document.documentElement,"
                " ...document.querySelectorAll('[data-testid=stMain], [data-testid=stDialog]')]"
                ".map(e => e.scrollWidth - e.clientWidth)"
            )
            assert max(wider) <= 0, name
