"""What every request passes before any route sees it: a request id, a limit, and the question who asks."""

import logging
import secrets
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import TooLarge, Unforeseen, refused, status_of
from core.domain.permissions import Actor
from core.errors import InvalidInput, NotSignedIn, PinrailError

MAX_BODY_BYTES = 2 * 2**20
REQUEST_ID = "x-pinrail-request-id"
OPEN = frozenset({"/openapi.json"})
"""Paths that answer without a token: the document says how to ask, and nothing about this installation."""

LOG = logging.getLogger("pinrail.api")


class Envelope:
    """Outermost: names the request, says no for whatever refuses inside, and keeps unforeseen faults to the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope["pinrail.request_id"] = request_id
        begun = False

        async def named(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers["x-content-type-options"] = "nosniff"
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive, named)
        except PinrailError as refusal:
            await refused(refusal, scope)(scope, receive, named)
        except Exception:
            LOG.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
            if begun:
                raise
            fault = Unforeseen(f"Pinrail could not do this. The log tells more under request {request_id}.")
            await refused(fault, scope)(scope, receive, named)


class Limits:
    """Refuses bodies that are too large, before they are read where their length is announced, and hidden bytes."""

    def __init__(self, app: ASGIApp, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if "\0" in scope["path"] or b"%00" in scope["query_string"] or b"\0" in scope["query_string"]:
            raise InvalidInput("An address holds no NUL characters.")
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._max:
            raise self._refusal()
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max:
                # The framework passes only its own kind through while it reads a body.
                raise HTTPException(status_of(TooLarge), str(self._refusal()))
            return message

        await self._app(scope, counted, send)

    def _refusal(self) -> TooLarge:
        return TooLarge(f"A request's body has at most {self._max} bytes.")


class Recognition:
    """Finds out who asks, from the API token alone: a browser's cookie means nothing here, so none can be abused."""

    def __init__(self, app: ASGIApp, actor_for: Callable[[str], Actor]) -> None:
        self._app = app
        self._actor_for = actor_for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its actor, or refuse it."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if scope["type"] == "http" and path not in OPEN:
            secret = bearer(Headers(scope=scope).get("authorization", ""))
            scope["pinrail.actor"] = await run_in_threadpool(self._actor_for, secret)
        await self._app(scope, receive, send)


def bearer(authorization: str) -> str:
    """The secret in an Authorization header; NotSignedIn says how one looks."""
    scheme, _, secret = authorization.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret:
        raise NotSignedIn("Send an API token: `Authorization: Bearer pr_…`. `pinrail token create` makes one.")
    if not (secret.isascii() and secret.isprintable()):
        raise NotSignedIn("This API token is not known.")
    return secret
