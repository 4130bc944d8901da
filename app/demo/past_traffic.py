"""Traffic that never was, for the hours before the demo began: counted as if the callers had called all along.

It follows from the same recordings, behaviour and mix as what the demo's traffic does from then on, so that
nothing jumps when that begins. The same start gives the same counts.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.demo.workspace import RECORDINGS, requests, workspace
from app.gateway.formats import has_format, wanted_format
from core.connectors import recorded_behaviour
from core.connectors.recorded_answers import Answer
from core.connectors.recorded_behaviour import Behaviours, Fate
from core.connectors.recorded_server import behaviours_of
from core.connectors.recordings import Recordings, key_of, load
from core.domain.traffic import Counts, Failure, Outcome, WindowKey, window_start

BEFORE_NOW = timedelta(hours=3)
AROUND_A_MOVE = timedelta(hours=1)
STILL_KEPT = timedelta(days=29)
"""Moves older than this would lose their windows to the scheduler soon."""

FAILURES: Mapping[recorded_behaviour.Outcome, Failure] = {
    recorded_behaviour.Outcome.FAILED: Failure.PROVIDER,
    recorded_behaviour.Outcome.RATE_LIMITED: Failure.RATE_LIMITED,
    recorded_behaviour.Outcome.HUNG: Failure.TIMEOUT,
    recorded_behaviour.Outcome.CUT: Failure.CUT,
}


def invented(now: datetime) -> dict[WindowKey, Counts]:
    """The windows of the last hours, and of the hours around each move of this month."""
    answers = _Answers()
    found: dict[WindowKey, Counts] = {}
    for alias in workspace()["aliases"]:
        rng = random.Random(f"{alias['name']} before the demo")
        for outcome in _outcomes(alias, answers, rng, now):
            start = window_start(datetime.fromtimestamp(outcome.at, now.tzinfo))
            found.setdefault(WindowKey(outcome.alias, outcome.version, start), Counts()).note(outcome)
    return found


# -- when -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stretch:
    """A time in which one version served an alias, as far as its traffic is told."""

    version: str
    since: datetime
    until: datetime


def stretches(alias: Mapping[str, Any], now: datetime) -> list[Stretch]:
    """The parts of an alias's history that traffic is invented for: around its moves, and just before now."""
    moves = [
        (now - timedelta(days=step["days_ago"]), step["version"]) for step in alias["history"] if "version" in step
    ]
    ends = [at for at, _version in moves[1:]] + [window_start(now)]
    told = [(at - AROUND_A_MOVE, at + AROUND_A_MOVE) for at, _version in moves if now - at < STILL_KEPT]
    told.append((now - BEFORE_NOW, now))
    found = [
        Stretch(version, max(since, begin), min(until, end))
        for (since, version), until in zip(moves, ends, strict=True)
        for begin, end in _merged(told)
    ]
    return [stretch for stretch in found if stretch.since < stretch.until]


def _merged(times: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """The same times without overlaps, in order."""
    found: list[tuple[datetime, datetime]] = []
    for begin, end in sorted(times):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def _arrivals(rng: random.Random, rate: float, stretch: Stretch) -> Iterator[datetime]:
    """Moments at which independent callers call."""
    at = stretch.since
    while (at := at + timedelta(seconds=rng.expovariate(rate))) < stretch.until:
        yield at


# -- what -----------------------------------------------------------------------------------------


def _outcomes(alias: Mapping[str, Any], answers: "_Answers", rng: random.Random, now: datetime) -> Iterator[Outcome]:
    name = alias["name"]
    mix = {part["caller"]: part["requests_per_second"] for part in workspace()["traffic"] if part["alias"] == name}
    for stretch in stretches(alias, now):
        chain = (stretch.version, *alias["fallbacks"])
        for at in _arrivals(rng, sum(mix.values()), stretch):
            [caller] = rng.choices(tuple(mix), tuple(mix.values()))
            yield from _tries(answers, rng, name, caller, chain, at)


def _tries(
    answers: "_Answers", rng: random.Random, alias: str, caller: str, chain: tuple[str, ...], at: datetime
) -> Iterator[Outcome]:
    """One request: an outcome for every version of the chain that was asked until one answered."""
    number = rng.randrange(answers.count(alias))
    for place, version in enumerate(chain):
        said, fate = answers.of(alias, version, number), answers.fate(version, rng)
        failure = FAILURES.get(fate.outcome)
        yield Outcome(
            alias,
            version,
            caller,
            at.timestamp(),
            fate.latency_ms,
            failure,
            said.format_valid if failure is None else None,
            said.input_tokens if failure is None else 0,
            said.output_tokens if failure is None else 0,
            fell_back=place > 0,
        )
        if failure is None or failure is Failure.CUT:
            return


@dataclass(frozen=True)
class _Said:
    """What counts of one recorded answer."""

    input_tokens: int
    output_tokens: int
    format_valid: bool | None


class _Answers:
    """The recorded answers, read once each."""

    def __init__(self) -> None:
        self._recordings: Recordings = load([RECORDINGS])
        self._behaviours: Behaviours = behaviours_of(self._recordings)
        self._versions = {version["name"]: version for version in workspace()["versions"]}
        self._prompts = {prompt["name"]: prompt["text"] for prompt in workspace()["prompt_versions"]}
        self._read: dict[tuple[str, int], _Said] = {}

    def count(self, alias: str) -> int:
        """How many different requests the callers of ``alias`` send."""
        return len(requests()[alias])

    def fate(self, version: str, rng: random.Random) -> Fate:
        """How the model of ``version`` fares with one request."""
        return self._behaviours.of(self._versions[version]["model_id"]).draw(rng)

    def of(self, alias: str, version: str, number: int) -> _Said:
        """What ``version`` answers to request ``number`` of ``alias``."""
        found = self._read.get((version, number))
        if found is None:
            found = self._read[version, number] = self._answer(requests()[alias][number], self._versions[version])
        return found

    def _answer(self, body: Mapping[str, Any], version: Mapping[str, Any]) -> _Said:
        system = [{"role": "system", "content": self._prompts[version["prompt"]]}] if version["prompt"] else []
        key = key_of([*system, *body["messages"]], body.get("tools"))
        take = self._recordings.by_model[version["model_id"]][key][0]
        usage = Answer(take, version["model_id"]).usage
        wanted = wanted_format({**body, **version["parameters"]})
        valid = has_format(wanted, [take.output]) if wanted is not None else None
        return _Said(usage["prompt_tokens"], usage["completion_tokens"], valid)
