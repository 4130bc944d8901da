"""Versions and lineage: know exactly what a version is, who serves it, and what differs from another."""

import streamlit as st

from app.dashboard import asking, records, session
from app.dashboard.session import Visit
from app.dashboard.version_parts import (
    STANDINGS,
    as_json,
    chain,
    diff,
    facts,
    pin_badge,
    standing_badge,
    terms,
    version_link,
    who_serves,
)
from app.dashboard.version_questions import PLACE, QUESTIONS
from app.dashboard.widgets import QUARANTINED, STATES, badges, draw, heading, line, link, table, version
from app.dashboard.words import html, number, sentence, when
from core.domain.names import nearest
from core.domain.versions import KnownIssue
from core.errors import UnknownVersion
from core.services import records as reads
from core.store.read_versions import VersionPage, VersionSummary

TITLE = "Versions"
ON_ONE_PAGE = 50
ANY = "Any"
ABOUT = "A version is one pinned model with its prompt and parameters. Once registered it never changes."
FIRST = "pinrail version register support-1 --provider openai --model gpt-4o-2024-11-20"


def show() -> None:
    """Draw the version that the address names, or the list of all."""
    visit = session.visit()
    name = st.query_params.get("v", "")
    if name:
        _one(visit, name)
    else:
        _all(visit)


# -- all versions ---------------------------------------------------------------------------------


def _all(visit: Visit) -> None:
    found = records.read(visit, TITLE, "registry:read", lambda v: reads.version_list(v.store, v.actor))
    records.header(
        visit,
        TITLE,
        note=ABOUT,
    )
    if not found:
        draw(
            heading("No versions yet"),
            "<p>Register the first one; an alias can serve it then.</p>",
            f'<code class="pr-cli">{FIRST}</code>',
        )
        return
    with st.container(key="filters", horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.text_input(
            "Search", key="search", type="search", placeholder="version, model, prompt or data", live=True,
            bind="query-params",
        )  # fmt: skip
        providers = sorted({one.version.provider for one in found})
        st.selectbox("Provider", [ANY, *providers], key="provider", bind="query-params", width=220)
        states = [ANY, *(look.word for look in STANDINGS.values()), QUARANTINED.word, "Known issues", "Unknown pin"]
        st.selectbox("State", states, key="state", bind="query-params", width=220)
    _list(visit, [one for one in found if _fits(one)], of=len(found))


def _fits(one: VersionSummary) -> bool:
    query = (st.session_state.get("search") or "").strip().lower()
    provider, state = st.session_state.get("provider") or ANY, st.session_state.get("state") or ANY
    told = (one.version.name, one.version.model_id, one.version.prompt or "", *one.version.data_versions)
    words = {STANDINGS[one.use.standing].word}
    words |= {QUARANTINED.word} if one.quarantined else set()
    words |= {"Known issues"} if one.open_issues else set()
    words |= {"Unknown pin"} if one.version.pin_class != "pinned" else set()
    return (
        any(query in text.lower() for text in told)
        and provider in (ANY, one.version.provider)
        and (state == ANY or state in words)
    )


def _list(visit: Visit, found: list[VersionSummary], *, of: int) -> None:
    note = f"{len(found)} of {of}" if len(found) < of else f"{of}, newest first"
    if not found:
        draw(heading("Versions", note=note), f"<p>No version fits. {link('Clear the filter', '/versions')}</p>")
        return
    pages = -(-len(found) // ON_ONE_PAGE)
    below = st.container()
    at = st.pagination(pages, key="versions-page") if pages > 1 else 1
    rows = (_row(visit, one) for one in found[(at - 1) * ON_ONE_PAGE : at * ON_ONE_PAGE])
    columns = ("Version", "State", "Model", "Prompt", "Registered")
    with below:
        title = heading("All versions" if len(found) == of else "Versions that fit", note=note)
        draw(title, table("Versions", columns, rows, kind="pr-versions"))


def _row(visit: Visit, one: VersionSummary) -> tuple[str, ...]:
    found = one.version
    issues = ""
    if one.open_issues:
        issues = f'<span class="pr-note pr-block">{number(one.open_issues, "known issue")}</span>'
    serving = ", ".join(html(alias) for alias in (*one.use.serving, *one.use.fallback_of))
    pin = f"<br>{pin_badge(found)}" if found.pin_class != "pinned" else ""
    state = standing_badge(one.use, quarantined=one.quarantined)
    return (
        version_link(found.name),
        f'{state}<span class="pr-note pr-block">{serving}</span>{issues}',
        f'{version(found.model_id)}<br><span class="pr-note">at {html(found.provider)}</span>{pin}',
        version(found.prompt) if found.prompt else '<span class="pr-note">none</span>',
        f"{when(found.registered_at, now=visit.now)}<br>by {html(found.registered_by)}" if found.registered_at else "",
    )


# -- one version ----------------------------------------------------------------------------------


def _one(visit: Visit, name: str) -> None:
    try:
        page = records.read(visit, name, "registry:read", lambda v: reads.version_page(v.store, v.actor, name))
    except UnknownVersion as refusal:
        _not_here(visit, name, str(refusal))
        return
    asking.banner(visit, QUESTIONS, PLACE)
    records.header(visit, name, crumb=(TITLE, "/versions"))
    _headline(page)
    _compare(visit, page)
    draw(heading("Lineage", note="model → prompt → data"), chain(page, now=visit.now))
    if page.prompt is not None:
        with st.expander("The prompt, word for word", key=f"prompt:{name}"):
            draw(prompt_text(page.prompt.text))
    if page.version.parameters:
        with st.expander("The parameters in full, as JSON", key=f"parameters:{name}"):
            draw(prompt_text(as_json(page.version.parameters)))
    draw(heading("Reproducible reference", note="names exactly what runs"))
    st.code(page.version.reference, language=None, wrap_lines=True)
    _issues(visit, page)
    _notes(visit, page)
    draw(heading("Facts"), facts(page, now=visit.now))
    draw(heading("Where it served", note="newest first"), terms(page, now=visit.now))
    draw(f"<p>{link('What the audit log says about it', f'/audit?alias=version:{name}')}</p>")
    asking.show(visit, QUESTIONS, PLACE)


def prompt_text(text: str) -> str:
    """A text letter by letter."""
    return f'<div class="pr-prompt">{html(text)}</div>'


def _headline(page: VersionPage) -> None:
    open_issues = [issue for issue in page.issues if issue.resolved_at is None]
    marks = [standing_badge(page.use, quarantined=page.quarantined), pin_badge(page.version, with_reason=True)]
    warnings = "".join(line(STATES["degraded"], f"Known issue: {sentence(issue.text)}") for issue in open_issues)
    draw(f'<div class="pr-headline">{badges(*marks)}{who_serves(page)}<div>{warnings}</div></div>')


def _compare(visit: Visit, page: VersionPage) -> None:
    name, asked = page.version.name, st.query_params.get("diff", "")
    if asked == name:
        draw(line(STATES["unknown"], "That is this version itself. Choose another to compare it with."))
    elif asked and asked not in page.others:
        close = nearest(asked, page.others)
        told = f"There is no version ‘{asked}’ to compare with."
        draw(line(STATES["degraded"], f"{told} Closest: {close}." if close else told))
    if not page.others:
        return
    other = st.selectbox(
        "Compare with", list(page.others), index=None, key="diff", bind="query-params",
        placeholder="Choose another version", width=420,
    )  # fmt: skip
    if other is None:
        return
    before = reads.version_page(visit.store, visit.actor, other)
    draw(
        heading("What differs", note=f"from {other} to {name}"),
        diff(before, page),
        f"<p>{link('The other way round', f'/versions?v={other}&diff={name}')}</p>",
    )


# -- what operators keep up to date ---------------------------------------------------------------


def _issues(visit: Visit, page: VersionPage) -> None:
    still_open = [issue for issue in page.issues if issue.resolved_at is None]
    none = '<p class="pr-muted">None is known. Put one on record before others send traffic to it.</p>'
    title = heading("Known issues", note=f"{len(still_open)} open" if page.issues else "")
    draw(title, "" if page.issues else none)
    asking.say_if_disabled(visit, "registry:write")
    for issue in still_open:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"revision-issue-{issue.id}"):
            draw(f'<div class="pr-revision">{_issue(visit, issue)}</div>')
            asking.trigger(
                visit, QUESTIONS, "resolve issue", f"Resolve issue {issue.id}…", place=PLACE, about=str(issue.id),
                icon=":material/check:",
            )  # fmt: skip
    resolved = [issue for issue in page.issues if issue.resolved_at is not None]
    if resolved:
        with st.expander(f"{number(len(resolved), 'resolved issue')}", key=f"resolved:{page.version.name}"):
            draw(*(f'<div class="pr-revision pr-past">{_issue(visit, issue)}</div>' for issue in resolved))
    asking.trigger(
        visit, QUESTIONS, "add issue", "Add a known issue…", place=PLACE, about=page.version.name,
        icon=":material/add:",
    )  # fmt: skip


def _issue(visit: Visit, issue: KnownIssue) -> str:
    end = ""
    if issue.resolved_at is not None:
        end = f" · resolved {when(issue.resolved_at, now=visit.now)} by {html(issue.resolved_by)}"
    told = f"Issue {issue.id} · added {when(issue.added_at, now=visit.now)} by {html(issue.added_by)}{end}"
    return f'<p class="pr-note">{told}</p><p>{html(sentence(issue.text))}</p>'


def _notes(visit: Visit, page: VersionPage) -> None:
    notes = page.version.notes
    draw(
        heading("Notes"),
        f'<p class="pr-notes">{html(notes)}</p>' if notes else '<p class="pr-muted">Nobody wrote any yet.</p>',
    )
    asking.trigger(
        visit, QUESTIONS, "edit notes", "Edit the notes…", place=PLACE, about=page.version.name, icon=":material/edit:"
    )


# -- no such version ------------------------------------------------------------------------------


def _not_here(visit: Visit, name: str, refusal: str) -> None:
    known = [one.version.name for one in reads.version_list(visit.store, visit.actor)]
    close = nearest(name, known)
    draw(f'<p class="pr-crumb">{link(TITLE, "/versions")}</p><h1>There is no version ‘{html(name)}’</h1>')
    if close is not None:
        draw(f"<p>Closest: {version_link(close)}</p>")
    else:
        draw(f"<p>{html(refusal)}</p>")
    draw(f"<p>{link('All versions', '/versions')}</p>")


if __name__ == "__main__":
    show()
