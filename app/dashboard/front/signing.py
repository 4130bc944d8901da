"""Signing in and out: a form without a script, the session's cookie, and the way back to the page that was wanted."""

from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.dashboard.front import pages
from app.dashboard.front.origins import is_own, safe_next
from app.wiring import Pinrail
from core.errors import NotSignedIn, PinrailError, StoreError, TooManyAttempts
from core.services import access
from core.store import read_models

COOKIE = "pinrail_session"
MAX_FORM_BYTES = 8192
DEMO_PEOPLE = {
    "viewer": "looks at everything",
    "oncall": "flips and rolls back",
    "approver": "approves, too",
    "admin": "manages people, too",
}
STATUS: dict[type[PinrailError], int] = {NotSignedIn: 401, TooManyAttempts: 429, StoreError: 503, PinrailError: 400}


@dataclass(frozen=True)
class Front:
    """The pages for whoever is not signed in yet, or wants to leave."""

    pinrail: Pinrail

    async def show(self, request: Request) -> Response:
        """GET /sign-in: the form, or straight on to the page that was wanted."""
        back_to = safe_next(request.query_params.get("next"))
        try:
            return await run_in_threadpool(self._shown, request, back_to)
        except StoreError as fault:
            return self._unreachable(fault)

    def _shown(self, request: Request, back_to: str) -> Response:
        if not access.anybody_yet(self.pinrail.store):
            return pages.page("Sign in", pages.nobody_yet())
        note = "You are signed out." if "signed-out" in request.query_params else None
        secret = request.cookies.get(COOKIE)
        if secret and note is None:
            try:
                access.who_is(self.pinrail.store, secret, now=self.pinrail.now())
            except NotSignedIn as refusal:
                note = str(refusal)
            else:
                return RedirectResponse(back_to, 303)
        form = pages.sign_in_form(back_to=back_to, note=note, after=self._demo(back_to))
        return pages.page("Sign in", form)

    async def sign_in(self, request: Request) -> Response:
        """POST /sign-in: a session and the page that was wanted, or the form again with the reason."""
        if not is_own(request.headers, self.pinrail.settings.public_url):
            return foreign()
        fields = _fields(await _body(request))
        if fields is None:
            return pages.sentence_page("That was no sign-in form", "Go back and send the form again.", status=400)
        return await run_in_threadpool(self._signed_in, request, fields)

    def _signed_in(self, request: Request, fields: dict[str, str]) -> Response:
        name, back_to = fields.get("name", "").strip(), safe_next(fields.get("next"))
        address = request.client.host if request.client else ""
        try:
            now = self.pinrail.now()
            secret = access.sign_in(self.pinrail.store, name, fields.get("password", ""), address=address, now=now)
        except StoreError as fault:
            return self._unreachable(fault)
        except PinrailError as refusal:
            status = next(STATUS[kind] for kind in type(refusal).__mro__ if kind in STATUS)
            form = pages.sign_in_form(back_to=back_to, name=name, error=str(refusal), after=self._demo(back_to))
            return pages.page("Sign in", form, status=status)
        answer = RedirectResponse(back_to, 303, headers={"cache-control": "no-store"})
        self._set_cookie(answer, secret, int(access.SESSION_LASTS.total_seconds()))
        return answer

    async def ask_to_leave(self, _request: Request) -> HTMLResponse:
        """GET /sign-out: a question, because a link must never act by itself."""
        return pages.page("Sign out", pages.leave_form())

    async def sign_out(self, request: Request) -> Response:
        """POST /sign-out: the session ends in the store, not only in this browser."""
        if not is_own(request.headers, self.pinrail.settings.public_url):
            return foreign()
        secret = request.cookies.get(COOKIE)
        try:
            if secret:
                now = self.pinrail.now()
                await run_in_threadpool(access.sign_out, self.pinrail.store, secret, now=now)
        except StoreError as fault:
            return self._unreachable(fault)
        answer = RedirectResponse("/sign-in?signed-out", 303, headers={"cache-control": "no-store"})
        self._set_cookie(answer, "", 0)
        return answer

    def _set_cookie(self, answer: Response, secret: str, max_age_s: int) -> None:
        secure = self.pinrail.settings.secure_cookies
        answer.set_cookie(COOKIE, secret, max_age=max_age_s, path="/", httponly=True, samesite="lax", secure=secure)

    def _demo(self, back_to: str) -> str:
        store = self.pinrail.store
        if not read_models.was_seeded(store):
            return ""
        there = {name for name, _grants in read_models.who_holds_roles(store)}
        return pages.demo_people([one for one in DEMO_PEOPLE.items() if one[0] in there], back_to=back_to)

    @staticmethod
    def _unreachable(fault: StoreError) -> HTMLResponse:
        return unreachable(fault)


def unreachable(fault: StoreError) -> HTMLResponse:
    """The page for when nobody can be looked up."""
    text = f"{fault} The gateways go on serving the last revisions they know. Reload this page to try again."
    return pages.sentence_page("The store cannot be read", text, status=503)


def foreign() -> HTMLResponse:
    """The page for a form that another site sent."""
    text = "This was sent by another site's page, so nothing was done. Open Pinrail itself and try again."
    return pages.sentence_page("Not from here", text, status=403)


async def _body(request: Request) -> bytes | None:
    """The form's bytes, or None when there are more than any form of ours has."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            return None
    return body


def _fields(body: bytes | None) -> dict[str, str] | None:
    if body is None:
        return None
    try:
        found = parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=10)
    except ValueError:  # no UTF-8, or too many fields
        return None
    return {name: values[0] for name, values in found.items()}
