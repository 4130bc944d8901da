"""The pieces pages are drawn with: badges, header, version pair, tables, tiles. HTML in, nothing decided."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

from app.dashboard.comparing import Row, split_at_difference
from app.dashboard.words import clock, html
from core.store.read_models import Condition

STYLE = Path(__file__).with_name("style.css")
MARK = Path(__file__).with_name("mark.svg")


@dataclass(frozen=True)
class Look:
    """How a state is shown: its colour role, an icon and a word; never by colour alone."""

    role: str  # ok | warn | bad | retiring | info | unknown
    icon: str
    word: str


STATES: Mapping[str, Look] = {
    "healthy": Look("ok", "check_circle", "Healthy"),
    "degraded": Look("warn", "warning", "Degraded"),
    "unknown": Look("unknown", "help", "Unknown"),
    "retired": Look("unknown", "archive", "Retired"),
}
"""The look of each condition of an alias."""

HELD = Look("info", "pause_circle", "Held")
QUARANTINED = Look("bad", "block", "Quarantined")
PROTECTED = Look("info", "shield", "Protected")
PINNED = Look("ok", "keep", "Pinned")
DONE = Look("ok", "check_circle", "Done")
UNKNOWN_PIN = Look("unknown", "help", "Unknown pin")

ATTENTION: Mapping[str, Look] = {
    "no gateway": Look("bad", "cancel", "No gateway"),
    "degraded": STATES["degraded"],
    "late gateway": Look("warn", "sync_problem", "Gateway behind"),
    "falling back": Look("warn", "alt_route", "Falling back"),
    "no traffic": Look("unknown", "do_not_disturb_on", "No traffic"),
    "held long": HELD,
}
"""The look of each kind of attention."""


def draw(*parts: str) -> None:
    """Put HTML on the page."""
    st.html("".join(parts))


def draw_svg(*parts: str) -> None:
    """As ``draw``, for HTML with inline SVG, which ``st.html`` would take out. It must hold no line break."""
    st.markdown("".join(parts).replace("\n", " "), unsafe_allow_html=True)


def use_style() -> None:
    """Load the one style sheet; dialogs stand outside the app's own colour scheme and are told which it is."""
    scheme = st.context.theme.type or "light"
    scheme_rule = f"[data-testid='stDialog'], [data-baseweb='popover'] {{ color-scheme: {scheme}; }}"
    st.html(f"<style>{_style()}\n{scheme_rule}</style>")


@cache
def _style() -> str:
    return STYLE.read_text(encoding="utf-8")


def icon(name: str) -> str:
    """A Material icon, hidden from screen readers: a word always stands beside it."""
    return f'<span class="pr-icon" aria-hidden="true" translate="no">{name}</span>'


def badge(look: Look, note: str = "") -> str:
    """A state as icon and word, with a reason after it where one is given."""
    reason = f'<span class="pr-badge-note">{html(note)}</span>' if note else ""
    return f'<span class="pr-badge pr-{look.role}">{icon(look.icon)}<b>{html(look.word)}</b>{reason}</span>'


def state_badge(condition: Condition, *, with_reason: bool = True) -> str:
    """The badge of an alias's condition."""
    return badge(STATES[condition.word], condition.because if with_reason else "")


def badges(*found: str) -> str:
    """Several badges in a row."""
    return f'<p class="pr-badges">{"".join(found)}</p>'


def checked(at: datetime, *, now: datetime, every_s: float, stale: str | None = None) -> str:
    """When the figures were read; ``stale`` says why they are old, if they are."""
    if stale is not None:
        return f'<p class="pr-checked pr-stale" role="alert">{icon("warning")}{html(stale)}</p>'
    return (
        f'<p class="pr-checked" style="--pr-patience: {3 * every_s:g}s">Checked '
        f'<span class="pr-nowrap">{clock(at, now=now, seconds=True)}</span></p>'
    )


def heading(text: str, *, level: int = 2, note: str = "") -> str:
    """A heading with a muted note after it."""
    extra = f' <span class="pr-note">{html(note)}</span>' if note else ""
    return f"<h{level}>{html(text)}{extra}</h{level}>"


# -- versions -------------------------------------------------------------------------------------


def version(name: str) -> str:
    """A version by its full name."""
    return f'<span class="pr-version">{html(name)}</span>'


def pair(before: str, after: str) -> str:
    """Two versions below each other, so that the differing parts line up."""
    common, old, new = split_at_difference(before, after)
    return (
        '<dl class="pr-pair">'
        f"<div><dt>from</dt><dd>{_with_difference(common, old)}</dd></div>"
        f"<div><dt>to</dt><dd>{_with_difference(common, new)}</dd></div></dl>"
    )


def _with_difference(common: str, rest: str) -> str:
    return f'<span class="pr-version"><span class="pr-common">{html(common)}</span><b>{html(rest)}</b></span>'


def arrow(before: str | None, after: str) -> str:
    """`before → after` on one line, or only the version where nothing was left."""
    if before is None:
        return version(after)
    sign = f'<span class="pr-arrow"><span aria-hidden="true">→</span>{_hidden("to")}</span>'
    return f"{version(before)} {sign} {version(after)}"


def _hidden(text: str) -> str:
    return f'<span class="pr-hidden">{html(text)}</span>'


# -- tables ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """A column: its title, and whether it holds figures, which stand to the right."""

    title: str
    figures: bool = False


def table(caption: str, columns: Sequence[str | Column], rows: Iterable[Sequence[str]], *, kind: str = "") -> str:
    """A table of HTML cells that stands as blocks on a phone. The caption is for screen readers."""
    shape = [Column(c) if isinstance(c, str) else c for c in columns]
    heads = "".join(f'<th scope="col" role="columnheader"{_align(c)}>{html(c.title)}</th>' for c in shape)
    body = "".join(f'<tr role="row">{_cells(shape, row)}</tr>' for row in rows)
    return (
        f'<table class="pr-table {kind}" role="table"><caption class="pr-hidden">{html(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead><tbody role="rowgroup">{body}</tbody></table>'
    )


def _cells(shape: Sequence[Column], row: Sequence[str]) -> str:
    cells = zip(shape, row, strict=True)
    return "".join(
        f'<td role="cell" data-label="{html(c.title)}"{_align(c)}><div>{cell or "–"}</div></td>' for c, cell in cells
    )


def _align(column: Column) -> str:
    return ' class="pr-figures"' if column.figures else ""


def now_and_after(rows: Iterable[Row], caption: str) -> str:
    """The table of a dialog: what is, and what will be."""
    cells = ((html(row.item), _plain_or_mono(row, row.now), _after(row)) for row in rows)
    return table(caption, ("Item", "Now", "After"), cells, kind="pr-compare")


def _after(row: Row) -> str:
    if row.same:
        return '<span class="pr-note">same</span>'
    return f"<b>{_plain_or_mono(row, row.after)}</b>"


def _plain_or_mono(row: Row, text: str) -> str:
    return version(text) if row.is_name else html(text)


# -- sentences ------------------------------------------------------------------------------------


def line(look: Look, text: str) -> str:
    """One sentence after an icon that says how it is meant."""
    return f'<p class="pr-line-of pr-{look.role}-text">{icon(look.icon)}<span>{html(text)}</span></p>'


def link(text: str, path: str) -> str:
    """A link inside the dashboard."""
    return f'<a href="{html(path)}" target="_self">{html(text)}</a>'


def alias_path(alias: str, **extra: str) -> str:
    """The address of an alias's page; it is the deep link that people send each other."""
    return f"/alias?{urlencode({'name': alias, **extra})}"


def alias_link(alias: str, text: str | None = None) -> str:
    """A link to the page of ``alias``."""
    return link(text or alias, alias_path(alias))
