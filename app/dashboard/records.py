"""What every records page begins with: who may see it, a store that answers, a header that says when it was read."""

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from app.dashboard.outcomes import who_can
from app.dashboard.session import Visit
from app.dashboard.widgets import STATES, draw, line, link
from app.dashboard.words import clock, html, plain, sentence
from core.errors import NotPermitted, StoreError

T = TypeVar("T")


def header(visit: Visit, title: str, *, note: str = "", crumb: tuple[str, str] | None = None) -> None:
    """The top of a page, in the order of all pages."""
    st.set_page_config(page_title=f"{title} · Pinrail")
    above = f'<p class="pr-crumb">{link(*crumb)}</p>' if crumb else ""
    about = f'<p class="pr-muted">{html(note)}</p>' if note else ""
    draw(
        f'{above}<header class="pr-head"><h1>{html(title)}</h1>'
        f'<p class="pr-note pr-read-at">Read {clock(visit.now, now=visit.now, seconds=True)}</p></header>{about}'
    )


def read(visit: Visit, title: str, action: str, query: Callable[[Visit], T]) -> T:
    """What ``query`` answers; where it may not be seen or the store is silent, the page says so and ends there."""
    try:
        return query(visit)
    except NotPermitted as refusal:
        header(visit, title)
        draw(
            line(STATES["unknown"], sentence(str(refusal).removeprefix("Not permitted: "))),
            f"<p>{html(who_can(visit, action, ''))} {link('Go to the overview', '/')}</p>",
        )
        st.stop()
    except StoreError as fault:
        st.error(
            f"{plain(str(fault))} Nothing was changed. Reload this page to try again. The gateways go on serving.",
            title=f"{title} cannot be read",
            icon=":material/cloud_off:",
        )
        st.stop()
