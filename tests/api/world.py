"""A small installation for the tests of the API: people, versions, aliases, and callers that speak HTTP."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import requests
import uvicorn
from starlette.types import ASGIApp

from app.api.app import PREFIX
from app.wiring import Pinrail
from core.domain.permissions import Role, local
from core.domain.versions import Provider, Version
from core.services import access, flips, registry

ROOT = local("test")
PASSWORD = "a long password"


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """``app`` on a real socket, served from a thread; its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, ws="websockets-sansio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)


@dataclass(frozen=True)
class Caller:
    """Somebody who calls the API with a token."""

    url: str
    secret: str

    def ask(
        self, method: str, path: str, *, json: Any = None, headers: dict[str, str] | None = None, **more: Any
    ) -> requests.Response:
        """One request; ``path`` is below /api/v1."""
        given = {"authorization": f"Bearer {self.secret}", **(headers or {})}
        return requests.request(method, f"{self.url}{PREFIX}{path}", json=json, headers=given, timeout=60, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        """GET."""
        return self.ask("GET", path, **more)

    def post(self, path: str, json: Any = None, *, seen: int | None = None, **headers: str) -> requests.Response:
        """POST; ``seen`` becomes If-Match, and ``idempotency_key`` and the like become headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if seen is not None:
            named["if-match"] = f'"{seen}"'
        return self.ask("POST", path, json={} if json is None else json, headers=named)


@dataclass
class World:
    """An installation that answers over HTTP."""

    pinrail: Pinrail
    url: str
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def fresh(self, word: str) -> str:
        """A name that nothing has yet."""
        return f"{word}-{next(self.numbers)}"

    def person(self, role: Role | None, *, name: str | None = None) -> str:
        """A new person who holds ``role`` everywhere."""
        name = name or self.fresh(role.value if role else "nobody")
        now = self.pinrail.now()
        access.add_person(self.pinrail.store, ROOT, name, role=role, now=now)
        return name

    def token(self, person: str, *, scope: str = "full", aliases: tuple[str, ...] | None = None) -> str:
        """The secret of a new token for ``person``."""
        name = self.fresh("token")
        _token, secret = access.create_token(
            self.pinrail.store, ROOT, name, scope=scope, person=person, aliases=aliases, now=self.pinrail.now()
        )
        return secret

    def caller(self, role: Role | None = Role.ADMIN, *, scope: str = "full") -> Caller:
        """A caller with a token of a new person."""
        return Caller(self.url, self.token(self.person(role), scope=scope))

    def alias(self, *versions: str) -> str:
        """A new alias that was created with the first of ``versions`` and flipped to the others in turn."""
        name = self.fresh("alias")
        first, *others = versions or ("a",)
        store, now = self.pinrail.store, self.pinrail.now()
        flips.create(store, ROOT, name, first, now=now)
        for seen, version in enumerate(others, start=1):
            # Whatever another test rolled back must not be in the way here.
            why = "a test needs it"
            now = self.pinrail.now()
            flips.flip(store, ROOT, name, version, seen_revision=seen, override_quarantine=why, now=now)
        return name


def furnish(pinrail: Pinrail) -> None:
    """A provider and the versions a, b and c."""
    now = pinrail.now()
    provider = Provider("recorded", "recorded", "http://127.0.0.1:9/v1")
    registry.register_provider(pinrail.store, ROOT, provider, now=now)
    for name in "abc":
        registry.register_version(pinrail.store, ROOT, Version(name, "recorded", f"model-{name}"), now=now)
