"""Every route obeys the permission table: each is asked by every kind of actor, and the table predicts the answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from fastapi.routing import APIRoute

from app.api.app import create_api
from app.api.doors import ACTION, ANYBODY
from core.domain.alert_channels import Channel
from core.domain.alerts import Found, Severity
from core.domain.permissions import ACTIONS, Actor, Grant, Role, rule_on, system
from core.domain.versions import DataVersion, Version
from core.services import access, alerting, callers, channels, flips, registry
from core.services.watches import Watch
from core.store.looking import Seen
from tests.api.world import ROOT, Caller, World

ACTIONS_BY_NAME = {action.name: action for action in ACTIONS}


@dataclass(frozen=True)
class Example:
    """One request to a route that succeeds for whoever may: the path, and what it takes."""

    path: str
    body: Any = None
    seen: int | None = None
    params: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """What an example is made from: the world, an alias whose revision 2 was a flip, and who will ask."""

    world: World
    alias: str
    person: str

    def somebody(self) -> str:
        """Another person, a viewer."""
        return self.world.person(Role.VIEWER)

    def issue(self) -> int:
        """A known issue that is open."""
        at = self.world.pinrail
        return registry.add_issue(at.store, ROOT, "a", "wrong", now=at.now()).id

    def own_token(self) -> str:
        """The id of a token of the person who asks."""
        at = self.world.pinrail
        token, _ = access.create_token(
            at.store, ROOT, self.world.fresh("old"), scope="read", person=self.person, now=at.now()
        )
        return token.id

    def alert(self) -> int:
        """An alert of the case's alias, and of nothing else."""
        at, now = self.world.pinrail, self.world.pinrail.now()
        found = Found(f"hold-long:{self.alias}", "held", "held by dana", self.alias, None, "/")
        watch = Watch("hold-long", Severity.WARNING, lambda _seen: iter([found]), "is held")
        seen, later = Seen(now), timedelta(days=1)
        alerting.look(at.store, system("scheduler"), seen, escalate_after=later, watches=(watch,), now=now)
        return alerting.alert_list(at.store, ROOT, alias=self.alias)[0].id

    def channel(self) -> str:
        """The name of an alert channel."""
        at, name = self.world.pinrail, self.world.fresh("channel")
        made = Channel(name, "slack", url_env="SLACK_URL")
        return channels.add_channel(at.store, ROOT, made, now=at.now()).name

    def key(self) -> str:
        """The id of a caller key."""
        at = self.world.pinrail
        return callers.create_key(at.store, ROOT, "app", now=at.now())[0].id


def move(verb: str, **body: Any) -> Callable[[Case], Example]:
    """A write on the case's alias."""
    return lambda case: Example(f"/aliases/{case.alias}/{verb}", body, seen=2)


def see(what: str = "", **params: str) -> Callable[[Case], Example]:
    """A reading of the case's alias."""
    return lambda case: Example(f"/aliases/{case.alias}{what}", params=params)


def plain(path: str, **params: str) -> Callable[[Case], Example]:
    """A reading that needs nothing."""
    return lambda _case: Example(path, params=params)


def person(verb: str, body: Any = None) -> Callable[[Case], Example]:
    """A write on somebody else's account."""
    return lambda case: Example(f"/people/{case.somebody()}/{verb}", body)


def disabled(case: Case) -> Example:
    name = case.somebody()
    access.disable_person(case.world.pinrail.store, ROOT, name, now=case.world.pinrail.now())
    return Example(f"/people/{name}/enable")


def provider(case: Case) -> Any:
    return {"name": case.world.fresh("provider"), "kind": "recorded", "base_url": "http://127.0.0.1:9/v1"}


def channel(case: Case) -> Any:
    return {"name": case.world.fresh("channel"), "kind": "slack", "url_env": "SLACK_URL"}


def in_an_hour(case: Case) -> str:
    return (case.world.pinrail.now() + timedelta(hours=1)).isoformat()


EXAMPLES: dict[str, Callable[[Case], Example]] = {
    "list_aliases": plain("/aliases"),
    "get_alias": see(),
    "get_history": see("/history"),
    "get_served": see("/served", at="2100-01-01T00:00:00Z"),
    "list_rollback_targets": see("/rollback-targets"),
    "get_receipt": see("/receipts/1"),
    "create_alias": lambda case: Example("/aliases", {"alias": case.world.fresh("new"), "version": "a"}),
    "describe_alias": lambda case: Example(f"/aliases/{case.alias}", {"description": "new"}, seen=2),
    "flip_alias": move("flip", version="c"),
    "roll_back_alias": move("rollback"),
    "undo_revision": move("undo", revision=2),
    "hold_alias": move("hold"),
    "release_alias": lambda case: Example(f"/aliases/{held(case)}/release", {}, seen=3),
    "protect_alias": move("protect", protected=True),
    "retire_alias": move("retire"),
    "list_providers": plain("/providers"),
    "get_provider": plain("/providers/recorded"),
    "register_provider": lambda case: Example("/providers", provider(case)),
    "change_provider": lambda case: Example("/providers/recorded", {"description": case.world.fresh("new")}),
    "list_prompts": plain("/prompts"),
    "get_prompt": lambda case: Example(f"/prompts/{prompt(case)}"),
    "register_prompt": lambda case: Example("/prompts", {"name": case.world.fresh("prompt"), "text": "Be brief."}),
    "list_data_versions": plain("/data-versions"),
    "get_data_version": lambda case: Example(f"/data-versions/{data_version(case)}"),
    "register_data_version": lambda case: Example("/data-versions", {"name": case.world.fresh("data")}),
    "list_versions": plain("/versions"),
    "get_version": plain("/versions/a"),
    "register_version": lambda case: Example(
        "/versions", {"name": case.world.fresh("version"), "provider": "recorded", "model_id": "m"}
    ),
    "note_version": lambda case: Example("/versions/b", {"notes": case.world.fresh("note")}),
    "get_quarantine": plain("/versions/a/quarantine"),
    "lift_quarantine": lambda case: Example(f"/versions/{quarantined(case)}/quarantine/lift", {"reason": "fixed"}),
    "list_known_issues": plain("/known-issues"),
    "add_known_issue": lambda _case: Example("/known-issues", {"version": "a", "text": "wrong"}),
    "resolve_known_issue": lambda case: Example(f"/known-issues/{case.issue()}/resolve"),
    "list_evacuations": plain("/evacuations"),
    "preview_evacuation": plain("/evacuations/preview", provider="recorded"),
    "evacuate": lambda case: Example("/evacuations", evacuating(case)),
    "get_evacuation": lambda case: Example(f"/evacuations/{evacuated(case)}"),
    "return_evacuation": lambda case: Example(f"/evacuations/{evacuated(case)}/return", {}),
    "whoami": plain("/whoami"),
    "can_i": plain("/can-i", action="alias:flip"),
    "list_tokens": plain("/tokens"),
    "create_token": lambda case: Example("/tokens", {"name": case.world.fresh("token"), "scope": "read"}),
    "revoke_token": lambda case: Example(f"/tokens/{case.own_token()}/revoke"),
    "list_caller_keys": plain("/caller-keys"),
    "create_caller_key": lambda _case: Example("/caller-keys", {"caller": "app"}),
    "revoke_caller_key": lambda case: Example(f"/caller-keys/{case.key()}/revoke"),
    "list_people": plain("/people"),
    "get_person": lambda case: Example(f"/people/{case.somebody()}"),
    "add_person": lambda case: Example("/people", {"name": case.world.fresh("person"), "role": "viewer"}),
    "disable_person": person("disable"),
    "enable_person": disabled,
    "give_role": person("grants", {"role": "operator"}),
    "take_role": person("grants/viewer"),
    "set_password": person("password", {"password": "long enough for this"}),
    "revoke_sessions": person("sessions/revoke"),
    "get_status": plain("/status"),
    "list_alerts": plain("/alerts"),
    "get_alert": lambda case: Example(f"/alerts/{case.alert()}"),
    "acknowledge_alert": lambda case: Example(f"/alerts/{case.alert()}/acknowledge", {}),
    "resolve_alert": lambda case: Example(f"/alerts/{case.alert()}/resolve", {}),
    "silence_alert": lambda case: Example(f"/alerts/{case.alert()}/silence", {"until": in_an_hour(case)}),
    "list_alert_channels": plain("/alert-channels"),
    "get_alert_channel": lambda case: Example(f"/alert-channels/{case.channel()}"),
    "add_alert_channel": lambda case: Example("/alert-channels", channel(case)),
    "change_alert_channel": lambda case: Example(f"/alert-channels/{case.channel()}", {"least": "critical"}),
    "remove_alert_channel": lambda case: Example(f"/alert-channels/{case.channel()}"),
    "test_alert_channel": lambda case: Example(f"/alert-channels/{case.channel()}/test"),
    "list_alert_deliveries": plain("/alert-deliveries"),
    "list_gateways": plain("/gateways"),
    "list_audit_events": plain("/audit"),
    "get_audit_head": plain("/audit/head"),
    "verify_audit": plain("/audit/verify"),
}
"""By operation. A route without an example here, or without an action of its own, makes the tests below fail."""


def held(case: Case) -> str:
    caller = Caller(case.world.url, case.world.token(case.world.person(Role.ADMIN)))
    assert caller.post(f"/aliases/{case.alias}/hold", seen=2).status_code == 200
    return case.alias


def quarantined(case: Case) -> str:
    """A version that an alias of its own was rolled back from."""
    at, name = case.world.pinrail, case.world.fresh("bad")
    registry.register_version(at.store, ROOT, Version(name, "recorded", "m"), now=at.now())
    alias = case.world.alias("a", name)
    flips.roll_back(at.store, ROOT, alias, seen_revision=2, now=at.now())
    return name


def evacuating(case: Case) -> Any:
    return {"version": "b", "moves": [{"alias": case.alias, "seen_revision": 2, "target": "a"}]}


def evacuated(case: Case) -> str:
    """The id of an evacuation that moved the case's alias."""
    caller = Caller(case.world.url, case.world.token(case.world.person(Role.ADMIN)))
    return str(caller.post("/evacuations", evacuating(case)).json()["id"])


def prompt(case: Case) -> str:
    at, name = case.world.pinrail, case.world.fresh("prompt")
    return registry.register_prompt(at.store, ROOT, name, "Be brief.", now=at.now()).name


def data_version(case: Case) -> str:
    at, name = case.world.pinrail, case.world.fresh("data")
    given = DataVersion(name)
    return registry.register_data_version(at.store, ROOT, given, now=at.now()).name


# -- who asks -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A kind of actor: what they hold, and what their token is limited to. ``here`` means on the case's alias."""

    name: str
    role: Role | None
    scope: str = "full"
    granted_here: bool = False
    limited_here: bool = False

    def person(self, world: World) -> str:
        """A new person of this kind."""
        return world.person(None if self.granted_here else self.role)

    def secret(self, world: World, person: str, alias: str) -> str:
        """A token of this kind."""
        if self.granted_here and self.role is not None:
            given = Grant(self.role, alias)
            access.grant(world.pinrail.store, ROOT, person, given, now=world.pinrail.now())
        return world.token(person, scope=self.scope, aliases=(alias,) if self.limited_here else None)


KINDS = (
    Kind("nobody", None),
    *(Kind(role.value, role) for role in Role),
    Kind("operator of one alias", Role.OPERATOR, granted_here=True),
    Kind("admin of one alias", Role.ADMIN, granted_here=True),
    *(Kind(f"admin with scope {scope}", Role.ADMIN, scope) for scope in ("read", "rollback", "operate")),
    Kind("admin limited to one alias", Role.ADMIN, limited_here=True),
)


def operations(world: World) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Every operation of the document: its name, method, path and description."""
    for path, methods in create_api(world.pinrail).openapi()["paths"].items():
        for method, operation in methods.items():
            yield operation["operationId"], method.upper(), path, operation


def expected(actor: Actor, action: str, example: Example, alias: str) -> bool:
    """What the permission table says. Lists of aliases are for whoever may see one of them."""
    if action == ANYBODY:
        return True
    if example.path == "/tokens" and example.body is None:  # one's own are for whoever may have some
        return rule_on(actor, action).allowed or rule_on(actor, "token:own").allowed
    if not ACTIONS_BY_NAME[action].per_alias:
        return rule_on(actor, action).allowed
    if action == "alias:create":
        return rule_on(actor, action, example.body["alias"]).allowed
    if f"/{alias}" in example.path:
        return rule_on(actor, action, alias).allowed
    return rule_on(actor, action).allowed or rule_on(actor, action, alias).allowed


ASKED = (
    *(pytest.param("sqlite", kind, id=f"{kind.name}, sqlite") for kind in KINDS),
    # Who may what does not hang on the store, so one kind shows that every route works on the other, too.
    pytest.param("postgres", KINDS[-1], id=f"{KINDS[-1].name}, postgres", marks=pytest.mark.postgres),
)


@pytest.mark.parametrize(("database_url", "kind"), ASKED, indirect=["database_url"])
def test_every_route_answers_as_the_permission_table_says(world: World, kind: Kind):
    wrong = []
    for name, method, path, operation in operations(world):
        alias = world.alias("a", "b")
        person_asking = kind.person(world)
        secret = kind.secret(world, person_asking, alias)
        example = EXAMPLES[name](Case(world, alias, person_asking))
        actor = access.actor_for_token(world.pinrail.store, secret, now=world.pinrail.now())
        headers = {"if-match": f'"{example.seen}"'} if example.seen else {}

        answer = Caller(world.url, secret).ask(
            method, example.path, json=example.body, headers=headers, params=example.params
        )

        allowed = expected(actor, operation[ACTION], example, alias)
        as_said = answer.ok if allowed else answer.status_code == 403 and answer.json()["code"] == "not_permitted"
        if not as_said:
            wrong.append(f"{method} {path}: {allowed=} but {answer.status_code} {answer.text[:200]}")
    assert wrong == []


def test_every_route_names_an_action_that_exists_and_says_what_it_does(world: World):
    for name, method, path, operation in operations(world):
        assert operation.get(ACTION) in {*ACTIONS_BY_NAME, ANYBODY}, f"{method} {path} declares no action"
        assert operation.get("description"), f"{method} {path} says nothing"
        assert name in EXAMPLES, f"{method} {path} ({name}) has no example above"


def test_every_action_is_behind_some_route(world: World):
    behind = {operation[ACTION] for *_, operation in operations(world)}

    assert set(ACTIONS_BY_NAME) - behind == {
        "store:prune",  # the scheduler's alone
        "store:backup",  # what works on the store itself has no route
        "store:restore",
    }


def test_no_route_hides_from_the_document(world: World):
    hidden = [r for r in create_api(world.pinrail).routes if isinstance(r, APIRoute) and not r.include_in_schema]

    assert hidden == []


def test_without_a_token_nothing_is_answered_but_the_document(world: World):
    for _name, method, path, _operation in operations(world):
        for secret in ("", "pr_00000000_" + "x" * 43, "nonsense", "pr__", "pr_%00_"):
            answer = Caller(world.url, secret).ask(method, path.replace("{", "").replace("}", ""))
            assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_cookie_is_no_way_in(world: World):
    secret = world.token(world.person(Role.ADMIN))

    answer = Caller(world.url, "").ask("GET", "/whoami", headers={"cookie": f"pinrail_session={secret}"})

    assert answer.status_code == 401


def test_a_rollback_only_token_rolls_back_and_does_nothing_else(world: World):
    oncall, alias = world.caller(Role.OPERATOR, scope="rollback"), world.alias("a", "b")

    flipped = oncall.post(f"/aliases/{alias}/flip", {"version": "c"}, seen=2)
    assert (flipped.status_code, flipped.json()["code"]) == (403, "not_permitted")
    assert "scope rollback" in flipped.json()["detail"]
    assert oncall.post("/known-issues", {"version": "a", "text": "x"}).status_code == 403
    assert oncall.post("/tokens", {"name": "more", "scope": "full"}).status_code == 403

    assert oncall.post(f"/aliases/{alias}/rollback", seen=2).json()["version"] == "a"
    assert oncall.post(f"/aliases/{alias}/undo", {"revision": 3}, seen=3).status_code == 403


def test_who_may_see_one_alias_sees_no_other(world: World):
    mine, other = world.alias("a"), world.alias("b")
    name = world.person(None)
    access.grant(world.pinrail.store, ROOT, name, Grant(Role.VIEWER, mine), now=world.pinrail.now())
    caller = Caller(world.url, world.token(name))

    assert [a["alias"] for a in caller.get("/aliases").json()["items"]] == [mine]
    assert [a["alias"] for a in caller.get("/status").json()["aliases"]] == [mine]
    refused = caller.get(f"/aliases/{other}")
    assert refused.status_code == 403
    assert caller.get("/aliases/no-such-alias").json()["code"] == "not_permitted"


def test_a_revoked_or_expired_token_and_a_disabled_person_are_out_at_the_next_request(world: World):
    admin = world.caller()
    own = admin.post("/tokens", {"name": "short", "scope": "read"}).json()
    short = Caller(world.url, own["secret"])
    assert short.get("/whoami").status_code == 200
    admin.post(f"/tokens/{own['id']}/revoke")
    assert short.get("/whoami").json()["code"] == "not_signed_in"

    name = world.person(Role.OPERATOR)
    theirs = Caller(world.url, world.token(name))
    assert theirs.get("/whoami").json()["name"] == name
    admin.post(f"/people/{name}/disable")
    assert theirs.get("/whoami").status_code == 401


def test_can_i_gives_the_reason_that_a_refusal_would_give(world: World):
    viewer, alias = world.caller(Role.VIEWER), world.alias("a", "b")

    ruling = viewer.get("/can-i", params={"action": "alias:flip", "alias": alias}).json()
    refusal = viewer.post(f"/aliases/{alias}/flip", {"version": "c"}, seen=2).json()

    assert ruling["allowed"] is False
    assert ruling["because"] in refusal["detail"]
    assert viewer.get("/can-i", params={"action": "alias:fly"}).json()["code"] == "invalid_input"
