"""The one door from a press of a button to a service, and what is remembered of it.

A press is minted when the trigger is pressed: it carries the revision the person saw and an idempotency key.
It is kept, whatever happens, until the trigger is pressed again. So a second click, which reaches the server
however quickly a page disables its button, asks under the same key and has no second effect.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

import streamlit as st

from app.dashboard import session
from app.dashboard.installation import installation
from app.dashboard.session import Visit
from core.errors import NotSignedIn, PinrailError
from core.services.flips import Moved

log = logging.getLogger(__name__)

Work = Callable[[Visit], Moved]


@dataclass(frozen=True)
class Press:
    """A trigger that was pressed: what for, which revision was on the screen, and the key of all that follows.

    ``version`` is the version asked for, ``undoes`` the revision to be undone, ``reason`` what the link brought.
    """

    kind: str  # roll back | flip | undo | hold | release
    alias: str
    seen_revision: int
    version: str | None = None
    undoes: int | None = None
    reason: str = ""
    key: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Outcome:
    """What came of a press. Without a result it was refused (``code`` says how) and nothing was changed.

    A fault whose effect is not known has the code ``unknown``.
    """

    press: Press
    doing: str
    at: datetime
    moved: Moved | None = None
    code: str = ""
    message: str = ""


# -- the dialog that is open ----------------------------------------------------------------------


def open_dialog(
    kind: str,
    alias: str,
    seen_revision: int,
    *,
    version: str | None = None,
    undoes: int | None = None,
    reason: str = "",
) -> None:
    """A trigger was pressed: mint the press, and remember that its dialog is open.

    It is remembered so that whatever reruns the page (a theme, a connection that came back) draws the dialog again.
    """
    st.session_state["press"] = Press(kind, alias, seen_revision, version, undoes, reason)
    st.session_state["dialog_open"] = True


def close_dialog() -> None:
    """The dialog is closed; the press is kept, because a second click may still be on its way."""
    st.session_state["dialog_open"] = False


def opened(alias: str) -> Press | None:
    """The press whose dialog is open on the page of ``alias``."""
    press = cast(Press | None, st.session_state.get("press"))
    return press if press is not None and press.alias == alias and st.session_state.get("dialog_open") else None


def is_dialog_open() -> bool:
    """Is any dialog open? Then nothing may rerun the whole page of its own accord."""
    return bool(st.session_state.get("dialog_open"))


def standing(kind: str, alias: str, seen_revision: int) -> Press:
    """The press of a button that acts at once: the same one for as long as the page shows the same revision."""
    kept: dict[tuple[str, str, int], Press] = st.session_state.setdefault("standing", {})
    place = (kind, alias, seen_revision)
    return kept.setdefault(place, Press(kind, alias, seen_revision))


# -- doing it -------------------------------------------------------------------------------------


def attempt(doing: str, press: Press, work: Work) -> Outcome:
    """Do ``work`` as whoever is signed in now, and remember what came of it for the banner of the page.

    ``doing`` completes the sentence "Could not …". Who that is was asked when the page was drawn, and is asked
    again here, because a session or a role may have ended while the page was open.
    """
    outcome = _tried(doing, press, work)
    outcomes: dict[str, Outcome] = st.session_state.setdefault("outcomes", {})
    outcomes[press.alias] = outcome
    close_dialog()
    if outcome.code == NotSignedIn.code and press.kind == "roll back":
        st.session_state[session.RESUME] = {"do": "rollback", **({"to": press.version} if press.version else {})}
    return outcome


def _tried(doing: str, press: Press, work: Work) -> Outcome:
    now = installation().now()
    try:
        visit = session.recognised()
        return Outcome(press, doing, visit.now, moved=work(visit))
    except PinrailError as refusal:
        return Outcome(press, doing, now, code=refusal.code, message=str(refusal))
    except Exception as fault:  # a person must hear that the effect is not known, and the log why
        log.exception("Could not %s (key %s)", doing, press.key)
        return Outcome(press, doing, now, code="unknown", message=type(fault).__name__)


def last_outcome(alias: str) -> Outcome | None:
    """What came of the last press on the page of ``alias``, until it is dismissed."""
    return cast("dict[str, Outcome]", st.session_state.get("outcomes", {})).get(alias)


def dismiss(alias: str) -> None:
    """Take the banner away."""
    st.session_state.get("outcomes", {}).pop(alias, None)
