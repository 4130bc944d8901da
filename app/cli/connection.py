"""One way to the API of a Pinrail: asks again when the connection fails, and gives refusals back as ours."""

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from pydantic import ValidationError
from requests.auth import AuthBase

from app.api.shapes import Problem, View
from app.cli.exits import ServerUnreachable
from app.cli.options import fresh_key
from core.errors import (
    InvalidInput,
    NotFound,
    NotPermitted,
    NotSignedIn,
    PinrailError,
    StaleRevision,
    StoreError,
    TooManyAttempts,
)

V = TypeVar("V", bound=View)

PREFIX = "/api/v1"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
CONNECT_WITHIN_S, ANSWER_WITHIN_S = 5.0, 30.0
PAUSES_S = (0.2, 0.8)
"""One more attempt after each pause. Safe for writes too: all attempts carry the same idempotency key."""
NOT_FROM_PINRAIL = frozenset({502, 503, 504})
"""Statuses a proxy answers when Pinrail itself cannot be reached; worth another attempt."""

KIND_OF_STATUS: Mapping[int, type[PinrailError]] = {
    400: InvalidInput,
    401: NotSignedIn,
    403: NotPermitted,
    404: NotFound,
    412: StaleRevision,
    413: InvalidInput,
    422: InvalidInput,
    428: InvalidInput,
    429: TooManyAttempts,
    500: StoreError,
    503: StoreError,
}
"""What a refusal is when its code is newer than this program."""


class _Bearer(AuthBase):
    """Sets the token last, so that a .netrc of the person cannot replace it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Connection:
    """The API below ``url``, asked with ``token``."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = _checked_url(url)
        if token is None:
            raise NotSignedIn(
                f"PINRAIL_URL names {self._url}, but PINRAIL_TOKEN is not set: put an API token there "
                "(`pinrail token create` makes one)."
            )
        if not (token.isascii() and token.isprintable()):
            raise NotSignedIn("This API token is not known.")
        self._session = requests.Session()
        self._session.auth = _Bearer(token.strip())
        self._session.headers["Accept"] = "application/json"
        if urlsplit(self._url).hostname in LOOPBACK:
            self._session.trust_env = False  # no proxy stands between this machine and itself

    def close(self) -> None:
        """Let the connection go."""
        self._session.close()

    def ask(self, view: type[V], method: str, path: str, *, params: Mapping[str, Any]) -> V:
        """Ask for something to be shown."""
        answer = self._send(method, path, None, params, {}, if_lost="")
        return self._read(view, answer)

    def write(
        self,
        view: type[V],
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        params: Mapping[str, Any],
        key: str | None,
    ) -> V:
        """Ask for something to be done, once, however often the connection fails."""
        chosen = fresh_key(key)
        again = (
            f" asking again with --idempotency-key {chosen} has no second effect."
            if key
            else " look before you ask again."
        )
        lost = f" It is not known whether it was done;{again}"
        answer = self._send(method, path, body, params, {"Idempotency-Key": chosen}, if_lost=lost)
        return self._read(view, answer)

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        params: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        if_lost: str,
    ) -> requests.Response:
        """The answer, or ServerUnreachable with ``if_lost`` when some attempt may have arrived."""
        known = {name: value for name, value in params.items() if value is not None}
        maybe_arrived = False
        why = ""
        for pause_s in (*PAUSES_S, None):
            try:
                answer = self._session.request(
                    method,
                    f"{self._url}{PREFIX}{path}",
                    json=body,
                    params=known,
                    headers=headers,
                    timeout=(CONNECT_WITHIN_S, ANSWER_WITHIN_S),
                    allow_redirects=False,
                )
                if not _is_a_proxy_speaking(answer):
                    return answer
                why, maybe_arrived = f"answered {answer.status_code}, and not as a Pinrail does", True
            except requests.exceptions.RequestException as fault:
                why, arrived = _explained(fault)
                maybe_arrived = maybe_arrived or arrived
            if pause_s is not None:
                time.sleep(pause_s)
        said = if_lost if maybe_arrived else " Nothing was changed." if if_lost else ""
        raise ServerUnreachable(f"{self._url} {why}.{said}")

    def _read(self, view: type[V], answer: requests.Response) -> V:
        if answer.is_redirect:
            place = answer.headers.get("location", "elsewhere")
            raise ServerUnreachable(f"{self._url} sends to {place} instead of answering: set PINRAIL_URL to that.")
        try:
            if answer.ok:
                return view.model_validate_json(answer.content)
            raise refusal_of(Problem.model_validate_json(answer.content))
        except ValidationError as fault:
            raise ServerUnreachable(
                f"{self._url} answered {answer.status_code}, and not as a Pinrail does: PINRAIL_URL is the address of "
                "the dashboard, such as http://127.0.0.1:8501."
            ) from fault


def _checked_url(url: str) -> str:
    bare = url.strip().rstrip("/").removesuffix(PREFIX)
    try:
        parts = urlsplit(bare)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine, parts = False, urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine:
        raise InvalidInput(f"PINRAIL_URL is {url!r}, and an address looks like https://pinrail.example.com.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidInput("PINRAIL_URL carries no user, password, query or fragment; the token is in PINRAIL_TOKEN.")
    return bare


def _is_a_proxy_speaking(answer: requests.Response) -> bool:
    kind = answer.headers.get("content-type", "")
    return answer.status_code in NOT_FROM_PINRAIL and not kind.startswith("application/problem+json")


def _explained(fault: requests.exceptions.RequestException) -> tuple[str, bool]:
    """Why there was no answer, in words, and whether the request may have arrived all the same."""
    errors = requests.exceptions
    if isinstance(fault, errors.ConnectTimeout):
        return f"took no connection within {CONNECT_WITHIN_S:.0f} s", False
    if isinstance(fault, errors.Timeout):
        return f"did not answer within {ANSWER_WITHIN_S:.0f} s", True
    if isinstance(fault, errors.SSLError):
        return "could not prove who it is (its certificate is not trusted here)", False
    if isinstance(fault, errors.ProxyError):
        return "could not be reached through the proxy that the environment names", False
    text = str(fault)
    cause = re.search(r"\[Errno -?\d+\] ([^'\")\]]+)", text)
    never_sent = "NewConnectionError" in text or "NameResolutionError" in text
    return f"did not answer ({cause[1] if cause else 'the connection was lost'})", not never_sent


# -- refusals -------------------------------------------------------------------------------------


def refusal_of(problem: Problem) -> PinrailError:
    """The refusal that a problem tells of: the same kind, code and words as if it had been refused here."""
    kind = next((kind for kind in _kinds(PinrailError) if kind.code == problem.code), None)
    refusal = (kind or KIND_OF_STATUS.get(problem.status, PinrailError))(problem.detail)
    refusal.code = problem.code
    return refusal


def _kinds(kind: type[PinrailError]) -> Iterator[type[PinrailError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)
