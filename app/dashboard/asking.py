"""Writes on the records pages: the dialog that asks, the press it carries out, the banner that says what came of it.

A page lists its questions by kind. Every write is asked in a dialog: its trigger mints the press, and a second click
finds the press done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import streamlit as st

from app.dashboard import actions, session
from app.dashboard.actions import Outcome, Press, Work
from app.dashboard.outcomes import why_not
from app.dashboard.session import Visit
from app.dashboard.widgets import STATES, draw, line
from app.dashboard.words import plain

AGAIN_IN_THE_DIALOG = frozenset({"invalid_input", "already_exists", "not_found", "unknown_alias"})
"""Refusals that one answers by typing something else, so the dialog stays open with what was typed."""

WARN = STATES["degraded"]


@dataclass(frozen=True)
class Question:
    """A write that a page offers: the action it needs, the title of its dialog, and what the dialog shows."""

    action: str
    title: Callable[[Press], str]
    body: Callable[[Visit, Press], None]
    command: str
    """The same on the command line."""


Questions = Mapping[str, Question]


def trigger(
    visit: Visit,
    questions: Questions,
    kind: str,
    label: str,
    *,
    place: str,
    about: str = "",
    icon: str | None = None,
    own: bool = False,
    primary: bool = False,
) -> None:
    """A button that opens the dialog of a question; disabled with the reason for whoever may not.

    ``own`` says that the write concerns what is one's own, which needs less.
    """
    refusal = why_not(visit, ("token:own" if own else questions[kind].action,), "")
    st.button(
        label,
        key=f"{kind.replace(' ', '-')}:{about or place}",
        icon=icon,
        type="primary" if primary else "secondary",
        disabled=refusal is not None,
        help=plain(refusal) if refusal else None,
        on_click=actions.open_dialog,
        args=(kind, place, 0),
        kwargs={"about": about},
    )


def say_if_disabled(visit: Visit, action: str) -> None:
    """Why the buttons here are disabled, for whoever cannot point at them; nothing for whoever may."""
    refusal = why_not(visit, (action,), "")
    if refusal is not None:
        draw(line(STATES["unknown"], f"You cannot change this: {refusal}"))


def show(visit: Visit, questions: Questions, place: str) -> None:
    """Draw the dialog that is open on this page, if one is."""
    press = actions.opened(place)
    if press is None or press.kind not in questions:
        return
    question = questions[press.kind]
    dialog = st.dialog(plain(question.title(press)), width="medium", on_dismiss=actions.close_dialog)
    dialog(question.body)(visit, press)


def confirmed(press: Press, go: str, keep: str = "Keep it as it is", *, refusal: str | None = None) -> bool:
    """The two buttons of a dialog; True in the run in which the first was pressed.

    As on the alias page the action stands inline and ends in a rerun of the page.
    """
    if refusal is not None:
        draw(line(WARN, refusal))
    with st.container(horizontal=True, gap="small", key="confirm"):
        slug = press.kind.replace(" ", "-")
        pressed = st.button(go, key=f"go-{slug}", type="primary", shortcut="Ctrl+Enter", disabled=refusal is not None)
        if st.button(keep, key=f"keep-{slug}"):
            actions.close_dialog()
            st.rerun()
    return pressed


def carry_out(press: Press, doing: str, work: Work) -> None:
    """Do it, and draw the page again with the banner; what can be mended by typing is said within the dialog."""
    outcome = actions.attempt(doing, press, work)
    if outcome.code in AGAIN_IN_THE_DIALOG:
        actions.dismiss(press.alias)
        st.session_state["dialog_open"] = True
        draw(line(WARN, f"{outcome.message} Nothing was changed."))
        return
    st.rerun()


def field(label: str, press: Press, name: str, *, value: str = "", placeholder: str = "", tall: bool = False) -> str:
    """A text that is kept in the browser until a button is pressed, so that leaving it swallows no click."""
    key = f"{name}:{press.key}"
    if tall:
        typed = st.text_area(label, value=value, key=key, placeholder=placeholder, on_change="ignore", height=160)
    else:
        typed = st.text_input(label, value=value, key=key, placeholder=placeholder, on_change="ignore")
    return (typed or "").strip()


# -- what came of it ------------------------------------------------------------------------------


def banner(visit: Visit, questions: Questions, place: str) -> None:
    """The outcome of the last press on this page, until it is dismissed.

    It comes first on the page and, by the style sheet, stays in sight of whoever acted further down; one with a
    secret is too tall for that.
    """
    outcome = actions.last_outcome(place)
    if outcome is None:
        return
    has_secret = outcome.done is not None and outcome.done.secret is not None
    with st.container(key="said-secret" if has_secret else "said"):
        if outcome.done is not None:
            _done(outcome)
        else:
            _refused(visit, questions, outcome)
        st.button(
            "I have copied it" if has_secret else "Dismiss",
            key=f"dismiss:{place}",
            type="tertiary",
            icon=":material/close:",
            on_click=actions.dismiss,
            args=(place,),
        )


def _done(outcome: Outcome) -> None:
    assert outcome.done is not None
    st.success(f"**Done.** {plain(outcome.done.said)}", icon=":material/check_circle:")
    if outcome.done.secret is not None:
        draw("<p><b>Copy it now: it is shown this once.</b> Pinrail keeps only a hash of it.</p>")
        st.code(outcome.done.secret, language=None, wrap_lines=True)


def _refused(visit: Visit, questions: Questions, outcome: Outcome) -> None:
    message = plain(outcome.message.removesuffix(" Nothing was changed."))
    if outcome.code == "nothing_to_change":
        st.warning(f"**Nothing changed:** {message}", icon=":material/info:")
        return
    if outcome.code == "not_signed_in":
        again = f"[Sign in again]({session.sign_in_link()}) to go on here."
        st.error(f"{message} Nothing was changed. {again}", title="Not done", icon=":material/block:")
        return
    question = questions[outcome.press.kind]
    by_hand = f"From a terminal: `{question.command}`"
    if outcome.code == "unknown":
        text = (
            f"Something broke ({message}), and it is not known whether anything was changed. Look before you repeat it."
        )
        st.error(f"{text}\n\n{by_hand}", title="Outcome unknown", icon=":material/help:")
        return
    instead = why_not(visit, (question.action,), "") if outcome.code == "not_permitted" else None
    st.error(
        f"{message} {plain(instead or '')}\n\n{by_hand}",
        title=f"Could not {outcome.doing}: nothing was changed",
        icon=":material/block:",
    )


def warning(text: str) -> str:
    """A sentence within a dialog that says why nothing was done, as HTML."""
    return line(WARN, text)
