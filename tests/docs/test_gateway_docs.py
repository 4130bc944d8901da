"""The page on the gateway is whole and true: its tables are held against the gateway's own."""

import inspect
import re
from pathlib import Path

import pytest

import app.gateway
from app.gateway import refusals
from app.gateway.endpoints import METHODS
from app.gateway.failures import BLAMES_THE_CALLER
from app.gateway.refusals import MORE_HEADERS, REFUSALS, on_the_wire
from app.gateway.server import NOTICE_S
from app.gateway.state import Source, State
from app.gateway.wire import NOT_PASSED_BACK
from app.settings import Settings
from core.connectors.openai_compatible import NEVER_SENT_ON
from core.domain.traffic import WINDOW, Failure
from core.errors import MissingSecret, PinrailError, ProviderFailed, ProviderTimeout, UnknownAlias
from tests.docs.pages import Page

PAGE = Page("gateway.md")
SOURCE = "\n".join(path.read_text() for path in Path(app.gateway.__file__).parent.glob("*.py"))
ITS_OWN: list[type[PinrailError]] = [
    kind
    for _name, kind in inspect.getmembers(refusals, inspect.isclass)
    if issubclass(kind, PinrailError) and kind.__module__ == refusals.__name__
]
GIVEN: list[type[PinrailError]] = [*ITS_OWN, UnknownAlias, ProviderFailed, ProviderTimeout, MissingSecret]


def codes_in(text: str) -> set[str]:
    """What is set as code in a text."""
    return set(re.findall(r"`([^`]+)`", text))


@pytest.mark.parametrize("kind", GIVEN, ids=lambda kind: kind.code)
def test_every_refusal_is_documented_as_it_goes_over_the_wire(kind: type[PinrailError]):
    status, type_, when = PAGE.rows("Refusals")[kind.code]
    wire = on_the_wire(kind("..."))
    assert (int(status), type_.strip("`")) == (wire.status, wire.type)
    assert when.startswith((kind.__doc__ or "").strip().splitlines()[0])


def test_the_refusals_page_lists_nothing_the_gateway_does_not_give():
    assert set(PAGE.rows("Refusals")) == {kind.code for kind in GIVEN}
    unlisted = {kind for kind in REFUSALS if not any(issubclass(given, kind) for given in GIVEN)}
    assert not unlisted


def test_every_header_that_goes_with_a_refusal_is_documented():
    told = PAGE.section("Refusals").lower()
    for status, (name, _value) in MORE_HEADERS.items():
        assert re.search(rf"a {status} (carries )?`{name.decode()}", told)


def test_every_header_of_ours_is_documented():
    said = set(re.findall(r"x-pinrail-[a-z]+(?:-[a-z]+)*", SOURCE))
    documented = set(PAGE.rows("The request")) | set(PAGE.rows("The answer"))
    assert {name for name in documented if name.startswith("x-pinrail")} == said


def test_every_endpoint_is_documented():
    documented = {tuple(endpoint.split()) for endpoint in PAGE.rows("Endpoints")}
    heads = {("GET", "HEAD")}
    assert all("HEAD" not in methods or methods in heads for methods in METHODS.values())
    assert {(method, path.replace("{alias}", "")) for method, path in documented} == {
        (methods[0], path) for path, methods in METHODS.items()
    }


def test_every_header_that_does_not_pass_is_documented():
    # Several names share a row here, so the first cell is read as text.
    lines = [line.split(" | ")[0] for line in PAGE.section("The request").splitlines() if line.startswith("| `")]
    listed = set().union(*(codes_in(line) for line in lines if "," in line))
    assert listed == NEVER_SENT_ON
    [back] = re.findall(r"and these: (.*?)\.\n", PAGE.section("The answer"), re.DOTALL)
    assert codes_in(back) == NOT_PASSED_BACK


@pytest.mark.parametrize("failure", Failure)
def test_every_kind_of_failure_is_documented(failure: Failure):
    assert PAGE.rows("What is counted")[failure.value]


def test_the_numbers_in_the_text_are_those_of_the_code():
    counted = PAGE.section("What is counted")
    assert f"windows of {WINDOW.total_seconds():g} seconds" in counted
    blamed = PAGE.rows("What is counted")[Failure.CALLER.value][0]
    assert {int(number) for number in re.findall(r"\d{3}", blamed)} == BLAMES_THE_CALLER
    assert NOTICE_S == 0.5
    assert "half a second later" in PAGE.section("Stopping")


@pytest.mark.parametrize("name", ["connect_timeout_s", "answer_timeout_s", "idle_timeout_s"])
def test_every_timeout_is_documented_with_its_default(name: str):
    default, _then = PAGE.rows("Timeouts")[f"PINRAIL_{name.upper()}"]
    assert default == f"{Settings.model_fields[name].default:g} s"


def test_every_field_of_readiness_is_documented():
    _ready, document = State("g").readiness(0.0)
    rows = PAGE.rows("Ready or not")
    assert set(rows) == set(document)
    assert {source.value for source in Source} | {"memory"} == codes_in(rows["source"][0])
