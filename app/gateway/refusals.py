"""What the gateway refuses, and the one table from refusals to HTTP and OpenAI's error shape."""

from typing import NamedTuple

import orjson

from core.errors import (
    InvalidInput,
    MissingSecret,
    NotFound,
    NotPermitted,
    NotSignedIn,
    PinrailError,
    ProviderFailed,
    ProviderTimeout,
    UnknownAlias,
)


class NoCallerKey(NotSignedIn):
    """The request carries no caller key."""

    code = "no_caller_key"


class UnknownCallerKey(NotSignedIn):
    """No caller has this key, or it was revoked."""

    code = "unknown_caller_key"


class ExpiredCallerKey(NotSignedIn):
    """The caller's key has expired."""

    code = "expired_caller_key"


class AliasNotAllowed(NotPermitted):
    """The caller's key is limited to other aliases."""

    code = "alias_not_allowed"


class BadBody(InvalidInput):
    """The body is not a JSON object."""

    code = "bad_body"


class NoModel(BadBody):
    """The body names no model; it should name an alias."""

    code = "no_model"


class NoMessages(BadBody):
    """The body has no list of messages."""

    code = "no_messages"


class BodyTooLarge(InvalidInput):
    """The body has more bytes than this gateway takes."""

    code = "body_too_large"


class NotHttp(InvalidInput):
    """What arrived is not HTTP/1.1 as the gateway reads it."""

    code = "not_http"


class HeadTooLarge(InvalidInput):
    """The address and the headers have more bytes than the gateway takes."""

    code = "head_too_large"


class UnknownPath(NotFound):
    """The gateway has no such path."""

    code = "unknown_path"


class MethodNotAllowed(PinrailError):
    """The path does not answer this method."""

    code = "method_not_allowed"


class NoRoutes(PinrailError):
    """The gateway has no route table: the store was never reached, and no copy of an earlier table can be used."""

    code = "no_routes"


class Stopped(PinrailError):
    """The gateway was stopped, and the answer did not come in the time that was left."""

    code = "stopped"


class InternalFault(PinrailError):
    """The gateway itself is at fault; its log says more."""

    code = "internal_fault"


class OnTheWire(NamedTuple):
    """How a kind of refusal looks to a caller: ``type`` and ``param`` are OpenAI's words for class and culprit."""

    status: int
    type: str
    param: str | None = None


REFUSALS: dict[type[PinrailError], OnTheWire] = {
    PinrailError: OnTheWire(500, "server_error"),
    InvalidInput: OnTheWire(400, "invalid_request_error"),
    NoModel: OnTheWire(400, "invalid_request_error", "model"),
    NoMessages: OnTheWire(400, "invalid_request_error", "messages"),
    NotSignedIn: OnTheWire(401, "authentication_error"),
    NotPermitted: OnTheWire(403, "permission_error"),
    AliasNotAllowed: OnTheWire(403, "permission_error", "model"),
    NotFound: OnTheWire(404, "not_found_error"),
    UnknownAlias: OnTheWire(404, "not_found_error", "model"),
    MethodNotAllowed: OnTheWire(405, "invalid_request_error"),
    BodyTooLarge: OnTheWire(413, "invalid_request_error"),
    HeadTooLarge: OnTheWire(431, "invalid_request_error"),
    MissingSecret: OnTheWire(502, "provider_error"),
    ProviderFailed: OnTheWire(502, "provider_error"),
    NoRoutes: OnTheWire(503, "server_error"),
    Stopped: OnTheWire(503, "server_error"),
    ProviderTimeout: OnTheWire(504, "provider_error"),
}
"""From our refusals to HTTP. A kind without a line of its own answers as its nearest ancestor."""

MORE_HEADERS: dict[int, tuple[bytes, bytes]] = {
    401: (b"www-authenticate", b"Bearer"),
    # The rest of a body that is not wanted would be taken for the next request.
    413: (b"connection", b"close"),
    503: (b"retry-after", b"1"),
}


def on_the_wire(refusal: PinrailError) -> OnTheWire:
    """How this refusal looks to a caller."""
    return next(REFUSALS[kind] for kind in type(refusal).__mro__ if kind in REFUSALS)


def error_document(refusal: PinrailError) -> bytes:
    """The refusal in OpenAI's error shape."""
    wire = on_the_wire(refusal)
    error = {"message": str(refusal), "type": wire.type, "param": wire.param, "code": refusal.code}
    return orjson.dumps({"error": error})
