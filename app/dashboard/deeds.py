"""The door from a press of a button to a service for what moves no alias: alerts, and where they are sent.

A press is known by what it does to which state of what. A second click, which reaches the server however quickly a
page disables its button, is the same press and has no second effect.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import streamlit as st

from app.dashboard import session
from app.dashboard.session import Visit
from app.dashboard.words import plain
from core.errors import PinrailError

log = logging.getLogger(__name__)

Work = Callable[[Visit], str]
"""Does it, and says in a sentence what was done."""


@dataclass(frozen=True)
class Deed:
    """What came of a press. Without ``done`` it was refused; a fault whose effect is not known has no code."""

    press: str
    doing: str
    done: str = ""
    code: str = ""
    message: str = ""


def attempt(doing: str, press: str, work: Work) -> None:
    """Do ``work`` as whoever is signed in now, once per ``press``; ``doing`` completes "Could not …"."""
    earlier = last()
    if earlier is None or earlier.press != press or not earlier.done:
        st.session_state["deed"] = _tried(doing, press, work)


def _tried(doing: str, press: str, work: Work) -> Deed:
    try:
        return Deed(press, doing, done=work(session.recognised()))
    except PinrailError as refusal:
        return Deed(press, doing, code=refusal.code, message=str(refusal))
    except Exception as fault:  # a person must hear that the effect is not known, and the log why
        log.exception("Could not %s", doing)
        return Deed(press, doing, message=type(fault).__name__)


def last() -> Deed | None:
    """What came of the last press, until it is dismissed."""
    return cast("Deed | None", st.session_state.get("deed"))


def show() -> None:
    """The banner of the last press, if there is one to speak of."""
    deed = last()
    if deed is None:
        return
    if deed.done:
        st.success(plain(deed.done), icon=":material/check_circle:")
    elif deed.code == "not_signed_in":
        again = f"[Sign in again]({session.sign_in_link()}) to go on here."
        st.error(f"{plain(deed.message)} Nothing was changed. {again}", title=_not_done(deed), icon=":material/block:")
    elif deed.code:
        st.error(plain(deed.message), title=f"{_not_done(deed)}: nothing was changed", icon=":material/block:")
    else:
        text = f"Something broke ({plain(deed.message)}). What stands below is what is stored now."
        st.error(text, title="Outcome unknown", icon=":material/help:")
    st.button("Dismiss", key="dismiss-deed", type="tertiary", icon=":material/close:", on_click=_dismiss)


def _not_done(deed: Deed) -> str:
    return f"Could not {plain(deed.doing)}"


def _dismiss() -> None:
    st.session_state.pop("deed", None)
