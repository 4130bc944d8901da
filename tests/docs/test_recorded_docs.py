"""The page on the recorded provider is whole and true: its tables are held against the code and a running server."""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import requests

from core.connectors import recorded, recordings
from core.connectors.recorded_behaviour import Behaviour, Behaviours, Outcome, merged
from core.connectors.recorded_server import running
from core.errors import InvalidInput
from tests.connectors.sets import HELLO, write_set
from tests.docs.pages import Page

PAGE = Page("recorded-provider.md")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SERVER_SOURCE = inspect.getsource(recorded)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = write_set(
        tmp_path_factory.mktemp("recordings"),
        prompts=[{"messages": HELLO}],
        outputs=[{"prompt_id": "p0", "model": "m@1", "output": "Hi."}],
    )
    with running([folder]) as url:
        yield url


@pytest.mark.parametrize("name", [field.name for field in fields(Behaviour)])
def test_every_field_of_a_behaviour_is_documented_with_its_default(name: str):
    default, meaning = PAGE.rows("behaviour.json")[name]
    assert json.loads(default.strip("`")) == getattr(Behaviour(), name)
    assert meaning


@pytest.mark.parametrize("key", ["note", "seed", "default", "models"])
def test_every_documented_key_of_a_behaviour_document_is_taken(key: str):
    assert key in PAGE.rows("behaviour.json")
    assert merged(Behaviours(), {key: None}) == Behaviours()


def test_the_behaviour_page_names_nothing_that_is_not_there():
    known = {field.name for field in fields(Behaviour)} | {"note", "seed", "default", "models"}
    assert set(PAGE.rows("behaviour.json")) == known
    with pytest.raises(InvalidInput, match="has seed, default, models and note"):
        merged(Behaviours(), {"else": 1})


def test_the_example_of_a_behaviour_is_one():
    [example] = re.findall(r"```json\n(.*?)```", PAGE.section("behaviour.json"), re.DOTALL)
    behaviours = merged(Behaviours(), json.loads(example))
    assert behaviours.of("support-2026-11-01").error_share == 0.05


@pytest.mark.parametrize(
    ("heading", "reader"),
    [("A line of prompts.jsonl", recordings._prompts_in), ("A line of outputs.jsonl", recordings._take)],
)
def test_every_field_that_is_read_from_a_recording_is_documented(heading: str, reader: Any):
    source = inspect.getsource(reader)
    read = set(re.findall(r'row(?:, |\[|\.get\()"(\w+)"', source))
    assert read == set(PAGE.rows(heading))


def test_the_smallest_set_on_the_page_can_be_served(tmp_path: Path):
    [example] = re.findall(r"```\n\$ cat hello/prompts.jsonl\n(.*?)```", PAGE.text, re.DOTALL)
    prompts, outputs = example.split("$ cat hello/outputs.jsonl\n")
    (tmp_path / "prompts.jsonl").write_text(prompts)
    (tmp_path / "outputs.jsonl").write_text(outputs)
    assert recordings.load([tmp_path]).runs == {"support-2026-11-01": ("noon",)}


def test_every_documented_endpoint_answers_and_no_other_method_does(url: str):
    documented = set(PAGE.rows("Endpoints"))
    paths = {endpoint.split()[1] for endpoint in documented}
    answering = set()
    for path in paths:
        for method in METHODS:
            answer = requests.request(method, url + path, json={}, timeout=10)
            if answer.status_code == 200 or answer.json()["error"]["code"] == "invalid_request":
                answering.add(f"{method} {path}")
    assert answering == documented


def test_no_path_of_the_server_is_left_out():
    literals = set(re.findall(r'"(/[\w/]+[^/"])"', SERVER_SOURCE))
    controls = {f"/_recorded/{name}" for name in re.findall(r'what [!=]= "(\w+)"', SERVER_SOURCE)}
    assert {endpoint.split()[1] for endpoint in PAGE.rows("Endpoints")} == literals | controls


def test_every_fate_is_named_among_the_counts():
    [told] = PAGE.rows("Endpoints")["GET /_recorded/counts"]
    assert set(re.findall(r"`(\w+)`", told)) == {outcome.value for outcome in Outcome}


def test_every_error_is_documented_with_its_status():
    raised = set(re.findall(r'Refused\(\s*(\d{3}),\s*"(\w+)"', SERVER_SOURCE)) | {("400", InvalidInput.code)}
    assert {(cells[0], code) for code, cells in PAGE.rows("Errors").items()} == raised
