"""The dialogs that move an alias: roll back, flip, undo. Each says what will happen before it does it."""

from collections.abc import Iterable
from dataclasses import replace

import streamlit as st

from app.dashboard import actions
from app.dashboard.actions import Press
from app.dashboard.comparing import Row, rows
from app.dashboard.outcomes import why_not
from app.dashboard.session import Visit
from app.dashboard.widgets import (
    PINNED,
    QUARANTINED,
    STATES,
    UNKNOWN_PIN,
    Look,
    badge,
    badges,
    draw,
    line,
    now_and_after,
)
from app.dashboard.words import html, length, moment, number, plain, rate, sentence
from core.domain import quarantine
from core.domain.aliases import Cause, RollbackTarget, State, goes_forward
from core.domain.quarantine import Quarantine
from core.domain.versions import Version
from core.services import flips, quarantines
from core.store import read_models
from core.store.read_models import AliasPage, Bundle

WARN = STATES["degraded"]
NOTE = Look("info", "info", "Note")
READY = STATES["healthy"]
UNPROVEN = STATES["unknown"]


def show(visit: Visit, page: AliasPage) -> None:
    """Draw the dialog that is open on this alias, if one is."""
    press = actions.opened(page.now.alias)
    if press is None:
        return
    title, body = {
        "roll back": (f"Roll back {page.now.alias}?", _rollback),
        "flip": (f"Flip {page.now.alias}?", _flip),
        "undo": (f"Undo revision {press.undoes} of {page.now.alias}?", _undo),
    }[press.kind]
    dialog = st.dialog(plain(title), width="medium", on_dismiss=actions.close_dialog)
    dialog(body)(visit, page, press)


# -- roll back ------------------------------------------------------------------------------------


def _rollback(visit: Visit, page: AliasPage, press: Press) -> None:
    alias = page.now.alias
    target = _picked_target(page, press)
    if target is None:
        draw(line(WARN, "There is no version to roll back to any more. Close this and look again."))
        return
    after = read_models.bundle_of(visit.store, target.version)
    draw(
        f"<p>Send 100% of {html(alias)} traffic to <b class='pr-version'>{html(target.version)}</b>, "
        f"which served it until {html(moment(target.served_until, now=visit.now))}.</p>",
        now_and_after(_table(page, after), f"What rolling back {alias} changes"),
        *_readiness(visit, target, after),
        f"<p class='pr-note'><b>Also:</b> {_also(page)}<br><b>Not changed:</b> answers already given or still "
        "streaming, caches in callers, other aliases.</p>",
    )
    reason = _reason_field(press, "Reason (optional)", placeholder="What did you see? An incident number helps others.")
    why = _not_permitted(visit, ("alias:roll_back",), alias)
    if _confirmed(press, "Roll back now", "Keep current version", refusal=why):
        actions.attempt(
            f"roll back {alias}",
            press,
            lambda v: flips.roll_back(
                v.store,
                v.actor,
                alias,
                to=target.version,
                seen_revision=press.seen_revision,
                reason=reason,
                idempotency_key=press.key,
                minimum_dwell=v.pinrail.settings.minimum_dwell,
                now=v.now,
            ),
        )
        st.rerun()


def _picked_target(page: AliasPage, press: Press) -> RollbackTarget | None:
    targets = {target.version: target for target in page.targets}
    if not targets:
        return None
    names = list(targets)
    wanted = press.version if press.version in targets else names[0]
    if press.version and press.version not in targets:
        why = f"{press.version} cannot be rolled back to: it never served {page.now.alias} well."
        draw(line(WARN, f"{why} Chosen instead: {wanted}."))
    if len(names) == 1:
        return targets[wanted]
    chosen = st.selectbox(
        "Roll back to",
        names,
        index=names.index(wanted),
        format_func=lambda name: f"{name} ({targets[name].caution or 'proven'})",
        key=f"target:{press.key}",
    )
    return targets[chosen]


def _readiness(visit: Visit, target: RollbackTarget, after: Bundle) -> Iterable[str]:
    yield line(READY if target.caution is None else WARN, f"{after.version.name} {target.because}.")
    if target.caution:
        yield line(WARN, f"Caution: {target.caution}.")
    idle = length(visit.now - target.served_until)
    yield line(UNPROVEN, f"Unproven since: nothing has called it through this alias for {idle}.")
    yield from _issues(after)


def _also(page: AliasPage) -> str:
    hold = page.now.state.hold
    alias = html(page.now.alias)
    rests = f"Also quarantines {html(page.now.state.stable)}: nothing serves it again until somebody lifts that."
    if hold is None:
        return f"holds {alias}, so that no automatic step brings the version back, until you release it. {rests}"
    return f"{alias} stays held by {html(hold.by)} until somebody releases it. {rests}"


# -- flip -----------------------------------------------------------------------------------------


def _flip(visit: Visit, page: AliasPage, press: Press) -> None:
    alias, serving = page.now.alias, page.now.state.stable
    choices = {v.name: v for v in read_models.flip_choices(visit.store) if v.name != serving}
    if not choices:
        draw("<p>There is no other version yet. Register one first:</p>", _cli("pinrail version register --help"))
        return
    names = list(choices)
    chosen = st.selectbox(
        "Flip to",
        names,
        index=names.index(press.version) if press.version in names else None,
        placeholder="Choose a version",
        format_func=lambda name: _choice(page, choices[name]),
        key=f"version:{press.key}",
    )
    if chosen is not None:
        after = read_models.bundle_of(visit.store, chosen)
        draw(
            f"<p>Send 100% of {html(alias)} traffic to <b class='pr-version'>{html(chosen)}</b>.</p>",
            now_and_after(_table(page, after), f"What flipping {alias} changes"),
            *_fitness(page, after),
        )
    barred = (chosen,) if chosen is not None and chosen in page.resting else ()
    reason = _reason_field(press, "Reason (required)", placeholder="Why is this version better?")
    override = _override_field(page, press, barred)
    refusal = page.why_not_flip or _not_permitted(visit, ("alias:flip",), alias)
    if _confirmed(press, "Flip now", "Keep current version", refusal=refusal):
        missing = _missing(chosen, reason) or _missing_override(barred, override)
        if missing:
            draw(line(WARN, missing))
            return
        actions.attempt(f"flip {alias}", press, _flipping(alias, chosen or "", press, reason, override))
        st.rerun()


def _choice(page: AliasPage, choice: Version) -> str:
    note = "quarantined" if choice.name in page.resting else choice.prompt or "no prompt"
    return f"{choice.name} ({note})"


def _flipping(alias: str, version: str, press: Press, reason: str, override: str | None) -> actions.Work:
    return lambda v: flips.flip(
        v.store,
        v.actor,
        alias,
        version,
        seen_revision=press.seen_revision,
        reason=reason,
        override_quarantine=override,
        idempotency_key=press.key,
        now=v.now,
    )


def _missing(version: str | None, reason: str) -> str | None:
    if version is None:
        return "Choose the version to flip to. Nothing was changed."
    if not reason.strip():
        return "Write a reason: others will ask why this version serves. Nothing was changed."
    return None


def _fitness(page: AliasPage, after: Bundle) -> Iterable[str]:
    look = PINNED if after.version.pin_class == "pinned" else UNKNOWN_PIN
    yield badges(badge(look, after.version.pin_because))
    served = any(revision.state.stable == after.version.name for revision in page.history)
    if not served:
        yield line(UNPROVEN, f"Unproven: it never served {page.now.alias}.")
    yield from _issues(after)


# -- undo -----------------------------------------------------------------------------------------


def _undo(visit: Visit, page: AliasPage, press: Press) -> None:
    alias, number_ = page.now.alias, press.undoes or 0
    undone, before = page.history[number_ - 1], page.history[number_ - 2]
    moves = undone.state.stable != before.state.stable and page.now.state.stable != before.state.stable
    draw(
        f"<p>Revision {number_} of {html(alias)} ({html(undone.cause)} by {html(undone.by)} "
        f"{html(moment(undone.at, now=visit.now))}) is put back by a new revision; the history keeps both.</p>"
    )
    if moves:
        after = read_models.bundle_of(visit.store, before.state.stable)
        draw(now_and_after(_table(page, after), f"What undoing revision {number_} changes"), *_issues(after))
    else:
        draw(now_and_after(_state_rows(page, number_), f"What undoing revision {number_} changes"))
    draw(*_quarantines_of_undo(page, number_))
    barred = _barred(page, number_)
    reason = _reason_field(press, "Reason (optional)", placeholder="Why was it wrong?")
    override = _override_field(page, press, barred)
    needed = flips.actions_of_undo(page.history, number_, page.resting)
    refusal = page.why_not_undo.get(number_) or _not_permitted(visit, needed, alias)
    if _confirmed(press, "Undo now", "Keep it as it is", refusal=refusal):
        missing = _missing_override(barred, override)
        if missing:
            draw(line(WARN, missing))
            return
        actions.attempt(
            f"undo revision {number_} of {alias}",
            press,
            lambda v: flips.undo(
                v.store,
                v.actor,
                alias,
                number_,
                seen_revision=press.seen_revision,
                reason=reason,
                override_quarantine=override,
                idempotency_key=press.key,
                now=v.now,
            ),
        )
        st.rerun()


def _undone(page: AliasPage, number_: int) -> State:
    """What undoing leads to, as far as it serves."""
    undone, before = page.history[number_ - 1].state, page.history[number_ - 2].state
    back = {
        f: getattr(before, f) for f in ("stable", "fallbacks", "retired") if getattr(before, f) != getattr(undone, f)
    }
    return replace(page.now.state, **back)


def _lifts(page: AliasPage, number_: int) -> tuple[Quarantine, ...]:
    """What undoing the rollback lifts: that very rollback was wrong."""
    undoing = replace(page.now, state=_undone(page, number_), cause=Cause.UNDONE, reverts=number_)
    return quarantine.lifted_by_undo(page.now, undoing, page.quarantines)


def _barred(page: AliasPage, number_: int) -> tuple[str, ...]:
    lifted = _lifts(page, number_)
    still = quarantine.names(q for q in page.quarantines if q not in lifted)
    begun = quarantine.begins_to_serve(page.now.state, _undone(page, number_))
    return tuple(name for name in begun if name in still)


def _quarantines_of_undo(page: AliasPage, number_: int) -> Iterable[str]:
    for lifted in _lifts(page, number_):
        yield line(NOTE, f"Also lifts the quarantine of {lifted.version}: the rollback that imposed it is undone.")
    stable = page.now.state.stable
    if goes_forward(page.history, number_) and _undone(page, number_).stable != stable:
        yield line(NOTE, f"Also quarantines {stable}: nothing serves it again until somebody lifts that.")


def _state_rows(page: AliasPage, number_: int) -> Iterable[Row]:
    """What undoing changes beside the version: hold, card and protection."""
    undone, before, now = page.history[number_ - 1].state, page.history[number_ - 2].state, page.now.state
    for item, field in (
        ("Held", "hold"), ("Protected", "protected"), ("Owner", "owner"), ("Description", "description"),
        ("Fallbacks", "fallbacks"), ("Retired", "retired"),
    ):  # fmt: skip
        if getattr(undone, field) != getattr(before, field):
            yield Row(item, _shown(getattr(now, field)), _shown(getattr(before, field)), is_name=False)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    if value is None or value == "":
        return "no one" if value is None else "none"
    return f"by {value.by}" if hasattr(value, "by") else str(value)


# -- what they share ------------------------------------------------------------------------------


def _table(page: AliasPage, after: Bundle) -> tuple[Row, ...]:
    traffic = rate(page.per_minute)
    callers = number(len(page.callers), "caller")
    return (
        *rows(page.serving, after),
        Row("Traffic", traffic, traffic, is_name=False),
        Row("Callers", callers, callers, is_name=False),
    )


def _issues(bundle: Bundle) -> Iterable[str]:
    for issue in bundle.issues:
        yield line(WARN, f"Known issue: {sentence(issue.text)}")


def _reason_field(press: Press, label: str, *, placeholder: str) -> str:
    # Kept in the browser until a button is pressed: a rerun on leaving the field would swallow the click that left it.
    text = st.text_input(
        label,
        value=press.reason,
        key=f"reason:{press.key}",
        placeholder=placeholder,
        on_change="ignore",
    )
    return (text or "").strip()


def _override_field(page: AliasPage, press: Press, barred: tuple[str, ...]) -> str | None:
    """Asked for where a version is quarantined; None where none is."""
    if not barred:
        return None
    for name in barred:
        draw(line(QUARANTINED, f"{name} is quarantined: {page.resting[name].reason}."))
    text = st.text_input(
        "Why it shall serve all the same (required)",
        key=f"override:{press.key}",
        max_chars=quarantines.MAX_WHY,
        placeholder="What has changed since it was left?",
        on_change="ignore",
    )
    return (text or "").strip()


def _missing_override(barred: tuple[str, ...], override: str | None) -> str | None:
    if barred and not override:
        return f"Write why {', '.join(barred)} shall serve although quarantined. Nothing was changed."
    return None


def _confirmed(press: Press, go: str, keep: str, *, refusal: str | None) -> bool:
    """The two buttons of a dialog; True in the run in which the first was pressed.

    The action stands inline and ends in a rerun of the page: with a callback a fast second click would run it twice.
    """
    if refusal is not None:
        draw(line(WARN, refusal))
    with st.container(horizontal=True, gap="small", key="confirm"):
        pressed = st.button(
            go, key=f"go-{press.kind}", type="primary", icon=_ICON[press.kind], shortcut="Ctrl+Enter",
            disabled=refusal is not None,
        )  # fmt: skip
        if st.button(keep, key=f"keep-{press.kind}"):
            actions.close_dialog()
            st.rerun()
    return pressed


def _not_permitted(visit: Visit, needed: tuple[str, ...], alias: str) -> str | None:
    because = why_not(visit, needed, alias)
    return f"Not permitted: {because}" if because else None


_ICON: dict[str, str] = {
    "roll back": ":material/history:",
    "flip": ":material/arrow_forward:",
    "undo": ":material/undo:",
}


def _cli(command: str) -> str:
    return f'<code class="pr-cli">{html(command)}</code>'
