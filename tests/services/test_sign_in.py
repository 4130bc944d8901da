"""Signing in: passwords are kept as argon2id, guesses are counted, and whoever is out is out at the next click."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlmodel import col

from core.domain.permissions import Grant, Role
from core.errors import (
    InvalidInput,
    NotFound,
    NothingToChange,
    NotPermitted,
    NotSignedIn,
    TooManyAttempts,
    WrongPassword,
)
from core.services import access
from core.services.attempts import ATTEMPTS_ALLOWED, ATTEMPTS_FOR_NAME, ATTEMPTS_FROM_ADDRESS, ATTEMPTS_WINDOW
from core.store.database import Store, open_store
from core.store.tables import PersonRow, SessionRow
from tests.clocks import SetClock
from tests.services.world import ADMIN, OPERATOR, ROOT, VIEWER, events, stocked

PASSWORD = "correct horse battery"


@pytest.fixture
def staffed(store: Store, clock: SetClock) -> Store:
    access.add_person(store, ROOT, "ann", password=PASSWORD, role=Role.OPERATOR, now=clock.now())
    return store


def sign_in(store: Store, clock: SetClock, name: str = "ann", password: str = PASSWORD, address: str = "") -> str:
    return access.sign_in(store, name, password, address=address, now=clock.now())


def fail(store: Store, clock: SetClock, times: int = 1, name: str = "ann", address: str = "") -> None:
    for _ in range(times):
        with pytest.raises(WrongPassword):
            sign_in(store, clock, name, "not this one", address)


# -- sessions -------------------------------------------------------------------------------------


def test_whoever_signs_in_is_recognised_with_the_roles_held_at_that_moment(staffed, clock):
    secret = sign_in(staffed, clock)
    assert access.who_is(staffed, secret, now=clock.now()).grants == (Grant(Role.OPERATOR),)
    access.grant(staffed, ROOT, "ann", Grant(Role.ADMIN), now=clock.now())
    access.ungrant(staffed, ROOT, "ann", Grant(Role.OPERATOR), now=clock.now())
    assert access.who_is(staffed, secret, now=clock.now()).grants == (Grant(Role.ADMIN),)


def test_a_password_is_kept_as_argon2id_and_a_session_by_its_hash(staffed, clock):
    secret = sign_in(staffed, clock)
    with staffed.reading() as session:
        kept = session.scalars(select(col(PersonRow.password_hash))).one()
        assert kept is not None
        assert kept.startswith("$argon2id$")
        [row] = session.scalars(select(SessionRow))
        assert row.id != secret
        assert len(row.id) == 64


def test_a_session_ends_after_twelve_hours(staffed, clock):
    secret = sign_in(staffed, clock)
    clock.wait(hours=12, microseconds=-1)
    assert access.who_is(staffed, secret, now=clock.now()).name == "ann"
    clock.wait(microseconds=1)
    with pytest.raises(NotSignedIn, match=r"Your session has ended\. Sign in again"):
        access.who_is(staffed, secret, now=clock.now())


def test_whoever_signs_out_is_out_and_only_there(staffed, clock):
    here, there = sign_in(staffed, clock), sign_in(staffed, clock)
    access.sign_out(staffed, here, now=clock.now())
    access.sign_out(staffed, here, now=clock.now())
    with pytest.raises(NotSignedIn):
        access.who_is(staffed, here, now=clock.now())
    assert access.who_is(staffed, there, now=clock.now()).name == "ann"
    assert [e.kind for e in events(staffed)].count("person.signed_out") == 1


def test_a_disabled_person_is_out_at_the_next_click_and_stays_out(staffed, clock):
    secret = sign_in(staffed, clock)
    access.disable_person(staffed, ROOT, "ann", now=clock.now())
    with pytest.raises(NotSignedIn):
        access.who_is(staffed, secret, now=clock.now())
    with pytest.raises(NotSignedIn, match=r"ann is disabled\. An admin can enable it again"):
        sign_in(staffed, clock)
    access.enable_person(staffed, ROOT, "ann", now=clock.now())
    with pytest.raises(NotSignedIn):
        access.who_is(staffed, secret, now=clock.now())
    assert access.who_is(staffed, sign_in(staffed, clock), now=clock.now()).name == "ann"


def test_a_new_password_ends_the_sessions_begun_with_the_old_one(staffed, clock):
    secret = sign_in(staffed, clock)
    access.set_password(
        staffed, access.who_is(staffed, secret, now=clock.now()), "ann", "another long one", now=clock.now()
    )
    with pytest.raises(NotSignedIn):
        access.who_is(staffed, secret, now=clock.now())
    with pytest.raises(WrongPassword):
        sign_in(staffed, clock)
    assert sign_in(staffed, clock, password="another long one")


def test_an_admin_ends_all_sessions_of_somebody(staffed, clock):
    secrets = [sign_in(staffed, clock) for _ in range(3)]
    assert access.revoke_sessions(staffed, ADMIN, "ann", now=clock.now()) == 3
    assert access.revoke_sessions(staffed, ADMIN, "ann", now=clock.now()) == 0
    for secret in secrets:
        with pytest.raises(NotSignedIn):
            access.who_is(staffed, secret, now=clock.now())


@pytest.mark.parametrize("secret", [None, "", "nonsense", "x" * 10_000, "\ud800", "a\0b"])
def test_a_cookie_that_nobody_gave_out_signs_nobody_in(staffed, clock, secret):
    with pytest.raises(NotSignedIn):
        access.who_is(staffed, secret, now=clock.now())
    if secret:
        access.sign_out(staffed, secret, now=clock.now())


# -- guessing -------------------------------------------------------------------------------------


def test_a_wrong_name_and_a_wrong_password_are_told_apart_by_nobody(staffed, clock):
    said = set()
    for name, password in [
        ("ann", "wrong"),
        ("bob", PASSWORD),
        ("Not A Name", PASSWORD),
        ("a\0b", "x"),
        ("\ud800", "x"),
    ]:
        with pytest.raises(WrongPassword) as refusal:
            sign_in(staffed, clock, name, password)
        said.add(str(refusal.value))
    assert said == {"The name and password do not belong together."}


def test_a_wrong_name_costs_the_same_work_as_a_wrong_password(staffed, clock, monkeypatch):
    asked: list[str] = []
    real = access._HASHER.verify

    def verify(_self: object, given: bytes, hashed: str) -> bool:
        asked.append(hashed)
        return real(given, hashed)

    monkeypatch.setattr(type(access._HASHER), "verify", verify)
    for name in ("ann", "bob", "Not A Name"):
        fail(staffed, clock, name=name)
    assert len(asked) == 3
    assert all(hashed.startswith("$argon2id$") for hashed in asked)


def test_somebody_without_a_password_cannot_sign_in(store, clock):
    access.add_person(store, ROOT, "ben", now=clock.now())
    for password in ("", "nobody has this password"):
        with pytest.raises(WrongPassword):
            sign_in(store, clock, "ben", password)


def test_a_password_that_is_too_long_is_not_cut_to_one_that_fits(store, clock):
    access.add_person(store, ROOT, "ann", password="p" * 1024, now=clock.now())
    with pytest.raises(WrongPassword):
        sign_in(store, clock, "ann", "p" * 1025)
    assert sign_in(store, clock, "ann", "p" * 1024)


def test_after_five_failures_for_a_name_from_an_address_it_waits_there_and_nowhere_else(staffed, clock):
    fail(staffed, clock, ATTEMPTS_ALLOWED, address="10.0.0.1")
    with pytest.raises(TooManyAttempts, match=r"failed 5 times within 15 minutes. Try again in 15 min"):
        sign_in(staffed, clock, address="10.0.0.1")
    assert sign_in(staffed, clock, address="10.0.0.2")


def test_after_fifty_failures_for_a_name_it_waits_wherever_they_came_from(staffed, clock):
    for number in range(ATTEMPTS_FOR_NAME):
        fail(staffed, clock, address=f"10.0.0.{number}")
    with pytest.raises(TooManyAttempts):
        sign_in(staffed, clock, address="10.0.0.99")


def test_after_twenty_failures_from_an_address_it_waits_whoever_was_tried(staffed, clock):
    for number in range(ATTEMPTS_FROM_ADDRESS):
        fail(staffed, clock, name=f"nobody-{number}", address="10.0.0.1")
    with pytest.raises(TooManyAttempts):
        sign_in(staffed, clock, address="10.0.0.1")
    assert sign_in(staffed, clock, address="10.0.0.2")


def test_names_that_nobody_has_are_counted_like_others(staffed, clock):
    fail(staffed, clock, ATTEMPTS_ALLOWED, name="nobody")
    with pytest.raises(TooManyAttempts):
        sign_in(staffed, clock, "nobody")


def test_failures_age_one_by_one_and_the_message_says_when(staffed, clock):
    for _ in range(ATTEMPTS_ALLOWED):
        fail(staffed, clock)
        clock.wait(minutes=1)
    with pytest.raises(TooManyAttempts, match="Try again in 10 min"):
        sign_in(staffed, clock)
    clock.wait(minutes=10, seconds=-1)
    with pytest.raises(TooManyAttempts, match="Try again in 1 min"):
        sign_in(staffed, clock)
    clock.wait(seconds=1)
    assert sign_in(staffed, clock)
    fail(staffed, clock)
    with pytest.raises(TooManyAttempts):
        sign_in(staffed, clock)
    clock.wait(seconds=ATTEMPTS_WINDOW.total_seconds())
    assert sign_in(staffed, clock)


def test_four_failures_and_a_success_lock_nobody_out(staffed, clock):
    fail(staffed, clock, ATTEMPTS_ALLOWED - 1)
    assert sign_in(staffed, clock)


def guess_at_once(url: str, clock: SetClock, passwords: list[str]) -> Iterator[type[Exception] | None]:
    """The outcome of each guess, all of them sent at the same moment; None is a success."""
    start = threading.Barrier(len(passwords))
    outcomes: list[type[Exception] | None] = []

    def guess(password: str) -> None:
        store = open_store(url)
        start.wait()
        try:
            sign_in(store, clock, password=password)
        except (WrongPassword, TooManyAttempts) as refusal:
            outcomes.append(type(refusal))
        else:
            outcomes.append(None)
        store.close()

    threads = [threading.Thread(target=guess, args=(password,)) for password in passwords]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return iter(outcomes)


def test_guesses_sent_at_once_are_counted_like_those_sent_one_after_the_other(staffed, clock):
    outcomes = list(guess_at_once(staffed.url, clock, [f"guess {n}" for n in range(12)]))
    assert outcomes.count(WrongPassword) == ATTEMPTS_ALLOWED
    assert outcomes.count(TooManyAttempts) == 12 - ATTEMPTS_ALLOWED


def test_the_right_guess_among_too_many_is_in_vain_too(staffed, clock):
    fail(staffed, clock, ATTEMPTS_ALLOWED)
    assert set(guess_at_once(staffed.url, clock, [PASSWORD] * 3)) == {TooManyAttempts}


def test_a_password_changed_while_it_was_checked_lets_nobody_in(staffed, clock, monkeypatch):
    real = access._HASHER.verify

    def slow(_self: object, given: bytes, hashed: str) -> bool:
        right = real(given, hashed)
        access.set_password(staffed, ROOT, "ann", "another long one", now=clock.now())
        return right

    monkeypatch.setattr(type(access._HASHER), "verify", slow)
    with pytest.raises(WrongPassword):
        sign_in(staffed, clock)


def test_the_log_tells_of_every_sign_in_but_not_what_was_typed_for_a_name(staffed, clock):
    sign_in(staffed, clock, address="10.0.0.1")
    fail(staffed, clock)
    fail(staffed, clock, name="my secret password")
    told = [e for e in events(staffed) if e.kind == "person.signed_in"]
    assert [(e.subject, e.actor, e.outcome) for e in told] == [
        ("person:ann", "ann", "done"),
        ("person:ann", "ann", "refused"),
        ("person:(unknown)", "(unknown)", "refused"),
    ]
    assert told[0].after == {"address": "10.0.0.1"}


# -- accounts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["", "short", "x" * 9, "x" * 1025])
def test_a_password_has_to_be_long_but_not_endless(store, clock, password):
    with pytest.raises(InvalidInput, match="A password has 10 to 1024 characters"):
        access.add_person(store, ROOT, "ann", password=password, now=clock.now())
    assert not access.anybody_yet(store)


def test_everybody_sets_their_own_password_also_with_a_role_on_one_alias_only(store, clock):
    access.add_person(store, ROOT, "ann", password=PASSWORD, now=clock.now())
    stocked(store, clock.now())
    access.grant(store, ROOT, "ann", Grant(Role.OPERATOR, "prod"), now=clock.now())
    ann = access.who_is(store, sign_in(store, clock), now=clock.now())
    access.set_password(store, ann, "ann", "another long one", now=clock.now())
    with pytest.raises(NotPermitted):
        access.set_password(store, ann, "root", "another long one", now=clock.now())


def test_the_last_admin_is_kept(store, clock):
    now = clock.now()
    access.add_person(store, ROOT, "ann", role=Role.ADMIN, now=now)
    access.add_person(store, ROOT, "ben", role=Role.ADMIN, now=now)
    access.disable_person(store, ROOT, "ben", now=now)
    for attempt in (
        lambda: access.disable_person(store, ROOT, "ann", now=now),
        lambda: access.ungrant(store, ROOT, "ann", Grant(Role.ADMIN), now=now),
    ):
        with pytest.raises(InvalidInput, match=r"ann is the last admin\. Make somebody else admin first"):
            attempt()
    access.enable_person(store, ROOT, "ben", now=now)
    access.disable_person(store, ROOT, "ann", now=now)
    assert [p.name for p in access.people(store, VIEWER) if p.disabled_at is None] == ["ben"]


def test_an_admin_of_one_alias_does_not_count_as_the_last_admin(store, clock):
    now = clock.now()
    stocked(store, now)
    access.add_person(store, ROOT, "ann", role=Role.ADMIN, now=now)
    access.add_person(store, ROOT, "ben", now=now)
    access.grant(store, ROOT, "ben", Grant(Role.ADMIN, "prod"), now=now)
    with pytest.raises(InvalidInput, match="last admin"):
        access.disable_person(store, ROOT, "ann", now=now)


def test_two_admins_leaving_at_the_same_moment_cannot_both_go(store_url, clock):
    store = open_store(store_url)
    for name in ("ann", "ben"):
        access.add_person(store, ROOT, name, role=Role.ADMIN, now=clock.now())
    start, outcomes = threading.Barrier(2), []

    def leave(name: str) -> None:
        own = open_store(store_url)
        start.wait()
        try:
            access.disable_person(own, ROOT, name, now=clock.now())
            outcomes.append("gone")
        except InvalidInput:
            outcomes.append("kept")
        own.close()

    threads = [threading.Thread(target=leave, args=(name,)) for name in ("ann", "ben")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["gone", "kept"]
    store.close()


def test_accounts_and_roles_say_what_is_so_already(staffed, clock):
    now = clock.now()
    tries = [
        lambda: access.grant(staffed, ROOT, "ann", Grant(Role.OPERATOR), now=now),
        lambda: access.ungrant(staffed, ROOT, "ann", Grant(Role.ADMIN), now=now),
        lambda: access.enable_person(staffed, ROOT, "ann", now=now),
    ]
    for attempt in tries:
        with pytest.raises(NothingToChange):
            attempt()
    access.disable_person(staffed, ROOT, "ann", now=now)
    with pytest.raises(NothingToChange, match="disabled already"):
        access.disable_person(staffed, ROOT, "ann", now=now)
    with pytest.raises(NotFound, match="Closest: ann"):
        access.grant(staffed, ROOT, "anne", Grant(Role.VIEWER), now=now)


def test_a_role_for_an_alias_that_is_not_there_is_refused(staffed, clock):
    with pytest.raises(NotFound, match="no alias 'prod'"):
        access.grant(staffed, ROOT, "ann", Grant(Role.VIEWER, "prod"), now=clock.now())


def test_people_are_listed_with_what_they_hold(staffed, clock):
    access.add_person(staffed, ROOT, "ben", now=clock.wait(hours=1))
    ann, ben = access.people(staffed, OPERATOR)
    assert (ann.name, ann.grants, ann.has_password) == ("ann", (Grant(Role.OPERATOR),), True)
    assert (ben.name, ben.grants, ben.has_password) == ("ben", (), False)
    assert ben.added_at - ann.added_at == timedelta(hours=1)
