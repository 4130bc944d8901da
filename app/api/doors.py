"""What every route states about itself: the action it asks for, and the refusals one may meet there."""

from collections.abc import Sequence
from typing import Any

from app.api.problems import MEDIA_TYPE, RevisionRequired, StillRunning, TooLarge, Unforeseen, status_of, title_of
from core import errors
from core.errors import PinrailError

ACTION = "x-pinrail-action"
ANYBODY = "anybody"
"""The action of routes that answer whoever is recognised, about themselves."""

Kinds = tuple[type[PinrailError], ...]

ALWAYS: Kinds = (errors.NotSignedIn, errors.InvalidInput, errors.StoreUnreachable, Unforeseen)
WRITES: Kinds = (TooLarge, errors.IdempotencyMismatch, StillRunning)
MOVES: Kinds = (
    *WRITES,
    errors.UnknownAlias,
    errors.UnknownRevision,
    RevisionRequired,
    errors.StaleRevision,
    errors.AliasRetired,
    errors.NothingToChange,
)


def door(action: str, *refusals: type[PinrailError]) -> dict[str, Any]:
    """What a route's decorator is given: the action it asks for, and its refusals besides the usual ones.

    The services rule; this only says what they will rule on, and a test holds both against each other.
    """
    kinds = [*ALWAYS, *refusals]
    if action != ANYBODY:
        kinds.append(errors.NotPermitted)
    return {"openapi_extra": {ACTION: action}, "responses": documented(kinds)}


def documented(kinds: Sequence[type[PinrailError]]) -> dict[int | str, dict[str, Any]]:
    """The refusals as the OpenAPI document shows them, by status."""
    found: dict[int | str, dict[str, Any]] = {400: _response(["**bad_json**: The body is not JSON."])}
    for status in sorted({status_of(kind) for kind in kinds}):
        said = [f"**{kind.code}**: {title_of(kind)}" for kind in kinds if status_of(kind) == status]
        found[status] = _response(said)
    return found


def _response(said: Sequence[str]) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": "\n\n".join(dict.fromkeys(said)), "content": {MEDIA_TYPE: {"schema": schema}}}
