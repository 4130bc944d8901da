"""A route table made ready for the wire: all that does not depend on the request is done here, once per table."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from core.domain.routing import AliasRoute, ProviderAddress, RouteTable, Target
from core.errors import ProviderFailed

HeaderPairs: TypeAlias = list[tuple[bytes, bytes]]

FALLBACK = "fallback"
"""What the variant header says when a fallback answered."""


class Ready:
    """One version, ready to be asked."""

    __slots__ = ("fixed", "headers", "provider", "system", "version")

    def __init__(self, target: Target, provider: ProviderAddress) -> None:
        self.version = target.version
        self.provider = provider
        # The bundle's parameters win over the caller's: a version is all of them, or its evals say nothing.
        self.fixed: Mapping[str, Any] = {**target.parameters, "model": target.model_id}
        self.system = {"role": "system", "content": target.prompt_text} if target.prompt_text else None
        self.headers: HeaderPairs = [(b"x-pinrail-version", _value(target.version))]
        if target.prompt:
            self.headers.append((b"x-pinrail-prompt", _value(target.prompt)))


class Routes:
    """An immutable table with what was made of it."""

    __slots__ = ("_heads", "_ready", "table")

    def __init__(self, table: RouteTable) -> None:
        self.table = table
        self._ready = {
            version: Ready(target, table.providers[target.provider])
            for version, target in table.targets.items()
            if target.provider in table.providers
        }
        self._heads = {
            (route.alias, variant): _head(route, variant)
            for route in table.aliases.values()
            for variant in (*(v.name for v in route.variants), FALLBACK)
        }

    def ready(self, version: str) -> Ready:
        """The version, ready to be asked."""
        found = self._ready.get(version)
        if found is None:
            raise ProviderFailed(f"{version} cannot be asked: this gateway's table has no target or provider for it.")
        return found

    def head(self, alias: str, variant: str) -> HeaderPairs:
        """The headers that name the alias, its revision and the variant."""
        return self._heads[alias, variant]


def _head(route: AliasRoute, variant: str) -> HeaderPairs:
    return [
        (b"x-pinrail-alias", _value(route.alias)),
        (b"x-pinrail-revision", b"%d" % route.revision),
        (b"x-pinrail-variant", _value(variant)),
    ]


def _value(text: str) -> bytes:
    return text.encode("ascii", "replace")
