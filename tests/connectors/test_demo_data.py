"""The demo tells a true story: every answer is there, the stable versions are healthy, the newer one is worse."""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from core.connectors.recorded_behaviour import Outcome
from core.connectors.recorded_server import provider
from core.connectors.recordings import Take, key_of, load
from core.domain import aliases
from core.domain.aliases import Asked, Revision, State
from core.domain.names import checked_name, checked_slug
from core.domain.permissions import Actor, ActorKind, Grant, Role, insist
from core.domain.pinning import PinClass, classify
from core.domain.versions import BUNDLE_MAY_NOT_SET, PROVIDER_KINDS

DEMO = Path(__file__).parents[2] / "data" / "demo"
WORKSPACE = json.loads((DEMO / "workspace.json").read_text())
RECORDINGS = load([DEMO / "recordings"])
REQUESTS: list[dict[str, Any]] = [json.loads(line) for line in (DEMO / "requests.jsonl").read_text().splitlines()]
VERSIONS = {version["name"]: version for version in WORKSPACE["versions"]}
PROMPTS = {prompt["name"]: prompt["text"] for prompt in WORKSPACE["prompt_versions"]}
ALIASES = {alias["name"]: alias for alias in WORKSPACE["aliases"]}
PEOPLE = {
    person["name"]: Actor(person["name"], ActorKind.PERSON, (Grant(Role(person["role"])),))
    for person in WORKSPACE["colleagues"]
}
START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def alias_of(version: str) -> str:
    """The alias a version is made for: the one whose requests its prompt is recorded with."""
    rows = [json.loads(line) for path in DEMO.rglob("prompts.jsonl") for line in path.read_text().splitlines()]
    [alias] = {row["category"] for row in rows if row["prompt"] == VERSIONS[version]["prompt"]}
    assert isinstance(alias, str)
    return alias


def answers_of(version: str) -> list[Take]:
    """What a version answers to each request of its alias, found as the gateway would ask for it."""
    model, system = VERSIONS[version]["model_id"], PROMPTS[VERSIONS[version]["prompt"]]
    return [
        RECORDINGS.by_model[model][key_of([{"role": "system", "content": system}, *request["body"]["messages"]])][0]
        for request in REQUESTS
        if request["alias"] == alias_of(version)
    ]


def replayed(alias: dict[str, Any]) -> list[Revision]:
    """The history as the domain tells it."""
    history: list[Revision] = []
    for step in alias["history"]:
        by, now = PEOPLE[step["by"]], START - timedelta(days=step["days_ago"])
        asked = Asked(by, now, seen_revision=len(history), reason=step["reason"])
        match step["action"]:
            case "create":
                state = State(step["version"], tuple(alias["fallbacks"]), alias["description"], alias["owner"])
                made = aliases.created(alias["name"], state, by=by, now=now, reason=step["reason"])
            case "flip":
                made = aliases.flip(history, step["version"], asked)
            case "roll_back":
                made = aliases.roll_back(history, asked)
                assert made.state.stable == step["version"]
            case "release":
                made = aliases.release(history, asked)
            case "protect":
                made = aliases.protect(history, asked, protected=True)
            case other:
                raise AssertionError(f"the demo has an action {other} that nobody can take")
        insist(by, f"alias:{'hold' if step['action'] == 'release' else step['action']}", alias["name"])
        history.append(made)
    return history


def fits(take: Take, version: str) -> bool:
    """Whether the whole answer is JSON of the shape that the version must answer in."""
    shape = VERSIONS[version]["parameters"]["response_format"]["json_schema"]["schema"]
    try:
        jsonschema.validate(json.loads(take.output), shape)
    except (json.JSONDecodeError, jsonschema.ValidationError):
        return False
    return True


def format_validity(version: str) -> float:
    answers = answers_of(version)
    return sum(fits(take, version) for take in answers) / len(answers)


# -- nothing is missing ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_has_an_answer_to_every_request_of_its_alias(version):
    answers = answers_of(version)
    assert len(answers) >= (24 if alias_of(version) == "prod-triage" else 16)
    assert all(take.output.strip() for take in answers)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_names_only_what_is_in_the_workspace(version):
    entry = VERSIONS[version]
    [kind] = {found["kind"] for found in WORKSPACE["providers"] if found["name"] == entry["provider"]}
    assert classify(kind, entry["model_id"]).pin_class is PinClass.PINNED
    assert checked_name("a version", version) == version
    assert set(entry["data_versions"]) <= {data["name"] for data in WORKSPACE["data_versions"]}
    assert not BUNDLE_MAY_NOT_SET & entry["parameters"].keys()
    known_by = {entry["registered"]["by"], *(issue["by"] for issue in entry["known_issues"])}
    assert known_by <= PEOPLE.keys()


def test_names_and_kinds_are_ones_the_registry_takes():
    for kind, entries in (("a provider", "providers"), ("an alias", "aliases"), ("a caller", "callers")):
        for entry in WORKSPACE[entries]:
            assert checked_slug(kind, entry["name"]) == entry["name"]
    assert all(entry["kind"] in PROVIDER_KINDS for entry in WORKSPACE["providers"])


def test_traffic_names_aliases_and_callers_that_exist_and_is_gentle():
    callers = {caller["name"] for caller in WORKSPACE["callers"]}
    assert {part["caller"] for part in WORKSPACE["traffic"]} == callers
    assert {part["alias"] for part in WORKSPACE["traffic"]} == ALIASES.keys()
    assert {request["alias"] for request in REQUESTS} == ALIASES.keys()
    assert all(request["body"]["model"] == request["alias"] for request in REQUESTS)
    assert sum(part["requests_per_second"] for part in WORKSPACE["traffic"]) <= 10


def test_a_version_is_registered_before_it_serves_and_after_its_model_came_out():
    served = dict.fromkeys(VERSIONS, START)
    for alias in ALIASES.values():
        for step in alias["history"]:
            if step["action"] in ("create", "flip"):
                served[step["version"]] = START - timedelta(days=step["days_ago"])
    for name, version in VERSIONS.items():
        registered = START - timedelta(days=version["registered"]["days_ago"])
        assert version["introduced"] <= registered.date().isoformat()
        assert registered < served[name]


# -- the story ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALIASES)
def test_a_history_is_one_that_could_have_happened_and_leaves_a_rollback_target(name):
    history = replayed(ALIASES[name])
    now = history[-1].state
    assert now.hold is None
    assert now.protected == ALIASES[name]["protected"]
    assert aliases.rollback_targets(history, now=START)
    assert [step["days_ago"] for step in ALIASES[name]["history"]] == sorted(
        (step["days_ago"] for step in ALIASES[name]["history"]), reverse=True
    )


def test_one_alias_was_rolled_back_and_one_is_protected():
    causes = Counter(revision.cause for alias in ALIASES.values() for revision in replayed(alias))
    assert causes[aliases.Cause.ROLLED_BACK] == 1
    assert [name for name, alias in ALIASES.items() if alias["protected"]] == ["prod-chat"]


def test_the_version_to_try_has_never_served_and_what_serves_now_is_what_a_rollback_returns_to():
    tried = WORKSPACE["try"]
    history = replayed(ALIASES[tried["alias"]])
    assert all(span.version != tried["flip_to"] for span in aliases.spans(history))
    asked = Asked(PEOPLE["marek"], START, seen_revision=len(history))
    flipped = [*history, aliases.flip(history, tried["flip_to"], asked)]
    best = aliases.rollback_targets(flipped, now=START + timedelta(minutes=2))[0]
    assert best.version == history[-1].state.stable
    assert best.caution is None


def test_what_serves_triage_always_answers_in_its_format_and_the_newer_version_often_does_not():
    tried = WORKSPACE["try"]
    stable = replayed(ALIASES[tried["alias"]])[-1].state.stable
    assert format_validity(stable) == 1
    assert 0.6 <= format_validity(tried["flip_to"]) <= 0.7


def test_the_newer_version_is_slower_and_fails_in_about_six_of_a_hundred():
    behaviours = provider([DEMO / "recordings"]).behaviours
    tried = WORKSPACE["try"]
    stable = replayed(ALIASES[tried["alias"]])[-1].state.stable
    rng = random.Random(20261124)
    newer = [behaviours.of(VERSIONS[tried["flip_to"]]["model_id"]).draw(rng) for _request in range(5000)]
    older = [behaviours.of(VERSIONS[stable]["model_id"]).draw(rng) for _request in range(5000)]
    failed = Counter(fate.outcome for fate in newer)[Outcome.FAILED] / len(newer)
    assert failed == pytest.approx(0.06, abs=0.015)
    assert Counter(fate.outcome for fate in older)[Outcome.ANSWERED] / len(older) > 0.99
    slow, quick = (sorted(fate.latency_ms for fate in fates)[2500] for fates in (newer, older))
    assert slow > 2 * quick
