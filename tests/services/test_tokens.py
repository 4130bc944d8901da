"""API tokens act for a person and never for more; caller keys let applications call the gateway and nothing else."""

from datetime import datetime, timedelta
from hashlib import sha256

import pytest

from core.domain.permissions import Actor, Grant, Role, insist, rule_on
from core.errors import AlreadyExists, InvalidInput, NotFound, NothingToChange, NotPermitted, NotSignedIn
from core.services import access, callers, serving
from core.store.database import Store
from tests.clocks import SetClock
from tests.services.world import ADMIN, OPERATOR, ROOT, SCHEDULER, VIEWER, events, stocked


@pytest.fixture
def staffed(store: Store, clock: SetClock) -> Store:
    stocked(store, clock.now())
    access.add_person(store, ROOT, "operator", role=Role.OPERATOR, now=clock.now())
    access.add_person(store, ROOT, "admin", role=Role.ADMIN, now=clock.now())
    return store


def made(store: Store, now: datetime, actor: Actor = OPERATOR, scope: str = "full", **limits) -> tuple[str, str]:
    token, secret = access.create_token(store, actor, "laptop", scope=scope, now=now, **limits)
    return token.id, secret


# -- what a token may -----------------------------------------------------------------------------


def test_a_token_acts_for_its_person_within_its_scope(staffed, clock):
    _id, secret = made(staffed, clock.now(), scope="rollback")
    actor = access.actor_for_token(staffed, secret, now=clock.now())
    assert (actor.name, actor.via, actor.is_automatic) == ("operator", "laptop", False)
    assert rule_on(actor, "alias:roll_back", "prod").allowed
    assert rule_on(actor, "alias:read", "prod").allowed
    with pytest.raises(NotPermitted, match="token laptop has scope rollback, which does not include alias:flip"):
        insist(actor, "alias:flip", "prod")


def test_a_token_never_may_more_than_its_person_may_at_that_moment(staffed, clock):
    _id, secret = made(staffed, clock.now(), actor=ADMIN)
    access.add_person(staffed, ROOT, "other", role=Role.ADMIN, now=clock.now())
    assert rule_on(access.actor_for_token(staffed, secret, now=clock.now()), "alias:retire", "prod").allowed
    access.ungrant(staffed, ROOT, "admin", Grant(Role.ADMIN), now=clock.now())
    assert not rule_on(access.actor_for_token(staffed, secret, now=clock.now()), "alias:read", "prod").allowed


def test_a_token_limited_to_an_alias_moves_that_one_only(staffed, clock):
    _id, secret = made(staffed, clock.now(), aliases=["prod", "prod"])
    actor = access.actor_for_token(staffed, secret, now=clock.now())
    assert actor.aliases == frozenset({"prod"})
    assert rule_on(actor, "alias:flip", "prod").allowed
    assert not rule_on(actor, "alias:flip", "other").allowed
    assert not rule_on(actor, "registry:write").allowed


def test_a_token_stops_with_its_person_at_the_next_call(staffed, clock):
    _id, secret = made(staffed, clock.now())
    access.disable_person(staffed, ROOT, "operator", now=clock.now())
    with pytest.raises(NotSignedIn, match="operator is disabled"):
        access.actor_for_token(staffed, secret, now=clock.now())


def test_a_token_stops_when_it_is_revoked_or_expires(staffed, clock):
    number, secret = made(staffed, clock.now())
    _id, brief = made(staffed, clock.now(), expires_at=clock.now() + timedelta(hours=1))
    access.revoke_token(staffed, OPERATOR, number, now=clock.now())
    with pytest.raises(NotSignedIn, match="laptop was revoked or has expired"):
        access.actor_for_token(staffed, secret, now=clock.now())
    assert access.actor_for_token(staffed, brief, now=clock.wait(minutes=59)).name == "operator"
    with pytest.raises(NotSignedIn, match="revoked or has expired"):
        access.actor_for_token(staffed, brief, now=clock.wait(minutes=1))
    with pytest.raises(NothingToChange, match="revoked already"):
        access.revoke_token(staffed, OPERATOR, number, now=clock.now())


@pytest.mark.parametrize(
    "change", ["", "pr_", "nonsense", "a_b_c", "pr_\0_x", "pr_\ud800_x", "pr_" + "x" * 10_000 + "_y"]
)
def test_what_is_no_token_is_nobody(staffed, clock, change):
    with pytest.raises(NotSignedIn, match="This API token is not known"):
        access.actor_for_token(staffed, change, now=clock.now())


def test_a_token_with_another_secret_or_another_id_is_nobody(staffed, clock):
    _id, secret = made(staffed, clock.now())
    other, _secret = made(staffed, clock.now(), actor=ADMIN)
    for forged in (
        secret[:-1] + ("a" if secret[-1] != "a" else "b"),
        secret + "x",
        f"pr_{other}_{secret.split('_', 2)[2]}",
    ):
        with pytest.raises(NotSignedIn):
            access.actor_for_token(staffed, forged, now=clock.now())


# -- who may make one -----------------------------------------------------------------------------


def test_only_an_admin_makes_tokens_for_others(staffed, clock):
    with pytest.raises(NotPermitted, match="access:write needs admin"):
        made(staffed, clock.now(), person="admin")
    _id, secret = made(staffed, clock.now(), actor=ADMIN, person="operator")
    assert access.actor_for_token(staffed, secret, now=clock.now()).name == "operator"


def test_whoever_holds_a_role_on_one_alias_makes_a_token_of_their_own(staffed, clock):
    access.add_person(staffed, ROOT, "ben", now=clock.now())
    access.grant(staffed, ROOT, "ben", Grant(Role.OPERATOR, "prod"), now=clock.now())
    ben = Actor("ben", OPERATOR.kind, (Grant(Role.OPERATOR, "prod"),))
    token, _secret = access.create_token(staffed, ben, "laptop", scope="rollback", now=clock.now())
    assert [t.id for t in access.tokens(staffed, ben)] == [token.id]
    assert access.revoke_token(staffed, ben, token.id, now=clock.now()).revoked_at == clock.now()


@pytest.mark.parametrize("scope", ["read", "rollback", "operate"])
def test_a_narrow_token_makes_no_tokens(staffed, clock, scope):
    _id, secret = made(staffed, clock.now(), scope=scope)
    with pytest.raises(NotPermitted, match="does not include token:own"):
        made(staffed, clock.now(), actor=access.actor_for_token(staffed, secret, now=clock.now()), scope="read")


def test_a_token_makes_none_that_outlives_it(staffed, clock):
    ends = clock.now() + timedelta(days=1)
    _id, secret = made(staffed, clock.now(), expires_at=ends)
    actor = access.actor_for_token(staffed, secret, now=clock.now())
    for longer in (None, ends + timedelta(seconds=1)):
        with pytest.raises(InvalidInput, match="one that outlives it; it ends at 2026-06-02T09:00"):
            made(staffed, clock.now(), actor=actor, expires_at=longer)
    assert made(staffed, clock.now(), actor=actor, expires_at=ends)


def test_whoever_has_no_account_says_for_whom_a_token_is(staffed, clock):
    for actor in (ROOT, SCHEDULER):
        with pytest.raises(InvalidInput, match="say for whom it is"):
            made(staffed, clock.now(), actor=actor)
    assert made(staffed, clock.now(), actor=ROOT, person="operator")


def test_a_limit_to_nothing_is_a_mistake_and_no_limit_to_everything(staffed, clock):
    with pytest.raises(InvalidInput, match="or leave the limit out"):
        made(staffed, clock.now(), aliases=[])
    with pytest.raises(InvalidInput, match="or leave the limit out"):
        callers.create_key(staffed, ROOT, "web", aliases=[], now=clock.now())


def test_a_token_is_refused_when_it_makes_no_sense(staffed, clock):
    for limits, kind, said in (
        ({"scope": "everything"}, InvalidInput, "Scopes are full, read, rollback, operate"),
        ({"aliases": ["prd"]}, NotFound, "Closest: prod"),
        ({"aliases": [f"a{n}" for n in range(101)]}, InvalidInput, "at most 100 aliases"),
        ({"expires_at": clock.now()}, InvalidInput, "expired already"),
        ({"person": "nobody", "actor": ADMIN}, NotFound, "no person 'nobody'"),
    ):
        with pytest.raises(kind, match=said):
            made(staffed, clock.now(), **limits)


# -- who may see and end one ----------------------------------------------------------------------


def test_everybody_sees_their_own_tokens_and_an_admin_sees_all(staffed, clock):
    made(staffed, clock.now())
    made(staffed, clock.wait(minutes=1), actor=ADMIN)
    assert [t.person for t in access.tokens(staffed, OPERATOR)] == ["operator"]
    assert [t.person for t in access.tokens(staffed, ADMIN)] == ["admin", "operator"]


def test_nobody_but_its_person_or_an_admin_revokes_a_token(staffed, clock):
    number, _secret = made(staffed, clock.now(), actor=ADMIN)
    with pytest.raises(NotPermitted):
        access.revoke_token(staffed, OPERATOR, number, now=clock.now())
    number, _secret = made(staffed, clock.now())
    assert access.revoke_token(staffed, ADMIN, number, now=clock.now()).person == "operator"
    with pytest.raises(NotFound, match="no token nope"):
        access.revoke_token(staffed, ADMIN, "nope", now=clock.now())


def test_the_log_says_which_token_it_was_and_what_it_was_good_for(staffed, clock):
    number, _secret = made(staffed, clock.now(), scope="rollback", aliases=["prod"])
    access.revoke_token(staffed, OPERATOR, number, now=clock.now())
    created, revoked = events(staffed)[-2:]
    assert created.after == {
        "id": number,
        "name": "laptop",
        "scope": "rollback",
        "aliases": ["prod"],
        "expires_at": None,
    }
    assert revoked.before == {"id": number, "name": "laptop"}


# -- caller keys ----------------------------------------------------------------------------------


def test_a_key_is_known_to_gateways_by_its_hash_until_it_is_revoked(staffed, clock):
    before = serving.current_serial(staffed)
    expires = clock.now() + timedelta(days=30)
    key, secret = callers.create_key(staffed, ADMIN, "web", aliases=["prod"], expires_at=expires, now=clock.now())
    prefix, number, random = secret.split("_", 2)
    assert (prefix, number, len(random)) == ("pk", key.id, 43)
    known = serving.load_table(staffed).callers[key.id]
    assert known.secret_sha256 == sha256(secret.encode()).hexdigest()
    assert (known.caller, known.aliases, known.expires_at) == ("web", frozenset({"prod"}), expires.timestamp())
    callers.revoke_key(staffed, ADMIN, key.id, now=clock.now())
    assert serving.load_table(staffed).callers == {}
    assert serving.current_serial(staffed) == before + 2
    with pytest.raises(NothingToChange, match="revoked already"):
        callers.revoke_key(staffed, ADMIN, key.id, now=clock.now())


def test_the_key_of_the_demo_is_found_under_its_whole_name(staffed, clock):
    callers.create_key(staffed, ROOT, "web", demo_key="pk-demo", now=clock.now())
    known = serving.load_table(staffed).callers["pk-demo"]
    assert known.secret_sha256 == sha256(b"pk-demo").hexdigest()
    with pytest.raises(AlreadyExists, match="caller key pk-demo already"):
        callers.create_key(staffed, ROOT, "web", demo_key="pk-demo", now=clock.now())


@pytest.mark.parametrize("key", ["", "pk_1_x", "a_b", "Pk Demo", "x" * 65])
def test_a_demo_key_cannot_be_taken_for_a_real_one(staffed, clock, key):
    with pytest.raises(InvalidInput, match="A demo key is a short name"):
        callers.create_key(staffed, ROOT, "web", demo_key=key, now=clock.now())


def test_only_an_admin_makes_and_ends_keys_and_viewers_see_them(staffed, clock):
    key, _secret = callers.create_key(staffed, ADMIN, "web", now=clock.now())
    for attempt in (
        lambda: callers.create_key(staffed, OPERATOR, "web", now=clock.now()),
        lambda: callers.revoke_key(staffed, OPERATOR, key.id, now=clock.now()),
    ):
        with pytest.raises(NotPermitted, match="access:write needs admin"):
            attempt()
    assert [(k.id, k.caller, k.aliases) for k in callers.keys(staffed, VIEWER)] == [(key.id, "web", None)]


def test_a_key_is_refused_when_it_makes_no_sense(staffed, clock):
    for limits, kind, said in (
        ({"aliases": ["prd"]}, NotFound, "Closest: prod"),
        ({"expires_at": clock.now()}, InvalidInput, "expired already"),
        ({"caller": "Web Shop"}, InvalidInput, "cannot be the name of a caller"),
    ):
        with pytest.raises(kind, match=said):
            callers.create_key(staffed, ROOT, **{"caller": "web", "now": clock.now(), **limits})
    with pytest.raises(NotFound, match="no caller key nope"):
        callers.revoke_key(staffed, ROOT, "nope", now=clock.now())
