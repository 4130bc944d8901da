"""The demo is told through the services, into an empty embedded store on this machine, or not at all."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from sqlalchemy import func, select
from sqlmodel import col

from app import demo
from app.demo.past_traffic import STILL_KEPT, invented, stretches
from app.demo.workspace import HISTORY, KEY, PASSWORD, PEOPLE, RECORDINGS, key_of, requests, workspace
from app.gateway.asking import asked_in, recognised, rewritten
from app.gateway.routes import Ready
from app.settings import Settings
from app.wiring import Pinrail, ready_pinrail
from core.connectors.recordings import key_of as recording_of
from core.connectors.recordings import load
from core.domain.aliases import Cause, rollback_targets
from core.domain.permissions import Role, system
from core.domain.routing import ProviderAddress, Target
from core.domain.traffic import WINDOW, added
from core.domain.versions import Provider
from core.errors import AlreadyExists, CannotStart, WrongPassword
from core.services import access, callers, registry, serving
from core.store import audit_log, migrate, read_models, repositories
from core.store.database import Store, open_store
from core.store.tables import AuditRow, VersionRow, WindowRow

ROOT = Path(__file__).parents[2]
HAND = system("test")
URL = "http://127.0.0.1:8090/v1"


def pinrail_in(folder: Path, **settings: object) -> Pinrail:
    return ready_pinrail(Settings.read(data_dir=folder, **settings))


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pinrail]:
    """A seeded workspace; the tests that ask for it only look."""
    pinrail = pinrail_in(tmp_path_factory.mktemp("seeded"))
    demo.seed(pinrail, recorded_url=URL)
    yield pinrail
    pinrail.store.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Pinrail]:
    """An embedded store with nothing in it."""
    pinrail = pinrail_in(tmp_path)
    yield pinrail
    pinrail.store.close()


def histories(store: Store) -> dict[str, list]:
    with store.reading() as session:
        return {name: repositories.history(session, name) for name in repositories.alias_names(session)}


def audit_count(store: Store) -> int:
    with store.reading() as session:
        return session.scalars(select(func.count()).select_from(AuditRow)).one()


# -- what was told --------------------------------------------------------------------------------


def test_the_seeded_workspace_verifies_its_audit_log(seeded: Pinrail):
    with seeded.store.reading() as session:
        found = audit_log.verify(session)
        last = session.scalars(select(AuditRow).order_by(col(AuditRow.seq).desc()).limit(1)).one()
    assert found.events > 60
    assert (last.kind, last.actor) == ("store.seeded", "demo")
    assert HISTORY in last.reason
    assert read_models.was_seeded(seeded.store)


def test_the_audit_log_tells_the_story_in_its_order_and_by_its_people(seeded: Pinrail):
    with seeded.store.reading() as session:
        rows = session.scalars(select(AuditRow).order_by(col(AuditRow.seq))).all()
    assert [row.at for row in rows] == sorted(row.at for row in rows)
    assert {row.outcome for row in rows} == {"done"}
    by_people = {row.actor for row in rows if row.kind.startswith("alias.")}
    assert by_people <= {colleague["name"] for colleague in workspace()["colleagues"]}


def test_every_alias_serves_a_version_that_exists_and_that_the_story_ends_with(seeded: Pinrail):
    with seeded.store.reading() as session:
        known = set(session.scalars(select(col(VersionRow.name))))
    for alias in workspace()["aliases"]:
        state = histories(seeded.store)[alias["name"]][-1].state
        assert {state.stable, *state.fallbacks} <= known
        assert state.stable == [step["version"] for step in alias["history"] if "version" in step][-1]
        assert state.fallbacks == tuple(alias["fallbacks"])
        assert (state.owner, state.protected, state.hold) == (alias["owner"], alias["protected"], None)


def test_a_history_has_the_times_and_causes_of_the_story(seeded: Pinrail):
    chat = histories(seeded.store)["prod-chat"]
    causes = [revision.cause for revision in chat if revision.cause is not Cause.DESCRIBED]
    assert causes == [
        Cause.CREATED, Cause.FLIPPED, Cause.FLIPPED, Cause.ROLLED_BACK, Cause.RELEASED, Cause.PROTECTED,
    ]  # fmt: skip
    rolled_back = next(revision for revision in chat if revision.cause is Cause.ROLLED_BACK)
    assert timedelta(days=26) < seeded.now() - rolled_back.at < timedelta(days=27)


@pytest.mark.parametrize("alias", [alias["name"] for alias in workspace()["aliases"]])
def test_every_alias_has_a_rollback_target_that_exists(seeded: Pinrail, alias: str):
    best = rollback_targets(histories(seeded.store)[alias], now=seeded.now())[0]
    assert read_models.bundle_of(seeded.store, best.version).version.name == best.version
    assert best.caution is None


def test_everything_of_the_workspace_is_registered(seeded: Pinrail):
    told = workspace()
    for kind, listed in (
        ("versions", registry.versions(seeded.store, HAND)),
        ("prompt_versions", registry.prompts(seeded.store, HAND)),
        ("data_versions", registry.data_versions(seeded.store, HAND)),
        ("providers", registry.providers(seeded.store, HAND)),
    ):
        assert {entry.name for entry in listed} == {entry["name"] for entry in told[kind]}
    assert {p.base_url for p in registry.providers(seeded.store, HAND)} == {URL}
    issues = {issue.text for issue in registry.issues(seeded.store, HAND)}
    issues -= {text for text in issues if text.startswith("rolled back from ")}  # these come with the rollbacks
    assert issues == {issue["text"] for version in told["versions"] for issue in version["known_issues"]}


# -- who may come in ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PEOPLE)
def test_the_people_of_the_demo_sign_in_with_the_password_everybody_knows(seeded: Pinrail, name: str):
    secret = access.sign_in(seeded.store, name, PASSWORD, now=seeded.now())
    actor = access.who_is(seeded.store, secret, now=seeded.now())
    assert actor.role_on(None) == Role(PEOPLE[name])


def test_the_colleagues_of_the_story_have_no_password(seeded: Pinrail):
    with pytest.raises(WrongPassword):
        access.sign_in(seeded.store, "priya", PASSWORD, now=seeded.now())


@pytest.mark.parametrize("key", [KEY, *(key_of(caller["name"]) for caller in workspace()["callers"])])
def test_the_gateway_recognises_the_demos_keys(seeded: Pinrail, key: str):
    table = serving.load_table(seeded.store)
    assert recognised(table.callers, f"Bearer {key}".encode(), now_s=time.time()).id == key


def test_the_demos_key_exists_in_the_demo_only(empty: Pinrail):
    assert serving.load_table(empty.store).callers == {}
    _key, secret = callers.create_key(empty.store, HAND, "web", now=empty.now())
    assert not secret.startswith("pk-demo")


# -- no request of the demo fails for want of a recording -----------------------------------------


def test_every_request_is_answered_by_every_version_that_may_serve_its_alias(seeded: Pinrail):
    recordings = load([RECORDINGS])
    everything = {version.name for version in registry.versions(seeded.store, HAND)}
    missing = []
    for alias in workspace()["aliases"]:
        history = histories(seeded.store)[alias["name"]]
        may_serve = {r.state.stable for r in history} | set(alias["fallbacks"])
        stem = history[-1].state.stable.split("-")[0]
        may_serve |= {name for name in everything if name.split("-")[0] == stem}
        for version in sorted(may_serve):
            ready = _ready(seeded.store, version)
            for body in requests()[alias["name"]]:
                sent = rewritten(asked_in(orjson.dumps(body)), ready)
                found = recordings.by_model[sent["model"]]
                if recording_of(sent["messages"], sent.get("tools")) not in found:
                    missing.append((version, body["messages"][-1]["content"][:40]))
    assert missing == []


def _ready(store: Store, name: str) -> Ready:
    """A version as a gateway would have it."""
    found = read_models.bundle_of(store, name)
    version, prompt = found.version, found.prompt
    text = prompt.text if prompt is not None else None
    target = Target(name, version.provider, version.model_id, version.prompt, text, version.parameters)
    return Ready(target, ProviderAddress(version.provider, found.provider.kind, found.provider.base_url))


# -- the hours before -----------------------------------------------------------------------------


def test_the_hours_before_have_traffic_that_is_marked_as_invented(seeded: Pinrail):
    with seeded.store.reading() as session:
        rows = session.scalars(select(WindowRow)).all()
    assert {row.replica for row in rows} == {HISTORY}
    now = seeded.now()
    for alias in workspace()["aliases"]:
        mine = [row for row in rows if row.alias == alias["name"]]
        assert any(row.start > now - timedelta(minutes=2) for row in mine)
        assert all(row.start + WINDOW <= now for row in mine)


def test_the_pages_begin_with_something_true_to_show(seeded: Pinrail):
    serving.join(seeded.store, replica="g1", name="gateway-1", now=seeded.now())
    found = read_models.overview(seeded.store, now=seeded.now())
    states = {summary.revision.alias: summary.condition.word for summary in found.aliases}
    assert states == dict.fromkeys(states, "healthy")
    assert len(states) == 4


def test_the_same_start_invents_the_same_traffic():
    now = datetime(2026, 11, 24, 9, 0, 3, tzinfo=UTC)
    assert invented(now) == invented(now)


def test_invented_traffic_has_the_rates_and_callers_of_the_mix_and_the_version_of_its_time():
    now = datetime(2026, 11, 24, 9, 0, 3, tzinfo=UTC)
    windows = invented(now)
    for alias in workspace()["aliases"]:
        told = stretches(alias, now)
        last = told[-1]
        parts = [part for part in workspace()["traffic"] if part["alias"] == alias["name"]]
        serving_it = [c for k, c in windows.items() if (k.alias, k.version) == (alias["name"], last.version)]
        total = added(serving_it)
        seconds = sum((s.until - s.since).total_seconds() for s in told if s.version == last.version)
        wanted = sum(part["requests_per_second"] for part in parts) * seconds
        assert total.requests == pytest.approx(wanted, rel=0.1)
        assert set(total.callers) == {part["caller"] for part in parts}
        versions = {k.version for k in windows if k.alias == alias["name"]}
        assert versions <= {s.version for s in told} | set(alias["fallbacks"])


def test_no_invented_traffic_is_about_to_be_pruned():
    now = datetime(2026, 11, 24, 9, 0, 3, tzinfo=UTC)
    assert timedelta(days=Settings.model_fields["keep_windows_days"].default) > STILL_KEPT
    assert min(key.start for key in invented(now)) > now - timedelta(days=30)


# -- where it may move in -------------------------------------------------------------------------


def test_seeding_twice_is_seeding_once(empty: Pinrail):
    demo.seed(empty, recorded_url=URL)
    before = audit_count(empty.store)
    demo.seed(empty, recorded_url=URL)
    assert audit_count(empty.store) == before


def test_a_store_that_holds_something_is_left_alone(empty: Pinrail):
    registry.register_provider(
        empty.store, HAND, Provider("mine", "openai", "https://api.example.com/v1"), now=empty.now()
    )
    with pytest.raises(CannotStart, match=r"holds something already.*--no-demo"):
        demo.seed(empty, recorded_url=URL)
    assert audit_count(empty.store) == 1
    assert [p.name for p in registry.providers(empty.store, HAND)] == ["mine"]


def test_a_host_that_others_can_reach_is_refused(tmp_path: Path):
    public = pinrail_in(tmp_path, host="0.0.0.0")
    with pytest.raises(CannotStart, match=r"everybody knows its passwords"):
        demo.seed(public, recorded_url=URL)
    assert migrate.is_empty(public.store)
    public.store.close()


def test_a_store_of_ones_own_is_refused(store: Store, tmp_path: Path):
    own = Pinrail(Settings.read(data_dir=tmp_path, database_url=store.url), store, pinrail_in(tmp_path).clock)
    with pytest.raises(CannotStart, match="PINRAIL_DATABASE_URL"):
        demo.seed(own, recorded_url=URL)
    assert migrate.is_empty(store)


def test_a_start_that_is_killed_while_seeding_leaves_the_store_empty_and_the_next_one_seeds_it(empty: Pinrail):
    folder = empty.settings.data_dir
    code = (
        "import sys; from pathlib import Path; from app import demo; from app.settings import Settings;"
        "from app.wiring import ready_pinrail;"
        f"demo.seed(ready_pinrail(Settings.read(data_dir=Path({str(folder)!r}))), recorded_url={URL!r})"
    )
    draft = folder / "demo-being-written.db"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not _has_people(draft):
        assert process.poll() is None
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert migrate.is_empty(empty.store)
    demo.seed(empty, recorded_url=URL)
    assert read_models.was_seeded(empty.store)
    assert [path.name for path in folder.iterdir() if "being-written" in path.name] == []


def _has_people(draft: Path) -> bool:
    if not draft.exists():
        return False
    connection = sqlite3.connect(f"file:{draft}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT count(*) FROM person").fetchone()[0] > 3
    except sqlite3.Error:
        return False
    finally:
        connection.close()


def test_a_story_that_cannot_be_told_leaves_the_store_empty(empty: Pinrail, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_args: object, **_more: object) -> None:
        raise AlreadyExists("There is a caller demo already.")

    monkeypatch.setattr(callers, "create_key", refuse)
    with pytest.raises(AlreadyExists):
        demo.seed(empty, recorded_url=URL)
    assert migrate.is_empty(empty.store)


def test_a_gateway_that_runs_already_learns_of_the_workspace(empty: Pinrail):
    other = open_store(empty.store.url)
    assert serving.current_serial(other) == 0
    demo.seed(empty, recorded_url=URL)
    assert serving.current_serial(other) > 0
    assert set(serving.load_table(other).aliases) == {alias["name"] for alias in workspace()["aliases"]}
    other.close()


# -- when the recorded provider moves -------------------------------------------------------------


def test_the_providers_follow_the_recorded_provider_to_another_port(empty: Pinrail):
    demo.seed(empty, recorded_url="http://127.0.0.1:8090")
    demo.point_at(empty, "http://127.0.0.1:9999")
    assert {p.base_url for p in registry.providers(empty.store, HAND)} == {"http://127.0.0.1:9999/v1"}
    before = audit_count(empty.store)
    demo.point_at(empty, "http://127.0.0.1:9999/v1")
    assert audit_count(empty.store) == before
