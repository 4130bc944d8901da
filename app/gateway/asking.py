"""A caller's request: who asks, for which alias, and the body as the version that answers it needs it."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Any, NamedTuple

import orjson

from app.gateway.refusals import (
    AliasNotAllowed,
    BadBody,
    ExpiredCallerKey,
    NoCallerKey,
    NoMessages,
    NoModel,
    UnknownCallerKey,
)
from app.gateway.routes import Ready
from core.domain.names import no_such
from core.domain.routing import AliasRoute, CallerKey, Route, RouteTable, choose
from core.errors import UnknownAlias

# -- who asks -------------------------------------------------------------------------------------


def recognised(callers: Mapping[str, CallerKey], authorization: bytes | None, *, now_s: float) -> CallerKey:
    """The caller whose key this is."""
    scheme, _, secret = (authorization or b"").partition(b" ")
    secret = secret.strip()
    if not secret or scheme.lower() != b"bearer":
        raise NoCallerKey("Send a caller key as 'Authorization: Bearer pk_...'.")
    found = callers.get(key_id(secret.decode("latin-1")))
    if found is None or not compare_digest(sha256(secret).hexdigest(), found.secret_sha256):
        raise UnknownCallerKey("No caller has this key, or it was revoked.")
    if found.expires_at is not None and found.expires_at <= now_s:
        raise ExpiredCallerKey(f"Key {found.id} of {found.caller} has expired; ask an admin for a new one.")
    return found


def key_id(secret: str) -> str:
    """The part of a caller key by which it is found: between its first two ``_``, or all of it if it has no two."""
    parts = secret.split("_", 2)
    return parts[1] if len(parts) == 3 else secret


# -- for what -------------------------------------------------------------------------------------


class Asked(NamedTuple):
    """The body of a chat request, checked as far as the gateway needs it."""

    document: dict[str, Any]
    alias: str
    messages: list[Any]


def asked_in(body: bytes) -> Asked:
    """Read a chat request; what the gateway does not need is the provider's to check."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise BadBody(f"The body is not JSON: {fault}.") from fault
    if not isinstance(document, dict):
        raise BadBody("The body must be a JSON object.")
    alias = document.get("model")
    if not isinstance(alias, str) or not alias:
        raise NoModel("The body must name an alias as its model.")
    messages = document.get("messages")
    if not isinstance(messages, list) or not messages:
        raise NoMessages("The body must have a list of at least one message.")
    return Asked(document, alias, messages)


def usable(aliases: Iterable[str], caller: CallerKey) -> list[str]:
    """Those of the aliases that the caller may use, by name."""
    return sorted(alias for alias in aliases if caller.aliases is None or alias in caller.aliases)


def allowed(table: RouteTable, caller: CallerKey, alias: str) -> AliasRoute:
    """The alias, if there is one and the caller may use it."""
    route = table.aliases.get(alias)
    if route is None:
        raise UnknownAlias(no_such("alias", alias, usable(table.aliases, caller)))
    if caller.aliases is not None and alias not in caller.aliases:
        raise AliasNotAllowed(f"The key of {caller.caller} may not use {alias}.")
    return route


def routed(table: RouteTable, caller: CallerKey, asked: Asked, *, sticky_by: str | None) -> Route:
    """The route for this request. ``sticky_by`` is the routing key from the request's headers, if it had one."""
    route = allowed(table, caller, asked.alias)
    # With one variant there is nothing to stick to.
    return choose(table, asked.alias, sticky_by or _conversation(asked) if len(route.variants) > 1 else None)


def _conversation(asked: Asked) -> str:
    """What tells one conversation from another when no header does: the user, else how the conversation began."""
    user = asked.document.get("user")
    if isinstance(user, str) and user:
        return user
    for message in asked.messages:
        if isinstance(message, dict) and message.get("role") == "user":
            return as_json(message.get("content")).decode()
    return as_json(asked.messages[0]).decode()


# -- as the version needs it ----------------------------------------------------------------------


def rewritten(asked: Asked, ready: Ready) -> dict[str, Any]:
    """The request for this version: its pinned model, its prompt before the caller's messages, its parameters."""
    document = {**asked.document, **ready.fixed}
    if ready.system is not None:
        document["messages"] = [ready.system, *asked.messages]
    return document


def as_json(value: object) -> bytes:
    """The value as it is sent; BadBody if nested deeper than can be written, which is less than can be read."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as fault:
        raise BadBody("The body is nested too deeply to be passed on.") from fault
