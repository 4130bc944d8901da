"""Writes the demo workspace into an empty embedded store: through the services, at the times of its story.

It is written to a file beside the store first and copied over in one transaction, so that an interrupted start leaves
the store as empty as it was.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from app.demo.past_traffic import invented
from app.demo.workspace import HISTORY, KEY, PASSWORD, PEOPLE, key_of, workspace
from app.wiring import Pinrail
from core.domain.permissions import Actor, ActorKind, Grant, Role, system
from core.domain.versions import Capabilities, DataVersion, Price, Provider, Version
from core.errors import CannotStart, InvalidInput, NothingToChange
from core.services import access, callers, flips, registry, serving
from core.services.flips import Moved
from core.services.recording import change, event
from core.store import audit_log, migrate, read_models
from core.store.database import Store, open_store

SEEDER = system("demo")
JUST_BEFORE = 0.01  # days: what a thing needs is registered a quarter of an hour before it
INVENTED = "Everything before this event is invented: people, times, and the traffic of replica " + HISTORY


def seed(pinrail: Pinrail, *, recorded_url: str) -> None:
    """Write the demo into the store of ``pinrail``; nothing if it is there already.

    ``recorded_url`` is the base URL of the recorded provider. Refuses a store that is not the embedded one or not
    empty, and any start that others could reach: everybody knows the demo's passwords.
    """
    if read_models.was_seeded(pinrail.store):
        return
    refuse_unfit(pinrail)
    with _beside(pinrail) as (draft, path):
        write(draft, recorded_url=recorded_url, now=pinrail.now())
        draft.close()
        _copy(path, pinrail)


def refuse_unfit(pinrail: Pinrail) -> None:
    """Return if the demo may move in; CannotStart says why not and what to do."""
    settings = pinrail.settings
    if not settings.on_loopback:
        raise CannotStart(
            f"The demo is for this machine alone, because everybody knows its passwords, and you listen on "
            f"{settings.host}. Start with --no-demo, or without --host."
        )
    if not settings.embedded:
        raise CannotStart(
            "The demo is written into the embedded store only, and PINRAIL_DATABASE_URL names another. "
            "Start with --no-demo, or unset it."
        )
    if not migrate.is_empty(pinrail.store):
        raise CannotStart(
            f"The store in {settings.data_dir} holds something already, so the demo keeps out of it. "
            "Start with --no-demo, or give the demo a folder of its own with --data DIR."
        )


def point_at(pinrail: Pinrail, recorded_url: str) -> None:
    """Let the demo's providers answer at ``recorded_url``, if they were last started elsewhere."""
    wanted = base_url(recorded_url)
    for provider in _providers(wanted):
        try:
            registry.change_provider(pinrail.store, SEEDER, provider.name, base_url=wanted, now=pinrail.now())
        except NothingToChange:
            continue


def base_url(recorded_url: str) -> str:
    """The recorded provider's base URL, whether or not it was given with its ``/v1``."""
    return recorded_url.rstrip("/").removesuffix("/v1") + "/v1"


def _providers(url: str) -> list[Provider]:
    return [
        Provider(p["name"], p["kind"], url, p["secret_env"], p["description"])
        for p in workspace()["providers"]
        if p["base_url"] is None
    ]


# -- into the store, all or nothing ---------------------------------------------------------------


@contextmanager
def _beside(pinrail: Pinrail) -> Iterator[tuple[Store, Path]]:
    """An empty store of its own in the same folder; it is removed again."""
    path = pinrail.settings.data_dir.resolve() / "demo-being-written.db"
    _remove(path)
    draft = open_store(f"sqlite:///{path}")
    try:
        migrate.upgrade(draft)
        yield draft, path
    finally:
        draft.close()
        _remove(path)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _copy(draft: Path, pinrail: Pinrail) -> None:
    """One transaction for whoever looks at the store meanwhile, whatever happens in the middle."""
    target = make_url(pinrail.store.url).database
    assert target is not None
    with closing(sqlite3.connect(draft)) as source, closing(sqlite3.connect(target)) as store:
        source.backup(store)


# -- the story ------------------------------------------------------------------------------------


Do = Callable[[datetime], object]


@dataclass(frozen=True)
class Step:
    """Something that was done so many days ago."""

    days_ago: float
    do: Do


def write(store: Store, *, recorded_url: str, now: datetime) -> None:
    """Tell the whole story to an empty ``store``, in the order of its times."""
    story = Story(store, base_url(recorded_url))
    for step in sorted(story.steps(), key=lambda step: -step.days_ago):
        step.do(now - timedelta(days=step.days_ago))
    windows = invented(now)
    serving.record_windows(store, replica=HISTORY, windows=windows)
    facts = {"workspace": workspace()["company"], "invented_windows": len(windows)}
    said = event(SEEDER, "store.seeded", "store", now=now, reason=INVENTED, after=facts)
    with change(store, SEEDER, "access:write", said) as session:
        audit_log.append(session, said)


class Story:
    """The workspace as steps; each is taken by the person who took it, with the role they have."""

    def __init__(self, store: Store, url: str) -> None:
        self._store, self._url = store, url
        self._told = workspace()
        colleagues = self._told["colleagues"]
        self._people = {c["name"]: _person(c["name"], Role(c["role"])) for c in colleagues}
        self._admin = next(self._people[c["name"]] for c in colleagues if c["role"] == Role.ADMIN)
        self._revisions: dict[str, int] = {}

    def steps(self) -> Iterator[Step]:
        """All steps, in an order that is right for those of one time."""
        told = self._told
        first = max(
            *(entry["registered"]["days_ago"] for entry in (*told["prompt_versions"], *told["versions"])),
            *(action["days_ago"] for alias in told["aliases"] for action in alias["history"]),
        )
        yield from self._beginning(first + 1)
        for prompt in told["prompt_versions"]:
            yield self._prompt(prompt)
        for version in told["versions"]:
            yield from self._version(version)
        for alias in told["aliases"]:
            yield from self._alias(alias)

    def _beginning(self, days_ago: float) -> Iterator[Step]:
        for colleague in self._told["colleagues"]:
            yield Step(days_ago, self._person_added(colleague["name"], None, Role(colleague["role"])))
        for name, role in PEOPLE.items():
            yield Step(days_ago, self._person_added(name, PASSWORD, Role(role)))
        for provider in _providers(self._url):
            yield Step(days_ago, self._provider_registered(provider))
        for caller in self._told["callers"]:
            yield Step(days_ago, self._caller_added(caller["name"], key_of(caller["name"])))
        yield Step(days_ago, self._caller_added("demo", KEY))

    def _person_added(self, name: str, password: str | None, role: Role) -> Do:
        least = len(PASSWORD)
        return lambda at: access.add_person(
            self._store, SEEDER, name, password=password, role=role, now=at, shortest_password=least
        )

    def _provider_registered(self, provider: Provider) -> Do:
        return lambda at: registry.register_provider(self._store, self._admin, provider, now=at)

    def _caller_added(self, caller: str, key: str) -> Do:
        return lambda at: callers.create_key(self._store, self._admin, caller, demo_key=key, now=at)

    # -- the registry -----------------------------------------------------------------------------

    def _prompt(self, prompt: dict[str, Any]) -> Step:
        by = self._people[prompt["registered"]["by"]]
        return Step(
            prompt["registered"]["days_ago"],
            lambda at: registry.register_prompt(self._store, by, prompt["name"], prompt["text"], now=at),
        )

    def _version(self, told: dict[str, Any]) -> Iterator[Step]:
        by, days_ago = self._people[told["registered"]["by"]], told["registered"]["days_ago"]
        for name in told["data_versions"]:
            yield self._data_version(name, by, days_ago + JUST_BEFORE)
        version = Version(
            told["name"],
            told["provider"],
            told["model_id"],
            told["prompt"],
            told["parameters"],
            tuple(told["data_versions"]),
            date.fromisoformat(told["introduced"]),
            Price(**told["price"]),
            Capabilities(**told["capabilities"]),
            told["notes"],
        )
        yield Step(days_ago, lambda at: registry.register_version(self._store, by, version, now=at))
        for issue in told["known_issues"]:
            yield self._issue(told["name"], issue)

    def _data_version(self, name: str, by: Actor, days_ago: float) -> Step:
        [facts] = [data for data in self._told["data_versions"] if data["name"] == name]
        # Registering it again for the next version that was built with it is no change.
        return Step(days_ago, lambda at: registry.register_data_version(self._store, by, DataVersion(**facts), now=at))

    def _issue(self, version: str, issue: dict[str, Any]) -> Step:
        by = self._people[issue["by"]]
        return Step(issue["days_ago"], lambda at: registry.add_issue(self._store, by, version, issue["text"], now=at))

    # -- aliases ----------------------------------------------------------------------------------

    def _alias(self, alias: dict[str, Any]) -> Iterator[Step]:
        for action in alias["history"]:
            yield Step(action["days_ago"], self._acted(alias, action))
        # The fallbacks of an alias are often younger than the alias.
        registered = {v["name"]: v["registered"] for v in self._told["versions"]}
        youngest = min((registered[name] for name in alias["fallbacks"]), key=lambda r: r["days_ago"], default=None)
        if youngest is not None:
            yield Step(
                min(youngest["days_ago"], alias["history"][0]["days_ago"]) - JUST_BEFORE,
                lambda at: self._fall_back(alias, self._people[youngest["by"]], at),
            )

    def _acted(self, alias: dict[str, Any], action: dict[str, Any]) -> Do:
        by = self._people[action["by"]]

        def do(at: datetime) -> None:
            seen = self._revisions.get(alias["name"], 0)
            given = {"seen_revision": seen, "reason": action["reason"], "now": at}
            self._put_down(self._actions(alias, action, by, given))

        return do

    def _actions(self, alias: dict[str, Any], action: dict[str, Any], by: Actor, given: dict[str, Any]) -> Moved:
        store, name = self._store, alias["name"]
        match action["action"]:
            case "create":
                del given["seen_revision"]
                card = {"description": alias["description"], "owner": alias["owner"]}
                return flips.create(store, by, name, action["version"], **card, **given)
            case "flip":
                return flips.flip(store, by, name, action["version"], **given)
            case "roll_back":
                return flips.roll_back(store, by, name, to=action.get("version"), **given)
            case "hold":
                return flips.hold(store, by, name, **given)
            case "release":
                return flips.release(store, by, name, **given)
            case "protect":
                return flips.protect(store, by, name, protected=True, **given)
            case other:
                raise InvalidInput(f"The demo's {name} has an action {other} that nobody can take.")

    def _fall_back(self, alias: dict[str, Any], by: Actor, at: datetime) -> None:
        fallbacks, seen = tuple(alias["fallbacks"]), self._revisions[alias["name"]]
        moved = flips.describe(
            self._store, by, alias["name"], fallbacks=fallbacks, seen_revision=seen, reason="A fallback.", now=at
        )
        self._put_down(moved)

    def _put_down(self, moved: Moved) -> None:
        self._revisions[moved.alias] = moved.revision


def _person(name: str, role: Role) -> Actor:
    return Actor(name, ActorKind.PERSON, (Grant(role),))
