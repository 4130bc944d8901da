"""The filter of the audit page as its address holds it, so that page and export read it alike."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode

from app.times import past
from core.errors import InvalidInput
from core.store.read_audit import Filter

FIELDS: tuple[str, ...] = ("who", "alias", "action", "outcome", "from", "to")
"""The parameters of the address."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def filter_of(given: Mapping[str, str], *, now: datetime) -> Filter:
    """The filter that the parameters ask for; InvalidInput for a time that is none."""
    chosen = {name: text for name in FIELDS if (text := given.get(name, "").strip())}
    alias = chosen.get("alias")
    return Filter(
        who=chosen.get("who"),
        subject=alias if alias is None or ":" in alias else f"alias:{alias}",
        kind=chosen.get("action"),
        outcome=_outcome(chosen.get("outcome")),
        since=_time(chosen.get("from"), now),
        until=_end(chosen.get("to"), now),
    )


def _outcome(text: str | None) -> str | None:
    if text not in (None, "done", "refused"):
        raise InvalidInput(f"An outcome is done or refused, not {text!r}.")
    return text


def _time(text: str | None, now: datetime) -> datetime | None:
    return past(text, now=now) if text is not None else None


def _end(text: str | None, now: datetime) -> datetime | None:
    """As a beginning, but a whole day counts to its end."""
    at = _time(text, now)
    return at + timedelta(days=1) if at is not None and text is not None and _DAY.fullmatch(text) else at


def path(given: Mapping[str, str], *, to: str = "/audit") -> str:
    """The address that asks for the same."""
    chosen = {name: text for name in FIELDS if (text := given.get(name, "").strip())}
    return f"{to}?{urlencode(chosen)}" if chosen else to
