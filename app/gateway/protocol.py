"""What arrives before there is a request: uvicorn's protocol, with an end to how large and how slow a head may be.

By itself uvicorn takes a head of any size and waits for its end for ever: whoever can connect could fill the memory or
hold every socket, without a key. It also takes the trailers of a body for headers, which nobody in front of us looked
at; and it loses the body of a request that offers another protocol, as Java's own client does at every first one.
"""

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.gateway.refusals import HeadTooLarge, NotHttp, error_document, on_the_wire
from app.gateway.wire import OUR_HEADERS
from core.errors import PinrailError

LARGEST_HEAD = 64 << 10
"""Bytes of the address and the headers together."""
WITHIN_S = 15.0
"""How long a head may take from its first byte to its last, and the rest of a body that was refused."""
LINGER_S = 0.3
"""How long a connection over which nothing is asked stays open once the gateway stops."""

_UPGRADE = re.compile(rb"\r\nupgrade(?=[ \t]*:)", re.IGNORECASE)
_DECLINED = b"\r\n" + OUR_HEADERS + b"upgrade"  # a header of ours goes no further


class Protocol(HttpToolsProtocol):
    """One connection of a caller."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._in_head = False
        self._in_body = False
        self._unfinished_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody connected, and may keep quiet for as long as between two requests."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def shutdown(self) -> None:
        """Nothing new is accepted. A request may be on its way over this connection, and its answer will close it."""
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LINGER_S, super().shutdown)
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request."""
        goes_on = self._in_head
        super().data_received(data if self._in_body else without_upgrade(data))
        if goes_on and self._in_head:
            self._unfinished_bytes += len(data)
            if self._unfinished_bytes > LARGEST_HEAD:  # of a header without an end the parser tells nothing
                self._refuse_head()
        if not self._owes_more():
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(WITHIN_S, self.timeout_keep_alive_handler)

    def _owes_more(self) -> bool:
        """Has the caller begun something that only the caller can end?"""
        refused = self._in_body and self.cycle.response_complete
        return (self._in_head or refused) and not self.transport.is_closing()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the parser's callbacks ---------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        self._in_head, self._in_body, self._unfinished_bytes = True, False, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which is none."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The last byte of a head."""
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > LARGEST_HEAD:
            self._refuse_head()
            raise ValueError("too large")  # stops the parser
        self._in_head, self._in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The last byte of a body."""
        self._in_body = False
        super().on_message_complete()

    # -- refusing -----------------------------------------------------------------------------------------

    def _refuse_head(self) -> None:
        self._refuse(HeadTooLarge(f"The address and headers of a request have at most {LARGEST_HEAD} bytes."))

    def send_400_response(self, msg: str) -> None:
        """What uvicorn does with bytes that its parser cannot read."""
        self._refuse(NotHttp("The gateway cannot read this as a request in HTTP/1.1."))

    def _refuse(self, refusal: PinrailError) -> None:
        """Say no to what never became a request, unless it would come amid another answer: then only hang up."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = error_document(refusal)
            headers = [
                *self.server_state.default_headers,
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                (b"connection", b"close"),
            ]
            lines = [b"%b: %b\r\n" % header for header in headers]
            self.transport.write(b"".join([STATUS_LINE[on_the_wire(refusal).status], *lines, b"\r\n", body]))
        self.transport.close()


def without_upgrade(data: bytes) -> bytes:
    """Bytes that begin a request, with the offer of another protocol renamed: nobody here takes it up."""
    found = _UPGRADE.search(data, 0, data.find(b"\r\n\r\n") + 1 or len(data))
    return data if found is None else data[: found.start()] + _DECLINED + data[found.end() :]
