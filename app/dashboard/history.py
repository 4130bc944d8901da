"""Every revision of an alias, newest first, with the way back from each where there is one."""

import streamlit as st

from app.dashboard import actions
from app.dashboard.outcomes import why_not
from app.dashboard.pieces import described
from app.dashboard.session import Visit
from app.dashboard.widgets import draw
from app.dashboard.words import html, number, plain, when
from core.services import flips
from core.store.read_models import AliasPage, Change

ON_ONE_PAGE = 15


def show(visit: Visit, page: AliasPage) -> None:
    """The whole history, read only once somebody opens it."""
    alias = page.now.alias
    opened = st.expander(
        f"All history ({number(len(page.history), 'revision')})", key=f"history-{alias}", on_change="rerun"
    )
    if not opened.open:
        return
    with opened:
        shown = list(page.changes)
        pages = -(-len(shown) // ON_ONE_PAGE)
        at = st.pagination(pages, key=f"history-page:{alias}") if pages > 1 else 1
        for change in shown[(at - 1) * ON_ONE_PAGE : at * ON_ONE_PAGE]:
            _revision(visit, page, change)


def _revision(visit: Visit, page: AliasPage, change: Change) -> None:
    revision = change.revision
    why = f"<p>“{html(revision.reason)}”</p>" if revision.reason else ""
    newest = " · in force" if revision.number == page.now.number else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"revision-{revision.number}"):
        draw(
            f'<div class="pr-revision"><p class="pr-note">Revision {revision.number}{newest} · '
            f"{when(revision.at, now=visit.now)} · by {html(revision.by)}</p><p>{described(change)}</p>{why}</div>"
        )
        if revision.number not in page.why_not_undo:
            _undo_button(visit, page, revision.number)


def _undo_button(visit: Visit, page: AliasPage, revision: int) -> None:
    alias = page.now.alias
    refusal = why_not(visit, flips.actions_of_undo(page.history, revision, page.resting), alias)
    st.button(
        f"Undo revision {revision}…",
        key=f"undo:{revision}",
        icon=":material/undo:",
        disabled=refusal is not None,
        help=plain(refusal) if refusal else None,
        on_click=actions.open_dialog,
        args=("undo", alias, page.now.number),
        kwargs={"undoes": revision},
    )
