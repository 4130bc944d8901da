"""What stands open without a session and what does not, and what the browser is told about our pages."""

import re
from pathlib import Path

import pytest
import requests
from streamlit.file_util import get_static_dir
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from app.dashboard.front.gate import Kind, kind_of
from app.dashboard.front.headers import inline_hashes
from app.dashboard.front.signing import COOKIE
from app.wiring import Pinrail
from core.services import access
from tests.api.browsing import Browser
from tests.api.world import ROOT

# -- what is open ---------------------------------------------------------------------------------


def test_what_is_not_named_open_is_closed():
    kinds = {
        path: kind_of(path, "GET")
        for path in (
            "/static/js/x.js",
            "/healthz",
            "/",
            "/alias",
            "/_stcore/stream",
            "/_stcore/metrics",
            "/media/x.png",
        )
    }

    assert kinds == {
        "/static/js/x.js": Kind.OPEN,
        "/healthz": Kind.OPEN,
        "/": Kind.PAGE,
        "/alias": Kind.PAGE,
        "/_stcore/stream": Kind.CLOSED,
        "/_stcore/metrics": Kind.CLOSED,
        "/media/x.png": Kind.CLOSED,
    }
    assert kind_of("/alias", "POST") is Kind.CLOSED
    assert kind_of("/_stcore/upload_file/x/y", "PUT") is Kind.CLOSED


@pytest.mark.usefixtures("ann")
def test_machinery_is_refused_without_a_session_and_health_is_not(browser: Browser):
    assert browser.open("/_stcore/metrics").status_code == 401
    assert browser.open("/media/secret.png").status_code == 401
    assert browser.post("/_stcore/agent/interact").status_code == 401
    assert browser.open("/healthz").json() == {"status": "ok"}
    assert browser.open("/api/v1/whoami").json()["code"] == "not_signed_in"
    assert browser.open("/api/v1/x%0Ay").headers["content-type"] == "application/problem+json"


@pytest.mark.usefixtures("ann")
def test_a_socket_needs_a_session_and_our_own_page(browser: Browser, pinrail: Pinrail):
    address = browser.url.replace("http", "ws") + "/_stcore/stream"

    def welcome(cookie: str | None, origin: str) -> str:
        headers = {"cookie": f"{COOKIE}={cookie}"} if cookie else {}
        try:
            with connect(address, additional_headers={**headers, "origin": origin}, legacy=False) as socket:
                return str(socket.recv())
        except InvalidStatus as refused:
            return str(refused.response.status_code)

    secret = browser.sign_in().cookies[COOKIE]
    assert welcome(None, browser.url) == "403"
    assert welcome("made-up", browser.url) == "403"
    assert welcome(secret, "http://127.0.0.1:1") == "403", "another port is another site"
    assert welcome(secret, browser.url) == "welcome"
    access.revoke_sessions(pinrail.store, ROOT, "ann", now=pinrail.now())
    assert welcome(secret, browser.url) == "403"


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_scripts_come_compressed_and_nothing_outside_their_folder_comes_at_all(browser: Browser):
    index = (Path(get_static_dir()) / "index.html").read_text(encoding="utf-8")
    script = re.search(r'src="\./(static/js/index[^"]+)"', index)
    assert script is not None

    found = browser.open("/" + script[1])
    plain = browser.open("/" + script[1], headers={"accept-encoding": "identity"})

    assert found.headers["content-encoding"] == "gzip"
    assert found.text == (Path(get_static_dir()) / script[1]).read_text(encoding="utf-8")
    assert plain.text == f"page /{script[1]}", "without gzip Streamlit answers as it does"
    for path in ("/static/../index.html", "/static/%2e%2e/%2e%2e/__init__.py", "/static/js/none.js"):
        request = requests.Request("GET", browser.url).prepare()
        request.url = browser.url + path
        assert "content-encoding" not in requests.Session().send(request, timeout=10).headers


# -- headers --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_answer_forbids_frames_and_foreign_scripts(browser: Browser):
    form, health = browser.open("/sign-in"), browser.open("/healthz")
    browser.sign_in()
    for answer in (form, health, browser.open("/"), browser.open("/api/v1/nothing")):
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy
        assert "'unsafe-inline'" not in re.sub(r"style-src[^;]*;", "", policy)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
    assert "<script" not in form.text
    assert "default-src 'none'" in form.headers["content-security-policy"]


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_policy_names_the_inline_script_of_the_streamlit_that_is_installed(browser: Browser):
    index = (Path(get_static_dir()) / "index.html").read_text(encoding="utf-8")
    browser.sign_in()

    hashes = inline_hashes(index)

    assert len(hashes) == 1
    assert hashes[0] in browser.open("/").headers["content-security-policy"]


def test_an_inline_script_is_named_by_the_hash_that_browsers_compute():
    # The value is that of the specification's own example: sha256 of alert('Hello, world.');
    page = "<script src='x.js'></script><script>alert('Hello, world.');</script>"

    assert inline_hashes(page) == ("'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='",)
