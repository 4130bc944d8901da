"""Every refusal as problem details (RFC 9457): one table from our kinds of refusal to HTTP, and nothing leaks."""

import inspect
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Scope

from app.api.shapes import Problem
from core import errors
from core.errors import PinrailError

MEDIA_TYPE = "application/problem+json"


class RevisionRequired(PinrailError):
    """A write must say which revision of the alias the person saw, so that nobody decides on an old picture."""

    code = "revision_required"


class TooLarge(PinrailError):
    """The request's body is larger than the API takes."""

    code = "too_large"


class StillRunning(PinrailError):
    """The same request, under the same idempotency key, is being carried out at this moment."""

    code = "still_running"


class Unforeseen(PinrailError):
    """Something happened that nobody foresaw; the request id finds it in the log."""

    code = "unforeseen"


STATUS: dict[type[PinrailError], int] = {
    PinrailError: 409,  # the state of things forbids it: the kinds without a line of their own
    errors.NotSignedIn: 401,
    errors.NotPermitted: 403,
    errors.NotFound: 404,
    errors.StaleRevision: 412,
    TooLarge: 413,
    errors.InvalidInput: 422,
    errors.FloatingModel: 422,
    errors.IdempotencyMismatch: 422,
    errors.BadRecording: 422,
    RevisionRequired: 428,
    errors.TooManyAttempts: 429,
    Unforeseen: 500,
    errors.UnrecordedChange: 500,
    errors.ProviderFailed: 502,
    errors.MissingSecret: 502,
    errors.StoreError: 503,
    errors.CannotStart: 503,
    errors.ProviderTimeout: 504,
    errors.AuditBroken: 409,  # the log was read well, and what it says is that it was tampered with
}
"""From refusals to HTTP. A kind without an entry takes its nearest ancestor's."""


def status_of(kind: type[PinrailError]) -> int:
    """The HTTP status of a kind of refusal."""
    return next(STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in STATUS)


def title_of(kind: type[PinrailError]) -> str:
    """What a kind of refusal means: the first sentence of its docstring."""
    return (inspect.getdoc(kind) or kind.code).split("\n\n")[0].replace("\n", " ")


def refused(refusal: PinrailError, scope: Scope, *, wrong: Sequence[dict[str, str]] = ()) -> JSONResponse:
    """The answer to a request that was refused."""
    kind = type(refusal)
    status = status_of(kind)
    headers = {401: {"WWW-Authenticate": 'Bearer realm="pinrail"'}, 503: {"Retry-After": "2"}}.get(status)
    return _answer(scope, status, code=kind.code, title=title_of(kind), detail=str(refusal), wrong=wrong, more=headers)


async def refuse(request: Request, refusal: Exception) -> JSONResponse:
    """What a service refused."""
    assert isinstance(refusal, PinrailError)
    return refused(refusal, request.scope)


async def refuse_values(request: Request, fault: Exception) -> JSONResponse:
    """What does not fit the document: each value is named, and none is repeated, for it may be a password."""
    assert isinstance(fault, RequestValidationError)
    faults = fault.errors()
    if any(one["type"] == "json_invalid" for one in faults):
        return _answer(request.scope, 400, code="bad_json", title="The body is not JSON.", detail="Send a JSON object.")
    wrong = [_wrong(one) for one in faults]
    said = "; ".join(f"{one['where']}: {one['problem']}" for one in wrong)
    return refused(errors.InvalidInput(f"{said}."), request.scope, wrong=wrong)


def _wrong(fault: Mapping[str, Any]) -> dict[str, str]:
    if fault["loc"] == ("body",) and fault["type"] in ("missing", "model_attributes_type", "model_type"):
        return {"where": "body", "problem": "Send a JSON object, with `Content-Type: application/json`"}
    said = str(fault["msg"]).removeprefix("Value error, ")
    return {"where": ".".join(str(part) for part in fault["loc"]), "problem": said}


async def refuse_request(request: Request, fault: Exception) -> JSONResponse:
    """What the framework refuses: an unknown path, a method that is not there."""
    assert isinstance(fault, HTTPException)
    if fault.status_code == status_of(TooLarge):
        return refused(TooLarge(str(fault.detail)), request.scope)
    status = HTTPStatus(fault.status_code)
    details = {
        404: f"There is nothing at {request.url.path}. /api/v1/openapi.json lists what there is.",
        405: f"{request.method} is not for {request.url.path}.",
    }
    return _answer(
        request.scope,
        status.value,
        code=status.name.lower(),
        title=f"{status.phrase}.",
        detail=details.get(status.value, str(fault.detail)),
        more=fault.headers,
    )


def _answer(
    scope: Scope,
    status: int,
    *,
    code: str,
    title: str,
    detail: str,
    wrong: Sequence[dict[str, str]] = (),
    more: Mapping[str, str] | None = None,
) -> JSONResponse:
    problem = Problem(
        type=f"urn:pinrail:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        instance=f"urn:pinrail:request:{scope['pinrail.request_id']}",
        errors=tuple(wrong),
    )
    content = problem.model_dump(mode="json", exclude_defaults=True)
    return JSONResponse(content, status, headers=dict(more or {}), media_type=MEDIA_TYPE)
