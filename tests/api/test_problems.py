"""Every refusal is a problem (RFC 9457) that says what happened and leaks nothing."""

import json
import logging
from collections.abc import Iterator

import pytest
import requests

from app.api import problems
from app.api.envelope import MAX_BODY_BYTES, REQUEST_ID
from app.api.problems import STATUS, status_of
from app.running.listening import CannotListen
from core import errors
from core.domain.permissions import Role
from core.errors import PinrailError
from core.store import audit_log
from core.store.database import Store
from tests.api.world import Caller, World


def every_kind(kind: type[PinrailError] = PinrailError) -> Iterator[type[PinrailError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from every_kind(child)


def is_problem(answer: requests.Response) -> bool:
    said = answer.json()
    return (
        answer.headers["content-type"] == "application/problem+json"
        and said["status"] == answer.status_code
        and said["type"] == f"urn:pinrail:problem:{said['code']}"
        and said["instance"] == f"urn:pinrail:request:{answer.headers[REQUEST_ID]}"
        and bool(said["title"] and said["detail"])
    )


@pytest.mark.parametrize("kind", sorted(set(every_kind()), key=str), ids=lambda kind: kind.code)
def test_every_kind_of_refusal_has_a_status_and_a_title(kind: type[PinrailError]):
    assert 400 <= status_of(kind) <= 504
    assert problems.title_of(kind).endswith(".")


def test_a_kind_without_a_line_of_its_own_takes_its_ancestors():
    class NewlyInvented(errors.StoreError):
        """A new kind of refusal."""

        code = "newly_invented"

    assert status_of(NewlyInvented) == STATUS[errors.StoreError]
    assert status_of(errors.UnknownAlias) == 404
    assert status_of(CannotListen) == 409


def test_codes_are_unique():
    codes = [kind.code for kind in every_kind() if kind.__module__.startswith(("core.", "app."))]

    assert sorted(codes) == sorted(set(codes))


def test_whatever_is_refused_the_answer_is_a_problem(world: World):
    ann, viewer, alias = world.caller(), world.caller(Role.VIEWER), world.alias("a")
    refused = {
        400: ann.ask("POST", "/aliases", data=b'{"alias": ', headers={"content-type": "application/json"}),
        401: Caller(world.url, "nonsense").get("/aliases"),
        403: viewer.post(f"/aliases/{alias}/flip", {"version": "b"}, seen=1),
        404: ann.get("/aliases/chta"),
        405: ann.ask("DELETE", "/aliases"),
        409: ann.post(f"/aliases/{alias}/release", seen=1),
        412: ann.ask(
            "PATCH", f"/aliases/{world.alias('a', 'b')}", json={"fallbacks": ["b"]}, headers={"if-match": '"1"'}
        ),
        413: ann.ask("POST", "/prompts", data=b"x" * (MAX_BODY_BYTES + 1)),
        422: ann.post("/aliases", {"alias": "x", "verzion": "a"}),
        428: ann.post(f"/aliases/{alias}/hold"),
    }

    assert {status: answer.status_code for status, answer in refused.items()} == {status: status for status in refused}
    assert [status for status, answer in refused.items() if not is_problem(answer)] == []
    assert is_problem(ann.get("/no/such/path"))
    assert refused[405].headers["allow"] == "GET"


def test_a_body_without_its_length_is_measured_as_it_comes(world: World):
    chunks = (b"x" * 65536 for _ in range(2 + MAX_BODY_BYTES // 65536))

    answer = world.caller().ask("POST", "/prompts", data=chunks)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_value_that_cannot_be_used_is_named_and_not_repeated(world: World):
    answer = world.caller().post("/people", {"name": "x", "password": ["hunter2-hunter2"], "role": "king"})

    assert {fault["where"] for fault in answer.json()["errors"]} == {"body.password", "body.role"}
    assert "hunter2" not in answer.text


def test_a_filter_with_a_typo_in_its_name_does_not_silently_show_everything(world: World):
    answer = world.caller().get("/audit?acotr=ann")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert "Closest: actor." in answer.json()["detail"]


def test_a_form_is_told_to_come_as_json(world: World):
    answer = world.caller().ask("POST", "/aliases", data={"alias": "x", "version": "a"})

    assert answer.status_code == 422
    assert "application/json" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("text", "because"),
    [
        (r'{"name": "p\u0000", "text": "x"}', "NUL"),
        (r'{"name": "p", "text": "\ud800"}', "surrogate"),
        (r'{"name": "p", "text": ' + "[" * 40 + "]" * 40 + "}", "nested"),
    ],
)
def test_text_that_no_store_could_keep_is_refused_at_the_door(world: World, text: str, because: str):
    headers = {"content-type": "application/json"}

    answer = world.caller().ask("POST", "/prompts", data=text.encode(), headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert because in answer.json()["detail"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", str(2**70)])
def test_numbers_that_no_gateway_could_send_are_refused(world: World, value: str):
    body = {"name": "v", "provider": "recorded", "model_id": "m", "parameters": {"temperature": 0}}
    text = json.dumps(body).replace('"temperature": 0', f'"temperature": {value}')

    answer = world.caller().ask("POST", "/versions", data=text, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_a_hidden_character_in_the_address_is_refused(world: World):
    ann = world.caller()

    assert ann.get("/aliases/x%00y").status_code == 422
    assert ann.get("/audit?actor=x%00y").status_code == 422


def test_a_fault_that_nobody_foresaw_is_in_the_log_and_not_in_the_answer(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(audit_log, "verify", fail)
    with caplog.at_level(logging.ERROR):
        answer = world.caller().get("/audit/verify")

    assert (answer.status_code, answer.json()["code"]) == (500, "unforeseen")
    assert is_problem(answer)
    assert "hunter2" not in answer.text
    assert answer.headers[REQUEST_ID] in caplog.text
    assert "hunter2" in caplog.text


def test_a_store_that_is_gone_is_said_and_may_be_asked_again(world: World, monkeypatch: pytest.MonkeyPatch):
    ann = world.caller()

    def gone(_store: Store) -> None:
        raise errors.StoreUnreachable("The store did not take this: connection refused. Nothing was changed.")

    monkeypatch.setattr(Store, "reading", gone)
    answer = ann.get("/aliases")

    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "store_unreachable", "2")
    assert is_problem(answer)


def test_a_tampered_audit_log_is_a_conflict_that_names_the_event(world: World):
    ann = world.caller()
    assert ann.get("/audit/verify").json()["events"] > 0

    wrong = ann.get("/audit/verify", params={"head": "f" * 64})

    assert (wrong.status_code, wrong.json()["code"]) == (409, "audit_broken")


def test_answers_are_not_kept_by_anybody_on_the_way(world: World):
    answer = world.caller().get("/tokens")

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
