"""How a replayed model behaves: how long it takes, and how often it fails.

The shares are chances per request, and at most one of them comes true, so together they are at most 1.
Latency is one of four: none (the default), a fixed ``latency_ms``, log-normal through ``latency_p50_ms`` and
``latency_p95_ms``, or the recorded one times ``recorded_latency_scale``. The first token comes after
``first_token_ms`` or, where that is not set, after the recorded time (if the recorded latency is used) or
``first_token_share`` of the latency; the rest of a stream is spread over what remains.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from types import MappingProxyType

from core.errors import InvalidInput

NORMAL_P95 = 1.6448536269514722  # how many standard deviations above the median 95 % of a normal lie below


class Outcome(StrEnum):
    """What becomes of one request."""

    ANSWERED = "answered"
    FAILED = "failed"
    RATE_LIMITED = "rate_limited"
    HUNG = "hung"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Fate:
    """What one request will meet, decided before anything is sent."""

    outcome: Outcome
    because: str
    latency_ms: float = 0.0
    first_token_ms: float = 0.0
    cut_after_share: float = 1.0


ANSWERED_AT_ONCE = Fate(Outcome.ANSWERED, "this model answers at once and never fails")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one model behaves. The default answers at once and never fails."""

    latency_ms: float = 0.0
    latency_p50_ms: float = 0.0
    latency_p95_ms: float = 0.0
    recorded_latency_scale: float = 0.0
    first_token_ms: float | None = None
    first_token_share: float = 0.3
    error_share: float = 0.0
    rate_limited_share: float = 0.0
    hang_share: float = 0.0
    cut_share: float = 0.0
    retry_after_s: int = 1
    hang_s: float = 600.0
    rotate_runs: bool = False

    def __post_init__(self) -> None:
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInput(f"{name} is a share from 0 to 1, not {getattr(self, name)}")
        if sum(getattr(self, name) for name in _FAULT_SHARES) > 1 + 1e-9:
            raise InvalidInput(f"{', '.join(_FAULT_SHARES)} are more than 1 together")
        for name in _AMOUNTS:
            amount = getattr(self, name)
            if amount is not None and not (amount >= 0 and math.isfinite(amount)):
                raise InvalidInput(f"{name} cannot be {amount}")
        if self.latency_p95_ms and not 0 < self.latency_p50_ms <= self.latency_p95_ms:
            raise InvalidInput("latency_p95_ms needs a latency_p50_ms above 0 and not above it")

    @property
    def is_calm(self) -> bool:
        """Whether there is nothing to draw: every request is answered at once."""
        return not any(getattr(self, name) for name in (*_FAULT_SHARES, *_LATENCIES, "first_token_ms"))

    def draw(
        self,
        rng: random.Random,
        *,
        recorded_latency_s: float | None = None,
        recorded_first_token_s: float | None = None,
    ) -> Fate:
        """Decide the fate of one request.

        Three numbers are drawn whatever the settings are, so that changing one setting does not reshuffle
        which requests the others hit.
        """
        luck, speed, place = rng.random(), rng.gauss(0.0, 1.0), rng.random()
        latency_ms, why_slow = self._latency(speed, recorded_latency_s)
        first_token_ms = self._first_token(latency_ms, recorded_first_token_s)
        outcome, why = self._outcome(luck)
        return Fate(
            outcome,
            f"{why}; {why_slow}",
            # A refusal for too many requests costs the provider nothing, so it comes at once.
            latency_ms=0.0 if outcome is Outcome.RATE_LIMITED else max(latency_ms, first_token_ms),
            first_token_ms=first_token_ms,
            cut_after_share=place if outcome is Outcome.CUT else 1.0,
        )

    def _outcome(self, luck: float) -> tuple[Outcome, str]:
        reached = 0.0
        for outcome, name in _FAULTS:
            share = getattr(self, name)
            reached += share
            if luck < reached:
                return outcome, f"{name} is {share:.1%}"
        return Outcome.ANSWERED, "no fault was drawn"

    def _latency(self, speed: float, recorded_s: float | None) -> tuple[float, str]:
        if self.recorded_latency_scale and recorded_s is not None:
            ms = recorded_s * 1000 * self.recorded_latency_scale
            return ms, f"recorded latency times {self.recorded_latency_scale:g}"
        if self.latency_p50_ms:
            # Without a p95 there is no spread, and the median is the latency.
            sigma = math.log((self.latency_p95_ms or self.latency_p50_ms) / self.latency_p50_ms) / NORMAL_P95
            ms = self.latency_p50_ms * math.exp(sigma * speed)
            return ms, f"log-normal latency around {self.latency_p50_ms:g} ms"
        return self.latency_ms, f"fixed latency of {self.latency_ms:g} ms"

    def _first_token(self, latency_ms: float, recorded_s: float | None) -> float:
        if self.first_token_ms is not None:
            return self.first_token_ms
        if self.recorded_latency_scale and recorded_s is not None:
            return min(latency_ms, recorded_s * 1000 * self.recorded_latency_scale)
        return latency_ms * self.first_token_share


_FAULTS: tuple[tuple[Outcome, str], ...] = (
    (Outcome.FAILED, "error_share"),
    (Outcome.RATE_LIMITED, "rate_limited_share"),
    (Outcome.HUNG, "hang_share"),
    (Outcome.CUT, "cut_share"),
)
_FAULT_SHARES = tuple(name for _outcome, name in _FAULTS)
_SHARES = (*_FAULT_SHARES, "first_token_share")
_LATENCIES = ("latency_ms", "latency_p50_ms", "latency_p95_ms", "recorded_latency_scale")
_AMOUNTS = (*_LATENCIES, "first_token_ms", "retry_after_s", "hang_s")
CALM = Behaviour()


def changed(behaviour: Behaviour, settings: object) -> Behaviour:
    """The behaviour with these settings laid over it; ``null`` puts a setting back to its default."""
    if not isinstance(settings, Mapping):
        raise InvalidInput(f"a behaviour is an object of settings, not {settings!r:.40}")
    values: dict[str, object] = {}
    for name, value in settings.items():
        if name not in _DEFAULTS:
            raise InvalidInput(f"there is no setting {name!r}; there are {', '.join(_DEFAULTS)}")
        values[name] = _DEFAULTS[name] if value is None else _checked(name, value)
    return replace(behaviour, **values)  # type: ignore[arg-type]  # each was checked against its field


_DEFAULTS: Mapping[str, object] = MappingProxyType({f.name: f.default for f in fields(Behaviour)})


def _checked(name: str, value: object) -> object:
    default = _DEFAULTS[name]
    if isinstance(default, bool) or isinstance(value, bool):
        fits = isinstance(default, bool) and isinstance(value, bool)
    elif isinstance(default, int):
        fits = isinstance(value, int)
    else:
        fits = isinstance(value, int | float)
    if not fits:
        raise InvalidInput(f"{name} cannot be {value!r:.40}")
    return value


@dataclass(frozen=True)
class Behaviours:
    """How every model behaves; a model that is not named behaves as ``default`` says."""

    default: Behaviour = CALM
    models: Mapping[str, Behaviour] = field(default_factory=dict)
    seed: int = 0

    def of(self, model: str) -> Behaviour:
        """How this model behaves."""
        return self.models.get(model, self.default)

    def as_json(self) -> dict[str, object]:
        """The same, in the form of a behaviour.json."""
        models = {model: asdict(behaviour) for model, behaviour in self.models.items()}
        return {"seed": self.seed, "default": asdict(self.default), "models": models}


def merged(behaviours: Behaviours, document: object) -> Behaviours:
    """Lay a behaviour.json over what is there: what it does not mention stays, its default reaches all."""
    if not isinstance(document, Mapping) or (unknown := set(document) - {"seed", "default", "models", "note"}):
        told = f"not {', '.join(sorted(map(str, unknown)))}" if isinstance(document, Mapping) else "nothing else"
        raise InvalidInput(f"a behaviour document has seed, default, models and note, {told}")
    seed, default, models = document.get("seed"), document.get("default") or {}, document.get("models") or {}
    if not isinstance(models, Mapping):
        raise InvalidInput("models must be an object: model id to settings")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise InvalidInput(f"seed must be a whole number, not {seed!r:.40}")
    base = changed(behaviours.default, default)
    now = {model: changed(behaviour, default) for model, behaviour in behaviours.models.items()}
    now |= {model: changed(now.get(model, base), settings) for model, settings in models.items()}
    return Behaviours(base, MappingProxyType(now), behaviours.seed if seed is None else seed)
