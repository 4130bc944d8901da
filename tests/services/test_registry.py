"""What is registered never changes, says what it is, and cannot move under anybody's feet."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from core.domain import pinning
from core.domain.pinning import PinClass, Rule
from core.domain.versions import Capabilities, DataVersion, Price, Provider, Version
from core.errors import (
    AlreadyExists,
    FloatingModel,
    InvalidInput,
    NotFound,
    NothingToChange,
    PinrailError,
    UnknownVersion,
)
from core.services import flips, registry, serving
from core.store.database import Store
from tests.services.hands import NOW
from tests.services.world import OPERATOR, ROOT, VIEWER, events, stocked
from tests.store.rows import everything

OAI = Provider("oai", "openai", "https://api.example.com/v1", "OAI_KEY", "the usual")
FULL = Version(
    "support@3",
    "oai",
    "gpt-4o-2024-08-06",
    prompt="greet@2",
    parameters={"temperature": 0.1, "stop": ["a"], "response_format": {"type": "json_object"}},
    data_versions=("faq@7", "manual@2"),
    introduced=date(2024, 8, 6),
    price=Price(2_500_000, 10_000_000_000),
    capabilities=Capabilities(tools=True, context_tokens=128_000),
    notes="first try",
)


@pytest.fixture
def filled(store: Store) -> Store:
    registry.register_provider(store, ROOT, OAI, now=NOW)
    registry.register_prompt(store, ROOT, "greet@2", "Say hello. ü😀\n", now=NOW)
    for name in ("faq@7", "manual@2"):
        registry.register_data_version(
            store, ROOT, DataVersion(name, "questions", "0" * 64, 3_000_000_000, "s3"), now=NOW
        )
    return store


# -- immutable ------------------------------------------------------------------------------------


def test_a_version_is_read_back_with_all_that_was_registered(filled):
    made = registry.register_version(filled, OPERATOR, FULL, now=NOW)
    [read] = registry.versions(filled, VIEWER)
    assert read == made == registry.version(filled, VIEWER, "support@3")
    assert replace(read, pin_class="unknown", pin_because="", registered_at=None, registered_by="") == FULL
    assert (read.pin_class, read.registered_by, read.registered_at) == ("pinned", "operator", NOW)
    assert read.reference == "gpt-4o-2024-08-06@greet@2@faq@7@manual@2"


def test_registering_the_same_again_changes_nothing(filled):
    registry.register_version(filled, OPERATOR, FULL, now=NOW)
    before = everything(filled)
    registry.register_provider(filled, ROOT, OAI, now=NOW)
    registry.register_prompt(filled, OPERATOR, "greet@2", "Say hello. ü😀\n", now=NOW)
    registry.register_data_version(
        filled, OPERATOR, DataVersion("faq@7", "questions", "0" * 64, 3_000_000_000, "s3"), now=NOW
    )
    registry.register_version(filled, ROOT, replace(FULL, notes="other notes are no other version"), now=NOW)
    assert everything(filled) == before


OTHERS: dict[str, Callable[[Store], object]] = {
    "base_url": lambda s: registry.register_provider(
        s, ROOT, replace(OAI, base_url="https://other.example.com"), now=NOW
    ),
    "kind": lambda s: registry.register_provider(s, ROOT, replace(OAI, kind="mistral"), now=NOW),
    "text": lambda s: registry.register_prompt(s, ROOT, "greet@2", "Say hello.", now=NOW),
    "rows": lambda s: registry.register_data_version(
        s, ROOT, DataVersion("faq@7", "questions", "0" * 64, 1, "s3"), now=NOW
    ),
    "model_id": lambda s: registry.register_version(s, ROOT, replace(FULL, model_id="gpt-4o-2024-05-13"), now=NOW),
    "prompt": lambda s: registry.register_version(s, ROOT, replace(FULL, prompt=None), now=NOW),
    "parameters": lambda s: registry.register_version(s, ROOT, replace(FULL, parameters={}), now=NOW),
    "data_versions": lambda s: registry.register_version(s, ROOT, replace(FULL, data_versions=("faq@7",)), now=NOW),
    "introduced, price": lambda s: registry.register_version(
        s, ROOT, replace(FULL, introduced=None, price=Price()), now=NOW
    ),
    "capabilities": lambda s: registry.register_version(s, ROOT, replace(FULL, capabilities=Capabilities()), now=NOW),
}


@pytest.mark.parametrize("differs", OTHERS)
def test_something_else_under_the_same_name_is_refused_and_the_difference_named(filled, differs):
    registry.register_version(filled, OPERATOR, FULL, now=NOW)
    before = everything(filled)
    with pytest.raises(AlreadyExists, match=rf"with another {differs}\. Registered things never change"):
        OTHERS[differs](filled)
    assert everything(filled) == before


def test_a_version_stays_registered_whatever_later_rules_say_of_its_id(filled, monkeypatch):
    registry.register_version(filled, OPERATOR, FULL, now=NOW)
    stricter = (Rule(r".*", PinClass.FLOATING, "nothing is certain"),)
    monkeypatch.setattr(pinning, "RULES", stricter)
    assert registry.register_version(filled, OPERATOR, FULL, now=NOW).pin_class == "pinned"
    with pytest.raises(FloatingModel):
        registry.register_version(filled, OPERATOR, replace(FULL, name="support@4"), now=NOW)


def test_parameters_are_the_same_however_they_were_written(filled):
    registry.register_version(filled, OPERATOR, replace(FULL, parameters={"stop": ("a",), "seed": 1}), now=NOW)
    again = registry.register_version(filled, OPERATOR, replace(FULL, parameters={"seed": 1, "stop": ["a"]}), now=NOW)
    assert again.parameters == {"stop": ["a"], "seed": 1}


def test_notes_may_change_and_the_log_keeps_the_old_ones(filled):
    registry.register_version(filled, OPERATOR, FULL, now=NOW)
    registry.note(filled, OPERATOR, "support@3", "second thoughts", now=NOW)
    assert registry.version(filled, VIEWER, "support@3").notes == "second thoughts"
    assert (events(filled)[-1].before, events(filled)[-1].after) == (
        {"notes": "first try"},
        {"notes": "second thoughts"},
    )
    with pytest.raises(NothingToChange):
        registry.note(filled, OPERATOR, "support@3", "second thoughts", now=NOW)


def test_known_issues_are_added_and_resolved_and_stay_on_record(filled):
    registry.register_version(filled, OPERATOR, FULL, now=NOW)
    one = registry.add_issue(filled, OPERATOR, "support@3", "invents order numbers", now=NOW)
    two = registry.add_issue(filled, OPERATOR, "support@3", "slow on Mondays", now=NOW)
    registry.resolve_issue(filled, ROOT, one.id, now=NOW)
    assert [(i.id, i.resolved_by) for i in registry.issues(filled, VIEWER, "support@3")] == [
        (two.id, None),
        (one.id, ROOT.name),
    ]
    with pytest.raises(NothingToChange, match="was resolved by local:root already"):
        registry.resolve_issue(filled, ROOT, one.id, now=NOW)


@pytest.mark.parametrize("number", [0, -1, 999, 2**31, 2**70])
def test_a_known_issue_that_is_not_there_is_not_found_on_either_store(filled, number):
    with pytest.raises(NotFound, match=f"no known issue {number}"):
        registry.resolve_issue(filled, ROOT, number, now=NOW)


def test_a_provider_may_move_and_gateways_learn_of_it(filled):
    before = serving.current_serial(filled)
    moved = registry.change_provider(filled, ROOT, "oai", base_url="https://eu.example.com/v1", secret_env="", now=NOW)
    assert (moved.base_url, moved.secret_env, moved.kind) == ("https://eu.example.com/v1", None, "openai")
    assert serving.current_serial(filled) == before + 1
    said = events(filled)[-1]
    assert said.before == {"base_url": "https://api.example.com/v1", "secret_env": "OAI_KEY"}
    with pytest.raises(NothingToChange):
        registry.change_provider(filled, ROOT, "oai", now=NOW)


# -- floating -------------------------------------------------------------------------------------


def test_a_floating_id_is_refused_with_the_reason_and_the_pins_known_for_it(filled):
    with pytest.raises(FloatingModel) as refusal:
        registry.register_version(filled, OPERATOR, Version("x", "oai", "gpt-4o"), now=NOW)
    assert str(refusal.value) == (
        "gpt-4o is floating: OpenAI ids without a date are pointers that move to newer snapshots. Nothing was "
        "registered. Pinned ids known for it: gpt-4o-2024-11-20, gpt-4o-2024-08-06, gpt-4o-2024-05-13."
    )
    with pytest.raises(UnknownVersion):
        registry.version(filled, VIEWER, "x")


def test_an_unknown_id_is_accepted_with_a_visible_mark(filled):
    made = registry.register_version(filled, OPERATOR, Version("x", "oai", "our-own-model"), now=NOW)
    assert (made.pin_class, made.pin_because) == ("unknown", "no rule knows how this provider names exact models")


def test_recorded_ids_are_exempt(store, clock):
    stocked(store, clock.now())
    made = registry.register_version(store, OPERATOR, Version("x", "rec", "gpt-4o"), now=NOW)
    assert made.pin_class == "pinned"
    assert flips.flip(store, OPERATOR, "prod", "x", seen_revision=1, now=clock.wait(hours=1)).version == "x"


# -- what is refused ------------------------------------------------------------------------------


def version(**parts: Any) -> Callable[[Store], object]:
    made = Version(**{**vars(FULL), **parts})
    return lambda store: registry.register_version(store, ROOT, made, now=NOW)


def provider(**parts: Any) -> Callable[[Store], object]:
    made = Provider(**{**vars(OAI), "name": "new", **parts})
    return lambda store: registry.register_provider(store, ROOT, made, now=NOW)


def data(**parts: Any) -> Callable[[Store], object]:
    made = DataVersion(**{"name": "new", **parts})
    return lambda store: registry.register_data_version(store, ROOT, made, now=NOW)


NESTED: list[Any] = []
for _ in range(100_000):
    NESTED = [NESTED]

REFUSED: dict[str, tuple[Callable[[Store], object], type[PinrailError], str]] = {
    "version without a model": (version(model_id=""), InvalidInput, "exact model id"),
    "model with blanks": (version(model_id=" gpt-4o-2024-08-06"), InvalidInput, "without blanks"),
    "model with NUL": (version(model_id="gpt\0"), InvalidInput, "cannot be stored"),
    "model too long": (version(model_id="m" * 257), InvalidInput, "exact model id"),
    "name of a version": (version(name="sup port"), InvalidInput, "cannot be the name of a version"),
    "provider unknown": (version(provider="oia"), NotFound, "Closest: oai"),
    "prompt unknown": (version(prompt="greet@3"), NotFound, "Closest: greet@2"),
    "data unknown": (version(data_versions=("faq@8",)), NotFound, "Closest: faq@7"),
    "too many data": (version(data_versions=tuple(f"d{n}" for n in range(101))), InvalidInput, "at most 100"),
    "messages set": (version(parameters={"messages": []}), InvalidInput, "cannot set messages"),
    "stream set": (version(parameters={"stream": True, "model": "x"}), InvalidInput, "cannot set model, stream"),
    "parameter no number": (version(parameters={"temperature": float("nan")}), InvalidInput, "must be JSON values"),
    "parameter no JSON": (version(parameters={"stop": {1, 2}}), InvalidInput, "must be JSON values"),
    "parameters too deep": (version(parameters={"x": NESTED}), InvalidInput, "must be JSON values"),
    "parameters too long": (version(parameters={"x": "y" * 50_001}), InvalidInput, "at most 50000 characters"),
    "parameter half a character": (version(parameters={"x": "\ud800"}), InvalidInput, "all of them whole"),
    "price negative": (version(price=Price(-1)), InvalidInput, "A price is 0 to"),
    "price too high": (version(price=Price(2**63)), InvalidInput, "A price is 0 to"),
    "notes too long": (version(notes="n" * 20_001), InvalidInput, "A note has 0 to 20000"),
    "notes with NUL": (version(notes="a\0b"), InvalidInput, "cannot be stored"),
    "no kind": (provider(kind="openia"), InvalidInput, "Kinds are openai, anthropic"),
    "no address": (provider(base_url="api.example.com"), InvalidInput, "looks like https://"),
    "another scheme": (provider(base_url="ftp://api.example.com"), InvalidInput, "looks like https://"),
    "script": (provider(base_url="javascript:alert(1)"), InvalidInput, "looks like https://"),
    "broken address": (provider(base_url="http://[::1"), InvalidInput, "looks like https://"),
    "port out of range": (provider(base_url="http://x:99999/v1"), InvalidInput, "looks like https://"),
    "line break in address": (provider(base_url="http://x/v1\r\nHost: y"), InvalidInput, "looks like https://"),
    "address too long": (provider(base_url="http://x/" + "y" * 500), InvalidInput, "A base URL has"),
    "password in address": (provider(base_url="https://me:pw@x/v1"), InvalidInput, "secrets live in the environment"),
    "query in address": (provider(base_url="https://x/v1?key=1"), InvalidInput, "secrets live in the environment"),
    "key instead of its variable": (provider(secret_env="sk_live_51H8xyz"), InvalidInput, "never the key"),
    "another key": (provider(secret_env="sk-proj-abc"), InvalidInput, "never the key"),
    "a variable of ours": (provider(secret_env="PINRAIL_DATABASE_URL"), InvalidInput, "never sent to one"),
    "variable with a blank": (provider(secret_env="MY KEY"), InvalidInput, "never the key"),
    "description too long": (provider(description="d" * 2001), InvalidInput, "A description has"),
    "no SHA": (data(sha256="abc"), InvalidInput, "64 lower-case hexadecimal"),
    "rows negative": (data(rows=-1), InvalidInput, "rows"),
    "rows too many": (data(rows=2**63), InvalidInput, "rows"),
    "source too long": (data(source="s" * 2001), InvalidInput, "A source has"),
    "prompt empty": (lambda s: registry.register_prompt(s, ROOT, "p", "", now=NOW), InvalidInput, "1 to 200000"),
    "prompt blank": (
        lambda s: registry.register_prompt(s, ROOT, "p", " \n", now=NOW),
        InvalidInput,
        "more than blanks",
    ),
    "prompt with NUL": (
        lambda s: registry.register_prompt(s, ROOT, "p", "\0", now=NOW),
        InvalidInput,
        "cannot be stored",
    ),
    "issue blank": (lambda s: registry.add_issue(s, ROOT, "support@3", " ", now=NOW), InvalidInput, "more than blanks"),
    "issue of nothing": (lambda s: registry.add_issue(s, ROOT, "suport@3", "x", now=NOW), UnknownVersion, "no version"),
    "note on nothing": (lambda s: registry.note(s, ROOT, "x", "x", now=NOW), UnknownVersion, "no version"),
}


def test_what_cannot_be_registered_is_refused_with_what_would_do_and_leaves_no_trace(filled):
    before = everything(filled)
    for what, (attempt, kind, said) in REFUSED.items():
        with pytest.raises(kind, match=said) as refusal:
            attempt(filled)
        assert len(str(refusal.value)) < 400, what
        assert "sk_live" not in str(refusal.value), what
        assert "me:pw" not in str(refusal.value), what
    assert everything(filled) == before


def test_data_versions_named_twice_count_once(filled):
    made = registry.register_version(filled, ROOT, replace(FULL, data_versions=("faq@7", "manual@2", "faq@7")), now=NOW)
    assert made.data_versions == ("faq@7", "manual@2")


def test_lists_come_newest_first_and_by_name_on_both_stores(store):
    registry.register_provider(store, ROOT, replace(OAI, name="b"), now=NOW)
    registry.register_provider(store, ROOT, replace(OAI, name="a"), now=NOW)
    for name in ("p2", "p3", "p1"):
        registry.register_prompt(store, ROOT, name, "x", now=NOW)
    assert [p.name for p in registry.providers(store, VIEWER)] == ["a", "b"]
    assert [p.name for p in registry.prompts(store, VIEWER)] == ["p1", "p2", "p3"]
    assert registry.prompt(store, VIEWER, "p1").text == "x"
    assert [d.name for d in registry.data_versions(store, VIEWER)] == []
