"""The banner after a press: what was done or refused, where it is in force by now, and the way back."""

from datetime import timedelta
from typing import Literal

import streamlit as st

from app.dashboard import actions
from app.dashboard.actions import Outcome, Press
from app.dashboard.session import Visit
from app.dashboard.words import ago, clock, latency, listed, number, plain
from core.domain.permissions import rule_on, who_may
from core.domain.receipts import Receipt
from core.services import flips, serving
from core.services.flips import Moved
from core.store import read_models
from core.store.read_models import AliasPage

PATIENCE = timedelta(seconds=15)
"""How long a gateway may take before the banner names it."""

WAITING_S, SETTLED_S = 1.0, 4.0

DONE: dict[str, str] = {
    "roll back": "Rolled back.",
    "flip": "Flipped.",
    "undo": "Undone.",
    "hold": "Held.",
    "release": "Released.",
}
DOING: dict[str, str] = {"roll back": "Rolling back…", "flip": "Flipping…", "undo": "Undoing…"}
MOVES = frozenset(DOING)
NOT_DONE: dict[str, str] = {
    "roll back": "Not rolled back",
    "flip": "Not flipped",
    "undo": "Not undone",
    "hold": "Not held",
    "release": "Not released",
}


def show(visit: Visit, page: AliasPage) -> None:
    """Draw the outcome of the last press on this alias, if there is one to speak of."""
    outcome = actions.last_outcome(page.now.alias)
    if outcome is None:
        return
    if outcome.moved is None:
        _refused(visit, outcome)
    elif outcome.press.kind in MOVES:
        _moved(visit, page, outcome, outcome.moved)
    else:
        _held_or_released(page, outcome)
    _buttons(visit, page, outcome)


# -- done -----------------------------------------------------------------------------------------


def _moved(visit: Visit, page: AliasPage, outcome: Outcome, moved: Moved) -> None:
    drawn = serving.receipt(visit.store, moved.alias, moved.revision, now=visit.now)
    waiting = bool(drawn.waiting)

    @st.fragment(run_every=WAITING_S if waiting else SETTLED_S)
    def live() -> None:
        now = visit.pinrail.now()
        receipt = serving.receipt(visit.store, moved.alias, moved.revision, now=now)
        _say_receipt(outcome, receipt, waited=now - moved.at)
        if waiting and not receipt.waiting and not actions.is_dialog_open():
            st.rerun()

    live()
    newest = page.now.number
    if newest != moved.revision:
        latest = page.now
        st.info(
            f"Since then {plain(latest.alias)} was {latest.cause} by {plain(latest.by)} "
            f"{ago(latest.at, now=visit.now)} (revision {newest}). It serves {plain(latest.state.stable)}.",
            icon=":material/update:",
        )


def _say_receipt(outcome: Outcome, receipt: Receipt, *, waited: timedelta) -> None:
    kind = outcome.press.kind
    version, revision = plain(receipt.version), receipt.revision
    if not receipt.gateways:
        text = f"Stored as revision {revision}. No gateway is running, so nothing serves {version} yet."
        st.warning(text, title=DONE[kind], icon=":material/cloud_off:")
    elif receipt.complete:
        st.success(f"**{DONE[kind]}** {where(receipt)}", icon=":material/check_circle:")
    elif waited <= PATIENCE:
        accepted = clock(receipt.committed_at, now=receipt.committed_at, seconds=True)
        text = f"Accepted {accepted} · {len(receipt.confirmed)} of {number(receipt.gateways, 'gateway')}"
        st.info(f"**{DOING[kind]}** {text}", icon=":material/progress_activity:")
    else:
        text = (
            f"{where(receipt)} Not confirmed yet: {plain(listed(receipt.waiting))}, where the version before may still "
            "serve. A gateway applies the revision as soon as it reaches the store; you do not have to do it again."
        )
        st.warning(text, title=DONE[kind], icon=":material/sync_problem:")


def where(receipt: Receipt) -> str:
    """`3 of 3 gateways serve v-1 (revision 12, 41 ms).`"""
    verb = "serves" if receipt.gateways == 1 else "serve"
    after = f", {latency(receipt.slowest_ms)}" if receipt.slowest_ms is not None else ""
    gateways = f"{len(receipt.confirmed)} of {number(receipt.gateways, 'gateway')}"
    return f"{gateways} {verb} {plain(receipt.version)} (revision {receipt.revision}{after})."


def _held_or_released(page: AliasPage, outcome: Outcome) -> None:
    alias = plain(page.now.alias)
    if outcome.press.kind == "hold":
        text = f"Automatic steps leave {alias} alone until somebody releases it. People can still move it."
    else:
        text = f"Automatic steps may move {alias} again."
    st.success(f"**{DONE[outcome.press.kind]}** {text}", icon=":material/check_circle:")


def _buttons(visit: Visit, page: AliasPage, outcome: Outcome) -> None:
    alias, moved = page.now.alias, outcome.moved
    with st.container(horizontal=True, gap="small", key=f"after-{alias}"):
        if moved is not None and moved.revision == page.now.number:
            _undo_button(visit, page, outcome, moved)
        if moved is not None and outcome.press.kind == "roll back" and page.now.state.hold is not None:
            release_button(visit, page, key=f"release-after:{alias}")
        if moved is not None and outcome.press.kind in MOVES:
            _note(visit, outcome, moved)
        st.button(
            "Dismiss", key=f"dismiss:{alias}", type="tertiary", icon=":material/close:", on_click=actions.dismiss,
            args=(alias,),
        )  # fmt: skip


def _undo_button(visit: Visit, page: AliasPage, outcome: Outcome, moved: Moved) -> None:
    alias = page.now.alias
    because = page.why_not_undo.get(moved.revision) or why_not(
        visit, flips.actions_of_undo(page.history, moved.revision, page.resting), alias
    )
    label = f"Undo: return to {plain(moved.previous_version or '')}" if outcome.press.kind in MOVES else "Undo"
    st.button(
        label,
        key=f"undo-last:{alias}",
        icon=":material/undo:",
        disabled=because is not None,
        help=plain(because) if because else None,
        on_click=actions.open_dialog,
        args=("undo", alias, page.now.number),
        kwargs={"undoes": moved.revision},
    )


def release_button(
    visit: Visit, page: AliasPage, *, key: str, width: Literal["content", "stretch"] = "content"
) -> None:
    """Release the hold with one click; pressing twice presses the same press."""
    alias = page.now.alias
    press = actions.standing("release", alias, page.now.number)
    because = why_not(visit, ("alias:hold",), alias)
    if st.button(
        "Release hold",
        key=key,
        icon=":material/play_circle:",
        width=width,
        disabled=because is not None,
        help=plain(because) if because else None,
    ):
        actions.attempt(
            f"release {alias}",
            press,
            lambda v: flips.release(
                v.store, v.actor, alias, seen_revision=press.seen_revision, idempotency_key=press.key, now=v.now
            ),
        )
        st.rerun()


def _note(visit: Visit, outcome: Outcome, moved: Moved) -> None:
    receipt = serving.receipt(visit.store, moved.alias, moved.revision, now=visit.now)
    text = (
        f"{moved.at:%Y-%m-%d %H:%M:%S} UTC: {moved.alias} was {moved.cause} by {moved.by} "
        f"from {moved.previous_version} to {moved.version}. {receipt.sentence}"
    )
    with st.popover("Note for the incident", icon=":material/content_copy:", type="tertiary"):
        st.code(text, language=None, wrap_lines=True)


# -- refused --------------------------------------------------------------------------------------


def _refused(visit: Visit, outcome: Outcome) -> None:
    press = outcome.press
    if outcome.code == "stale_revision" or outcome.code == "nothing_to_change":
        text = outcome.message.removesuffix(" Nothing was changed.")
        st.warning(f"**Nothing changed:** {plain(text)} Look again before you act.", icon=":material/info:")
        return
    if outcome.code == "unknown":
        text = (
            f"Something broke ({plain(outcome.message)}), and it is not known whether {plain(press.alias)} was "
            "changed. What stands below is what is stored now. Trying again is safe."
        )
        st.error(f"{text}\n\n{_by_hand(press)}", title="Outcome unknown", icon=":material/help:")
        return
    text = f"{plain(outcome.message)} {_instead(visit, outcome)}".strip()
    st.error(
        f"{text}\n\n{_by_hand(press)}", title=f"{NOT_DONE[press.kind]}: nothing was changed", icon=":material/block:"
    )


def _instead(visit: Visit, outcome: Outcome) -> str:
    if outcome.code != "not_permitted":
        return ""
    return plain(who_can(visit, _ACTION[outcome.press.kind], outcome.press.alias))


_ACTION: dict[str, str] = {
    "roll back": "alias:roll_back",
    "flip": "alias:flip",
    "undo": "alias:flip",
    "hold": "alias:hold",
    "release": "alias:hold",
}


def _by_hand(press: Press) -> str:
    return f"From a terminal: `{command(press)}`"


def command(press: Press) -> str:
    """The same on the command line."""
    verb = "pinrail rollback" if press.kind == "roll back" else f"pinrail alias {press.kind}"
    words = [verb, press.alias]
    if press.kind == "roll back" and press.version:
        words += ["--to", press.version]
    elif press.kind == "flip":
        words += [press.version or "VERSION", '--reason "…"']
    elif press.kind == "undo":
        words.append(str(press.undoes))
    return " ".join(words)


# -- who may --------------------------------------------------------------------------------------


def why_not(visit: Visit, needed: tuple[str, ...], alias: str) -> str | None:
    """The reason why the person may not do what needs these actions, with who can; None if they may."""
    for action in needed:
        ruling = rule_on(visit.actor, action, alias)
        if not ruling.allowed:
            return f"{ruling.because}. {who_can(visit, action, alias)}"
    return None


def who_can(visit: Visit, action: str, alias: str) -> str:
    """`Ask oncall or admin.`"""
    holders = read_models.who_holds_roles(visit.store)
    # Those who hold just what is needed come first: they are the ones on call.
    rank = {name: max(grant.role.rank for grant in grants) for name, grants in holders if grants}
    people = sorted(who_may(action, holders, alias), key=lambda name: (rank[name], name))
    if not people:
        return "Nobody holds that role yet; an admin can give it."
    shown = people[:4]
    return f"Ask {', '.join(shown[:-1])} or {shown[-1]}." if len(shown) > 1 else f"Ask {shown[0]}."
