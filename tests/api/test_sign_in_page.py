"""The sign-in page in a real browser: readable in both themes, on a phone, without a script and without a stranger."""

from collections.abc import Iterator
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import sync_playwright

from core.domain.events import Event
from core.domain.permissions import Role
from core.services import access
from core.store import audit_log
from tests.api.browsing import Browser
from tests.api.world import PASSWORD, ROOT

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]


@pytest.fixture
def chromium_running(chromium: str) -> Iterator[Chromium]:
    """A real browser."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def demo(pinrail, ann) -> None:
    """The demo's hint is shown, so that the page is as full as it gets."""
    access.add_person(pinrail.store, ROOT, "oncall", password=PASSWORD, role=Role.OPERATOR, now=pinrail.now())
    with pinrail.store.unit_of_work() as session:
        audit_log.append(session, Event("store.seeded", "store", "demo", "system", pinrail.now()))


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_accessible_fits_a_phone_and_asks_no_stranger(
    browser: Browser, chromium_running: Chromium, theme: Literal["light", "dark"]
):
    screen = chromium_running.new_context(color_scheme=theme, viewport={"width": 320, "height": 640})
    page, strangers, complaints = screen.new_page(), [], []
    page.on("request", lambda request: None if request.url.startswith(browser.url) else strangers.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))

    page.goto(f"{browser.url}/alias?name=prod-chat&do=rollback")

    assert page.evaluate("document.activeElement.id") == "name", "one can type at once"
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    small = "[...document.querySelectorAll('button, input:not([type=hidden])')].filter(e => e.offsetHeight < 44).length"
    assert page.evaluate(small) == 0
    assert (strangers, complaints) == ([], [])
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.usefixtures("demo")
def test_by_keyboard_alone_and_without_scripts_one_comes_back_to_the_deep_link(
    browser: Browser, chromium_running: Chromium
):
    page = chromium_running.new_context(java_script_enabled=False).new_page()
    page.goto(f"{browser.url}/alias?name=prod-chat&do=rollback")

    page.keyboard.type("ann")
    page.keyboard.press("Tab")
    page.keyboard.type("not this")
    page.keyboard.press("Enter")
    assert page.get_by_role("alert").inner_text() == "The name and password do not belong together."
    assert page.get_by_label("Name").input_value() == "ann"
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")

    page.wait_for_url(f"{browser.url}/alias?name=prod-chat&do=rollback")
    assert page.inner_text("body") == "page /alias"
