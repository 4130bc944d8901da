"""Alerts over HTTP: taken once whoever asks again, silenced until a time, and channels that never show a secret."""

from datetime import timedelta

import pytest

from core.domain.alerts import Found, Severity
from core.domain.permissions import Role, system
from core.services import alerting
from core.services.watches import Watch
from core.store.looking import Seen
from tests.api.world import Caller, World

HOOK = {"name": "pager", "kind": "webhook", "url": "https://alerts.example.com/hook", "secret_env": "ALERTS_SECRET"}


@pytest.fixture
def alert(world: World) -> int:
    """An alert that was just raised."""
    found = Found("hold-long:chat", "chat is held", "held by dana", "chat", "dana", "/alias?name=chat")
    watch = Watch("hold-long", Severity.WARNING, lambda _seen: iter([found]), "is held")
    now = world.pinrail.now()
    looked = alerting.look(
        world.pinrail.store,
        system("scheduler"),
        Seen(now),
        escalate_after=timedelta(days=1),
        watches=(watch,),
        now=now,
    )
    return looked.raised[0].id


def test_an_alert_is_listed_with_the_link_to_act_and_told_as_a_story(world: World, alert: int):
    oncall = world.caller(Role.OPERATOR)
    [listed] = oncall.get("/alerts").json()["items"]
    assert (listed["id"], listed["state"], listed["severity"]) == (alert, "open", "warning")
    assert listed["link"] == f"{world.pinrail.settings.base_url}/alias?name=chat"
    assert listed["changes"] is None
    story = oncall.get(f"/alerts/{alert}").json()
    assert [change["did"] for change in story["changes"]] == ["raised"]
    assert oncall.get("/alerts", params={"state": "resolved"}).json()["items"] == []
    assert oncall.get("/alerts", params={"watch": "no-such"}).json()["code"] == "invalid_input"


def test_asking_twice_under_one_key_takes_it_once(world: World, alert: int):
    oncall = world.caller(Role.OPERATOR)
    first = oncall.post(f"/alerts/{alert}/acknowledge", {"reason": "INC-1"}, idempotency_key="k")
    again = oncall.post(f"/alerts/{alert}/acknowledge", {"reason": "INC-1"}, idempotency_key="k")
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.headers["idempotency-replayed"] == "true"
    assert first.json() == again.json()
    late = oncall.post(f"/alerts/{alert}/acknowledge", {})
    assert (late.status_code, late.json()["code"]) == (409, "nothing_to_change")


def test_what_is_resolved_is_over(world: World, alert: int):
    oncall = world.caller(Role.OPERATOR, scope="rollback")
    assert oncall.post(f"/alerts/{alert}/resolve").json()["state"] == "resolved"
    for verb, body in (("acknowledge", {}), ("resolve", {}), ("silence", {"until": "2999-01-01T00:00:00Z"})):
        refused = oncall.post(f"/alerts/{alert}/{verb}", body)
        assert (refused.status_code, refused.json()["code"]) == (409, "alert_resolved")


def test_a_silence_has_an_end_and_null_ends_it(world: World, alert: int):
    oncall = world.caller(Role.OPERATOR)
    until = (world.pinrail.now() + timedelta(hours=2)).isoformat()
    assert oncall.post(f"/alerts/{alert}/silence", {"until": until}).json()["silenced_until"] is not None
    assert oncall.post(f"/alerts/{alert}/silence", {"until": None}).json()["silenced_until"] is None
    assert oncall.post(f"/alerts/{alert}/silence", {}).json()["code"] == "invalid_input"
    assert oncall.post(f"/alerts/{alert}/silence", {"until": "2026-01-01"}).json()["code"] == "invalid_input"


def test_a_channel_is_added_changed_tested_and_removed(world: World):
    admin = world.caller()
    assert admin.post("/alert-channels", HOOK).status_code == 201
    assert admin.post("/alert-channels", HOOK).status_code == 201, "the same again is no change"
    assert admin.post("/alert-channels", {**HOOK, "least": "critical"}).json()["code"] == "already_exists"
    changed = admin.ask("PATCH", "/alert-channels/pager", json={"url": None, "url_env": "HOOK_URL"}).json()
    assert (changed["url"], changed["url_env"], changed["secret_env"]) == (None, "HOOK_URL", "ALERTS_SECRET")
    assert admin.ask("PATCH", "/alert-channels/pager", json={"url": None, "url_env": None}).status_code == 422
    tested = admin.post("/alert-channels/pager/test").json()
    assert (tested["event"], tested["state"], tested["alert"]) == ("test", "waiting", None)
    [delivery] = admin.get("/alert-deliveries", params={"channel": "pager"}).json()["items"]
    assert delivery["id"] == tested["id"]
    assert admin.ask("DELETE", "/alert-channels/pager").json()["name"] == "pager"
    assert admin.get("/alert-channels/pager").status_code == 404
    assert admin.get("/alert-deliveries").json()["items"][0]["state"] == "dropped"


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret_env": "sk-live-T0PSECRET"},
        {"url": "https://ann:T0PSECRET@alerts.example.com"},
        {"url": "https://alerts.example.com/?key=T0PSECRET"},
        {"kind": "T0PSECRET-pigeon"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_secret_given_by_mistake_is_refused_and_kept_nowhere(world: World, wrong: dict[str, str]):
    admin: Caller = world.caller()
    refused = admin.post("/alert-channels", {**HOOK, **wrong})
    assert refused.status_code == 422
    if "kind" not in wrong:
        assert "T0PSECRET" not in refused.text
    assert "T0PSECRET" not in admin.get("/audit").text
