"""Whoever speaks OpenAI's chat completions: asked over a pool of connections, answered byte for byte.

The answer is neither decoded nor decompressed, and no encoding is asked for, so the caller gets what the provider sent.
Faults come out in our words (MissingSecret, ProviderTimeout, ProviderFailed) with the stranger's own as cause.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from core.domain.routing import ProviderAddress
from core.domain.versions import OUR_VARIABLES
from core.errors import MissingSecret, ProviderFailed, ProviderTimeout

NEVER_SENT_ON = frozenset(
    {
        # hop by hop: between two neighbours only
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
        "trailer", "transfer-encoding", "upgrade", "expect",
        # ours to say
        "host", "content-length", "content-type", "accept-encoding",
        # the caller's key is for us, not for the provider
        "authorization", "cookie", "x-api-key", "api-key",
    }
)  # fmt: skip
"""Headers of a request that a provider never gets to see, in lower case."""

FAULTS = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)
"""All that the client is known to raise; a timeout is an OSError, a bad address or header a ValueError."""


@dataclass(frozen=True)
class Patience:
    """How long a provider may take, in seconds.

    ``answer_s`` runs from the start until status and headers are there, connecting included; ``idle_s`` is the longest
    silence after that.
    """

    connect_s: float = 5.0
    answer_s: float = 300.0
    idle_s: float = 120.0


class OpenAICompatible:
    """Asks any provider that speaks OpenAI's chat completions. Belongs to the event loop it is first used on."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        # Connecting may take several addresses, each with the same patience, but all together no longer than that.
        self._timeout = aiohttp.ClientTimeout(total=None, connect=self._patience.connect_s)
        self._opened: aiohttp.ClientSession | None = None

    async def ask(self, provider: ProviderAddress, body: bytes, headers: Mapping[str, str]) -> "Begun":
        """Send ``body`` to the provider's chat completions endpoint and wait for status and headers."""
        ready = _headers(provider, headers)
        try:
            async with asyncio.timeout(self._patience.answer_s):
                response = await self._post(_endpoint(provider.base_url), body, ready)
        except FAULTS as fault:
            raise _in_our_words(fault, provider, self._patience) from fault
        return Begun(provider, response, self._patience)

    async def _post(self, url: URL, body: bytes, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        token = _connected.set(False)
        try:
            return await self._post_once(url, body, headers)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if _connected.get():
                raise
            # The connection came from the pool, and the provider closed it, idle, just as we wrote. It answered
            # nothing, so it is asked again; on a connection of its own the same would be a failure.
            return await self._post_once(url, body, headers)
        finally:
            _connected.reset(token)

    async def _post_once(self, url: URL, body: bytes, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        return await self._session().post(url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False)

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=_Connector(limit=0),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("accept", "accept-encoding", "user-agent"),
            )
        return self._opened

    async def close(self) -> None:
        """Close every connection."""
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.close()


_connected: ContextVar[bool] = ContextVar("connected", default=False)
"""Whether this task opened a connection of its own, rather than taking one from the pool."""


class _Connector(aiohttp.TCPConnector):
    """Tells the asking task that its connection is a fresh one."""

    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        _connected.set(True)
        return await super()._create_connection(*args, **kwargs)


class Begun:
    """A provider's answer, begun: status and headers are known, the bytes follow."""

    __slots__ = ("_closed", "_patience", "_provider", "_response", "headers", "status")

    def __init__(self, provider: ProviderAddress, response: aiohttp.ClientResponse, patience: Patience) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self._provider = provider
        self._response = response
        self._patience = patience
        self._closed: asyncio.Future[None] | None = None
        connection = response.connection
        # A short answer is here already, and its connection back in the pool.
        if connection is not None and connection.protocol is not None:
            self._await_more(connection.protocol)

    def _await_more(self, protocol: ResponseHandler) -> None:
        protocol.read_timeout = self._patience.idle_s
        protocol.start_timeout()
        # When a body cannot be parsed, aiohttp closes the connection without telling whoever reads it.
        self._closed = protocol.closed
        if self._closed is None:
            self._lost(None)
        else:
            self._closed.add_done_callback(self._lost)

    def _lost(self, _closed: object) -> None:
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("what it sent is not HTTP"))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they arrive. ProviderFailed (ProviderTimeout) if they break off."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except FAULTS as fault:
            raise _in_our_words(fault, self._provider, self._patience) from fault
        finally:
            self._let_go()

    async def close(self) -> None:
        """Let the connection go; one with bytes still to come is closed, since nobody will read them."""
        self._let_go()
        self._response.close()

    def _let_go(self) -> None:
        # The connection outlives this answer, and must not collect a callback from each.
        if self._closed is not None:
            self._closed.remove_done_callback(self._lost)
            self._closed = None


@lru_cache(maxsize=256)
def _endpoint(base_url: str) -> URL:
    url = URL(base_url.rstrip("/") + "/chat/completions")
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{base_url} is not an http or https address")
    return url


def _headers(provider: ProviderAddress, headers: Mapping[str, str]) -> dict[str, str]:
    ready = {name.lower(): value for name, value in headers.items()}
    for named in ready.get("connection", "").split(","):
        ready.pop(named.strip().lower(), None)
    for name in NEVER_SENT_ON.intersection(ready):
        del ready[name]
    ready["content-type"] = "application/json"
    if provider.secret_env is not None:
        if provider.secret_env.startswith(OUR_VARIABLES):  # from a store, or a copy of the routes, of an earlier day
            raise MissingSecret(f"{provider.name} names {provider.secret_env} for its key, which is Pinrail's own.")
        # Read at every call: a rotated secret needs no restart where the environment can change.
        secret = os.environ.get(provider.secret_env, "").strip()
        if not secret:
            raise MissingSecret(
                f"{provider.name} needs a key from the environment variable {provider.secret_env}, "
                "which is not set in the gateway's process."
            )
        ready["authorization"] = f"Bearer {secret}"
    return ready


def _in_our_words(fault: Exception, provider: ProviderAddress, patience: Patience) -> ProviderFailed:
    name = provider.name
    match fault:
        case aiohttp.ConnectionTimeoutError():
            return ProviderTimeout(f"{name} could not be reached within {patience.connect_s:g} s.")
        case aiohttp.ServerTimeoutError():
            return ProviderTimeout(f"{name} fell silent for {patience.idle_s:g} s in the middle of its answer.")
        case TimeoutError():
            return ProviderTimeout(f"{name} did not answer within {patience.answer_s:g} s.")
        case aiohttp.ClientConnectorError():
            return ProviderFailed(f"{name} could not be reached: {fault}.")
        case aiohttp.ServerDisconnectedError():
            return ProviderFailed(f"{name} closed the connection without an answer.")
        case aiohttp.ClientPayloadError():
            return ProviderFailed(f"{name} broke its answer off: {fault}.")
        case _:
            return ProviderFailed(f"{name} could not be asked: {str(fault) or type(fault).__name__}.")
