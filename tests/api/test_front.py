"""Signing in and out before the dashboard: the way back, the cookie, the demo, a store that is gone."""

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from app.dashboard.front.origins import safe_next
from app.dashboard.front.signing import COOKIE, DEMO_PEOPLE
from app.dashboard.server import fronted, refuse_public_demo
from app.settings import Settings
from app.wiring import Pinrail
from core.domain.events import Event
from core.domain.permissions import Role
from core.errors import CannotStart, StoreUnreachable
from core.services import access
from core.store import audit_log
from core.store.database import Store
from tests.api.browsing import Browser, pages, text_of
from tests.api.world import PASSWORD, ROOT, served

DEEP_LINK = "/alias?name=prod-chat&do=rollback&incident=INC-4821"


def seed(store: Store, pinrail: Pinrail) -> None:
    with store.unit_of_work() as session:
        audit_log.append(session, Event("store.seeded", "store", "demo", "system", pinrail.now()))


# -- the way back ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("ann")
def test_a_deep_link_leads_through_sign_in_and_back_to_itself(browser: Browser):
    turned_away = browser.open(DEEP_LINK)
    assert turned_away.status_code == 303
    form_at = turned_away.headers["location"]
    assert parse_qs(urlsplit(form_at).query)["next"] == [DEEP_LINK]

    form = browser.open(form_at)
    assert form.status_code == 200
    assert f"After this you are back at {DEEP_LINK}" in text_of(form)
    hidden = re.search(r'name="next" value="([^"]*)"', form.text)
    assert hidden is not None

    entered = browser.sign_in(next=unescape(hidden[1]))
    assert (entered.status_code, entered.headers["location"]) == (303, DEEP_LINK)
    assert browser.open(DEEP_LINK).text == "page /alias"
    assert browser.open(form_at).headers["location"] == DEEP_LINK, "who is signed in is led on at once"


@pytest.mark.usefixtures("ann")
def test_a_short_link_survives_sign_in(browser: Browser):
    form_at = browser.open("/a/prod-chat/rollback").headers["location"]

    assert browser.sign_in(next=parse_qs(urlsplit(form_at).query)["next"][0]).headers["location"] == (
        "/a/prod-chat/rollback"
    )
    assert browser.open("/a/prod-chat/rollback").headers["location"] == "/alias?name=prod-chat&do=rollback"
    assert browser.open("/a/x%26y%3Dz").headers["location"] == "/alias?name=x%26y%3Dz"


ELSEWHERE = [
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n//evil.example",
    "/%0d%0aset-cookie:x".replace("%0d%0a", "\r\n"),
    "javascript:alert(1)",
    "evil.example",
    "/x//evil.example",
    "/sign-out",
    "/sign-in?next=/sign-in",
    "/api/v1/whoami",
    "/_stcore/health",
    "/" + "x" * 3000,
    "",
]


@pytest.mark.parametrize("wanted", ELSEWHERE)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("ann")
def test_sign_in_leads_to_no_other_site(browser: Browser, wanted: str):
    assert browser.sign_in(next=wanted).headers["location"] == "/"


@pytest.mark.parametrize(
    ("wanted", "spelt"),
    [
        ("/alias?name=prod-chat", "/alias?name=prod-chat"),
        ("/alias?name=a%20b&q=%2F%2Fx", "/alias?name=a%20b&q=%2F%2Fx"),
        ("/alias?back=https://evil.example//x", "/alias?back=https://evil.example//x"),
        ("/größe", "/gr%C3%B6%C3%9Fe"),
        (None, "/"),
    ],
)
def test_a_page_of_ours_is_kept_as_it_is(wanted: str | None, spelt: str):
    assert safe_next(wanted) == spelt


# -- who may enter --------------------------------------------------------------------------------


@pytest.mark.usefixtures("ann")
def test_the_cookie_is_for_this_site_and_out_of_reach_of_scripts(browser: Browser):
    cookie = browser.sign_in().headers["set-cookie"]

    assert cookie.startswith(f"{COOKIE}=")
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {
        "httponly",
        "max-age=43200",
        "path=/",
        "samesite=lax",
    }


@pytest.mark.usefixtures("ann")
def test_behind_tls_the_cookie_is_sent_over_tls_only(pinrail: Pinrail):
    behind_tls = Pinrail(pinrail.settings.model_copy(update={"secure_cookies": True}), pinrail.store, pinrail.clock)
    with served(fronted(behind_tls, pages)) as url:
        assert "; Secure" in Browser(url, requests.Session()).sign_in().headers["set-cookie"]


@pytest.mark.usefixtures("ann")
def test_a_wrong_password_is_said_and_the_name_and_the_way_back_are_kept(browser: Browser):
    refused = browser.sign_in(password="wrong", next=DEEP_LINK)

    assert refused.status_code == 401
    assert "The name and password do not belong together." in text_of(refused)
    assert 'value="ann"' in refused.text
    assert DEEP_LINK in unescape(refused.text)
    assert "set-cookie" not in refused.headers
    assert text_of(browser.sign_in(name="nobody", password="wrong")) == text_of(
        browser.sign_in(name="nobody", password="wrong")
    )


@pytest.mark.usefixtures("ann")
def test_what_was_typed_is_shown_as_text_and_never_as_markup(browser: Browser):
    for name in ('"><script>alert(1)</script>', "a\x00b", "'onfocus='x"):
        refused = browser.sign_in(name=name, password="wrong")
        assert refused.status_code == 401
        assert "<script" not in refused.text


@pytest.mark.usefixtures("ann")
def test_after_five_failures_even_the_right_password_must_wait(browser: Browser):
    for _ in range(5):
        assert browser.sign_in(password="wrong").status_code == 401

    refused = browser.sign_in()

    assert refused.status_code == 429
    assert re.search(r"Try again in \d+ min\.", text_of(refused))


def test_a_disabled_account_is_told_so_with_the_right_password_only(browser: Browser, pinrail: Pinrail, ann: str):
    access.add_person(pinrail.store, ROOT, "bea", role=Role.ADMIN, now=pinrail.now())
    browser.sign_in()
    access.disable_person(pinrail.store, ROOT, ann, now=pinrail.now())

    assert "The account ann is disabled" in text_of(browser.sign_in())
    assert "do not belong together" in text_of(browser.sign_in(password="wrong"))


def test_an_installation_without_accounts_says_how_to_make_the_first(browser: Browser):
    shown = text_of(browser.open(browser.open("/").headers["location"]))

    assert "Nobody has an account yet" in shown
    assert "pinrail user add NAME --role admin" in shown


@pytest.mark.usefixtures("ann")
def test_a_revoked_session_is_out_at_its_next_request(browser: Browser, pinrail: Pinrail):
    browser.sign_in()
    assert browser.open("/versions").status_code == 200

    access.revoke_sessions(pinrail.store, ROOT, "ann", now=pinrail.now())

    turned_away = browser.open("/versions")
    assert turned_away.status_code == 303
    assert "Your session has ended. Sign in again." in text_of(browser.open(turned_away.headers["location"]))


@pytest.mark.usefixtures("ann")
def test_signing_out_ends_the_session_in_the_store_and_a_link_does_not_do_it(browser: Browser):
    secret = browser.sign_in().cookies[COOKIE]

    assert "Sign out of Pinrail?" in text_of(browser.open("/sign-out"))
    assert browser.open("/").status_code == 200

    left = browser.post("/sign-out")
    assert (left.status_code, left.headers["location"]) == (303, "/sign-in?signed-out")
    assert "You are signed out." in text_of(browser.open("/sign-in?signed-out"))
    kept = requests.get(browser.url + "/", cookies={COOKIE: secret}, allow_redirects=False, timeout=10)
    assert kept.status_code == 303, "the old cookie is worth nothing, wherever it was kept"


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_form_of_another_site_does_nothing(browser: Browser, origin: str):
    fields = {"name": "ann", "password": PASSWORD}
    refused = browser.post("/sign-in", fields, origin=origin)
    assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)

    browser.sign_in()
    assert browser.post("/sign-out", origin=origin).status_code == 403
    assert browser.open("/").status_code == 200


@pytest.mark.usefixtures("ann")
def test_a_form_of_the_public_address_is_our_own(pinrail: Pinrail):
    public = pinrail.settings.model_copy(update={"public_url": "https://pinrail.example"})
    with served(fronted(Pinrail(public, pinrail.store, pinrail.clock), pages)) as url:
        browser = Browser(url, requests.Session())
        fields = {"name": "ann", "password": PASSWORD}
        assert browser.post("/sign-in", fields, origin="https://pinrail.example").status_code == 303


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_form_that_is_too_large_or_garbled_is_refused(browser: Browser):
    for body in (b"name=" + b"x" * 10_000, b"name=%ff&password=%fe", b"&".join(b"a=b" for _ in range(100))):
        headers = {"content-type": "application/x-www-form-urlencoded"}
        assert requests.post(browser.url + "/sign-in", data=body, headers=headers, timeout=10).status_code == 400


# -- the demo -------------------------------------------------------------------------------------


def test_the_demo_shows_its_people_and_each_is_one_click_away(browser: Browser, pinrail: Pinrail):
    for name in DEMO_PEOPLE:
        access.add_person(
            pinrail.store, ROOT, name, password="demo", role=Role.VIEWER, now=pinrail.now(), shortest_password=4
        )
    assert "This is the demo" not in browser.open("/sign-in").text
    seed(pinrail.store, pinrail)

    shown = browser.open(f"/sign-in?next={DEEP_LINK.replace('&', '%26')}")

    assert all(f'name="name" value="{name}"' in shown.text for name in DEMO_PEOPLE)
    assert "password demo" in text_of(shown)
    assert browser.sign_in("oncall", "demo", next=DEEP_LINK).headers["location"] == DEEP_LINK


def test_a_demo_does_not_listen_where_others_could_connect(pinrail: Pinrail):
    seed(pinrail.store, pinrail)
    refuse_public_demo(pinrail)
    outside = Settings(database_url=pinrail.settings.database_url, host="0.0.0.0")

    with pytest.raises(CannotStart, match="--no-demo"):
        refuse_public_demo(Pinrail(outside, pinrail.store, pinrail.clock))


def test_an_installation_of_ones_own_may_listen_anywhere(pinrail: Pinrail):
    outside = Settings(database_url=pinrail.settings.database_url, host="0.0.0.0")

    assert refuse_public_demo(Pinrail(outside, pinrail.store, pinrail.clock)) is None  # type: ignore[func-returns-value]


# -- the store gone -------------------------------------------------------------------------------


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_store_that_is_gone_is_said_on_every_page(browser: Browser, monkeypatch: pytest.MonkeyPatch):
    def gone(_store: Store) -> None:
        raise StoreUnreachable("The store did not take this: disk gone. Nothing was changed.")

    browser.sign_in()
    monkeypatch.setattr(Store, "reading", gone)

    for answer in (browser.open("/alias"), browser.open("/sign-in"), browser.sign_in()):
        assert answer.status_code == 503
        assert "disk gone" in text_of(answer)
        assert "The gateways go on serving" in text_of(answer)
