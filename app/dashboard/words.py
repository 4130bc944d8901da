"""Values in words as the pages show them: times, figures, and text made safe for HTML and Markdown."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from html import escape
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
# What Streamlit's Markdown reads inside a line: marks, directives such as `:red[…]`, and arrows made of dashes.
_MARKS = re.compile(r"([\\`*_{}\[\]<>~$:#&|=]|-(?=[->])|(?<=-)-|^[-+]|(?<=^\d)\.)")


# -- times ----------------------------------------------------------------------------------------


def length(span: timedelta) -> str:
    """A duration in the largest unit that suits it, rounded down."""
    seconds = max(0, int(span.total_seconds()))
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def ago(at: datetime, *, now: datetime) -> str:
    """`12 min ago`."""
    return f"{length(now - at)} ago"


def clock(at: datetime, *, now: datetime, seconds: bool = False) -> str:
    """`02:03 UTC`, with the date when it is not today's."""
    at = at.astimezone(UTC)
    form = "%H:%M:%S UTC" if seconds else "%H:%M UTC"
    return at.strftime(form if at.date() == now.astimezone(UTC).date() else f"%Y-%m-%d {form}")


def moment(at: datetime, *, now: datetime, seconds: bool = False) -> str:
    """`02:03 UTC (12 min ago)`."""
    return f"{clock(at, now=now, seconds=seconds)} ({ago(at, now=now)})"


def when(at: datetime, *, now: datetime, relative: bool = True) -> str:
    """A time as HTML: UTC to read, the reader's own time zone on hover and for screen readers."""
    text = f'<span class="pr-nowrap">{clock(at, now=now)}</span>'
    if relative:
        text += f' <span class="pr-nowrap">({ago(at, now=now)})</span>'
    return f'<time datetime="{at.astimezone(UTC).isoformat()}"{_local(at)}>{text}</time>'


def _local(at: datetime) -> str:
    try:
        zone = ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):  # a browser may name a zone that this machine does not know
        return ""
    here = at.astimezone(zone)
    return "" if zone.key == "UTC" else f' title="{here:%Y-%m-%d %H:%M} {escape(zone.key)}"'


# -- figures --------------------------------------------------------------------------------------

NO_DATA = "No data"


def share(value: float | None) -> str:
    """`4.1%`; `No data` when nothing was measured."""
    if value is None:
        return NO_DATA
    return "100%" if value == 1 else f"{value:.1%}"


def points(delta: float) -> str:
    """A difference of two shares in percentage points: `+3.1 pp`."""
    return f"{_signed(delta * 100, 1)} pp"


def latency(ms: float | None) -> str:
    """`340 ms` or `2.9 s`; `No data` when nothing was measured."""
    if ms is None:
        return NO_DATA
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"


def latency_change(delta_ms: float) -> str:
    """`+1.2 s` or `−40 ms`."""
    return f"{_signed(delta_ms / 1000, 1)} s" if abs(delta_ms) >= 1000 else f"{_signed(delta_ms, 0)} ms"


def _signed(value: float, digits: int) -> str:
    text = f"{abs(value):,.{digits}f}"
    if not float(text.replace(",", "")):
        return f"±{text}"
    return f"{'+' if value > 0 else '−'}{text}"


def rate(per_minute: float) -> str:
    """`1,240 req/min`; one digit more below ten."""
    return f"{per_minute:,.0f} req/min" if per_minute >= 10 or per_minute == 0 else f"{per_minute:.1f} req/min"


def number(count: int, noun: str) -> str:
    """`1 gateway`, `3 gateways`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}{'es' if noun[-1] == 's' else 's'}"


def listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last


# -- text that others wrote -----------------------------------------------------------------------


def plain(text: str) -> str:
    """``text`` for a place that reads Markdown: shown as it was written, whatever it holds."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def html(text: object) -> str:
    """``text`` for a place that reads HTML: shown as it was written, whatever it holds."""
    return escape(str(text))


def sentence(text: str) -> str:
    """``text`` beginning with a capital and ending with a full stop."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".?:" else ".")
