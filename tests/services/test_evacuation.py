"""Evacuating: every alias that can move moves by the normal rules, the others are named, and all comes back."""

import pytest

from core.domain.evacuation import Concern, Wanted
from core.domain.permissions import Actor, ActorKind, Grant, Role, scope_named
from core.domain.versions import Provider, Version
from core.errors import InvalidInput, NotFound, NothingToChange, NotPermitted
from core.services import evacuation, flips, quarantines, registry
from tests.services.world import OPERATOR, ROOT, VIEWER, events, history, stocked

DOWN = Concern(provider="rec")
ONCALL = Actor("oncall", ActorKind.TOKEN, (Grant(Role.OPERATOR),), scope=scope_named("rollback"))


def town(store, clock):
    """Behind rec: prod (came from x), falls (fallback x), stuck. Elsewhere: calm, which falls back to rec."""
    stocked(store, clock.now())
    registry.register_provider(store, ROOT, Provider("other", "recorded", "http://127.0.0.1:9/v1"), now=clock.now())
    for name in "xy":
        registry.register_version(store, ROOT, Version(name, "other", f"model-{name}"), now=clock.now())
    flips.flip(store, ROOT, "prod", "x", seen_revision=1, now=clock.wait(hours=1))
    flips.flip(store, ROOT, "prod", "b", seen_revision=2, now=clock.wait(hours=1))
    flips.create(store, ROOT, "falls", "a", fallbacks=("b", "x"), now=clock.now())
    flips.create(store, ROOT, "stuck", "a", now=clock.now())
    flips.create(store, ROOT, "calm", "y", fallbacks=("a",), now=clock.now())
    clock.wait(hours=1)


def wanted(store, actor, concern, clock):
    plans = evacuation.preview(store, actor, concern, now=clock.now())
    return [Wanted(p.alias, p.revision, p.target) for p in plans if p.target]


def test_the_preview_says_of_every_alias_where_it_would_go_or_why_it_stays(store, clock):
    town(store, clock)
    plans = {p.alias: p for p in evacuation.preview(store, ROOT, DOWN, now=clock.now())}
    assert {name: (p.target, p.action) for name, p in plans.items()} == {
        "prod": ("x", "alias:roll_back"),
        "falls": ("x", "alias:flip"),
        "stuck": (None, None),
        "calm": (None, None),
    }
    assert "no rollback target and no fallback is left" in plans["stuck"].because
    assert plans["calm"].stays
    assert plans["calm"].fallbacks == ("a",)
    assert [history(store, name)[-1].number for name in plans] == [p.revision for p in plans.values()]


def test_one_action_moves_all_that_can_move_under_one_reason_and_return_puts_them_back(store, clock):
    town(store, clock)
    made, results = evacuation.run(
        store, OPERATOR, DOWN, wanted(store, OPERATOR, DOWN, clock), reason="INC-7", now=clock.now()
    )
    assert [(r.alias, r.moved.version) for r in results if r.moved] == [("falls", "x"), ("prod", "x")]
    for alias in ("falls", "prod"):
        newest = history(store, alias)[-1]
        assert (newest.state.stable, newest.by) == ("x", "operator")
        assert newest.reason == f"evacuation {made.id} of provider rec: INC-7"
    assert quarantines.of(store, VIEWER, "b") == [], "a provider that is down says nothing about its versions"

    shown, back = evacuation.give_back(store, OPERATOR, made.id, reason="up again", now=clock.wait(hours=1))
    assert [(r.alias, r.moved.version) for r in back if r.moved] == [("falls", "a"), ("prod", "b")]
    assert [m.returned for m in shown.moves] == [3, 5]
    assert quarantines.of(store, VIEWER, "x") == []
    kinds = [e.kind for e in events(store) if e.kind.startswith("evacuation.")]
    assert kinds == ["evacuation.begun", "evacuation.returned"]
    with pytest.raises(NothingToChange, match="returned already"):
        evacuation.give_back(store, OPERATOR, made.id, now=clock.now())


def test_what_moved_since_the_preview_is_reported_and_never_forced(store, clock):
    town(store, clock)
    asked = wanted(store, OPERATOR, DOWN, clock)
    flips.flip(store, ROOT, "falls", "c", seen_revision=1, now=clock.wait(minutes=1))
    _made, results = evacuation.run(store, OPERATOR, DOWN, asked, now=clock.now())
    assert {r.alias: r.code for r in results} == {"falls": "stale_revision", "prod": ""}
    assert history(store, "falls")[-1].state.stable == "c"


def test_what_was_overtaken_since_is_not_returned(store, clock):
    town(store, clock)
    made, _ = evacuation.run(store, OPERATOR, DOWN, wanted(store, OPERATOR, DOWN, clock), now=clock.now())
    flips.flip(store, ROOT, "prod", "y", seen_revision=4, now=clock.wait(minutes=1))
    shown, back = evacuation.give_back(store, OPERATOR, made.id, now=clock.wait(minutes=1))
    assert {r.alias: r.code for r in back} == {"falls": "", "prod": "undo_overtaken"}
    assert history(store, "prod")[-1].state.stable == "y"
    assert {m.revision.alias: m.returned is not None for m in shown.moves} == {"falls": True, "prod": False}


def test_a_bad_version_is_quarantined_by_its_evacuation_and_free_again_after_the_return(store, clock):
    town(store, clock)
    flips.create(store, ROOT, "second", "b", fallbacks=("x",), now=clock.now())
    bad = Concern(version="b")
    made, results = evacuation.run(store, OPERATOR, bad, wanted(store, OPERATOR, bad, clock), now=clock.wait(hours=1))
    assert [r.alias for r in results if r.moved] == ["prod", "second"]
    assert [q.lifted_at for q in quarantines.of(store, VIEWER, "b")] == [None, None]
    _shown, back = evacuation.give_back(store, OPERATOR, made.id, now=clock.wait(hours=1))
    assert [r.message for r in back] == ["", ""]
    assert all(q.lifted_at for q in quarantines.of(store, VIEWER, "b"))


def test_a_return_does_not_pass_a_quarantine_that_somebody_else_imposed(store, clock):
    town(store, clock)
    flips.create(store, ROOT, "third", "x", now=clock.now())
    flips.flip(store, ROOT, "third", "b", seen_revision=1, now=clock.wait(hours=1))
    asked = [one for one in wanted(store, OPERATOR, DOWN, clock) if one.alias == "prod"]
    made, _ = evacuation.run(store, OPERATOR, DOWN, asked, now=clock.now())
    flips.roll_back(store, ROOT, "third", seen_revision=2, now=clock.wait(minutes=1))
    _shown, back = evacuation.give_back(store, OPERATOR, made.id, now=clock.now())
    assert [r.code for r in back] == ["quarantined"]


def test_a_rollback_only_token_moves_what_a_rollback_can_and_the_rest_stays_with_the_reason(store, clock):
    town(store, clock)
    plans = {p.alias: p for p in evacuation.preview(store, ONCALL, DOWN, now=clock.now())}
    assert plans["prod"].target == "x"
    assert plans["falls"].target is None
    assert "alias:flip" in plans["falls"].because
    asked = [Wanted("falls", 1, "x"), Wanted("prod", 3, "x")]
    made, results = evacuation.run(store, ONCALL, DOWN, asked, now=clock.now())
    assert {r.alias: r.code for r in results} == {"falls": "not_permitted", "prod": ""}
    with pytest.raises(NotPermitted):
        evacuation.give_back(store, ONCALL, made.id, now=clock.now())


def test_a_protected_alias_is_rolled_back_and_never_flipped(store, clock):
    town(store, clock)
    flips.protect(store, ROOT, "prod", protected=True, seen_revision=3, now=clock.now())
    flips.protect(store, ROOT, "falls", protected=True, seen_revision=1, now=clock.now())
    plans = {p.alias: p for p in evacuation.preview(store, ROOT, DOWN, now=clock.now())}
    assert (plans["prod"].target, plans["falls"].target) == ("x", None)
    assert "it is protected" in plans["falls"].because


def test_whoever_may_move_nothing_is_refused_as_a_whole_and_nothing_is_put_down(store, clock):
    town(store, clock)
    with pytest.raises(NotPermitted):
        evacuation.run(store, VIEWER, DOWN, [Wanted("prod", 3, "x")], now=clock.now())
    assert evacuation.listed(store, VIEWER) == []


def test_what_cannot_be_meant_is_refused(store, clock):
    town(store, clock)
    for given in ({}, {"provider": "rec", "version": "b"}):
        with pytest.raises(InvalidInput, match="and not both"):
            Concern(**given)
    with pytest.raises(NotFound):
        evacuation.preview(store, ROOT, Concern(provider="nobody"), now=clock.now())
    with pytest.raises(InvalidInput, match="each of them once"):
        evacuation.run(store, ROOT, DOWN, [Wanted("prod", 3, "x")] * 2, now=clock.now())
    _made, results = evacuation.run(
        store, ROOT, DOWN, [Wanted("prod", 3, "c"), Wanted("none", 1, "x")], now=clock.now()
    )
    assert [r.code for r in results] == ["nothing_to_change", "nothing_to_change"]
    with pytest.raises(NotFound):
        evacuation.show(store, ROOT, "ev-0", now=clock.now())
