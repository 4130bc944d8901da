"""A person at the command line, in this process: commands in, what they print and their exit code out."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import screen
from app.cli.program import program
from app.settings import Settings
from app.wiring import Pinrail, SystemClock, open_pinrail
from core.domain.permissions import Role, local
from core.domain.versions import Provider, Version
from core.services import access, flips, registry, serving
from core.store import migrate
from tests.clocks import SetClock

ROOT = local("test")
ADDRESS = "http://127.0.0.1:9/v1"


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Desk:
    """A shell with an environment of its own."""

    env: dict[str, str | None] = field(default_factory=dict)

    def __call__(self, *words: str, sent: str | None = None) -> Said:
        """Run `pinrail` with these words; ``sent`` goes to its standard input."""
        result = CliRunner(env=self.env).invoke(program, list(words), input=sent)
        return Said(result.exit_code, result.stdout, result.stderr)

    def done(self, *words: str, sent: str | None = None) -> str:
        """As calling it, for a command that must succeed; what it printed is returned."""
        said = self(*words, sent=sent)
        assert said.code == 0, f"{words} ended with {said.code}: {said.err}"
        return said.out

    def having(self, **env: str | None) -> "Desk":
        """The same desk with other environment variables."""
        return replace(self, env={**self.env, **env})


def desk_on(pinrail: Pinrail, token: str | None = None) -> Desk:
    """A desk with the store's credentials, and perhaps a token."""
    settings = pinrail.settings
    return Desk(
        {
            "PINRAIL_DATABASE_URL": pinrail.store.url,
            "PINRAIL_DATA_DIR": str(settings.data_dir),
            "PINRAIL_MINIMUM_DWELL_S": str(settings.minimum_dwell_s),
            "PINRAIL_URL": None,
            "PINRAIL_TOKEN": token,
        }
    )


def desk_over(url: str, token: str) -> Desk:
    """A desk without credentials of the store: only an address and a token."""
    nowhere = "postgresql://nobody@127.0.0.1:9/nothing?connect_timeout=1"
    return Desk({"PINRAIL_URL": url, "PINRAIL_TOKEN": token, "PINRAIL_DATABASE_URL": nowhere})


def furnished(settings: Settings) -> Pinrail:
    """An installation with a provider and the versions a, b and c."""
    pinrail = open_pinrail(settings)
    migrate.upgrade(pinrail.store)
    now = pinrail.now()
    registry.register_provider(pinrail.store, ROOT, Provider("recorded", "recorded", ADDRESS), now=now)
    for name in "abc":
        registry.register_version(pinrail.store, ROOT, Version(name, "recorded", f"model-{name}"), now=now)
    return pinrail


def alias_of(pinrail: Pinrail, name: str, *versions: str) -> str:
    """An alias created with the first of ``versions`` and flipped to the others in turn."""
    first, *others = versions
    flips.create(pinrail.store, ROOT, name, first, now=pinrail.now())
    for seen, version in enumerate(others, start=1):
        flips.flip(pinrail.store, ROOT, name, version, seen_revision=seen, now=pinrail.now())
    return name


def token_of(
    pinrail: Pinrail,
    person: str,
    *,
    role: Role | None = Role.ADMIN,
    scope: str = "full",
    aliases: tuple[str, ...] | None = None,
) -> str:
    """The secret of a new token of a new person."""
    now = pinrail.now()
    access.add_person(pinrail.store, ROOT, person, role=role, now=now)
    name = f"of-{person}"
    return access.create_token(pinrail.store, ROOT, name, scope=scope, person=person, aliases=aliases, now=now)[1]


def gateway_joins(pinrail: Pinrail, name: str) -> None:
    """A gateway comes up, and routes by what there is."""
    now = pinrail.now()
    serving.join(pinrail.store, replica=f"process-of-{name}", name=name, now=now)
    gateway_confirms(pinrail, name)


def gateway_confirms(pinrail: Pinrail, name: str, *, after_ms: float = 0.0) -> None:
    """A gateway routes by the newest change, some time after it is now."""
    serial = serving.current_serial(pinrail.store)
    at = pinrail.now() + timedelta(milliseconds=after_ms)
    serving.acknowledge(pinrail.store, replica=f"process-of-{name}", serial=serial, at=at)


def stop_the_clock(patch: pytest.MonkeyPatch, clock: SetClock) -> None:
    """Let every clock of this process tell what ``clock`` says: core, API and command line."""

    def told(_self: Any = None) -> Any:
        return clock.now()

    patch.setattr(SystemClock, "now", told)
    for module in _PRESENT:
        patch.setattr(module, "present", told)


def _modules_that_ask_for_the_present() -> list[Any]:
    from app.cli import aliases, callers, tokens

    return [screen, aliases, callers, tokens]


_PRESENT = _modules_that_ask_for_the_present()
