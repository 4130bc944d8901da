"""A duration in words."""

from datetime import timedelta


def in_words(span: timedelta) -> str:
    """A duration in the largest unit that suits it, rounded down, so that 9:59 min never reads as 10 min."""
    seconds = max(0, int(span.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
