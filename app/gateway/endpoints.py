"""The paths that a gateway answers: chat, the list of aliases, one alias, and whether it lives and is ready."""

import logging
import time

import orjson

from app.gateway.asking import allowed, recognised, usable
from app.gateway.exchange import Around, Exchange
from app.gateway.refusals import InternalFault, MethodNotAllowed, UnknownPath
from app.gateway.routes import HeaderPairs, Routes
from app.gateway.wire import Receive, Scope, Send, refuse, send_whole
from core.domain.names import no_such
from core.domain.routing import AliasRoute, CallerKey, Target, choose
from core.errors import PinrailError

log = logging.getLogger(__name__)

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
ALIAS = "/v1/aliases/"
ALIVE = "/healthz"
READY = "/readyz"

METHODS: dict[str, tuple[str, ...]] = {
    CHAT: ("POST",),
    MODELS: ("GET", "HEAD"),
    ALIAS: ("GET", "HEAD"),
    ALIVE: ("GET", "HEAD"),
    READY: ("GET", "HEAD"),
}
"""Every path and the methods it answers; ``ALIAS`` is followed by the name of one."""


class Gateway:
    """The ASGI application of one replica."""

    def __init__(self, around: Around) -> None:
        self.around = around

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http", "the gateway speaks HTTP only"
        exchange = None
        try:
            if scope["path"] == CHAT and scope["method"] == "POST":
                exchange = Exchange(self.around, scope, receive, send)
                await exchange.run()
            else:
                await self._small(scope, send)
        except Exception:
            log.exception("A request to %s failed", scope["path"])
            if exchange is None or exchange.begun:
                raise
            fault = InternalFault("The gateway failed at this request; its log says how.")
            await refuse(send, fault, self.around.headers())

    async def _small(self, scope: Scope, send: Send) -> None:
        headers = self.around.headers()
        try:
            path, name = _known(scope["path"])
            if scope["method"] not in METHODS[path]:
                headers.append((b"allow", ", ".join(METHODS[path]).encode()))
                raise MethodNotAllowed(f"{scope['path']} answers {' and '.join(METHODS[path])}, not {scope['method']}.")
            status, document = self._document(path, name, scope, headers)
        except PinrailError as refusal:
            await refuse(send, refusal, headers)
        else:
            await send_whole(send, status, orjson.dumps(document), headers)

    def _document(self, path: str, name: str, scope: Scope, headers: HeaderPairs) -> tuple[int, dict[str, object]]:
        if path == ALIVE:
            return 200, {"alive": True, "name": self.around.state.name}
        if path == READY:
            ready, document = self.around.state.readiness(time.time())
            return (200 if ready else 503), document
        routes = self.around.routes()
        asked = dict(scope["headers"])
        caller = recognised(routes.table.callers, asked.get(b"authorization"), now_s=time.time())
        if path == MODELS:
            return 200, models(routes, caller)
        sticky_by = asked.get(b"x-pinrail-routing-key", b"").decode("latin-1")
        document = resolved(routes, caller, name, sticky_by=sticky_by or None)
        headers.extend(routes.head(name, str(document["variant"])))
        return 200, document


def _known(path: str) -> tuple[str, str]:
    """The path and, for one alias, its name."""
    if path.startswith(ALIAS) and len(path) > len(ALIAS):
        return ALIAS, path[len(ALIAS) :]
    if path in METHODS and path != ALIAS:
        return path, ""
    raise UnknownPath(no_such("path", path, METHODS))


# -- what they say --------------------------------------------------------------------------------


def models(routes: Routes, caller: CallerKey) -> dict[str, object]:
    """The aliases that this caller may use, in the shape of OpenAI's list of models."""
    listed = [_model(routes, routes.table.aliases[alias]) for alias in usable(routes.table.aliases, caller)]
    return {"object": "list", "data": listed}


def _model(routes: Routes, route: AliasRoute) -> dict[str, object]:
    stable = route.variants[-1].version
    return {
        "id": route.alias,
        "object": "model",
        "created": 0,  # OpenAI's clients insist on one; the gateway does not know it
        "owned_by": "pinrail",
        "revision": route.revision,
        **_version(routes.table.targets.get(stable), stable),
    }


def resolved(routes: Routes, caller: CallerKey, alias: str, *, sticky_by: str | None) -> dict[str, object]:
    """What this alias means now, and which variant a conversation with this routing key would take."""
    route = allowed(routes.table, caller, alias)
    chosen = choose(routes.table, alias, sticky_by)
    targets = routes.table.targets
    return {
        "alias": alias,
        "revision": route.revision,
        "serial": routes.table.serial,
        "variant": chosen.variant,
        "because": chosen.because,
        **_version(targets.get(chosen.version), chosen.version),
        "variants": [
            {"name": v.name, "share": v.share, **_version(targets.get(v.version), v.version)} for v in route.variants
        ],
        "fallbacks": [_version(targets.get(version), version) for version in route.fallbacks],
    }


def _version(target: Target | None, version: str) -> dict[str, object]:
    if target is None:
        return {"version": version, "model": None, "provider": None, "prompt": None, "parameters": {}}
    return {
        "version": version,
        "model": target.model_id,
        "provider": target.provider,
        "prompt": target.prompt,
        "parameters": dict(target.parameters),
    }
