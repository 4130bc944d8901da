"""What we need from strangers, in our words: the clock, and a provider's answer on the wire."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Protocol

from core.domain.routing import ProviderAddress


class Clock(Protocol):
    """Tells the time. Services are given the time; only the outermost layer asks for it."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class Answer(Protocol):
    """A provider's answer, begun: status and headers are known, the bytes follow and are passed untouched."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they arrive. ProviderFailed (ProviderTimeout) if they break off."""
        ...

    async def close(self) -> None:
        """Let the connection go; safe to call at any point and more than once."""
        ...


class ChatProvider(Protocol):
    """Somebody who answers chat completions over HTTP."""

    async def ask(self, provider: ProviderAddress, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send ``body`` to the provider's chat completions endpoint and wait for status and headers.

        Raises MissingSecret, ProviderTimeout or ProviderFailed; an answer with an error status is an answer.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
