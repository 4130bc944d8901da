"""How requests and answers look to the server: ASGI messages, and which headers cross the gateway."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, TypeAlias

from app.gateway.refusals import MORE_HEADERS, error_document, on_the_wire
from app.gateway.routes import HeaderPairs
from core.errors import PinrailError

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

OUR_HEADERS = b"x-pinrail-"
NOT_PASSED_BACK = frozenset(
    {
        # between the provider and us
        "connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "set-cookie",
        # the server says it
        "date",
    }
)  # fmt: skip
"""Headers of an answer that a caller never gets to see, in lower case."""


def passed_on(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The caller's headers for the provider; what is between neighbours is for the connector to leave out."""
    return {
        name.decode("latin-1"): value.decode("latin-1") for name, value in headers if not name.startswith(OUR_HEADERS)
    }


def passed_back(headers: Mapping[str, str]) -> HeaderPairs:
    """The provider's headers for the caller."""
    return [
        (low.encode("latin-1"), value.encode("utf-8", "surrogateescape"))
        for name, value in headers.items()
        if (low := name.lower()) not in NOT_PASSED_BACK and not low.startswith("x-pinrail-")
    ]


async def refuse(send: Send, refusal: PinrailError, headers: HeaderPairs) -> None:
    """Answer with a refusal in OpenAI's error shape."""
    status = on_the_wire(refusal).status
    more = [MORE_HEADERS[status]] if status in MORE_HEADERS else []
    await send_whole(send, status, error_document(refusal), [*headers, *more])


async def send_whole(send: Send, status: int, body: bytes, headers: HeaderPairs) -> None:
    """Answer with a JSON body of our own."""
    about = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*about, *headers]})
    await send({"type": "http.response.body", "body": body})
