"""The dashboard's entry: the frame around every page, who is signed in, and which pages there are."""

from dataclasses import dataclass
from typing import Literal

import streamlit as st

from app.dashboard import session
from app.dashboard.session import SIGN_OUT, Visit
from app.dashboard.widgets import MARK, draw, draw_svg, icon, use_style
from app.dashboard.words import html
from core.store import read_models


@dataclass(frozen=True)
class Page:
    """One page: its file, its title, its address, and the group of the menu it stands in (None: not in the menu)."""

    file: str
    title: str
    path: str
    group: str | None
    icon: str
    default: bool = False

    def registered(self) -> "st.Page":
        """The page as Streamlit knows it."""
        shown: Literal["visible", "hidden"] = "hidden" if self.group is None else "visible"
        return st.Page(
            self.file, title=self.title, url_path=self.path, icon=self.icon, default=self.default, visibility=shown
        )


PAGES: tuple[Page, ...] = (
    Page("screens/overview.py", "Overview", "overview", "Now", ":material/space_dashboard:", default=True),
    Page("screens/alias.py", "Alias", "alias", None, ":material/label:"),
)
"""Every page. A new one is a file in ``screens`` and a line here."""

KEYS: tuple[tuple[str, str], ...] = (
    ("Shift+B", "open the roll back dialog"),
    ("Ctrl+Enter", "confirm in a dialog"),
    ("Esc", "keep everything as it is"),
)
"""The keyboard, as the menu explains it."""


def show() -> None:
    """Draw the frame, then the page that the address names."""
    st.set_page_config(page_title="Pinrail", page_icon=str(MARK), layout="wide", initial_sidebar_state=220)
    use_style()
    pages = [page.registered() for page in PAGES]
    current = st.navigation(pages, position="hidden")
    visit = session.visit()
    with st.sidebar:
        _menu(visit)
    current.run()
    if _is_demo(visit):
        # Last in the document and, by the style sheet, first to the eye: the outcome of an action comes first for
        # whoever listens to the page.
        with st.container(key="demo"):
            _demo_banner()


def _menu(visit: Visit) -> None:
    draw_svg(f'<p class="pr-brand">{MARK.read_text(encoding="utf-8")} Pinrail</p>')
    groups = dict.fromkeys(page.group for page in PAGES if page.group is not None)
    for group in groups:
        if len(groups) > 1:
            draw(f'<p class="pr-note">{html(group)}</p>')
        for page in PAGES:
            if page.group == group:
                st.page_link(page.file, label=page.title, icon=page.icon)
    role = visit.actor.role_on(None)
    held = f"{role} everywhere" if role else "a role on some aliases"
    draw(
        f'<p class="pr-account">Signed in as <b>{html(visit.actor.name)}</b><br>{html(held)}</p>'
        f'<form method="post" action="{SIGN_OUT}"><button type="submit" class="pr-plain">Sign out</button></form>'
    )
    with st.expander("Keyboard", icon=":material/keyboard:", type="compact"):
        keys = "".join(f"<dt><kbd>{html(key)}</kbd></dt><dd>{html(text)}</dd>" for key, text in KEYS)
        draw(f'<dl class="pr-keys">{keys}</dl>')


def _is_demo(visit: Visit) -> bool:
    """A store is seeded once, at its very first start, so the answer holds for the whole session."""
    if "is_demo" not in st.session_state:
        st.session_state["is_demo"] = read_models.was_seeded(visit.store)
    return bool(st.session_state["is_demo"])


def _demo_banner() -> None:
    draw(
        f'<div class="pr-strip pr-retiring" role="note">{icon("science")}<p><b>This is the demo.</b> '
        '<span class="pr-wide">Its company is invented; its requests are real and answered from recordings. </span>'
        "Start your own: <code>python3 -m app --no-demo --data DIR</code></p></div>"
    )


if __name__ == "__main__":
    show()
