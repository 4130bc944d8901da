"""Over the API: lost connections are asked again once, refusals come back as ours, and strangers are recognised."""

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.applications import Starlette
from starlette.routing import Mount

from app.api.app import PREFIX, create_api
from app.api.problems import STATUS
from app.api.shapes import Problem
from app.cli import connection
from app.cli.connection import refusal_of
from app.cli.exits import EXIT_OF, MEANING, Exit, ServerUnreachable, exit_for
from app.wiring import Pinrail
from core import errors
from core.domain.permissions import Role
from core.errors import PinrailError
from core.services import access, reading
from tests.api.world import served
from tests.cli.desk import ROOT, Desk, alias_of, desk_on, desk_over, token_of
from tests.parts import free_port


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PAUSES_S", (0.0, 0.0))


@pytest.fixture
def url(lite: Pinrail) -> Iterator[str]:
    with served(Starlette(routes=[Mount(PREFIX, create_api(lite))])) as address:
        yield address


@pytest.fixture
def token(lite: Pinrail) -> str:
    return token_of(lite, "root", role=Role.ADMIN)


# -- a connection that fails ----------------------------------------------------------------------


class Flaky:
    """Stands between the command line and the API, and loses the answers to the first ``lost`` requests."""

    def __init__(self, upstream: str, lost: int) -> None:
        self.upstream, self.lost = upstream, lost
        self.keys: list[str | None] = []


@contextmanager
def flaky(upstream: str, *, lost: int) -> Iterator[tuple[str, Flaky]]:
    state = Flaky(upstream, lost)

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            passed = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
            answer = requests.request(self.command, state.upstream + self.path, data=body, headers=passed, timeout=30)
            if self.command != "GET":
                state.keys.append(self.headers.get("idempotency-key"))
                if state.lost > 0:
                    state.lost -= 1
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers["content-type"])
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PATCH = handle_one  # noqa: N815

        def log_message(self, *_words: Any) -> None:
            return

    with _serving(Handler) as address:
        yield address, state


@contextmanager
def _serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_write_whose_answer_was_lost_is_asked_again_and_done_once(lite: Pinrail, url: str, token: str):
    alias_of(lite, "chat", "a")
    with flaky(url, lost=2) as (between, state):
        out = desk_over(between, token).done("alias", "flip", "chat", "b", "--wait", "0")
    assert "Revision 2 by root" in out
    assert len(state.keys) == 3
    assert len(set(state.keys)) == 1
    assert reading.alias(lite.store, ROOT, "chat").number == 2


def test_a_token_whose_answer_was_lost_is_made_once(lite: Pinrail, url: str, token: str):
    with flaky(url, lost=1) as (between, state):
        out = desk_over(between, token).done("token", "create", "laptop", "--scope", "read")
    assert "Its secret was lost with the connection: revoke it, and create another." in out
    assert len(set(state.keys)) == 1
    listed = json.loads(desk_over(url, token).done("token", "list", "--json"))
    assert [item["name"] for item in listed["items"]].count("laptop") == 1


def test_whoever_turns_to_the_store_after_a_lost_answer_is_not_done_twice(lite: Pinrail, url: str, token: str):
    command = ("token", "create", "laptop", "--scope", "read", "--idempotency-key", "one")
    with flaky(url, lost=9) as (between, _state):
        assert desk_over(between, token)(*command).code == 6
    assert "Its secret was lost" in desk_on(lite, token).done(*command)
    assert [t.name for t in access.tokens(lite.store, ROOT)].count("laptop") == 1


def test_when_nothing_comes_back_the_outcome_is_unknown_and_the_key_is_named(lite: Pinrail, url: str, token: str):
    alias_of(lite, "chat", "a")
    with flaky(url, lost=9) as (between, state):
        said = desk_over(between, token)("alias", "flip", "chat", "b", "--wait", "0")
    assert (said.code, said.out) == (6, "")
    assert "It is not known whether it was done" in said.err
    key = state.keys[0]
    assert f"asking again with --idempotency-key {key} has no second effect" in said.err
    again = desk_over(url, token).done("alias", "flip", "chat", "b", "--wait", "0", "--idempotency-key", str(key))
    assert "had done it before, so nothing happened now" in again
    assert reading.alias(lite.store, ROOT, "chat").number == 2


def test_a_server_that_is_not_there_means_that_nothing_was_changed(token: str):
    url = f"http://127.0.0.1:{free_port()}"
    said = desk_over(url, token)("alias", "create", "chat", "a")
    assert said.code == 6
    assert said.err == f"pinrail: {url} did not answer (Connection refused). Nothing was changed.\n"


def test_a_server_that_never_answers_is_given_up(token: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "ANSWER_WITHIN_S", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        said = desk_over(f"http://127.0.0.1:{silent.getsockname()[1]}", token)("status")
    assert said.code == 6
    assert "did not answer within" in said.err


# -- strangers ------------------------------------------------------------------------------------


@contextmanager
def stranger(status: int, body: str, **headers: str) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            for name, value in {"content-type": "text/html", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_words: Any) -> None:
            return

    with _serving(Handler) as address:
        yield address, asked


@pytest.mark.parametrize("status", [200, 400, 404, 500])
def test_somebody_elses_server_is_recognised(token: str, status: int):
    with stranger(status, "<html>Welcome</html>") as (url, _asked):
        said = desk_over(url, token)("status")
    assert (said.code, said.out) == (6, "")
    assert f"answered {status}, and not as a Pinrail does" in said.err
    assert "Welcome" not in said.err


def test_a_proxy_that_cannot_reach_pinrail_is_asked_again(token: str):
    with stranger(502, "Bad Gateway") as (url, asked):
        said = desk_over(url, token)("status")
    assert said.code == 6
    assert len(asked) == 3


def test_a_token_is_not_carried_to_where_a_redirect_leads(token: str):
    with stranger(200, "{}") as (elsewhere, asked), stranger(307, "", location=elsewhere) as (url, _):
        said = desk_over(url, token)("status")
    assert (said.code, asked) == (6, [])
    assert f"sends to {elsewhere}" in said.err


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("pinrail.example.com", "an address looks like"),
        ("ftp://pinrail.example.com", "an address looks like"),
        ("http://:80", "an address looks like"),
        ("http://host:port", "an address looks like"),
        ("http://user:secret@host", "carries no user"),
    ],
)
def test_an_address_that_is_none_is_said_to_be_none(token: str, url: str, why: str):
    said = desk_over(url, token)("status")
    assert (said.code, why in said.err) == (2, True)


def test_the_address_may_be_given_with_its_prefix(lite: Pinrail, url: str, token: str):
    assert desk_over(f"{url}{PREFIX}/", token).done("whoami").startswith("Name:   root")


def test_without_a_token_the_laptop_is_told_how_to_get_one(url: str):
    said = Desk({"PINRAIL_URL": url, "PINRAIL_TOKEN": None})("status")
    assert said.code == 5
    assert "pinrail token create" in said.err


def test_a_netrc_does_not_replace_the_token(
    lite: Pinrail, url: str, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setattr(connection, "LOOPBACK", frozenset())  # as for a server elsewhere
    assert "Name:   root" in desk_over(url, token).done("whoami")


def test_the_laptop_needs_no_credentials_of_the_store(lite: Pinrail, url: str, token: str):
    alias_of(lite, "chat", "a", "b")
    desk = desk_over(url, token)
    assert "nobody@127.0.0.1:9" in str(desk.env["PINRAIL_DATABASE_URL"])
    assert "Rolled back chat from b to a" in desk.done("rollback", "chat", "--wait", "0")


def test_a_history_longer_than_a_page_comes_whole(lite: Pinrail, url: str, token: str, monkeypatch: pytest.MonkeyPatch):
    from app.cli import remote_door

    monkeypatch.setattr(remote_door, "PAGE", 2)
    alias_of(lite, "chat", *"abcabc")
    history = json.loads(desk_over(url, token).done("alias", "history", "chat", "--json"))
    assert [item["revision"] for item in history["items"]] == [6, 5, 4, 3, 2, 1]


# -- refusals -------------------------------------------------------------------------------------


def kinds(kind: type[PinrailError] = PinrailError) -> Iterator[type[PinrailError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from kinds(narrower)


KINDS = [kind for kind in kinds() if kind.__module__ == errors.__name__]


def problem(code: str, status: int) -> Problem:
    return Problem(type="urn:x", title="Title.", status=status, detail="What happened.", code=code, instance="urn:y")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_a_refusal_ends_the_same_whether_it_was_made_here_or_there(kind: type[PinrailError]):
    status = next(STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in STATUS)
    came_back = refusal_of(problem(kind.code, status))
    assert (type(came_back), came_back.code, str(came_back)) == (kind, kind.code, "What happened.")
    assert exit_for(came_back) == exit_for(kind("What happened."))


@pytest.mark.parametrize(
    ("status", "code"), [(404, Exit.NOT_FOUND), (403, Exit.NOT_PERMITTED), (422, Exit.WRONG_USAGE), (409, Exit.REFUSED)]
)
def test_a_refusal_newer_than_this_program_ends_by_its_status(status: int, code: Exit):
    came_back = refusal_of(problem("from_the_future", status))
    assert (came_back.code, exit_for(came_back)) == ("from_the_future", code)


def test_every_exit_code_has_a_meaning_and_every_refusal_an_exit_code():
    assert set(MEANING) == set(Exit)
    assert {exit_for(kind("")) for kind in [*KINDS, ServerUnreachable]} <= set(Exit)
    assert EXIT_OF[PinrailError] is Exit.REFUSED
