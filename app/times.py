"""Times as people type them: `30m` ago, in `90d`, `02:03`, `2026-11-20`, or ISO 8601; UTC unless they say otherwise."""

import re
from datetime import UTC, datetime, time, timedelta

from core.errors import InvalidInput

_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SPAN = re.compile(r"(\d{1,6})\s*(s|min|m|h|d|w)")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")


def past(text: str, *, now: datetime) -> datetime:
    """A time that has been: `30m` ago, `02:03` (the last one, UTC), `2026-11-20`, or ISO 8601, UTC unless it says."""
    span = _span(text)
    clock = _CLOCK.fullmatch(text.strip())
    if span is not None:
        at = now - span
    elif clock is not None:
        at = _last(clock, now)
    else:
        at = _iso(text)
    if at > now:
        raise InvalidInput(f"{text!r} is still to come.")
    return at


def future(text: str | None, *, now: datetime) -> datetime | None:
    """A time to come: in `90d`, at the end of the day `2027-01-31` (UTC), or ISO 8601."""
    if text is None:
        return None
    span = _span(text)
    if span is not None:
        return now + span
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return _iso(text) + timedelta(days=1)
    return _iso(text)


def _span(text: str) -> timedelta | None:
    found = _SPAN.fullmatch(text.strip())
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]]) if found else None


def _last(clock: re.Match[str], now: datetime) -> datetime:
    try:
        wanted = time(int(clock[1]), int(clock[2]), int(clock[3] or 0), tzinfo=UTC)
    except ValueError as fault:
        raise _no_time(clock[0]) from fault
    at = datetime.combine(now.astimezone(UTC).date(), wanted)
    return at if at <= now else at - timedelta(days=1)


def _iso(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as fault:
        raise _no_time(text) from fault
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _no_time(text: str) -> InvalidInput:
    return InvalidInput(f"{text!r} is no time. Give 2026-11-20T14:02Z, 2026-11-20, 14:02 (all UTC), or 30m, 12h, 90d.")
