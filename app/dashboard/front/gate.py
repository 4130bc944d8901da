"""Lets nobody see a page or open its socket without a session; everything that is not named open is closed."""

from enum import Enum
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.dashboard.front.origins import asked_page, is_own
from app.dashboard.front.signing import COOKIE, foreign, unreachable
from app.wiring import Pinrail
from core.errors import NotSignedIn, StoreError
from core.services import access

OPEN = frozenset(
    {
        "/healthz",
        "/sign-in",
        "/sign-out",
        "/front/mark.svg",
        "/favicon.png",
        "/manifest.json",
        "/_stcore/health",
        "/_stcore/host-config",
    }
)
OPEN_BELOW = ("/static/",)
"""Files that are the same for everybody."""

MACHINERY = ("/_stcore/", "/media/", "/component/", "/app/static/")


class Kind(Enum):
    """What a path is to somebody without a session."""

    OPEN = "answered"
    PAGE = "sent to sign in"
    CLOSED = "refused"


def kind_of(path: str, method: str) -> Kind:
    """Who may see ``path``: anybody, or those who signed in, who are shown the way only from a page."""
    if path in OPEN or path.startswith(OPEN_BELOW):
        return Kind.OPEN
    if method in ("GET", "HEAD") and not path.startswith(MACHINERY):
        return Kind.PAGE
    return Kind.CLOSED


class Gate:
    """Asks for the session before anything of the dashboard is reached."""

    def __init__(self, app: ASGIApp, pinrail: Pinrail) -> None:
        self._app = app
        self._pinrail = pinrail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] == "websocket":
            if await self._may_connect(scope):
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return
        refusal = await self._refusal(scope) if scope["type"] == "http" else None
        if refusal is not None:
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _may_connect(self, scope: Scope) -> bool:
        # Streamlit takes a socket from any port of this machine; a page that runs there is still another site.
        if not is_own(Headers(scope=scope), self._pinrail.settings.public_url):
            return False
        try:
            await self._recognise(scope)
        except (NotSignedIn, StoreError):
            return False
        return True

    async def _refusal(self, scope: Scope) -> Response | None:
        kind = kind_of(scope["path"], scope["method"])
        if kind is Kind.OPEN:
            return None
        if scope["method"] not in ("GET", "HEAD") and not is_own(
            Headers(scope=scope), self._pinrail.settings.public_url
        ):
            return foreign()
        try:
            await self._recognise(scope)
        except NotSignedIn as refusal:
            if kind is Kind.CLOSED:
                return PlainTextResponse(f"{refusal}\n", 401, headers={"cache-control": "no-store"})
            back_to = quote(asked_page(scope["path"], scope["query_string"]), safe="")
            return RedirectResponse(f"/sign-in?next={back_to}", 303, headers={"cache-control": "no-store"})
        except StoreError as fault:
            return unreachable(fault)
        return None

    async def _recognise(self, scope: Scope) -> None:
        secret = HTTPConnection(scope).cookies.get(COOKIE)
        await run_in_threadpool(access.who_is, self._pinrail.store, secret, now=self._pinrail.now())
