"""Quarantine in the store: imposed and lifted in the transaction of the move, refused on record, obeyed by gateways."""

import pytest

from core.errors import InvalidInput, NoRollbackTarget, NothingToChange, NotPermitted, Quarantined, UnknownVersion
from core.services import flips, quarantines, reading, registry, route_changes, serving
from tests.services.world import ADMIN, OPERATOR, ROOT, VIEWER, events, history, stocked


def rolled_back(store, clock, *, reason="answers in French"):
    """prod served a, was flipped to b and rolled back: b is quarantined, prod is at revision 3."""
    stocked(store, clock.now())
    flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, now=clock.wait(hours=1))
    return flips.roll_back(store, OPERATOR, "prod", seen_revision=2, reason=reason, now=clock.wait(hours=1))


def test_a_rollback_quarantines_what_it_leaves_and_adds_a_known_issue(store, clock):
    moved = rolled_back(store, clock)
    assert moved.quarantined == "b"
    [found] = quarantines.of(store, VIEWER, "b")
    assert (found.alias, found.revision, found.by, found.lifted_at) == ("prod", 3, "operator", None)
    assert found.reason == "rolled back from prod by operator: answers in French"
    assert [(i.id, i.text) for i in registry.issues(store, VIEWER, "b")] == [(found.issue, found.reason)]
    said = [e for e in events(store) if e.kind == "version.quarantined"]
    assert [(e.subject, e.actor, e.reason) for e in said] == [("version:b", "operator", "answers in French")]


def test_a_rollback_without_a_reason_says_so(store, clock):
    rolled_back(store, clock, reason="")
    [found] = quarantines.of(store, VIEWER, "b")
    assert found.reason == "rolled back from prod by operator; no reason was given"


def test_every_way_to_serve_it_is_refused_and_on_record(store, clock):
    rolled_back(store, clock)
    now = clock.wait(minutes=1)
    tries = {
        "alias.flipped": lambda: flips.flip(store, ADMIN, "prod", "b", seen_revision=3, now=now),
        "alias.described": lambda: flips.describe(store, ADMIN, "prod", fallbacks=("b",), seen_revision=3, now=now),
        "alias.created": lambda: flips.create(store, ADMIN, "other", "b", now=now),
    }
    for kind, attempt in tries.items():
        with pytest.raises(Quarantined, match="b was quarantined 1 min ago"):
            attempt()
        newest = events(store)[-1]
        assert (newest.kind, newest.outcome, newest.after["refused"]) == (kind, "refused", "quarantined")
    with pytest.raises(NoRollbackTarget):
        flips.roll_back(store, ADMIN, "prod", to="b", seen_revision=3, now=now)
    assert len(history(store)) == 3


def test_another_alias_cannot_be_rolled_back_or_undone_to_it(store, clock):
    stocked(store, clock.now())
    flips.create(store, ROOT, "other", "b", now=clock.now())
    flips.flip(store, ROOT, "other", "c", seen_revision=1, now=clock.wait(hours=1))
    flips.flip(store, ROOT, "prod", "b", seen_revision=1, now=clock.now())
    assert [t.version for t in reading.rollback_targets(store, VIEWER, "other", now=clock.now())] == ["b"]
    flips.roll_back(store, ROOT, "prod", seen_revision=2, now=clock.wait(hours=1))
    assert reading.rollback_targets(store, VIEWER, "other", now=clock.now()) == ()
    with pytest.raises(NoRollbackTarget):
        flips.roll_back(store, ROOT, "other", seen_revision=2, now=clock.now())
    with pytest.raises(Quarantined):
        flips.undo(store, ROOT, "other", 2, seen_revision=2, now=clock.now())
    done = flips.undo(store, ROOT, "other", 2, seen_revision=2, override_quarantine="only there bad", now=clock.now())
    assert done.version == "b"


def test_an_override_is_in_the_history_and_the_audit_log_and_lifts_nothing(store, clock):
    rolled_back(store, clock)
    flips.flip(
        store, OPERATOR, "prod", "b", seen_revision=3, reason="again", override_quarantine="fixed", now=clock.now()
    )
    assert history(store)[-1].reason == "again (quarantine of b overridden: fixed)"
    assert events(store)[-1].after["quarantine_overridden"] == {"versions": ["b"], "reason": "fixed"}
    assert [q.lifted_at for q in quarantines.of(store, VIEWER, "b")] == [None]


@pytest.mark.parametrize("blank", ["", "   ", "x" * 501])
def test_an_override_and_a_lifting_need_a_short_reason(store, clock, blank):
    rolled_back(store, clock)
    with pytest.raises(InvalidInput, match="reason for overriding"):
        flips.flip(store, ADMIN, "prod", "b", seen_revision=3, override_quarantine=blank, now=clock.now())
    with pytest.raises(InvalidInput, match="reason for lifting"):
        quarantines.lift(store, ADMIN, "b", reason=blank, now=clock.now())


def test_undoing_the_rollback_lifts_it_in_the_same_transaction(store, clock):
    rolled_back(store, clock)
    flips.undo(store, OPERATOR, "prod", 3, seen_revision=3, now=clock.wait(minutes=5))
    [found] = quarantines.of(store, VIEWER, "b")
    assert (found.lifted_by, found.lift_reason) == ("operator", "revision 3 of prod was undone")
    assert [i.resolved_by for i in registry.issues(store, VIEWER, "b")] == ["operator"]
    assert [e.kind for e in events(store)[-2:]] == ["version.quarantine_lifted", "alias.undone"]
    # The undo of that undo says that the rollback was right.
    flips.undo(store, OPERATOR, "prod", 4, seen_revision=4, now=clock.wait(minutes=5))
    assert [q.lifted_at is None for q in quarantines.of(store, VIEWER, "b")] == [True, False]


def test_lifting_by_hand_is_audited_resolves_the_issue_and_moves_nothing(store, clock):
    rolled_back(store, clock)
    [lifted] = quarantines.lift(store, OPERATOR, "b", reason="the provider fixed it", now=clock.wait(hours=1))
    assert (lifted.lifted_by, lifted.lift_reason) == ("operator", "the provider fixed it")
    assert registry.issues(store, VIEWER, "b")[0].resolved_by == "operator"
    said = events(store)[-1]
    assert (said.kind, said.reason) == ("version.quarantine_lifted", "the provider fixed it")
    assert history(store)[-1].state.stable == "a"
    assert flips.flip(store, OPERATOR, "prod", "b", seen_revision=3, now=clock.now()).version == "b"
    with pytest.raises(NothingToChange, match="b is not quarantined"):
        quarantines.lift(store, OPERATOR, "b", reason="again", now=clock.now())


def test_lifting_needs_what_writing_to_the_registry_needs(store, clock):
    rolled_back(store, clock)
    with pytest.raises(NotPermitted):
        quarantines.lift(store, VIEWER, "b", reason="please", now=clock.now())
    with pytest.raises(UnknownVersion):
        quarantines.of(store, VIEWER, "nothing")


def test_gateways_leave_out_a_fallback_in_quarantine_however_they_follow(store, clock):
    stocked(store, clock.now())
    flips.create(store, ROOT, "other", "a", fallbacks=("b", "c"), now=clock.now())
    flips.flip(store, ROOT, "prod", "b", seen_revision=1, now=clock.wait(hours=1))
    table = serving.load_table(store)
    assert table.aliases["other"].fallbacks == ("b", "c")

    flips.roll_back(store, ROOT, "prod", seen_revision=2, now=clock.wait(hours=1))
    table = route_changes.refreshed(store, table)
    assert table.aliases["other"].fallbacks == ("c",)
    assert table.aliases["prod"].variants[0].version == "a"

    flips.hold(store, ROOT, "other", seen_revision=1, now=clock.now())
    table = route_changes.refreshed(store, table)
    assert (table.aliases["other"].fallbacks, table.aliases["other"].revision) == (("c",), 2)
    assert table == serving.load_table(store)

    quarantines.lift(store, ROOT, "b", reason="fixed", now=clock.now())
    assert route_changes.refreshed(store, table).aliases["other"].fallbacks == ("b", "c")
