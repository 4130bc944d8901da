"""Settings: what is connected, what is stored where, what runs by itself, and with which settings. Never a secret."""

import re
from collections.abc import Iterator, Mapping

from pydantic import SecretStr
from sqlalchemy import make_url

from app import __version__
from app.dashboard import records, session
from app.dashboard.session import Visit
from app.dashboard.widgets import STATES, Column, Look, badge, draw, heading, line, link, table, version
from app.dashboard.words import ago, html, length, number, sentence, when
from app.scheduler import JOBS
from app.settings import Settings
from core.services import records as reads
from core.store import leases
from core.store.leases import Lease, Run
from core.store.read_settings import Connected, SettingsPage

TITLE = "Settings"
RUNS: Mapping[str | None, Look] = {
    leases.DONE: Look("ok", "check_circle", "Done"),
    leases.FAILED: Look("bad", "cancel", "Failed"),
    leases.ABANDONED: Look("warn", "warning", "Abandoned"),
    None: Look("info", "progress_activity", "Running"),
}
"""The look of each outcome of a run."""

SECRET = ("_secret", "_password", "_token", "_key")
"""Endings of settings whose value is nobody's to see."""

_USER = re.compile(r"//[^/@\s]*@")
"""The user and password in an address."""

NEVER = Look("unknown", "help", "Never ran")

GUIDES: tuple[tuple[str, str, str], ...] = (
    ("Connect a provider", "pinrail provider register --help", "docs/providers.md"),
    ("Change a setting", "PINRAIL_NAME=value, then restart the process", "docs/settings.md"),
    ("Upgrade the schema", "pinrail db upgrade", "docs/operations.md"),
    ("Add people, tokens and keys", "pinrail user add NAME --role ROLE", "docs/access.md"),
    ("Look after scheduled work", "python3 -m app scheduler", "docs/scheduler.md"),
)
"""What one may want to change, the command, and the page that explains it."""


def show() -> None:
    """Draw the page."""
    visit = session.visit()
    page = records.read(visit, TITLE, "registry:read", lambda v: reads.settings_page(v.store, v.actor))
    records.header(visit, TITLE, note="What is connected, and with which settings. No secret is shown: none is kept.")
    _providers(page)
    _store(visit, page)
    _scheduler(visit, page)
    _settings(visit.pinrail.settings)
    _guides()


# -- providers ------------------------------------------------------------------------------------


def _providers(page: SettingsPage) -> None:
    title = heading("Providers", note=str(len(page.providers)))
    if not page.providers:
        draw(
            title,
            '<p class="pr-muted">None yet, so no version can be registered.</p>',
            '<code class="pr-cli">pinrail provider register openai --kind openai --base-url https://api.openai.com/v1 '
            "--secret-env OPENAI_API_KEY</code>",
        )
        return
    columns = ("Provider", "Kind", "Address", "Key", Column("Versions", figures=True))
    draw(title, table("Providers", columns, (_provider(one) for one in page.providers), kind="pr-providers"))
    draw(
        line(
            STATES["unknown"],
            "Whether a key is present is known to the gateways alone: they read it from their own environment, and the "
            "dashboard cannot. A gateway without it refuses with missing_secret.",
        )
    )


def _provider(one: Connected) -> tuple[str, ...]:
    found = one.provider
    about = f'<br><span class="pr-note">{html(found.description)}</span>' if found.description else ""
    key = f"in {version(found.secret_env)}" if found.secret_env else "none needed"
    return (
        f'<span class="pr-name">{html(found.name)}</span>{about}',
        html(found.kind),
        version(found.base_url),
        key,
        link(f"{one.versions}", f"/versions?provider={found.name}") if one.versions else "0",
    )


# -- the store ------------------------------------------------------------------------------------


def _store(visit: Visit, page: SettingsPage) -> None:
    kind = "SQLite, embedded" if visit.pinrail.settings.embedded else page.dialect
    schema = f"{page.schema or 'none'}, the newest" if page.schema == page.newest_schema else str(page.schema)
    counts = " · ".join(f"{html(what)} {count:,}" for what, count in page.counts.items())
    facts = (
        ("Kind", html({"postgresql": "PostgreSQL", "sqlite": "SQLite"}.get(kind, kind))),
        ("Address", version(_address(visit.pinrail.settings))),
        ("Schema", html(schema)),
        ("Holds", counts),
        ("Audit log", f"{link(number(page.events, 'event'), '/audit')}"),
        ("Program", f"Pinrail {html(__version__)}"),
    )
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)
    draw(heading("Store"), f'<dl class="pr-facts">{listed}</dl>')
    if page.schema != page.newest_schema:
        draw(line(STATES["degraded"], f"This program needs schema {page.newest_schema}: pinrail db upgrade"))


def _address(settings: Settings) -> str:
    """Where the store is, its password hidden."""
    return make_url(settings.store_url).render_as_string(hide_password=True)


# -- the scheduler --------------------------------------------------------------------------------


def _scheduler(visit: Visit, page: SettingsPage) -> None:
    title = heading("Scheduled work")
    runs = {run.job: run for run in page.runs}
    rows = (
        (f'<span class="pr-name">{html(job.name)}</span><br><span class="pr-note">{html(job.meaning)}</span>',
         f"every {length(job.every)}", *_run(visit, runs.get(job.name)))
        for job in JOBS
    )  # fmt: skip
    draw(
        title,
        _holder(visit, page.lease),
        table("Scheduled jobs", ("Job", "Due", "Last run", "Ended", "Said"), rows, kind="pr-jobs"),
    )


def _holder(visit: Visit, lease: Lease | None) -> str:
    if lease is None:
        return line(STATES["unknown"], "No scheduler ever ran on this store. Start one: python3 -m app scheduler")
    if lease.expires_at <= visit.now:
        ended = ago(lease.expires_at, now=visit.now)
        return line(STATES["degraded"], f"No scheduler runs: the last one, {lease.holder}, was heard of {ended}.")
    return line(STATES["healthy"], f"{lease.holder} runs the jobs. Others stand by, if there are any.")


def _run(visit: Visit, run: Run | None) -> tuple[str, str, str]:
    if run is None:
        return "", badge(NEVER), ""
    return when(run.started_at, now=visit.now), badge(RUNS[run.outcome]), html(sentence(run.note))


# -- settings -------------------------------------------------------------------------------------


def _settings(settings: Settings) -> None:
    draw(
        heading("Settings of this process"),
        '<p class="pr-muted">Of the dashboard. Gateways and schedulers read their own environment.</p>',
        table("Settings of this process", ("Setting", "Value", "What it does"), _rows(settings), kind="pr-settings"),
    )


def _rows(settings: Settings) -> Iterator[tuple[str, str, str]]:
    for name, field in type(settings).model_fields.items():
        value = _value(settings, name)
        is_set = "" if value == str(field.default) else '<br><span class="pr-note">set here</span>'
        shown = version(value) if value != "None" else '<span class="pr-note">not set</span>'
        yield version(f"PINRAIL_{name.upper()}"), f"{shown}{is_set}", html(field.description or "")


def _value(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    if isinstance(value, SecretStr) or (value and name.endswith(SECRET)):
        return "set, not shown"
    return _USER.sub("//***@", str(value))


def _guides() -> None:
    rows = ((html(what), f"<code>{html(command)}</code>", f"<code>{html(doc)}</code>") for what, command, doc in GUIDES)
    draw(heading("To change something"), table("To change something", ("To", "Command", "Explained in"), rows))
    draw(f'<p class="pr-note">{link("The API describes itself", "/api/v1/openapi.json")}</p>')


if __name__ == "__main__":
    show()
