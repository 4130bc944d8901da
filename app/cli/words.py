"""Values in words: times in UTC with their age, durations, figures, and text that cannot harm a terminal."""

from datetime import UTC, datetime, timedelta

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def moment(at: datetime | None, *, now: datetime) -> str:
    """`02:03 UTC (12 min ago)`, with the date when it is not today's; `-` when there is none."""
    if at is None:
        return "-"
    at = at.astimezone(UTC)
    form = "%H:%M UTC" if at.date() == now.astimezone(UTC).date() else "%Y-%m-%d %H:%M UTC"
    return f"{at.strftime(form)} ({relative(at, now=now)})"


def relative(at: datetime, *, now: datetime) -> str:
    """`12 min ago`, or `in 3 h` for what is to come."""
    away = now - at
    return f"{length(away)} ago" if away >= timedelta(0) else f"in {length(-away)}"


def length(span: timedelta) -> str:
    """A duration in the largest unit that suits it."""
    seconds = max(0, int(span.total_seconds()))
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def share(value: float | None) -> str:
    """`4.1%`; `-` when nothing was measured."""
    return "-" if value is None else f"{value:.1%}"


def latency(ms: float | None) -> str:
    """`340 ms` or `2.9 s`; `-` when nothing was measured."""
    if ms is None:
        return "-"
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"


def price(microdollars: int | None) -> str:
    """`$2.50` for 2,500,000 micro-dollars; `-` when unknown."""
    if microdollars is None:
        return "-"
    dollars = f"{microdollars / 1_000_000:.6f}".rstrip("0")
    whole, _, cents = dollars.partition(".")
    return f"${int(whole):,}.{cents.ljust(2, '0')}"


def yes(value: bool | None) -> str:
    """yes, no, or unknown: what nobody said is never a no."""
    return "unknown" if value is None else "yes" if value else "no"


def listed(names: object) -> str:
    """Names with commas between them, or `-` when there are none."""
    if not isinstance(names, (list, tuple, set, frozenset)):
        return "-"
    return ", ".join(str(name) for name in names) or "-"


def one_line(text: str) -> str:
    """``text`` on one line, without anything that would move a terminal's cursor or change its colours."""
    return safe(" ".join(text.split()))


def safe(text: str) -> str:
    """``text`` with its lines, but with every other control character spelt out."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
