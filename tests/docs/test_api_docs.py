"""The page on the control API is whole and true: it is held against the API's own OpenAPI document."""

import json
import re
from typing import Any

import pytest

from app.api.app import PREFIX, create_api
from app.api.envelope import MAX_BODY_BYTES, OPEN, REQUEST_ID
from app.api.problems import title_of
from app.api.routes.aliases import LONGEST_WAIT_S
from app.api.shapes import Problem, ReceiptView
from app.settings import Settings
from app.wiring import open_pinrail
from core.errors import StaleRevision
from core.services.reading import MAX_PAGE
from core.services.recording import MAX_KEY
from tests.docs.pages import Page

PAGE = Page("api.md")


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pinrail = open_pinrail(Settings.read(data_dir=tmp_path_factory.mktemp("state")))
    try:
        return create_api(pinrail).openapi()
    finally:
        pinrail.store.close()


def documented_routes() -> dict[str, list[str]]:
    lines = [line for line in PAGE.text.splitlines() if re.match(r"\| `(GET|POST|PUT|PATCH|DELETE) /", line)]
    cells = [line.strip("| ").split(" | ") for line in lines]
    assert len({row[0] for row in cells}) == len(cells), "a route is listed twice"
    return {row[0].strip("`"): row[1:] for row in cells}


def test_every_route_is_documented_with_its_action_and_its_own_words(document: dict[str, Any]):
    real = {
        f"{method.upper()} {path}": [f"`{operation['x-pinrail-action']}`", " ".join(operation["description"].split())]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert documented_routes() == real


def test_every_code_of_a_refusal_is_documented_under_its_status(document: dict[str, Any]):
    table = re.findall(r"^\| (\d{3}) \| (.*) \|$", PAGE.section("Refusals"), re.MULTILINE)
    told = {(status, code) for status, codes in table for code in re.findall(r"`(\w+)`", codes)}
    given = {
        (status, code)
        for operations in document["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        for code in re.findall(r"\*\*(\w+)\*\*", answer["description"])
    }
    assert told - {("405", "method_not_allowed")} == given


def test_the_example_of_a_problem_is_one():
    [example] = re.findall(r"```json\n(.*?)```", PAGE.section("Refusals"), re.DOTALL)
    problem = Problem(**json.loads(example))
    assert (problem.code, problem.title) == (StaleRevision.code, title_of(StaleRevision))


def test_every_field_of_a_receipt_is_documented():
    assert set(PAGE.rows("Receipts")) | {"alias", "revision", "version"} == set(ReceiptView.model_fields)


def test_the_numbers_and_headers_in_the_text_are_those_of_the_code(document: dict[str, Any]):
    text = PAGE.text.lower()
    assert f"`{PREFIX}{next(iter(OPEN))}`" in text
    assert f"at most {MAX_BODY_BYTES / 2**20:g} mib" in text
    assert f"1 to {MAX_KEY} visible ascii characters" in text
    assert f"`wait_s` (0 to {LONGEST_WAIT_S})" in text
    assert f"`limit` is 1 to {MAX_PAGE}" in text
    [replayed] = re.findall(r"`([\w-]+: true)`", document["info"]["description"])
    assert f"`{replayed}`" in text
    assert f"`{REQUEST_ID}`" in text


def test_the_page_says_which_lists_come_in_pages(document: dict[str, Any]):
    paged = {
        path
        for path, operations in document["paths"].items()
        if any(one["name"] == "before" for one in operations.get("get", {}).get("parameters", ()))
    }
    assert paged == {path.removeprefix("GET ") for path in re.findall(r"`(GET [^`]+)`", PAGE.section("Lists"))[:2]}
