"""Any sequence of steps by people and machines, checked against a second, simpler telling of the same rules."""

import itertools
from datetime import timedelta

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.domain import aliases
from core.domain.aliases import MINIMUM_DWELL, Cause, Revision
from core.errors import AliasHeld, AliasProtected, NoRollbackTarget, NothingToChange, PinrailError
from tests.domain.stories import ANN, BEGIN, BEN, SCHEDULER, Story

VERSIONS = st.sampled_from("abcd")
HANDS = st.sampled_from([ANN, BEN, SCHEDULER])


class AliasHistories(RuleBasedStateMachine):
    """The model keeps four plain things: the stints served, how each ended, what each step did, and the hold."""

    @initialize(protected=st.booleans())
    def begin(self, protected):
        self.story = Story(protected=protected)
        self.kept: list[Revision] = []
        self.stints: list[list] = [["a", BEGIN, None, None]]  # version, since, until, was it left well
        self.forward: list[bool | None] = [True]  # per revision: did it go forward; None where nothing moved
        self.retired = False
        self._settle()

    # -- the model --------------------------------------------------------------------------------

    def _settle(self):
        self.kept = list(self.story.history)

    def _moved(self, version, *, forward):
        """Note in the model that the newest revision moved the alias to ``version``."""
        self.stints[-1][2:] = [self.story.newest.at, forward]
        self.stints.append([version, self.story.newest.at, None, None])
        self.forward.append(forward)

    def _last_left_badly(self, version):
        ends = [well for v, _since, until, well in self.stints if v == version and until is not None]
        return bool(ends) and ends[-1] is False

    def _expected_targets(self):
        newest_first = [s for s in reversed(self.stints) if s[2] is not None]
        order = list(dict.fromkeys(v for v, *_ in newest_first))
        allowed = [v for v in order if v != self.stints[-1][0] and not self._last_left_badly(v)]

        def proven(version):
            return any(
                until - since >= MINIMUM_DWELL for v, since, until, well in newest_first if v == version and well
            )

        return [v for v in allowed if proven(v)] + [v for v in allowed if not proven(v)]

    # -- the steps --------------------------------------------------------------------------------

    @rule(minutes=st.integers(-5, 30))
    def wait(self, minutes):
        self.story.now += timedelta(minutes=minutes)

    @rule(version=VERSIONS, by=HANDS)
    def flip(self, version, by):
        now, allowed = self.story.newest.state, True
        if self.retired or version == now.stable or now.protected or (by is SCHEDULER and now.hold):
            allowed = False
        try:
            self.story.flip(version, by=by, after=timedelta(0))
        except PinrailError:
            assert not allowed
        else:
            assert allowed
            self._moved(version, forward=True)
            self._settle()

    @rule(by=HANDS, to=st.none() | VERSIONS)
    def roll_back(self, by, to):
        expected = self._expected_targets()
        wanted = to or (expected[0] if expected else None)
        possible = not self.retired and wanted in expected
        try:
            self.story.roll_back(to, by=by, after=timedelta(0))
        except (NoRollbackTarget, NothingToChange):
            assert not possible
        except PinrailError:
            assert self.retired
        else:
            assert possible
            assert self.story.stable == wanted
            assert not self._last_left_badly(wanted)
            assert self.story.newest.state.hold is not None
            self._moved(wanted, forward=False)
            self._settle()

    @rule(data=st.data(), by=HANDS)
    def undo(self, data, by):
        number = data.draw(st.integers(1, len(self.story.history)))
        before = self.story.stable
        targets = self._expected_targets()
        try:
            self.story.undo(number, by=by, after=timedelta(0))
        except PinrailError:
            return
        newest = self.story.newest.state
        assert not (by is SCHEDULER and self.kept[-1].state.hold)
        if newest.retired != self.retired:
            self._retired_or_back(retired=newest.retired)
        elif newest.stable != before:
            undone = self.forward[number - 1]
            assert undone is not None
            if newest.protected:
                assert undone, "an undo went forward on a protected alias"
                assert newest.stable in targets, "an undo went to what is no target on a protected alias"
            self._moved(newest.stable, forward=not undone)
        else:
            self.forward.append(None)
        self._settle()

    @rule(by=HANDS, what=st.sampled_from(["hold", "release", "protect", "unprotect", "describe"]), word=VERSIONS)
    def edit(self, by, what, word):
        steps = {
            "hold": lambda: self.story.hold(by=by),
            "release": lambda: self.story.release(by=by),
            "protect": lambda: self.story.protect(by=by),
            "unprotect": lambda: self.story.protect(protected=False, by=by),
            "describe": lambda: self.story.describe(by=by, owner=word, fallbacks=(word,)),
        }
        try:
            steps[what]()
        except PinrailError:
            return
        self.forward.append(None)
        self._settle()

    @rule(by=HANDS)
    def retire(self, by):
        if self.story.now.minute % 4:  # seldom, or most histories would end here
            return
        try:
            self.story.retire(by=by, after=timedelta(0))
        except (AliasHeld, AliasProtected, PinrailError):
            return
        self._retired_or_back(retired=True)
        self._settle()

    def _retired_or_back(self, *, retired):
        self.retired = retired
        self.forward.append(None)
        if retired:
            self.stints[-1][2:] = [self.story.newest.at, True]
        else:
            self.stints.append([self.story.stable, self.story.newest.at, None, None])

    # -- what always holds ------------------------------------------------------------------------

    @invariant()
    def history_is_never_rewritten_and_has_no_gaps(self):
        history = self.story.history
        assert history[: len(self.kept)] == self.kept
        assert [r.number for r in history] == list(range(1, len(history) + 1))
        assert all(earlier.at <= later.at for earlier, later in itertools.pairwise(history))
        assert len(self.forward) == len(history)

    @invariant()
    def what_served_at_a_time_is_the_newest_revision_until_then(self):
        for revision in self.story.history:
            later = [r for r in self.story.history if r.at <= revision.at]
            assert aliases.state_at(self.story.history, revision.at) == later[-1]

    @invariant()
    def spans_partition_the_time_in_which_anything_served(self):
        spans = aliases.spans(self.story.history)
        assert [(s.version, s.since, s.until) for s in spans] == [tuple(s[:3]) for s in self.stints]
        for one, other in itertools.pairwise(spans):
            assert one.until is not None
            assert one.until <= other.since
            if one.until < other.since:
                between = aliases.state_at(self.story.history, one.until)
                assert between is not None
                assert between.state.retired

    @invariant()
    def the_targets_are_those_of_the_model_in_its_order(self):
        if not self.retired:
            assert self.story.targets == self._expected_targets()

    @invariant()
    def every_rollback_holds_and_every_undo_says_what_it_undid(self):
        for revision in self.story.history:
            assert (revision.cause is Cause.UNDONE) is (revision.reverts is not None)
            assert revision.cause is not Cause.ROLLED_BACK or revision.state.hold is not None


TestAliasHistories = AliasHistories.TestCase
TestAliasHistories.settings = settings(max_examples=300, stateful_step_count=30, deadline=None, derandomize=True)
