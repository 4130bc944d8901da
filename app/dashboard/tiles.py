"""The figures of an alias: now, against the hour before the last change, and the line of the last hour."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.dashboard.charts import STEP, Point, sparkline
from app.dashboard.widgets import icon
from app.dashboard.words import NO_DATA, clock, html, latency, latency_change, points, share
from core.domain import shifts
from core.domain.shifts import Move, Shift
from core.domain.traffic import Counts, added
from core.store.read_models import AliasPage
from core.store.windows import HOUR, Moment


@dataclass(frozen=True)
class Figure:
    """One figure: its name, how it is read from counts, how it is written, and what its ``n`` counts."""

    name: str
    shift: Callable[[Counts, Counts], Shift]
    value: Callable[[Counts], float | None]
    written: Callable[[float | None], str]
    written_delta: Callable[[float], str]
    counted: str
    why_blind: str
    least_top: float


FIGURES: tuple[Figure, ...] = (
    Figure(
        "Errors", shifts.of_errors, lambda c: c.error_rate, share, points, "requests", "no request in this time", 0.05
    ),
    Figure(
        "p95 latency",
        shifts.of_latency,
        lambda c: c.latency_ms(0.95),
        latency,
        latency_change,
        "answers",
        "no answer in this time",
        100.0,
    ),
    Figure(
        "Format validity",
        shifts.of_format,
        lambda c: c.format_validity,
        share,
        points,
        "checked answers",
        "no answer to check in this time",
        1.0,
    ),
)
"""What the alias page shows of its traffic."""

MOVES: dict[Move, tuple[str, str]] = {
    Move.WORSE: ("pr-worse", "worse"),
    Move.BETTER: ("pr-better", "better"),
    Move.NO_CLEAR_CHANGE: ("pr-calm", "no clear change"),
    Move.BLIND: ("pr-calm", "nothing to compare with"),
}


def per_minute(moments: Iterable[Moment]) -> list[Moment]:
    """Windows added up to whole minutes."""
    found: dict[datetime, list[Counts]] = {}
    for moment in moments:
        found.setdefault(moment.start.replace(second=0, microsecond=0), []).append(moment.counts)
    return [Moment(start, added(parts)) for start, parts in sorted(found.items())]


def tiles(page: AliasPage, *, now: datetime) -> str:
    """Every figure as a tile, ready to be drawn as HTML with SVG."""
    minutes = per_minute(page.moments)
    marks = [change.revision.at for change in page.changes if change.came_from is not None]
    return f'<div class="pr-tiles">{"".join(_tile(f, page, minutes, marks, now) for f in FIGURES)}</div>'


def _tile(figure: Figure, page: AliasPage, minutes: Sequence[Moment], marks: Sequence[datetime], now: datetime) -> str:
    shift = figure.shift(page.recent.counts, page.before.counts)
    none = " pr-none" if shift.now is None else ""
    return (
        '<div class="pr-tile">'
        f'<span class="pr-tile-label">{html(figure.name)}</span>'
        f'<span class="pr-tile-value{none}">{figure.written(shift.now)}</span>'
        f"{_move(figure, shift)}"
        f'<span class="pr-tile-n">{_n(figure, shift, page)}</span>'
        f"{_line(figure, shift, minutes, marks, now)}</div>"
    )


def _move(figure: Figure, shift: Shift) -> str:
    look, word = MOVES[shift.move]
    if shift.now is None:
        return f'<span class="pr-tile-move pr-calm">{html(figure.why_blind)}</span>'
    if shift.delta is None:
        return f'<span class="pr-tile-move {look}">no data from before the change</span>'
    sign = "" if shift.move is Move.NO_CLEAR_CHANGE else icon("trending_up" if shift.delta > 0 else "trending_down")
    return f'<span class="pr-tile-move {look}">{sign}{figure.written_delta(shift.delta)}, {word}</span>'


def _n(figure: Figure, shift: Shift, page: AliasPage) -> str:
    span = page.recent.span
    time = f"{span.seconds // 60} min" if span >= timedelta(minutes=1) else f"{span.seconds} s"
    here = f"{shift.n_now:,} {figure.counted} in {time}"
    if shift.before is None:
        return f"n = {here}"
    return f"Was {figure.written(shift.before)} in the hour before. n = {here}, {shift.n_before:,} before"


def _line(figure: Figure, shift: Shift, minutes: Sequence[Moment], marks: Sequence[datetime], now: datetime) -> str:
    drawn = [Point(m.start + STEP / 2, figure.value(m.counts)) for m in minutes]
    known = [p.value for p in drawn if p.value is not None]
    if not known:
        return ""
    peak = figure.written(max(known))
    lately = [at for at in marks if now - at <= HOUR]
    changed = f" Version changed at {clock(max(lately), now=now)}." if lately else ""
    reading = NO_DATA.lower() if shift.now is None else figure.written(shift.now)
    bounds = f"at most {peak}, at least {figure.written(min(known))}"
    alt = f"{figure.name} over the last hour: {reading} now, {bounds}.{changed}"
    svg = sparkline(drawn, since=now - HOUR, until=now, marks=lately, least_top=figure.least_top, alt=alt)
    middle = "dashed: version changed" if lately else f"peak {peak}"
    return f'{svg}<span class="pr-axis"><span>1 h ago</span><span>{middle}</span><span>now</span></span>'
