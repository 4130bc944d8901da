"""Which version a rollback leads to, and which it never leads to."""

from datetime import timedelta

import pytest

from core.domain import aliases
from core.domain.aliases import Cause
from core.errors import NoRollbackTarget, NothingToChange
from tests.domain.stories import SCHEDULER, Story

MINUTE = timedelta(minutes=1)


def test_a_rollback_returns_to_the_version_that_served_before():
    story = Story().flip("b").flip("c").roll_back()
    assert story.stable == "b"
    assert story.newest.cause is Cause.ROLLED_BACK


def test_a_repeated_rollback_walks_back_in_time():
    story = Story().flip("b").flip("c").flip("d")
    assert [story.roll_back().stable for _ in range(3)] == ["c", "b", "a"]


def test_a_repeated_rollback_never_returns_to_a_version_just_left():
    story = Story().flip("b").roll_back()
    with pytest.raises(NoRollbackTarget, match=r"Flip it to a version you trust"):
        story.roll_back()


def test_a_version_that_was_left_by_an_automatic_rollback_is_no_target_either():
    story = Story().flip("b").flip("c").roll_back(by=SCHEDULER)
    assert story.targets == ["a"]


def test_a_version_left_by_a_rollback_is_a_target_again_once_it_was_left_by_a_flip():
    story = Story().flip("b").roll_back().flip("b").flip("c")
    assert story.targets == ["b", "a"]


def test_time_that_ended_in_a_rollback_proves_nothing():
    """b served a day and did badly; later it served five minutes: the day must not vouch for it."""
    story = Story().flip("b").roll_back(after=timedelta(days=1)).flip("b").flip("c", after=5 * MINUTE)
    best, brief = aliases.rollback_targets(story.history, now=story.now)
    assert best.version == "a"
    assert brief.version == "b"
    assert brief.caution == "it served only 5 min; 10 min are asked for"
    assert "served 5 min at 100 %" in brief.because


def test_a_version_that_served_only_briefly_comes_last_and_with_a_caution():
    story = Story().flip("b").flip("c", after=MINUTE)
    best, brief = aliases.rollback_targets(story.history, now=story.now)
    assert (best.version, best.caution) == ("a", None)
    assert brief.version == "b"
    assert "only 1 min" in (brief.caution or "")


def test_a_caution_never_rounds_a_short_service_up_to_what_is_asked_for():
    story = Story().flip("b", after=timedelta(minutes=9, seconds=59))
    [target] = aliases.rollback_targets(story.history, now=story.now)
    assert target.caution == "it served only 9 min; 10 min are asked for"


def test_a_brief_version_is_still_better_than_nothing():
    story = Story().flip("b", after=MINUTE).roll_back(after=MINUTE)
    assert story.stable == "a"


def test_edits_do_not_interrupt_the_service_of_a_version():
    story = Story()
    for word in ("one", "two", "three"):
        story.describe(description=word)
    story.flip("b")
    [target] = aliases.rollback_targets(story.history, now=story.now)
    assert "served 4 h" in target.because


def test_the_longest_good_service_counts_and_not_the_last():
    story = Story().flip("b").flip("a").flip("b", after=MINUTE)
    [target] = aliases.rollback_targets(story.history, now=story.now)
    assert (target.version, target.caution) == ("a", None)


def test_time_in_retirement_is_no_time_served():
    story = Story().retire(after=MINUTE).undo(2, after=timedelta(days=7)).flip("b", after=MINUTE)
    [target] = aliases.rollback_targets(story.history, now=story.now)
    assert target.caution == "it served only 1 min; 10 min are asked for"


def test_retirement_does_not_count_against_the_version_it_ended_with():
    story = Story().retire().undo(2).flip("b", after=MINUTE)
    [target] = aliases.rollback_targets(story.history, now=story.now)
    assert (target.version, target.caution) == ("a", None)


# -- undo and rollback together -------------------------------------------------------------------


def test_undoing_a_rollback_goes_forward_so_what_it_leaves_stays_a_target():
    story = Story().flip("b").roll_back().undo(3)
    assert story.stable == "b"
    assert story.targets == ["a"]


def test_undoing_a_flip_counts_as_leaving_the_version_by_a_rollback():
    story = Story().flip("b").undo(2)
    assert story.stable == "a"
    assert story.targets == []


def test_undoing_an_undo_goes_forward_again():
    story = Story().flip("b").undo(2).undo(3)
    assert story.stable == "b"
    assert aliases.goes_forward(story.history, 4)
    assert story.targets == ["a"]


def test_undo_can_be_undone_a_thousand_times():
    story = Story().flip("b")
    for number in range(2, 1200):
        story.undo(number, after=timedelta(0))
    assert not aliases.goes_forward(story.history, story.newest.number - 1)
    assert aliases.goes_forward(story.history, story.newest.number)


# -- a target that was named ----------------------------------------------------------------------


def test_any_target_may_be_named():
    assert Story().flip("b").flip("c").roll_back(to="a").stable == "a"


def test_a_version_that_never_served_is_a_flip_and_not_a_rollback():
    with pytest.raises(NoRollbackTarget, match=r"never served prod, so it is a flip"):
        Story().flip("b").roll_back(to="z")


def test_a_rollback_to_a_version_left_by_a_rollback_is_refused_even_when_it_is_named():
    """Or a rollback-only token could send a protected alias back to what had just been left."""
    story = Story(protected=True)
    story.protect(protected=False).flip("b").protect().roll_back()
    with pytest.raises(NoRollbackTarget, match=r"b was itself left by a rollback \(revision 5 of prod\)"):
        story.roll_back(to="b")


def test_a_rollback_to_what_serves_already_changes_nothing():
    with pytest.raises(NothingToChange, match=r"already serves b"):
        Story().flip("b").roll_back(to="b")


# -- a person and the machine at once -------------------------------------------------------------


def test_a_person_whose_rollback_an_automatic_one_has_forestalled_does_not_fall_two_steps():
    story = Story().flip("b").flip("c").roll_back(by=SCHEDULER)
    with pytest.raises(NothingToChange, match=r"rolled back from c by scheduler already and serves b"):
        story.roll_back(seen=3)
    assert story.roll_back(seen=4).stable == "a"


def test_a_rollback_never_leads_to_the_version_the_person_wanted_to_leave():
    """The scheduler moved on from b to c after the person decided to be rid of b."""
    story = Story().flip("b").flip("c", by=SCHEDULER)
    assert story.targets[0] == "b"
    assert story.roll_back(seen=2).stable == "a"


def test_an_automatic_step_never_refuses_a_rollback_by_a_person():
    story = Story().flip("b").hold(by=SCHEDULER)
    assert story.roll_back(seen=2).stable == "a"
