"""A version left for doing badly serves again when somebody says so with a reason, and in no other way."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain import aliases, quarantine
from core.domain.aliases import Asked, Revision, State
from core.domain.quarantine import Quarantine
from core.errors import PinrailError, Quarantined
from tests.domain.stories import ANN, BEGIN, SCHEDULER, Story


def imposed(story: Story, version: str, *, serial: int = 0, id: int = 1) -> Quarantine:
    """As the store would put it down for the newest revision."""
    newest = story.newest
    return Quarantine(id, version, "prod", newest.number, serial, newest.at, newest.by, quarantine.why(newest), 1)


def asked(story: Story, by=ANN) -> Asked:
    return Asked(by, story.now, story.newest.number)


def test_a_rollback_leaves_badly_and_a_flip_does_not():
    story = Story().flip("b")
    assert quarantine.left_badly(story.history) is None
    assert quarantine.left_badly(story.roll_back().history) == "b"


def test_undoing_a_flip_leaves_badly_and_undoing_a_rollback_does_not():
    undone = Story().flip("b").undo(2)
    assert quarantine.left_badly(undone.history) == "b"
    assert quarantine.left_badly(Story().flip("b").roll_back().undo(3).history) is None
    assert quarantine.left_badly(undone.undo(3).history) is None


def test_what_changes_no_version_leaves_nothing():
    story = Story().hold().release().describe(owner="ben").protect()
    assert [quarantine.left_badly(story.history[:n]) for n in range(1, 6)] == [None] * 5


def test_the_known_issue_says_from_where_by_whom_and_why_or_that_nobody_said():
    story = Story().flip("b").roll_back()
    assert quarantine.why(story.newest) == "rolled back from prod by ann: told in a story"
    assert quarantine.why(replace(story.newest, reason="")) == "rolled back from prod by ann; no reason was given"
    assert "(revision 2 undone)" in quarantine.why(Story().flip("b").undo(2).newest)


def test_a_quarantined_version_is_no_rollback_target():
    story = Story().flip("b").flip("c")
    assert story.targets == ["b", "a"]
    found = aliases.rollback_targets(story.history, now=story.now, quarantined={"b"})
    assert [target.version for target in found] == ["a"]


def test_beginning_to_serve_it_is_refused_with_the_reason_and_what_would_do():
    story = Story().flip("b").roll_back()
    resting = [imposed(story, "b")]
    wanted = aliases.flip(story.history, "b", story.asked())
    with pytest.raises(Quarantined, match=r"b was quarantined 1 h ago \(rolled back from prod by ann: told.*override"):
        quarantine.ruled(story.newest, wanted, resting, asked(story), override=None)


def test_an_override_is_kept_in_the_reason_of_the_revision():
    story = Story().flip("b").roll_back()
    wanted = aliases.flip(story.history, "b", story.asked())
    after, barred = quarantine.ruled(
        story.newest, wanted, [imposed(story, "b")], asked(story), override="fixed upstream"
    )
    assert after.reason == "told in a story (quarantine of b overridden: fixed upstream)"
    assert barred == ("b",)


def test_an_automatic_step_can_never_override():
    story = Story().flip("b").roll_back()
    wanted = aliases.flip(story.history, "b", story.asked())
    with pytest.raises(Quarantined):
        quarantine.ruled(story.newest, wanted, [imposed(story, "b")], asked(story, SCHEDULER), override="I may")


def test_undoing_the_rollback_lifts_what_it_imposed_and_nothing_else():
    story = Story().flip("b").roll_back()
    own, elsewhere = imposed(story, "b"), replace(imposed(story, "b", id=2), alias="other")
    undone = aliases.undo(story.history, 3, story.asked())
    assert quarantine.lifted_by_undo(story.newest, undone, [own, elsewhere]) == (own,)
    assert quarantine.ruled(story.newest, undone, [own], asked(story), override=None) == (undone, ())
    with pytest.raises(Quarantined):
        quarantine.ruled(story.newest, undone, [own, elsewhere], asked(story), override=None)


def test_what_serves_it_already_may_be_edited_and_held():
    story = Story(fallbacks=("b",))
    resting = [replace(imposed(story, name), alias="other") for name in "ab"]
    for step in (
        aliases.hold(story.history, story.asked()),
        aliases.describe(story.history, story.asked(), owner="ben"),
        aliases.retire(story.history, story.asked()),
    ):
        assert quarantine.ruled(story.newest, step, resting, asked(story), override=None) == (step, ())


def test_bringing_a_retired_alias_back_asks_again():
    assert quarantine.begins_to_serve(State("a", retired=True), State("a")) == ("a",)
    assert quarantine.begins_to_serve(State("a"), State("a", retired=True)) == ()


def _serials(history: list[Revision]) -> list[Revision]:
    return [replace(revision, serial=revision.number) for revision in history]


def test_a_fallback_in_quarantine_rests_until_it_is_named_anew_with_an_override():
    story = Story(fallbacks=("b", "c")).hold()
    resting = [imposed(story, "b", serial=2)]
    assert quarantine.standing_fallbacks(_serials(story.history), resting) == ("c",)
    story.describe(owner="ben")
    assert quarantine.standing_fallbacks(_serials(story.history), resting) == ("c",)
    story.describe(fallbacks=("c",)).describe(fallbacks=("b", "c"))
    assert quarantine.standing_fallbacks(_serials(story.history), resting) == ("b", "c")


# -- never by accident ------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "roll back", "undo", "describe", "retire"]),
        st.sampled_from("abcd"),
        st.integers(1, 12),
        st.sampled_from([None, None, None, "it was fixed"]),
    ),
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whatever_is_done_a_quarantined_version_begins_to_serve_by_an_override_alone(steps):
    history, resting, number = [aliases.created("prod", State("a"), by=ANN, now=BEGIN)], [], 0
    for what, version, revision, override in steps:
        number += 1
        now = BEGIN + number * aliases.MINIMUM_DWELL * 2
        request = Asked(ANN, now, history[-1].number, "x", quarantine.names(resting))
        try:
            after = _decided(history, what, version, revision, request)
            after, overridden = quarantine.ruled(history[-1], after, resting, request, override=override)
        except PinrailError:
            continue
        lifted = quarantine.lifted_by_undo(history[-1], after, resting)
        still = [q for q in resting if q not in lifted]
        begun = set(quarantine.begins_to_serve(history[-1].state, after.state)) & quarantine.names(still)
        assert begun == set(overridden)
        assert not begun or override
        assert not (what == "roll back" and begun), "a rollback never returns to it, override or not"
        history.append(after)
        resting = still
        left = quarantine.left_badly(history)
        if left is not None:
            resting = [*still, Quarantine(number, left, "prod", after.number, number, now, "ann", "x", number)]


def _decided(history, what, version, revision, request):
    match what:
        case "flip":
            return aliases.flip(history, version, request)
        case "roll back":
            return aliases.roll_back(history, request)
        case "undo":
            return aliases.undo(history, revision, request)
        case "describe":
            return aliases.describe(history, request, fallbacks=(version,))
    return aliases.retire(history, request)
