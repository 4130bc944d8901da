"""Who may build on which picture of an alias: compare-and-swap, hold, undo, protection, retirement, clocks."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from core.domain import aliases
from core.domain.aliases import Asked, Cause
from core.errors import (
    AliasHeld,
    AliasProtected,
    AliasRetired,
    InvalidInput,
    NothingToChange,
    StaleRevision,
    UndoOvertaken,
    UnknownRevision,
)
from tests.domain.stories import ANN, BEGIN, BEN, SCHEDULER, Story

MINUTE = timedelta(minutes=1)

# -- compare-and-swap -----------------------------------------------------------------------------

SIDES: dict[str, Callable[[Story, int], object]] = {
    "serving": lambda story, seen: story.flip("z", by=BEN, seen=seen),
    "hold": lambda story, seen: story.hold(by=BEN, seen=seen),
    "card": lambda story, seen: story.describe(description="by ben", by=BEN, seen=seen),
    "protection": lambda story, seen: story.protect(by=BEN, seen=seen),
}
MOVES: dict[str, Callable[[Story], object]] = {
    "serving": lambda story: story.flip("b"),
    "hold": lambda story: story.hold(),
    "card": lambda story: story.describe(owner="ann"),
    "protection": lambda story: story.protect(),
}


@pytest.mark.parametrize("wanted", SIDES)
@pytest.mark.parametrize("changed", MOVES)
def test_a_person_is_stopped_by_what_another_changed_there_and_by_nothing_else(wanted, changed):
    story = Story()
    MOVES[changed](story)
    if wanted == changed:
        with pytest.raises(StaleRevision):
            SIDES[wanted](story, 1)
    elif (wanted, changed) == ("serving", "protection"):
        with pytest.raises(AliasProtected):  # not stale, but by now it needs a second person
            SIDES[wanted](story, 1)
    else:
        SIDES[wanted](story, 1)
        assert story.newest.number == 3


def test_a_stale_write_is_told_who_moved_the_alias_when_and_where_it_is_now():
    story = Story().flip("b")
    with pytest.raises(StaleRevision) as refusal:
        story.flip("c", by=BEN, seen=1, after=5 * MINUTE)
    assert str(refusal.value) == (
        "prod was flipped by ann 5 min ago and serves b (revision 2, you saw 1). Nothing was changed."
    )


def test_a_stale_write_never_speaks_of_negative_time():
    story = Story().flip("b")
    with pytest.raises(StaleRevision, match=r"by ann 0 s ago"):
        story.flip("c", by=BEN, seen=1, after=-10 * MINUTE)


def test_an_edit_of_card_and_fallbacks_at_once_is_stopped_by_a_change_to_either():
    for change in ({"description": "ann's"}, {"fallbacks": ("y",)}):
        story = Story().describe(**change)
        with pytest.raises(StaleRevision):
            story.describe(by=BEN, seen=1, description="ben's", fallbacks=("x",))


@pytest.mark.parametrize("changed", MOVES)
def test_an_automatic_step_is_stopped_by_any_change_at_all(changed):
    story = Story()
    MOVES[changed](story)
    with pytest.raises(StaleRevision):
        story.roll_back(by=SCHEDULER, seen=1)


def test_an_automatic_step_stops_no_person():
    story = Story().flip("b", by=SCHEDULER)
    assert story.flip("c", seen=1).stable == "c"


def test_people_between_automatic_steps_still_stop_people():
    story = Story().flip("b", by=SCHEDULER).flip("c", by=BEN).flip("d", by=SCHEDULER)
    with pytest.raises(StaleRevision, match="flipped by ben"):
        story.flip("e", seen=1)


@pytest.mark.parametrize("seen", [-1, 2, 10**9])
def test_nobody_can_have_seen_a_revision_that_never_was(seen):
    with pytest.raises(UnknownRevision, match="has revisions 1 to 1"):
        Story().flip("b", seen=seen)


# -- hold -----------------------------------------------------------------------------------------


def test_a_hold_stops_automatic_flips_and_says_whose_it_is():
    story = Story().hold()
    with pytest.raises(
        AliasHeld, match=r"prod is held by ann \(told in a story\): automatic steps wait until a person"
    ):
        story.flip("b", by=SCHEDULER)


def test_a_hold_stops_no_person_and_stays():
    story = Story().hold().flip("b", by=BEN)
    assert story.newest.state.hold is not None


def test_a_hold_never_stops_an_automatic_rollback():
    assert Story().flip("b").hold().roll_back(by=SCHEDULER).stable == "a"


def test_a_machine_cannot_release_what_a_person_holds():
    with pytest.raises(AliasHeld):
        Story().hold().release(by=SCHEDULER)


def test_a_rollback_holds_the_alias_so_that_nothing_brings_the_version_back():
    story = Story().flip("b").roll_back()
    assert story.newest.state.hold is not None
    assert story.newest.state.hold.reason == "after rollback from b"
    with pytest.raises(AliasHeld):
        story.flip("b", by=SCHEDULER)


def test_a_rollback_leaves_a_hold_that_is_there_to_its_holder():
    story = Story().flip("b").hold(by=BEN).roll_back()
    assert story.newest.state.hold is not None
    assert story.newest.state.hold.by == "ben"


def test_a_hold_is_taken_once_and_released_once():
    story = Story().hold()
    with pytest.raises(NothingToChange):
        story.hold()
    with pytest.raises(NothingToChange):
        story.release().release()


def test_a_hold_is_long_when_it_is_older_than_a_day():
    story = Story().hold()
    day = timedelta(days=1)
    assert list(aliases.held_longer_than(story.history, day, now=story.now + day)) == []
    assert list(aliases.held_longer_than(story.history, day, now=story.now + 2 * day)) == [story.newest.state.hold]


# -- undo -----------------------------------------------------------------------------------------


def test_undo_puts_back_what_a_revision_changed_and_leaves_the_rest():
    story = Story().describe(description="kept").flip("b").describe(owner="kept too").undo(3)
    assert (story.stable, story.newest.state.description, story.newest.state.owner) == ("a", "kept", "kept too")
    assert (story.newest.cause, story.newest.reverts) == (Cause.UNDONE, 3)


def test_undo_refuses_when_what_it_would_put_back_changed_again():
    with pytest.raises(UndoOvertaken, match=r"its stable changed again since"):
        Story().flip("b").flip("c").undo(2)


def test_undo_of_an_edit_is_not_in_the_way_of_a_flip_made_meanwhile():
    story = Story().describe(description="new").flip("b", by=BEN)
    story.undo(2, seen=2)
    assert (story.stable, story.newest.state.description) == ("b", "")


def test_undo_of_a_rollback_still_works_after_its_hold_was_released():
    story = Story().flip("b").roll_back().release().undo(3)
    assert (story.stable, story.newest.state.hold) == ("b", None)


def test_undo_of_what_was_put_back_by_hand_changes_nothing():
    with pytest.raises(NothingToChange, match="already as it was before revision 2"):
        Story().flip("b").flip("a").undo(2)


def test_the_first_revision_cannot_be_undone_and_the_refusal_says_what_to_do():
    with pytest.raises(InvalidInput, match="retire the alias instead"):
        Story().undo(1)


@pytest.mark.parametrize("number", [-1, 0, 2, 10**9])
def test_a_revision_that_never_was_cannot_be_undone(number):
    with pytest.raises(UnknownRevision):
        Story().undo(number)


def test_undo_gives_way_to_a_person_who_moved_the_alias_meanwhile():
    story = Story().flip("b").flip("c", by=BEN)
    with pytest.raises(StaleRevision):
        story.undo(2, seen=2)


def test_a_hold_stops_an_automatic_undo():
    with pytest.raises(AliasHeld):
        Story().flip("b").hold().undo(2, by=SCHEDULER)


# -- protection -----------------------------------------------------------------------------------


def test_a_protected_alias_refuses_a_single_handed_flip_and_says_what_to_do():
    with pytest.raises(AliasProtected, match=r"needs a second person.*admin must unprotect"):
        Story(protected=True).flip("b")


def test_a_protected_alias_refuses_an_automatic_flip_too():
    with pytest.raises(AliasProtected):
        Story(protected=True).flip("b", by=SCHEDULER)


def test_a_rollback_needs_nobody_even_when_protected():
    assert Story().flip("b").protect().roll_back().stable == "a"


def test_undoing_a_flip_needs_nobody_even_when_protected():
    assert Story().flip("b").protect().undo(2).stable == "a"


def test_undoing_a_rollback_goes_forward_and_respects_protection():
    with pytest.raises(AliasProtected, match="undoing revision 4, which returns it to b"):
        Story().flip("b").protect().roll_back().undo(4)


def test_undoing_an_old_flip_cannot_smuggle_back_a_version_left_by_a_rollback():
    """a was good in revision 1, but it was left by a rollback later: by now going there is a flip."""
    story = Story().flip("b").flip("a").roll_back().protect()
    assert story.stable == "b"
    assert aliases.undo_needs_flip(story.history, 2)
    with pytest.raises(AliasProtected):
        story.undo(2)


def test_undoing_an_edit_never_asks_for_a_second_person():
    assert Story(protected=True).describe(description="new").undo(2).newest.state.description == ""


# -- retirement -----------------------------------------------------------------------------------


def test_a_retired_alias_accepts_nothing_and_says_since_when():
    story = Story().flip("b").retire()
    tries: list[Callable[[], object]] = [
        lambda: story.flip("c"),
        lambda: story.roll_back(),
        lambda: story.hold(),
        lambda: story.describe(owner="x"),
        lambda: story.protect(),
        lambda: story.retire(),
        lambda: story.undo(2),
    ]
    for attempt in tries:
        with pytest.raises(
            AliasRetired, match=r"was retired by ann at 2026-06-01 11:00 UTC\. Undoing revision 3 brings it back"
        ):
            attempt()


def test_undo_brings_a_retired_alias_back_as_it_was():
    story = Story(owner="ann").flip("b").retire().undo(3)
    assert story.newest.state == story.history[1].state


# -- small things ---------------------------------------------------------------------------------


def test_doing_what_is_done_already_is_said_and_leaves_no_revision():
    story = Story()
    with pytest.raises(NothingToChange):
        story.flip("a")
    with pytest.raises(NothingToChange):
        story.describe(description="")
    with pytest.raises(NothingToChange):
        story.describe()
    with pytest.raises(NothingToChange):
        story.protect(protected=False)
    assert story.newest.number == 1


def test_a_clock_that_steps_back_does_not_make_history_run_backwards():
    story = Story().flip("b").roll_back(after=timedelta(days=-3))
    assert story.newest.at == story.history[1].at
    assert story.newest.state.hold is not None
    assert story.newest.state.hold.at == story.newest.at
    assert aliases.state_at(story.history, story.newest.at) == story.newest


def test_what_served_at_a_time_is_the_last_revision_until_then():
    story = Story().flip("b")
    assert aliases.state_at(story.history, BEGIN - MINUTE) is None
    assert aliases.state_at(story.history, BEGIN) == story.history[0]
    assert aliases.state_at(story.history, story.now - MINUTE) == story.history[0]
    assert aliases.state_at(story.history, story.now) == story.history[1]


def test_an_empty_owner_clears_the_owner_and_nothing_leaves_it():
    story = Story(owner="ann").describe(description="x")
    assert story.newest.state.owner == "ann"
    assert story.describe(owner="").newest.state.owner is None


def test_the_reason_and_the_hand_are_kept_in_the_revision():
    newest = aliases.flip(Story().history, "b", Asked(ANN, BEGIN, 1, "because"))
    assert (newest.by, newest.automatic, newest.reason) == ("ann", False, "because")
    assert aliases.flip(Story().history, "b", Asked(SCHEDULER, BEGIN, 1)).automatic


def test_what_may_have_to_answer_for_a_protected_alias_is_not_changed_by_one_person_alone():
    story = Story(protected=True).describe(description="its card may change")
    with pytest.raises(AliasProtected, match="changing its fallbacks"):
        story.describe(fallbacks=("x",))


def test_undoing_a_change_of_fallbacks_of_a_protected_alias_needs_a_second_person_too():
    story = Story().describe(fallbacks=("x",)).protect()
    with pytest.raises(AliasProtected, match="changes its fallbacks"):
        story.undo(2)
