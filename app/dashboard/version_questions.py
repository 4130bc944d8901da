"""What operators may write about a version: notes, and known issues that come and go."""

from app.dashboard import asking
from app.dashboard.actions import Done, Press
from app.dashboard.asking import Question
from app.dashboard.outcomes import why_not
from app.dashboard.session import Visit
from app.dashboard.widgets import draw
from app.dashboard.words import html, sentence
from core.services import registry

PLACE = "page:versions"


def _refusal(visit: Visit) -> str | None:
    because = why_not(visit, ("registry:write",), "")
    return f"Not permitted: {because}" if because else None


def _add_issue(visit: Visit, press: Press) -> None:
    draw(f"<p>It stands on every page and in every dialog that offers <b>{html(press.about)}</b>, until resolved.</p>")
    text = asking.field("What is wrong with it?", press, "issue", placeholder="What did you see, and when?", tall=True)
    if asking.confirmed(press, "Add the issue", "Leave it out", refusal=_refusal(visit)):
        asking.carry_out(press, f"add a known issue to {press.about}", lambda v: _issue_added(v, press.about, text))


def _issue_added(visit: Visit, version: str, text: str) -> Done:
    made = registry.add_issue(visit.store, visit.actor, version, text, now=visit.now)
    return Done(f"Issue {made.id} is on the record of {version}.")


def _resolve_issue(visit: Visit, press: Press) -> None:
    number = int(press.about)
    found = [issue for issue in registry.issues(visit.store, visit.actor) if issue.id == number]
    for issue in found:
        draw(f"<p>{html(sentence(issue.text))}</p>")
    draw('<p class="pr-note">It stays on the record, as resolved by you now.</p>')
    if asking.confirmed(press, "Resolve it", "Keep it open", refusal=_refusal(visit)):
        asking.carry_out(press, f"resolve issue {number}", lambda v: _resolved(v, number))


def _resolved(visit: Visit, number: int) -> Done:
    made = registry.resolve_issue(visit.store, visit.actor, number, now=visit.now)
    return Done(f"Issue {made.id} of {made.version} is resolved.")


def _edit_notes(visit: Visit, press: Press) -> None:
    old = registry.version(visit.store, visit.actor, press.about).notes
    text = asking.field("Notes", press, "notes", value=old, placeholder="What should others know of it?", tall=True)
    if asking.confirmed(press, "Save the notes", "Keep them as they are", refusal=_refusal(visit)):
        asking.carry_out(press, f"edit the notes of {press.about}", lambda v: _noted(v, press.about, text))


def _noted(visit: Visit, version: str, text: str) -> Done:
    registry.note(visit.store, visit.actor, version, text, now=visit.now)
    return Done(f"The notes of {version} are saved; the audit log keeps the old ones.")


QUESTIONS: asking.Questions = {
    "add issue": Question(
        "registry:write",
        lambda p: f"Add a known issue to {p.about}?",
        _add_issue,
        'pinrail version issue add VERSION "…"',
    ),
    "resolve issue": Question(
        "registry:write", lambda p: f"Resolve issue {p.about}?", _resolve_issue, "pinrail version issue resolve ISSUE"
    ),
    "edit notes": Question(
        "registry:write", lambda p: f"Edit the notes of {p.about}?", _edit_notes, 'pinrail version note VERSION "…"'
    ),
}
"""Every write of the versions page."""
