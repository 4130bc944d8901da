"""The usual aliases in a store, and real gateways on real sockets that serve them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openai
import requests
from sqlmodel import select

from app.gateway.routes import Routes
from app.gateway.server import Replica, Server, create, listening
from app.gateway.state import Source, Standing
from app.settings import Settings
from app.wiring import Pinrail, SystemClock
from core.domain.permissions import Actor, ActorKind, Grant, Role
from core.domain.routing import RouteTable
from core.domain.traffic import Counts
from core.domain.versions import Provider, Version
from core.services import callers, flips, registry
from core.store import repositories
from core.store.database import Store, open_store
from core.store.tables import WindowRow
from tests.gateway.upstream import Upstream

ADMIN = Actor("test", ActorKind.PERSON, (Grant(Role.ADMIN),))
HELLO: Any = [{"role": "user", "content": "Hello"}]
PATIENCE_S = 10.0


def now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def eventually(what: Callable[[], object], why: str) -> None:
    """Wait until ``what`` is true; a test that waits in vain says what for."""
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {why}"
        time.sleep(0.01)


class World:
    """``prod-chat`` on version one (model m-1), with versions two, three and polite beside it, and a key for all."""

    def __init__(self, store: Store, upstream: Upstream, data_dir: Path) -> None:
        self.store = store
        self.upstream = upstream
        self.data_dir = data_dir
        self.provider("acme", upstream.url)
        registry.register_prompt(store, ADMIN, "polite@1", "Be polite.", now=now())
        for name, model in (("one", "m-1"), ("two", "m-2"), ("three", "m-3")):
            self.version(name, model)
        self.version("polite", "m-1", prompt="polite@1", parameters={"temperature": 0})
        self.alias("prod-chat", "one")
        self.key = self.new_key("shop")

    def provider(self, name: str, url: str, secret_env: str | None = None) -> None:
        """Register one more provider."""
        registry.register_provider(self.store, ADMIN, Provider(name, "recorded", url, secret_env), now=now())

    def version(self, name: str, model: str, provider: str = "acme", **more: Any) -> None:
        """Register one more version."""
        registry.register_version(self.store, ADMIN, Version(name, provider, model, **more), now=now())

    def alias(self, name: str, version: str, *fallbacks: str) -> None:
        """Create one more alias."""
        flips.create(self.store, ADMIN, name, version, fallbacks=fallbacks, now=now())

    def flip(self, alias: str, version: str) -> flips.Moved:
        """Flip, whatever the revision."""
        with self.store.reading() as session:
            seen = repositories.history(session, alias)[-1].number
        return flips.flip(self.store, ADMIN, alias, version, seen_revision=seen, now=now())

    def retire(self, alias: str) -> flips.Moved:
        """Retire an alias that never moved."""
        return flips.retire(self.store, ADMIN, alias, seen_revision=1, now=now())

    def new_key(self, caller: str, *, at: datetime | None = None, **limits: Any) -> str:
        """Create a caller key, as of another time if one is given."""
        return callers.create_key(self.store, ADMIN, caller, now=at or now(), **limits)[1]

    def counted(self, alias: str = "prod-chat") -> dict[str, Counts]:
        """What the gateways counted, by version."""
        found: dict[str, Counts] = {}
        with self.store.reading() as session:
            for row in session.scalars(select(WindowRow).where(WindowRow.alias == alias)):
                values = {name: getattr(row, name) for name in Counts.__dataclass_fields__}
                found[row.version] = found.get(row.version, Counts()) + Counts(**values)
        return found


@dataclass
class Running:
    """A gateway that serves on a real socket."""

    world: World
    replica: Replica
    server: Server
    url: str
    store: Store

    def post(self, body: Any = None, *, key: str | None = None, **more: Any) -> requests.Response:
        """Post a chat request; a mapping is sent as JSON over the usual fields, bytes as they are."""
        if isinstance(body, bytes):
            more["data"] = body
        elif "data" not in more:
            more["json"] = {"model": "prod-chat", "messages": HELLO} | (body or {})
        headers = {"Authorization": f"Bearer {key or self.world.key}"} | more.pop("headers", {})
        return requests.post(f"{self.url}/v1/chat/completions", headers=headers, timeout=PATIENCE_S, **more)

    def request(self, method: str, path: str) -> requests.Response:
        """Any method on any path, with the usual key."""
        headers = {"Authorization": f"Bearer {self.world.key}"}
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=PATIENCE_S)

    def get(self, path: str, *, key: str | None = None, **more: Any) -> requests.Response:
        """Get a path."""
        headers = {"Authorization": f"Bearer {key or self.world.key}"} | more.pop("headers", {})
        return requests.get(f"{self.url}{path}", headers=headers, timeout=PATIENCE_S, **more)

    def client(self, **more: Any) -> openai.OpenAI:
        """The real client, which does not hide failures by trying again."""
        return openai.OpenAI(
            base_url=f"{self.url}/v1", api_key=self.world.key, max_retries=0, timeout=PATIENCE_S, **more
        )

    def counts(self, version: str = "one", alias: str = "prod-chat", *, requests: int = 1) -> Counts:
        """What was counted of a version, once that many requests of it were."""
        eventually(
            lambda: self.world.counted(alias).get(version, Counts()).requests >= requests,
            f"{requests} requests of {version} counted",
        )
        return self.world.counted(alias)[version]

    def stands(self, *, serial: int) -> None:
        """Wait until this change is in force here."""
        eventually(lambda: (self.replica.state.serial or 0) >= serial, f"change {serial} in force")


@contextmanager
def running(world: World, *, table: RouteTable | None = None, **settings: Any) -> Iterator[Running]:
    """A gateway in threads of this process. With a ``table`` it serves that and follows no store."""
    usual = {"gateway_name": "gw-1", "connect_timeout_s": 1, "answer_timeout_s": 2, "idle_timeout_s": 1}
    chosen = Settings.read(**usual | {"database_url": world.store.url, "data_dir": world.data_dir} | settings)
    pinrail = Pinrail(chosen, open_store(chosen.store_url), SystemClock())
    replica = create(pinrail)
    replica.recorder.write_every_s = 0.1
    server = Server(replica)
    with listening("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=server.run, args=([listener],), name="gateway", daemon=True)
        thread.start()
        if table is None:
            replica.start()
        else:
            replica.state.standing = Standing(Routes(table), Source.STORE)
            replica.recorder.start()
        try:
            eventually(lambda: server.started and _settled(replica), "the gateway is up")
            yield Running(world, replica, server, url, pinrail.store)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)
            replica.finish()
            pinrail.store.close()


def _settled(replica: Replica) -> bool:
    """It has routes, or knows why it has none."""
    return replica.state.standing is not None or replica.state.copy_fault is not None
