"""Parts of the versions page: the chain of lineage, facts, who serves it, where it served, and a comparison."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from app.dashboard.comparing import NONE, Row, parameters, rows
from app.dashboard.widgets import (
    PINNED,
    QUARANTINED,
    UNKNOWN_PIN,
    Look,
    alias_link,
    badge,
    link,
    table,
    version,
)
from app.dashboard.word_diff import drawn
from app.dashboard.words import html, length, listed, number, when
from core.domain.aliases import Revision
from core.domain.versions import Capabilities, DataVersion, Version
from core.store.read_models import Bundle
from core.store.read_versions import Use, VersionPage

STANDINGS: Mapping[str, Look] = {
    "serving": Look("info", "play_circle", "Serving"),
    "fallback": Look("info", "alt_route", "Fallback"),
    "served before": Look("unknown", "history", "Served before"),
    "never served": Look("unknown", "radio_button_unchecked", "Never served"),
}
"""The look of each standing of a version."""


def standing_badge(use: Use, *, quarantined: bool) -> str:
    """Where a version stands, and that it is quarantined where it is."""
    return badge(STANDINGS[use.standing]) + (badge(QUARANTINED) if quarantined else "")


def pin_badge(found: Version, *, with_reason: bool = False) -> str:
    """What the pinning rules said of its model id."""
    look = PINNED if found.pin_class == "pinned" else UNKNOWN_PIN
    return badge(look, found.pin_because if with_reason else "")


def version_path(name: str, **extra: str) -> str:
    """The address of a version's page."""
    return f"/versions?{urlencode({'v': name, **extra})}"


def version_link(name: str) -> str:
    """A link to the page of a version."""
    return f'<span class="pr-version pr-name">{link(name, version_path(name))}</span>'


# -- lineage --------------------------------------------------------------------------------------


def chain(page: VersionPage, *, now: datetime) -> str:
    """Model, prompt and data as an ordered list; the style sheet draws the arrows between them."""
    cards = "".join(f'<li class="pr-link-of">{card}</li>' for card in _cards(page, now))
    return f'<ol class="pr-chain">{cards}</ol>'


def _cards(page: VersionPage, now: datetime) -> Iterator[str]:
    found = page.version
    introduced = f" · introduced {found.introduced:%Y-%m-%d}" if found.introduced else ""
    settings = f" · {number(len(found.parameters), 'parameter')}"
    yield _card(
        "Model",
        version(found.model_id),
        f"at {html(found.provider)} ({html(page.provider.kind)}){introduced}{settings}",
        _same("model", page),
    )
    yield _prompt_card(page, now)
    yield _data_card(page)


def _prompt_card(page: VersionPage, now: datetime) -> str:
    prompt = page.prompt
    if prompt is None:
        return _card("Prompt", '<span class="pr-muted">none</span>', "Callers send their own messages only.", "")
    said = f"sha256 {_short(prompt.sha256)} · {len(prompt.text):,} characters"
    at = f"<br>{when(prompt.registered_at, now=now)} by {html(prompt.registered_by)}" if prompt.registered_at else ""
    return _card("Prompt", version(prompt.name), said + at, _same("prompt", page))


def _data_card(page: VersionPage) -> str:
    if not page.data:
        nothing = "Nothing says which data it was built with."
        return _card("Data", '<span class="pr-muted">none on record</span>', nothing, "")
    told = "<br>".join(f"{version(one.name)}<br><span class='pr-note'>{_data(one)}</span>" for one in page.data)
    return _card("Data", told, "", _same("data", page))


def _card(title: str, name: str, told: str, same: str) -> str:
    about = f'<p class="pr-note">{told}</p>' if told else ""
    return f"<h3>{title}</h3><p>{name}</p>{about}{same}"


def _data(data: DataVersion) -> str:
    facts = (
        html(data.description),
        f"{data.rows:,} rows" if data.rows is not None else "",
        f"sha256 {_short(data.sha256)}" if data.sha256 else "no hash on record",
        html(data.source or ""),
    )
    return " · ".join(filter(None, facts))


def _short(digest: str) -> str:
    return f'<span class="pr-version" title="{html(digest)}">{html(digest[:12])}…</span>'


def _same(what: str, page: VersionPage) -> str:
    names = page.shares.get(what, ())
    if not names:
        return f'<p class="pr-note">No other version has this {what}.</p>'
    shown = ", ".join(link(name, version_path(name)) for name in names[:4])
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f'<p class="pr-note">Also in {shown}{more}</p>'


# -- facts ----------------------------------------------------------------------------------------


def facts(page: VersionPage, *, now: datetime) -> str:
    """Parameters, price, capabilities, and who registered it."""
    found = page.version
    registered = f"{when(found.registered_at, now=now)} by {html(found.registered_by)}" if found.registered_at else ""
    told = (
        ("Parameters", html(parameters(found.parameters))),
        ("Price", price(found)),
        ("Capabilities", capabilities(found.capabilities)),
        ("Pin", html(f"{found.pin_class}: {found.pin_because}")),
        ("Registered", registered),
    )
    return f'<dl class="pr-facts">{"".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in told if value)}</dl>'


def as_json(settings: Mapping[str, Any]) -> str:
    """Parameters as they are sent, laid out to be read."""
    return json.dumps(dict(settings), indent=2, sort_keys=True, ensure_ascii=False)


def price(found: Version) -> str:
    """What it costs, and what is not known of it."""
    return (
        f"{_dollars(found.price.input_microdollars)} in, {_dollars(found.price.output_microdollars)} out, "
        "per million tokens"
    )


def _dollars(microdollars: int | None) -> str:
    if microdollars is None:
        return "unknown"
    dollars = f"{microdollars / 1_000_000:.6f}".rstrip("0")
    whole, _, cents = dollars.partition(".")
    return f"${int(whole):,}.{cents.ljust(2, '0')}"


def capabilities(can: Capabilities) -> str:
    """What it can do; what nobody said is unknown, and never a no."""
    said = (("tools", can.tools), ("images", can.vision), ("JSON schema", can.json_schema))
    told = [f"{name}: {'unknown' if value is None else 'yes' if value else 'no'}" for name, value in said]
    context = f"{can.context_tokens:,} tokens" if can.context_tokens is not None else "unknown"
    return html(" · ".join([*told, f"context: {context}"]))


# -- who serves it, and where it served -----------------------------------------------------------


def who_serves(page: VersionPage) -> str:
    """The aliases that serve it now, and those that fall back to it."""
    use = page.use
    said = []
    if use.serving:
        said.append(f"Serves {listed(alias_link(alias) for alias in use.serving)}.")
    if use.fallback_of:
        said.append(f"Fallback of {listed(alias_link(alias) for alias in use.fallback_of)}.")
    if use.unseen:
        said.append(f"Used by {number(use.unseen, 'alias')} that you may not see.")
    if not said:
        before = "It served before." if use.served_before else "It never served."
        said.append(f"No alias uses it now. {before}")
    return f"<p>{' '.join(said)}</p>"


def terms(page: VersionPage, *, now: datetime) -> str:
    """Every time an alias meant this version, by which revision it began and ended."""
    if not page.terms:
        return '<p class="pr-muted">Nowhere yet, as far as you may see.</p>'
    found = (
        (
            alias_link(term.alias),
            _turn(term.since, now),
            _turn(term.until, now) if term.until else "<b>serves now</b>",
            html(length(term.length_until(now) - term.since.at)),
        )
        for term in page.terms
    )
    return table("Where it served", ("Alias", "From", "Until", "For"), found)


def _turn(revision: Revision, now: datetime) -> str:
    said = f"revision {revision.number}, {html(revision.cause)} by {html(revision.by)}"
    return f"{said}<br>{when(revision.at, now=now)}"


# -- two versions ---------------------------------------------------------------------------------


def diff(before: VersionPage, after: VersionPage) -> str:
    """What differs: the parts of the bundle as a table, then the prompts word by word."""
    found = [*rows(_bundle(before), _bundle(after)), *_more_rows(before.version, after.version)]
    cells = ((html(row.item), _shown(row, row.now), _changed(row)) for row in found)
    compared = table("What differs between the two versions", ("Item", "Before", "After"), cells, kind="pr-compare")
    return f"{compared}<h3>Prompt</h3>{_prompts(before, after)}"


def _changed(row: Row) -> str:
    return '<span class="pr-note">same</span>' if row.same else f"<b>{_shown(row, row.after)}</b>"


def _shown(row: Row, text: str) -> str:
    return version(text) if row.is_name else html(text)


def _bundle(page: VersionPage) -> Bundle:
    return Bundle(page.version, page.provider, page.prompt, page.issues)


def _more_rows(one: Version, other: Version) -> Iterable[Row]:
    yield Row("Price", price(one), price(other), is_name=False)
    yield Row("Can do", capabilities(one.capabilities), capabilities(other.capabilities), is_name=False)


def _prompts(before: VersionPage, after: VersionPage) -> str:
    old = before.prompt.text if before.prompt else ""
    new = after.prompt.text if after.prompt else ""
    if old == new:
        return f'<p class="pr-muted">{"Both have the same prompt." if old else "Neither has a prompt."}</p>'
    key = '<p class="pr-note"><del>−taken out</del> <ins>+put in</ins></p>'
    names = f"from {before.prompt.name if before.prompt else NONE} to {after.prompt.name if after.prompt else NONE}"
    return f'<p class="pr-note">{html(names)}</p>{key}{drawn(old, new)}'
