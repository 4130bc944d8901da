"""The main job, end to end: live traffic, a flip to a worse version, and the way back from the dashboard.

Real OpenAI clients call two gateways without pause, plain and streamed; the versions are recordings; the flip comes
over the API, the rollback is clicked in Chromium.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, sync_playwright

from core.domain.aliases import Revision
from core.domain.permissions import Role, local
from core.domain.versions import Provider, Version
from core.services import access, callers, flips, registry, serving
from core.store import audit_log, migrate, repositories
from core.store.database import Store, open_store
from tests.journeys import recordings
from tests.journeys.calling import Asked, Callers, Question
from tests.journeys.recordings import Book
from tests.parts import ROOT, Part, dashboard, gateway, recorded

HAND = local("journey")
PASSWORD = "a long enough password"


@dataclass(frozen=True)
class Story:
    """What the journey is told with: an alias, its two versions, the questions, and what each version answers."""

    alias: str
    old: Version
    new: Version
    prompts: dict[str, str]
    folder: Path
    questions: tuple[Question, ...]
    answer: Callable[[str, str], str]  # (version, question) -> the recorded text


def llmdrift(folder: Path) -> tuple[Story, Book]:
    """GPT-4 of March and of June 2023, asked whether numbers are prime."""
    book = recordings.opened(folder, category="prime")
    old, new = (Version(model, "recorded", model) for model in ("gpt-4-0314", "gpt-4-0613"))
    story = Story(
        "prod-math", old, new, {}, folder, book.questions, lambda version, question: book.answers[version, question]
    )
    return story, book


def brightwater() -> Story:
    """The demo's own recordings: the mail triage of a shop that does not exist."""
    demo = ROOT / "data" / "demo"
    workspace = json.loads((demo / "workspace.json").read_text())
    prompts = {p["name"]: p["text"] for p in workspace["prompt_versions"]}
    facts = {v["name"]: v for v in workspace["versions"]}
    old, new = (
        Version(name, "recorded", facts[name]["model_id"], facts[name]["prompt"])
        for name in ("triage-large-0602", "triage-large-1027")
    )
    prompt = prompts[str(old.prompt)]
    system = {"role": "system", "content": prompt}
    lines = (demo / "requests.jsonl").read_text().splitlines()
    asked = {r["ask"]: r["body"]["messages"] for r in map(json.loads, lines) if r["alias"] == "prod-triage"}
    book = recordings.opened(demo / "recordings" / "triage")
    ids = {json.dumps(q.body["messages"]): q.prompt_id for q in book.questions}
    recorded_as = {ask: ids[json.dumps([system, *messages])] for ask, messages in asked.items()}
    models = {version.name: version.model_id for version in (old, new)}
    return Story(
        "prod-triage",
        old,
        new,
        {str(old.prompt): prompt},
        demo / "recordings",
        tuple(Question(ask, {"messages": messages}) for ask, messages in asked.items()),
        lambda version, question: book.answers[models[version], recorded_as[question]],
    )


@dataclass(frozen=True)
class Stage:
    """Everything running: the store, two gateways, the dashboard, and callers that call without pause."""

    store: Store
    dashboard: Part
    callers: Callers
    token: str


@contextmanager
def staged(story: Story, database_url: str, folder: Path) -> Iterator[Stage]:
    """The stage for ``story``, with two gateways on the store at ``database_url``."""
    with ExitStack() as stack:
        provider = stack.enter_context(recorded([story.folder], folder / "recorded.log", calm=True))
        store = open_store(database_url)
        stack.callback(store.close)
        key, token = _furnish(store, story, f"{provider.url}/v1")
        gateways = [stack.enter_context(gateway(database_url, folder, name)) for name in ("gateway-1", "gateway-2")]
        board = stack.enter_context(dashboard(database_url, folder))
        calling = Callers([g.url for g in gateways], key, story.alias, story.questions)
        yield Stage(store, board, stack.enter_context(calling.calling()), token)


def _furnish(store: Store, story: Story, provider_url: str) -> tuple[str, str]:
    migrate.upgrade(store)
    now = datetime.now(UTC)
    registry.register_provider(store, HAND, Provider("recorded", "recorded", provider_url), now=now)
    for name, text in story.prompts.items():
        registry.register_prompt(store, HAND, name, text, now=now)
    for version in (story.old, story.new):
        registry.register_version(store, HAND, version, now=now)
    flips.create(store, HAND, story.alias, story.old.name, now=now - timedelta(days=3))
    access.add_person(store, HAND, "oncall", password=PASSWORD, role=Role.OPERATOR, now=now)
    _token, secret = access.create_token(store, HAND, "deploy", scope="operate", person="oncall", now=now)
    return callers.create_key(store, HAND, "web", now=now)[1], secret


@contextmanager
def chromium_page(chromium: str) -> Iterator[Page]:
    """A fresh page in the real browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            yield browser.new_context(viewport={"width": 1366, "height": 900}).new_page()
        finally:
            browser.close()


def flip_over_the_api(stage: Stage, alias: str, version: str) -> tuple[int, float]:
    """Flip, wait for the receipt, and answer the revision and when the receipt was complete."""
    base = f"{stage.dashboard.url}/api/v1/aliases/{alias}"
    head = {"Authorization": f"Bearer {stage.token}"}
    seen = requests.get(base, headers=head, timeout=10)
    assert seen.status_code == 200, seen.text
    flipped = requests.post(
        f"{base}/flip",
        json={"version": version, "reason": "the newer one"},
        headers={**head, "If-Match": seen.headers["ETag"], "Idempotency-Key": "journey-flip"},
        timeout=10,
    )
    assert flipped.status_code == 200, flipped.text
    revision = flipped.json()["revision"]
    return revision, receipt_complete(stage, alias, revision)


def receipt_complete(stage: Stage, alias: str, revision: int) -> float:
    """The moment at which every gateway was known to route by ``revision``."""
    for _ in range(2000):
        receipt = serving.receipt(stage.store, alias, revision, now=datetime.now(UTC))
        if receipt.complete:
            assert receipt.gateways == 2
            return time.time()
        time.sleep(0.005)
    raise AssertionError(f"Revision {revision} was not in force within 10 s")


def roll_back_in_chromium(page: Page, stage: Stage, alias: str) -> int:
    """From the deep link to the receipt: sign in on the way, then exactly two clicks."""
    page.goto(f"{stage.dashboard.url}/alias?name={alias}")
    page.get_by_label("Name").fill("oncall")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Roll back to").first.click(timeout=30_000)
    page.get_by_role("dialog").get_by_role("button", name="Roll back now").click(timeout=30_000)
    banner = page.get_by_text("2 of 2 gateways").first
    banner.wait_for(timeout=30_000)
    newest = history_of(stage.store, alias)[-1]
    assert newest.cause == "rolled back"
    assert newest.by == "oncall"
    return newest.number


def history_of(store: Store, alias: str) -> Sequence[Revision]:
    """Every revision of ``alias``."""
    with store.reading() as session:
        return repositories.history(session, alias)


def every_answer_is_the_recording_it_claims_to_be(asked: Sequence[Asked], story: Story) -> None:
    for one in asked:
        assert one.failure is None, one.failure
        assert one.content == story.answer(one.version, one.question)


def nobody_is_served_by_another_version(asked: Sequence[Asked], version: str, *, since: float, until: float) -> None:
    within = [one for one in asked if since <= one.sent_at < until]
    assert within
    assert {one.version for one in within} == {version}


def play(story: Story, database_url: str, folder: Path, chromium: str) -> dict[str, tuple[Asked, ...]]:
    """The journey; the rounds asked before, during and after are answered for a closer look."""
    with staged(story, database_url, folder) as stage, chromium_page(chromium) as page:
        before = stage.callers.one_round()
        revision, in_force = flip_over_the_api(stage, story.alias, story.new.name)
        during = stage.callers.one_round()
        clicked = time.time()
        back = roll_back_in_chromium(page, stage, story.alias)
        in_force_again = receipt_complete(stage, story.alias, back)
        after = stage.callers.one_round()
        with stage.store.reading() as session:
            audit_log.verify(session)
    asked = stage.callers.asked
    assert back == revision + 1
    assert {one.streamed for one in asked} == {True, False}
    every_answer_is_the_recording_it_claims_to_be(asked, story)
    nobody_is_served_by_another_version(asked, story.new.name, since=in_force, until=clicked)
    nobody_is_served_by_another_version(asked, story.old.name, since=in_force_again, until=time.time())
    assert {one.version for one in before} == {one.version for one in after} == {story.old.name}
    assert {one.version for one in during} == {story.new.name}
    return {"before": before, "during": during, "after": after}


@pytest.mark.browser
@pytest.mark.postgres
@pytest.mark.slow
def test_the_change_of_gpt_4_in_june_2023_is_rolled_back_in_two_clicks_and_no_request_fails(
    shared_data: Path, postgres_url: str, tmp_path: Path, chromium: str
):
    story, book = llmdrift(shared_data / "recordings" / "llmdrift")

    rounds = play(story, postgres_url, tmp_path, chromium)

    def accuracy(asked: Sequence[Asked]) -> float:
        right = [recordings.says_prime(one.content) == book.references[one.question] for one in asked]
        return sum(right) / len(right)

    measured = {phase: round(accuracy(asked), 3) for phase, asked in rounds.items()}
    assert measured == {"before": 0.84, "during": 0.511, "after": 0.84}


@pytest.mark.browser
@pytest.mark.slow
def test_the_demos_worse_triage_is_rolled_back_in_two_clicks_and_no_request_fails(
    database_url: str, tmp_path: Path, chromium: str
):
    rounds = play(brightwater(), database_url, tmp_path, chromium)

    def valid(asked: Sequence[Asked]) -> float:
        return sum(_is_json(one.content) for one in asked) / len(asked)

    assert valid(rounds["before"]) == valid(rounds["after"]) == 1
    assert valid(rounds["during"]) < 0.8


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
