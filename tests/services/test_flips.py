"""Moving an alias: one wins, a repeated request has one effect, and what was refused is on record and nowhere else."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from core.domain.permissions import Actor, ActorKind, Grant, Role, scope_named
from core.domain.versions import Provider, Version
from core.errors import (
    AliasHeld,
    AliasProtected,
    AlreadyExists,
    FloatingModel,
    IdempotencyMismatch,
    InvalidInput,
    NoRollbackTarget,
    NothingToChange,
    NotPermitted,
    PinrailError,
    StaleRevision,
    UnknownAlias,
    UnknownRevision,
    UnknownVersion,
)
from core.services import flips, registry, serving
from core.store.database import Store
from tests.processes import at_once
from tests.services import hands
from tests.services.world import ADMIN, OPERATOR, ROOT, SCHEDULER, VIEWER, events, history, stocked
from tests.store.rows import everything

# -- at the same moment ---------------------------------------------------------------------------


def test_of_eight_processes_flipping_at_once_one_wins_and_seven_are_told_that_it_moved(store, clock):
    stocked(store, clock.now())
    done = at_once(hands.flip, [(store.url, "bcd"[number % 3], 1) for number in range(8)])
    won = [answer for answer in done if isinstance(answer, dict)]
    lost = [answer for answer in done if not isinstance(answer, dict)]
    assert [w["revision"] for w in won] == [2]
    assert [kind for kind, _ in lost] == ["StaleRevision"] * 7
    assert all(f"serves {won[0]['version']} (revision 2, you saw 1). Nothing was changed." in said for _, said in lost)
    assert [r.state.stable for r in history(store)] == ["a", won[0]["version"]]
    assert [e.outcome for e in events(store) if e.kind == "alias.flipped"].count("refused") == 7


def test_fifty_requests_under_one_key_have_one_effect_and_one_answer(store, clock):
    stocked(store, clock.now())
    done = [answer for answers in at_once(hands.flip_under_one_key, [(store.url, 10)] * 5) for answer in answers]
    assert len(done) == 50
    assert [answer.pop("replayed") for answer in done].count(False) == 1
    assert all(answer == done[0] for answer in done)
    assert [r.state.stable for r in history(store)] == ["a", "b"]
    assert len([e for e in events(store) if e.kind == "alias.flipped"]) == 1


# -- idempotency ----------------------------------------------------------------------------------


def test_a_double_click_has_one_effect(store, clock):
    stocked(store, clock.now())
    one = flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, idempotency_key="k", now=clock.wait(hours=1))
    other = flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, idempotency_key="k", now=clock.wait(seconds=1))
    assert (one.replayed, other.replayed) == (False, True)
    assert vars(other) == {**vars(one), "replayed": True}
    assert len(history(store)) == 2


def test_the_first_answer_is_given_even_after_the_alias_moved_on(store, clock):
    stocked(store, clock.now())
    first = flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, idempotency_key="k", now=clock.now())
    flips.flip(store, ADMIN, "prod", "c", seen_revision=2, now=clock.now())
    again = flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, idempotency_key="k", now=clock.now())
    assert (again.revision, again.version) == (first.revision, "b")
    assert history(store)[-1].state.stable == "c"


def test_a_key_that_was_used_for_something_else_is_refused(store, clock):
    stocked(store, clock.now())
    flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, idempotency_key="k", now=clock.now())
    tries: list[Callable[[], object]] = [
        lambda: flips.flip(store, OPERATOR, "prod", "c", seen_revision=2, idempotency_key="k", now=clock.now()),
        lambda: flips.roll_back(store, OPERATOR, "prod", seen_revision=2, idempotency_key="k", now=clock.now()),
        lambda: flips.hold(store, OPERATOR, "prod", seen_revision=2, idempotency_key="k", now=clock.now()),
        lambda: flips.create(store, OPERATOR, "other", "a", idempotency_key="k", now=clock.now()),
    ]
    for attempt in tries:
        with pytest.raises(IdempotencyMismatch, match=r"'k' was used at 2026-06-01 09:00:00 UTC for a different"):
            attempt()
    assert len(history(store)) == 2


def test_keys_of_different_people_have_nothing_to_do_with_each_other(store, clock):
    stocked(store, clock.now())
    flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, idempotency_key="k", now=clock.now())
    assert not flips.flip(store, ADMIN, "prod", "c", seen_revision=2, idempotency_key="k", now=clock.now()).replayed


def test_a_refused_request_does_not_use_up_its_key(store, clock):
    stocked(store, clock.now())
    flips.flip(store, ADMIN, "prod", "b", seen_revision=1, now=clock.now())
    with pytest.raises(StaleRevision):
        flips.flip(store, OPERATOR, "prod", "c", seen_revision=1, idempotency_key="k", now=clock.now())
    assert flips.flip(store, OPERATOR, "prod", "c", seen_revision=2, idempotency_key="k", now=clock.now()).revision == 3


def test_a_replay_still_needs_the_right_to_do_it(store, clock):
    stocked(store, clock.now())
    flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, idempotency_key="k", now=clock.now())
    demoted = Actor(OPERATOR.name, ActorKind.PERSON, (Grant(Role.VIEWER),))
    with pytest.raises(NotPermitted):
        flips.flip(store, demoted, "prod", "b", seen_revision=1, idempotency_key="k", now=clock.now())


@pytest.mark.parametrize("key", ["", "k" * 201, "k\0", "\ud800"])
def test_a_key_has_to_be_a_short_text(store, clock, key):
    stocked(store, clock.now())
    with pytest.raises(InvalidInput, match="An idempotency key"):
        flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, idempotency_key=key, now=clock.now())


# -- the whole way --------------------------------------------------------------------------------


def test_a_flip_and_a_rollback_leave_revisions_serials_and_events_that_fit(store, clock):
    created = stocked(store, clock.now())
    before = serving.current_serial(store)
    flipped = flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, reason="cheaper", now=clock.wait(hours=1))
    rolled = flips.roll_back(store, OPERATOR, "prod", seen_revision=2, reason="worse", now=clock.wait(minutes=5))
    assert (flipped.previous_version, flipped.version, flipped.cause, flipped.by) == ("a", "b", "flipped", "operator")
    assert (rolled.previous_version, rolled.version, rolled.cause) == ("b", "a", "rolled back")
    assert [flipped.serial, rolled.serial] == [before + 1, before + 2]
    assert [r.serial for r in history(store)] == [created.serial, flipped.serial, rolled.serial]
    said = events(store)[-1]
    assert (said.kind, said.subject, said.reason, said.at) == ("alias.rolled_back", "alias:prod", "worse", rolled.at)
    assert (said.before["stable"], said.after["stable"]) == ("b", "a")
    assert said.after["hold"] == {"by": "operator", "reason": "after rollback from b"}


def test_every_kind_of_move_is_kept_and_read_back(store, clock):
    stocked(store, clock.now())
    flips.describe(
        store,
        OPERATOR,
        "prod",
        description="ü😀",
        owner="ann",
        fallbacks=("b", "c", "b"),
        seen_revision=1,
        now=clock.now(),
    )
    flips.hold(store, OPERATOR, "prod", seen_revision=2, reason="wait", now=clock.now())
    flips.release(store, OPERATOR, "prod", seen_revision=3, now=clock.now())
    flips.protect(store, ADMIN, "prod", protected=True, seen_revision=4, now=clock.now())
    flips.protect(store, ADMIN, "prod", protected=False, seen_revision=5, now=clock.now())
    flips.flip(store, OPERATOR, "prod", "b", seen_revision=6, now=clock.wait(hours=1))
    flips.undo(store, OPERATOR, "prod", 7, seen_revision=7, now=clock.wait(hours=1))
    flips.retire(store, ADMIN, "prod", seen_revision=8, now=clock.now())
    flips.undo(store, ADMIN, "prod", 9, seen_revision=9, now=clock.now())
    told = history(store)
    assert [r.cause for r in told] == [
        "created", "described", "held", "released", "protected", "unprotected", "flipped", "undone", "retired", "undone"
    ]  # fmt: skip
    newest = told[-1].state
    assert (newest.description, newest.owner, newest.fallbacks) == ("ü😀", "ann", ("b", "c"))
    assert [e.kind.removeprefix("alias.") for e in events(store) if e.subject == "alias:prod"] == [
        "created", "described", "held", "released", "protected", "unprotected", "flipped", "undone", "retired", "undone"
    ]  # fmt: skip


def test_an_automatic_rollback_is_audited_with_its_name_and_reason(store, clock):
    stocked(store, clock.now())
    flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, now=clock.wait(hours=1))
    flips.roll_back(store, SCHEDULER, "prod", seen_revision=2, reason="errors 40 %", now=clock.wait(minutes=1))
    said = events(store)[-1]
    assert (said.actor, said.actor_kind, said.reason) == ("scheduler", "system", "errors 40 %")
    assert history(store)[-1].automatic


def test_a_minimum_dwell_that_was_set_is_asked_for(store, clock):
    stocked(store, clock.now())
    flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, now=clock.wait(hours=1))
    flips.flip(store, OPERATOR, "prod", "c", seen_revision=2, now=clock.wait(minutes=30))
    moved = flips.roll_back(
        store, OPERATOR, "prod", seen_revision=3, minimum_dwell=timedelta(minutes=45), now=clock.wait(minutes=1)
    )
    assert moved.version == "a"


# -- refused --------------------------------------------------------------------------------------


def refused(store: Store, kind: type[PinrailError], attempt: Callable[[], object]) -> str:
    """See that ``attempt`` is refused and changes nothing but the log, which gained one event that says why."""
    before, told = everything(store), events(store)
    with pytest.raises(kind) as refusal:
        attempt()
    after = everything(store)
    assert {name for name in before if before[name] != after[name]} <= {"audit_event", "ledger"}
    new = events(store)[len(told) :]
    assert [(e.outcome, e.after["refused"], e.after["because"]) for e in new] == [
        ("refused", kind.code, str(refusal.value))
    ]
    return str(refusal.value)


def test_what_a_rule_stopped_is_on_record_and_leaves_no_other_trace(store, clock):
    stocked(store, clock.now())
    flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, now=clock.wait(hours=1))
    flips.hold(store, OPERATOR, "prod", seen_revision=2, now=clock.now())
    registry.register_provider(store, ROOT, Provider("oai", "openai", "http://127.0.0.1:9/v1"), now=clock.now())
    now = clock.now()
    refused(store, NotPermitted, lambda: flips.flip(store, VIEWER, "prod", "c", seen_revision=3, now=now))
    refused(store, StaleRevision, lambda: flips.flip(store, OPERATOR, "prod", "c", seen_revision=1, now=now))
    refused(store, AliasHeld, lambda: flips.flip(store, SCHEDULER, "prod", "c", seen_revision=3, now=now))
    refused(
        store, FloatingModel, lambda: registry.register_version(store, OPERATOR, Version("f", "oai", "gpt-4o"), now=now)
    )
    flips.protect(store, ADMIN, "prod", protected=True, seen_revision=3, now=now)
    refused(store, AliasProtected, lambda: flips.flip(store, ADMIN, "prod", "c", seen_revision=4, now=now))
    assert history(store)[-1].state.stable == "b"


def test_a_mistake_leaves_no_trace_at_all(store, clock):
    stocked(store, clock.now())
    before, now = everything(store), clock.now()
    mistakes: list[tuple[type[PinrailError], Callable[[], object]]] = [
        (NothingToChange, lambda: flips.flip(store, OPERATOR, "prod", "a", seen_revision=1, now=now)),
        (UnknownVersion, lambda: flips.flip(store, OPERATOR, "prod", "z", seen_revision=1, now=now)),
        (UnknownAlias, lambda: flips.flip(store, OPERATOR, "prd", "b", seen_revision=1, now=now)),
        (UnknownRevision, lambda: flips.flip(store, OPERATOR, "prod", "b", seen_revision=7, now=now)),
        (UnknownRevision, lambda: flips.undo(store, OPERATOR, "prod", 7, seen_revision=1, now=now)),
        (NoRollbackTarget, lambda: flips.roll_back(store, OPERATOR, "prod", seen_revision=1, now=now)),
        (AlreadyExists, lambda: flips.create(store, OPERATOR, "prod", "a", now=now)),
        (InvalidInput, lambda: flips.create(store, OPERATOR, "Not A Name", "a", now=now)),
        (InvalidInput, lambda: flips.undo(store, ADMIN, "prod", 1, seen_revision=1, now=now)),
        (UnknownVersion, lambda: flips.create(store, OPERATOR, "new", "a", fallbacks=("z",), now=now)),
    ]
    for kind, attempt in mistakes:
        with pytest.raises(kind):
            attempt()
    assert everything(store) == before


TOO_MUCH: dict[str, Callable[[Store], object]] = {
    "reason": lambda s: flips.hold(s, OPERATOR, "prod", seen_revision=1, reason="r" * 2001, now=hands.NOW),
    "reason with NUL": lambda s: flips.hold(s, OPERATOR, "prod", seen_revision=1, reason="a\0b", now=hands.NOW),
    "half a character": lambda s: flips.hold(s, OPERATOR, "prod", seen_revision=1, reason="\udc80", now=hands.NOW),
    "description": lambda s: flips.describe(
        s, OPERATOR, "prod", description="d" * 2001, seen_revision=1, now=hands.NOW
    ),
    "owner": lambda s: flips.describe(s, OPERATOR, "prod", owner="o" * 201, seen_revision=1, now=hands.NOW),
    "owner with NUL": lambda s: flips.create(s, OPERATOR, "new", "a", owner="a\0b", now=hands.NOW),
    "fallbacks": lambda s: flips.describe(
        s, OPERATOR, "prod", fallbacks=tuple(f"v{n}" for n in range(9)), seen_revision=1, now=hands.NOW
    ),
    "name": lambda s: flips.flip(s, OPERATOR, "p" * 1_000_000, "b", seen_revision=1, now=hands.NOW),
    "name nobody may see": lambda s: flips.flip(s, VIEWER, "p" * 1_000_000, "b", seen_revision=1, now=hands.NOW),
    "name with NUL": lambda s: flips.flip(s, VIEWER, "pr\0d", "b", seen_revision=1, now=hands.NOW),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_too_much_or_unkeepable_input_is_refused_in_a_short_sentence_and_leaves_no_trace(store, clock, what):
    stocked(store, clock.now())
    before = everything(store)
    with pytest.raises(InvalidInput) as refusal:
        TOO_MUCH[what](store)
    assert len(str(refusal.value)) < 300
    assert everything(store) == before


# -- who may --------------------------------------------------------------------------------------


def token(scope: str, role: Role = Role.ADMIN) -> Actor:
    return Actor("ann", ActorKind.TOKEN, (Grant(role),), scope_named(scope), None, "laptop")


def test_a_rollback_only_token_rolls_back_and_undoes_a_flip_but_never_goes_forward(store, clock):
    stocked(store, clock.now())
    flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, now=clock.wait(hours=1))
    only = token("rollback")
    with pytest.raises(NotPermitted, match="scope rollback, which does not include alias:flip"):
        flips.flip(store, only, "prod", "c", seen_revision=2, now=clock.now())
    assert flips.undo(store, only, "prod", 2, seen_revision=2, now=clock.wait(minutes=1)).version == "a"
    with pytest.raises(NotPermitted, match="does not include alias:flip"):
        flips.undo(store, only, "prod", 3, seen_revision=3, now=clock.now())
    assert events(store)[-1].via == "laptop"
    assert events(store)[-1].outcome == "refused"


def test_a_rollback_only_token_cannot_go_forward_by_naming_a_target(store, clock):
    stocked(store, clock.now())
    flips.flip(store, OPERATOR, "prod", "b", seen_revision=1, now=clock.wait(hours=1))
    flips.roll_back(store, OPERATOR, "prod", seen_revision=2, now=clock.wait(hours=1))
    with pytest.raises(NoRollbackTarget):
        flips.roll_back(store, token("rollback"), "prod", to="b", seen_revision=3, now=clock.now())


UNDO_NEEDS: dict[str, tuple[Callable[[Store], object], str]] = {
    "a hold": (lambda s: flips.hold(s, ROOT, "prod", seen_revision=1, now=hands.NOW), "alias:hold"),
    "a card": (lambda s: flips.describe(s, ROOT, "prod", owner="x", seen_revision=1, now=hands.NOW), "alias:describe"),
    "fallbacks": (
        lambda s: flips.describe(s, ROOT, "prod", fallbacks=("b",), seen_revision=1, now=hands.NOW),
        "alias:describe",
    ),
    "a protection": (
        lambda s: flips.protect(s, ROOT, "prod", protected=True, seen_revision=1, now=hands.NOW),
        "alias:protect",
    ),
    "a retirement": (lambda s: flips.retire(s, ROOT, "prod", seen_revision=1, now=hands.NOW), "alias:retire"),
    "a flip": (lambda s: flips.flip(s, ROOT, "prod", "b", seen_revision=1, now=hands.NOW), "alias:roll_back"),
}


@pytest.mark.parametrize("what", UNDO_NEEDS)
def test_undoing_needs_what_doing_the_reverse_by_hand_needs(store, clock, what):
    stocked(store, clock.now())
    do, needs = UNDO_NEEDS[what]
    do(store)
    with pytest.raises(NotPermitted, match=needs):
        flips.undo(store, VIEWER, "prod", 2, seen_revision=2, now=hands.NOW)
    if needs in ("alias:protect", "alias:retire"):
        with pytest.raises(NotPermitted, match=needs):
            flips.undo(store, OPERATOR, "prod", 2, seen_revision=2, now=hands.NOW)
    assert flips.undo(store, ADMIN, "prod", 2, seen_revision=2, now=hands.NOW).revision == 3


def test_whoever_operates_one_alias_moves_that_one_only(store, clock):
    stocked(store, clock.now())
    flips.create(store, ROOT, "other", "a", now=clock.now())
    ben = Actor("ben", ActorKind.PERSON, (Grant(Role.OPERATOR, "prod"),))
    assert flips.flip(store, ben, "prod", "b", seen_revision=1, now=clock.now()).version == "b"
    with pytest.raises(NotPermitted, match="ben has no role on other"):
        flips.flip(store, ben, "other", "b", seen_revision=1, now=clock.now())
