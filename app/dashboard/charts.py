"""A line of the last hour as inline SVG of our own: no library, readable without colour, with a sentence for alt."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.dashboard.words import html

WIDTH, HEIGHT, TOP, BOTTOM = 300, 56, 6, 4
STEP = timedelta(minutes=1)


@dataclass(frozen=True)
class Point:
    """One value at one time; None where nothing was measured, which leaves a gap in the line."""

    at: datetime
    value: float | None


def sparkline(
    points: Sequence[Point],
    *,
    since: datetime,
    until: datetime,
    marks: Sequence[datetime],
    least_top: float,
    alt: str,
) -> str:
    """The line from ``since`` to ``until``, with a dashed line at each mark. ``alt`` says what it shows.

    The scale goes from 0 to the highest value, but at least to ``least_top``, so that a trifle looks like one.
    """
    known = [p.value for p in points if p.value is not None]
    top = max([*known, least_top])
    span = (until - since).total_seconds()

    def x(at: datetime) -> float:
        return round((at - since).total_seconds() / span * WIDTH, 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM), 1)

    lines = [[(x(p.at), y(p.value)) for p in run if p.value is not None] for run in _runs(points)]
    drawn = "".join(_line(line) for line in lines)
    dashes = "".join(
        f'<line class="pr-mark" x1="{x(at)}" x2="{x(at)}" y1="0" y2="{HEIGHT}"/>'
        for at in marks
        if since <= at <= until
    )
    base = HEIGHT - BOTTOM
    return (
        f'<svg class="pr-spark" role="img" aria-label="{html(alt)}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'preserveAspectRatio="none" width="{WIDTH}" height="{HEIGHT}">'
        f'<line class="pr-base" x1="0" x2="{WIDTH}" y1="{base}" y2="{base}"/>{dashes}{drawn}</svg>'
    )


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    """The points in runs without a gap: neither a missing value nor a missing minute is bridged."""
    runs: list[list[Point]] = [[]]
    for point in points:
        late = runs[-1] and point.at - runs[-1][-1].at > 1.5 * STEP
        if point.value is None or late:
            runs.append([])
        if point.value is not None:
            runs[-1].append(point)
    return [run for run in runs if run]


def _line(points: Sequence[tuple[float, float]]) -> str:
    if len(points) == 1:
        [(x, y)] = points
        return f'<line class="pr-line" x1="{x - 2}" x2="{x + 2}" y1="{y}" y2="{y}"/>'
    return f'<polyline class="pr-line" points="{" ".join(f"{x},{y}" for x, y in points)}"/>'
