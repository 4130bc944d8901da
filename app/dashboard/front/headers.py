"""Response headers that tell the browser what our pages may do, which is as little as they need."""

import re
from base64 import b64encode
from hashlib import sha256

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_INLINE = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)

FIXED = {
    "x-content-type-options": "nosniff",
    # Not "no-referrer": our own forms would then arrive without their origin.
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def inline_hashes(html: str) -> tuple[str, ...]:
    """The scripts that stand in ``html`` itself, as a content security policy names them."""
    digests = (sha256(script.encode()).digest() for script in _INLINE.findall(html))
    return tuple(f"'sha256-{b64encode(digest).decode()}'" for digest in digests)


def policy(index_html: str) -> str:
    """The content security policy of the dashboard: our own files, and the scripts its page is known to contain."""
    scripts = " ".join(("'self'", *inline_hashes(index_html)))
    return (
        f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; form-action 'self'; "
        "frame-ancestors 'none'; object-src 'none'; base-uri 'self'"
    )


class SecurityHeaders:
    """Adds the headers to every answer that does not state its own."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._headers = {**FIXED, "content-security-policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and add to its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def added(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, added)
