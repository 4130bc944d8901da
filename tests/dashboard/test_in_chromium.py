"""The pages as people use them: a real dashboard process, a real browser, clicks that come twice and too late."""

import contextlib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app.dashboard.front.signing import COOKIE
from core.domain.permissions import Grant, Role
from core.services import access, flips
from tests import parts
from tests.dashboard import stage as stages
from tests.dashboard.stage import ALIAS, BAD, GOOD, ROOT, Stage, gateways, story, traffic

pytestmark = [pytest.mark.browser, pytest.mark.slow]

expect.set_options(timeout=20_000)  # a busy machine is slow, and these tests time nothing

DESKTOP, PHONE, NARROW = (1366, 900), (390, 844), (320, 640)
AXE = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}}


@dataclass(frozen=True)
class House:
    """A running dashboard, the store behind it, and a browser."""

    url: str
    stage: Stage
    browser: Browser

    @contextlib.contextmanager
    def tab(self, person: str, path: str, *, size: tuple[int, int] = DESKTOP, scheme: str = "light") -> Iterator[Page]:
        """A browser of its own in which ``person`` is signed in and opens ``path``."""
        narrow = size[0] < 500
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if scheme == "dark" else "light",
            has_touch=narrow,
            is_mobile=narrow,
        )
        cookie = {"name": COOKIE, "value": self.stage.secret_of(person), "url": self.url}
        context.add_cookies([cookie])  # type: ignore[list-item]
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.goto(self.url + path)
        try:
            yield page
        finally:
            context.close()


@pytest.fixture(scope="module")
def house(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One dashboard for all tests here; each uses an alias of its own."""
    folder: Path = tmp_path_factory.mktemp("house")
    url = f"sqlite:///{folder / 'pinrail.db'}"
    stage = stages.full(url)
    with (
        gateways(stage.store, "gateway-1", "gateway-2", "gateway-3"),
        parts.dashboard(url, folder) as dashboard,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            yield House(dashboard.url, stage, browser)
        finally:
            browser.close()
    stage.store.close()


def trigger(page: Page):
    return page.get_by_role("button", name="Roll back to")


def confirm(page: Page):
    return page.get_by_role("dialog").get_by_role("button", name="Roll back now")


def banner(page: Page, text: str):
    return page.get_by_role("status").or_(page.get_by_role("alert")).filter(has_text=text).first


# -- the frame --------------------------------------------------------------------------------------


def test_the_first_visitor_after_a_start_sees_the_whole_frame(house: House):
    # Must stay the first test: what Streamlit shows before any page was drawn is what this is about.
    with house.tab("oncall", f"/alias?name={ALIAS}") as page:
        expect(page.get_by_role("heading", name=ALIAS)).to_be_visible()
        expect(page.get_by_text("Signed in as oncall")).to_be_visible()
        expect(page.locator(".pr-badge").first).to_have_css("border-radius", "6px")
        expect(page.get_by_test_id("stSidebarNavItems")).to_have_count(0)
        assert page.title() == f"{ALIAS} · Pinrail"


def test_no_page_asks_anybody_but_the_dashboard_for_anything(house: House):
    asked: list[str] = []
    with house.tab("oncall", "/") as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{house.url}/alias?name={ALIAS}&do=rollback")
        expect(confirm(page)).to_be_visible()
    assert [url for url in asked if not url.startswith((house.url, "data:", "blob:"))] == []


# -- rolling back -----------------------------------------------------------------------------------


def test_a_deep_link_leads_to_the_rollback_in_two_clicks_and_every_gateway_confirms(house: House):
    alias = story(house.stage, "two-clicks")
    with house.tab("oncall", f"/alias?name={alias}") as page:
        trigger(page).click()
        confirm(page).click()
        expect(banner(page, f"Rolled back. 3 of 3 gateways serve {GOOD} (revision 4")).to_be_visible()
        expect(page.get_by_role("button", name="Release hold").first).to_be_visible()
        expect(page.get_by_role("button", name=f"Undo: return to {BAD}")).to_be_visible()
        first = page.locator("[data-testid=stMain] [data-testid=stAlert], [data-testid=stMain] h1").first
        assert "Rolled back." in first.inner_text()
    assert (house.stage.newest(alias).stable, house.stage.newest(alias).by) == (GOOD, "oncall")


def test_a_link_that_opens_the_dialog_needs_one_click_and_brings_the_incident_as_reason(house: House):
    alias = story(house.stage, "one-click")
    with house.tab("oncall", f"/alias?name={alias}&do=rollback&incident=INC-4821") as page:
        confirm(page).click()
        expect(banner(page, "Rolled back.")).to_be_visible()
        assert "do=" not in page.url
    assert house.stage.newest(alias).reason == "INC-4821"


def test_the_keyboard_alone_is_enough_even_from_within_the_reason(house: House):
    alias = story(house.stage, "by-keyboard")
    with house.tab("oncall", f"/alias?name={alias}") as page:
        expect(trigger(page)).to_be_visible()
        page.keyboard.press("Shift+B")
        expect(confirm(page)).to_be_visible()
        page.get_by_label("Reason (optional)").press_sequentially("typed, not committed")
        page.keyboard.press("Control+Enter")
        expect(banner(page, "Rolled back.")).to_be_visible()
    assert house.stage.newest(alias).reason == "typed, not committed"


@pytest.mark.parametrize("gap_ms", [0, 60, 150, 400, 700])
def test_a_second_click_however_late_has_no_effect_and_breaks_nothing(house: House, gap_ms: int):
    alias = story(house.stage, f"twice-{gap_ms}")
    with house.tab("oncall", f"/alias?name={alias}&do=rollback") as page:
        expect(confirm(page)).to_be_enabled()
        box = confirm(page).bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.click(x, y)
        page.wait_for_timeout(gap_ms)
        page.mouse.click(x, y)
        expect(banner(page, "Rolled back.")).to_be_visible()
        page.wait_for_timeout(600)
        expect(page.get_by_test_id("stException")).to_have_count(0)
    assert house.stage.newest(alias).number == 4


def test_two_clicks_on_hold_hold_once(house: House):
    alias = story(house.stage, "held-once")
    with house.tab("oncall", f"/alias?name={alias}") as page:
        page.get_by_role("button", name="More actions").click()
        page.get_by_role("button", name=f"Hold {alias}").dblclick()
        expect(banner(page, "Held.")).to_be_visible()
        page.wait_for_timeout(600)
    assert [row.cause for row in house.stage.revisions(alias)][3:] == ["held"]


def test_of_two_tabs_one_wins_and_the_other_is_told_who_did(house: House):
    alias = story(house.stage, "two-tabs")
    link = f"/alias?name={alias}&do=rollback"
    with house.tab("oncall", link) as mine, house.tab("lee", link) as theirs:
        expect(confirm(mine)).to_be_visible()
        confirm(theirs).click()
        expect(banner(theirs, "Rolled back.")).to_be_visible()
        mine.wait_for_timeout(5_000)  # the figures refresh meanwhile, and must not close the dialog
        confirm(mine).click()
        expect(banner(mine, f"Nothing changed: {alias} was rolled back by lee")).to_be_visible()
    assert house.stage.newest(alias).number == 4


def test_undo_brings_the_version_back_in_two_clicks(house: House):
    alias = story(house.stage, "undone")
    with house.tab("oncall", f"/alias?name={alias}&do=rollback") as page:
        confirm(page).click()
        page.get_by_role("button", name=f"Undo: return to {BAD}").click()
        page.get_by_role("dialog").get_by_role("button", name="Undo now").click()
        expect(banner(page, f"Undone. 3 of 3 gateways serve {BAD}")).to_be_visible()
    assert (house.stage.newest(alias).cause, house.stage.newest(alias).stable) == ("undone", BAD)


def test_a_flip_asks_for_a_reason_before_it_does_anything(house: House):
    alias = story(house.stage, "flipped")
    with house.tab("oncall", f"/alias?name={alias}&do=flip") as page:
        page.get_by_role("combobox", name="Flip to").click()
        page.get_by_role("option", name=GOOD).click()
        go = page.get_by_role("dialog").get_by_role("button", name="Flip now")
        go.click()
        expect(page.get_by_text("Write a reason")).to_be_visible()
        assert house.stage.newest(alias).number == 3
        page.get_by_label("Reason (required)").fill("it adds up")
        go.click()
        expect(banner(page, f"Flipped. 3 of 3 gateways serve {GOOD}")).to_be_visible()
    assert house.stage.newest(alias).reason == "it adds up"


def test_a_gateway_that_stays_behind_is_named_after_15_seconds(house: House):
    alias = story(house.stage, "left-behind")
    with (
        gateways(house.stage.store, "gateway-9", deaf=("gateway-9",)),
        house.tab("oncall", f"/alias?name={alias}&do=rollback") as page,
    ):
        confirm(page).click()
        expect(banner(page, "Rolling back…")).to_be_visible()
        expect(banner(page, "3 of 4 gateways")).to_be_visible()
        expect(banner(page, "Not confirmed yet: gateway-9")).to_be_visible(timeout=25_000)
    assert house.stage.newest(alias).stable == GOOD


# -- what must not happen by itself -----------------------------------------------------------------


def test_opening_reloading_or_fetching_a_link_moves_nothing(house: House):
    alias = story(house.stage, "only-looked-at")
    with house.tab("oncall", f"/alias?name={alias}&do=rollback") as page:
        expect(confirm(page)).to_be_visible()
        page.reload()
        expect(trigger(page)).to_be_visible()
        page.wait_for_timeout(1_000)
        expect(page.get_by_role("dialog")).to_have_count(0)
        preview = {"user-agent": "LinkPreview", "cookie": f"{COOKIE}={house.stage.secret_of('oncall')}"}
        link = urllib.request.Request(f"{house.url}/alias?name={alias}&do=rollback", headers=preview)
        with urllib.request.urlopen(link) as answer:
            assert answer.status == 200
    assert house.stage.newest(alias).number == 3


def test_refreshing_figures_leave_the_dialog_the_typed_text_and_the_focus_alone(house: House):
    alias, other = story(house.stage, "undisturbed"), story(house.stage, "noise")
    with house.tab("oncall", f"/alias?name={alias}&do=rollback") as page:
        reason = page.get_by_label("Reason (optional)")
        reason.press_sequentially("half a sen")
        flips.roll_back(house.stage.store, ROOT, other, seen_revision=3, now=datetime.now(UTC))
        flips.hold(house.stage.store, ROOT, alias, seen_revision=3, now=datetime.now(UTC))
        page.wait_for_timeout(9_000)
        expect(reason).to_be_focused()
        page.keyboard.type("tence")
        expect(reason).to_have_value("half a sentence")
        confirm(page).click()
        expect(banner(page, "Rolled back.")).to_be_visible()
    assert house.stage.newest(alias).reason == "half a sentence"


def test_what_somebody_else_did_appears_without_a_reload(house: House):
    alias = story(house.stage, "watched")
    with house.tab("oncall", f"/alias?name={alias}") as page:
        expect(page.get_by_role("button", name=f"Roll back to {GOOD}")).to_be_visible()
        flips.roll_back(house.stage.store, house.stage.actor("lee"), alias, seen_revision=3, now=datetime.now(UTC))
        expect(page.get_by_text("rolled back by lee").first).to_be_visible()
        expect(page.get_by_role("button", name=f"Roll back to {stages.OLD}")).to_be_visible()


def test_a_session_that_ends_while_the_dialog_is_open_moves_nothing_and_keeps_the_way_back(house: House):
    alias = story(house.stage, "signed-out")
    access.add_person(house.stage.store, ROOT, "kim", password=stages.PASSWORD, now=datetime.now(UTC))
    access.grant(house.stage.store, ROOT, "kim", Grant(Role.OPERATOR), now=datetime.now(UTC))
    with house.tab("kim", f"/alias?name={alias}&do=rollback") as page:
        expect(confirm(page)).to_be_visible()
        access.revoke_sessions(house.stage.store, ROOT, "kim", now=datetime.now(UTC))
        confirm(page).click()
        way_back = page.get_by_role("link", name="Sign in").first
        expect(way_back).to_be_visible()
        back_to = parse_qs(urlsplit(way_back.get_attribute("href") or "").query)["next"][0]
        assert parse_qs(urlsplit(back_to).query) == {"name": [alias], "do": ["rollback"]}
    assert house.stage.newest(alias).number == 3


# -- for everybody ----------------------------------------------------------------------------------


def test_the_button_is_on_the_first_screen_of_a_phone_and_large_enough_for_a_thumb(house: House):
    with house.tab("oncall", f"/alias?name={ALIAS}", size=PHONE) as page:
        box = trigger(page).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < PHONE[1]
        assert box["height"] >= 48


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_slip_on_the_button_never_hits_the_confirmation(house: House, size):
    with house.tab("oncall", f"/alias?name={ALIAS}", size=size) as page:
        one = trigger(page).bounding_box()
        trigger(page).click()
        expect(confirm(page)).to_be_visible()
        page.wait_for_timeout(700)  # until the dialog stands still
        other = confirm(page).bounding_box()
        assert one is not None
        assert other is not None
        assert other["height"] >= 48
        apart = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        assert apart or beside
        assert other["y"] + other["height"] <= size[1]


SCREENS = {
    "overview": ("oncall", "/", "Overview"),
    "alias": ("oncall", f"/alias?name={ALIAS}", ALIAS),
    "viewer": ("viewer", f"/alias?name={ALIAS}", ALIAS),
    "rollback": ("oncall", f"/alias?name={ALIAS}&do=rollback", f"Roll back {ALIAS}?"),
    "flip": ("oncall", f"/alias?name={ALIAS}&do=flip", f"Flip {ALIAS}?"),
    "nowhere": ("oncall", "/alias?name=prod-mth", "There is no alias ‘prod-mth’"),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE, NARROW], ids=["desktop", "phone", "narrow"])
def test_no_screen_breaks_a_rule_of_accessibility_or_scrolls_sideways(house: House, size, scheme):
    traffic(house.stage, BAD, minutes_ago=1, requests=200, errors=40)
    for name, (person, path, heading) in SCREENS.items():
        with house.tab(person, path, size=size, scheme=scheme) as page:
            expect(page.get_by_role("heading", name=heading, exact=True).first).to_be_visible()
            page.wait_for_timeout(800)  # what fades in has no contrast yet
            found = Axe().run(page, options=AXE).response["violations"]
            assert [(v["id"], v["nodes"][0]["html"]) for v in found] == [], name
            wider = page.evaluate(
                "[document.documentElement,"
                " ...document.querySelectorAll('[data-testid=stMain], [data-testid=stDialog]')]"
                ".map(e => e.scrollWidth - e.clientWidth)"
            )
            assert max(wider) <= 0, name
