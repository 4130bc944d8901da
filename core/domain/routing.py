"""Which version answers a request: an immutable table, and one pure choice that says why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

from core.domain.names import no_such
from core.errors import UnknownAlias


@dataclass(frozen=True)
class Variant:
    """One road of an alias and the share (0..1) of its conversations that take it."""

    name: str
    version: str
    share: float


@dataclass(frozen=True)
class AliasRoute:
    """How an alias is served at one revision. Shares of ``variants`` add up to 1."""

    alias: str
    revision: int
    variants: tuple[Variant, ...]
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """A version as the wire needs it: whom to call, with which model, prompt and parameters."""

    version: str
    provider: str
    model_id: str
    prompt: str | None = None
    prompt_text: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ProviderAddress:
    """Where a provider answers; ``secret_env`` names the variable that holds its key, never the key."""

    name: str
    kind: str
    base_url: str
    secret_env: str | None = None


@dataclass(frozen=True)
class CallerKey:
    """A key that an application calls with: a SHA-256 of the secret, never the secret."""

    id: str
    caller: str
    secret_sha256: str
    aliases: frozenset[str] | None = None
    expires_at: float | None = None  # seconds since the epoch, UTC


@dataclass(frozen=True)
class RouteTable:
    """All that the gateway needs to serve, as of one store-wide change ``serial``."""

    serial: int
    aliases: Mapping[str, AliasRoute] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    providers: Mapping[str, ProviderAddress] = field(default_factory=dict)
    callers: Mapping[str, CallerKey] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """The choice for one request. ``fallbacks`` may be tried before the first byte, in order."""

    alias: str
    revision: int
    variant: str
    version: str
    fallbacks: tuple[str, ...]
    because: str


EMPTY = RouteTable(serial=0)


def choose(table: RouteTable, alias: str, routing_key: str | None = None) -> Route:
    """The route for ``alias``; requests with one ``routing_key`` keep their road while shares grow.

    The key is hashed to a point in [0, 1) that the variants divide in their order, the candidate first, so
    a growing candidate share only ever takes conversations over and never gives one back. Without a key
    the alias alone is hashed, which is right while one variant has everything.
    """
    found = table.aliases.get(alias)
    if found is None:
        raise UnknownAlias(no_such("alias", alias, table.aliases))
    last = found.variants[-1]
    if len(found.variants) == 1:
        because = f"{last.version} serves 100 %"
        return Route(alias, found.revision, last.name, last.version, found.fallbacks, because)
    point = _point(alias, routing_key or "")
    reached = 0.0
    for variant in found.variants:
        reached += variant.share
        if point < reached:
            return _taken(found, variant)
    return _taken(found, last)


def _taken(found: AliasRoute, variant: Variant) -> Route:
    because = f"{variant.name} at {variant.share:.0%}"
    return Route(found.alias, found.revision, variant.name, variant.version, found.fallbacks, because)


def _point(alias: str, routing_key: str) -> float:
    # A key comes from outside and may hold half a surrogate pair, which must find its road too.
    digest = blake2b(f"{alias}\0{routing_key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


# -- the copy on disk -----------------------------------------------------------------------------


def to_document(table: RouteTable) -> dict[str, Any]:
    """The table as plain JSON values, for the copy a gateway keeps on disk for a cold start."""
    return {
        "serial": table.serial,
        "aliases": [asdict(route) for route in table.aliases.values()],
        "targets": [{**asdict(t), "parameters": dict(t.parameters)} for t in table.targets.values()],
        "providers": [asdict(p) for p in table.providers.values()],
        "callers": [
            {**asdict(c), "aliases": sorted(c.aliases) if c.aliases is not None else None}
            for c in table.callers.values()
        ],
    }


def from_document(document: Mapping[str, Any]) -> RouteTable:
    """The table a document describes; KeyError or TypeError when it is not such a document."""
    aliases = [
        AliasRoute(a["alias"], a["revision"], tuple(Variant(**v) for v in a["variants"]), tuple(a["fallbacks"]))
        for a in document["aliases"]
    ]
    callers = [
        CallerKey(**{**c, "aliases": frozenset(c["aliases"]) if c["aliases"] is not None else None})
        for c in document["callers"]
    ]
    return RouteTable(
        serial=int(document["serial"]),
        aliases={a.alias: a for a in aliases},
        targets={t["version"]: Target(**t) for t in document["targets"]},
        providers={p["name"]: ProviderAddress(**p) for p in document["providers"]},
        callers={c.id: c for c in callers},
    )
