"""An alias over HTTP from its creation to its end, and what guards every step."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from core.domain.permissions import Role
from core.services import serving
from core.store.tables import AuditRow
from tests.api.world import World


def test_an_alias_lives_its_whole_life_over_http(world: World):
    ann = world.caller(Role.ADMIN)

    made = ann.post("/aliases", {"alias": "prod-chat", "version": "a", "owner": "support", "reason": "first"})
    assert (made.status_code, made.headers["location"], made.headers["etag"]) == (
        201,
        "/api/v1/aliases/prod-chat",
        '"1"',
    )
    assert ann.post("/aliases/prod-chat/flip", {"version": "b"}, seen=1).json()["version"] == "b"
    back = ann.post("/aliases/prod-chat/rollback", {"reason": "worse"}, seen=2).json()
    assert (back["version"], back["previous_version"], back["cause"]) == ("a", "b", "rolled back")
    assert ann.get("/aliases/prod-chat").json()["hold"]["reason"] == "after rollback from b"
    assert ann.post("/aliases/prod-chat/release", seen=3).status_code == 200
    assert ann.post("/aliases/prod-chat/hold", {"reason": "quiet"}, seen=4).headers["etag"] == '"5"'
    assert ann.post("/aliases/prod-chat/undo", {"revision": 5}, seen=5).json()["cause"] == "undone"
    described = ann.ask(
        "PATCH", "/aliases/prod-chat", json={"owner": None, "fallbacks": ["c"]}, headers={"if-match": '"6"'}
    )
    assert described.status_code == 200
    assert ann.post("/aliases/prod-chat/protect", {"protected": True}, seen=7).status_code == 200
    assert ann.post("/aliases/prod-chat/flip", {"version": "c"}, seen=8).json()["code"] == "alias_protected"
    assert ann.post("/aliases/prod-chat/retire", {"reason": "done"}, seen=8).status_code == 200
    assert ann.post("/aliases/prod-chat/flip", {"version": "b"}, seen=9).json()["code"] == "alias_retired"

    now = ann.get("/aliases/prod-chat").json()
    assert (now["owner"], now["fallbacks"], now["protected"], now["retired"]) == (None, ["c"], True, True)
    causes = [r["cause"] for r in ann.get("/aliases/prod-chat/history").json()["items"]]
    assert causes == [
        "retired",
        "protected",
        "described",
        "undone",
        "held",
        "released",
        "rolled back",
        "flipped",
        "created",
    ]
    assert [a["alias"] for a in ann.get("/aliases").json()["items"]] == ["prod-chat"]
    assert ann.get("/audit/verify").status_code == 200


def test_history_comes_in_pages_without_a_gap(world: World):
    ann, alias = world.caller(), world.alias("a", "b", "c", "a", "b")

    first = ann.get(f"/aliases/{alias}/history?limit=2").json()
    rest = ann.get(f"/aliases/{alias}/history?limit=9&before={first['next']}").json()

    assert [r["revision"] for r in first["items"] + rest["items"]] == [5, 4, 3, 2, 1]
    assert rest["next"] is None


def test_what_served_at_a_time_can_be_asked(world: World):
    ann, alias = world.caller(), world.alias("a", "b")
    created, flipped = (r["at"] for r in reversed(ann.get(f"/aliases/{alias}/history").json()["items"]))

    assert ann.get(f"/aliases/{alias}/served", params={"at": created}).json()["version"] == "a"
    assert ann.get(f"/aliases/{alias}/served", params={"at": flipped}).json()["version"] == "b"
    before = ann.get(f"/aliases/{alias}/served", params={"at": "2001-01-01T00:00:00Z"})
    assert (before.status_code, before.json()["code"]) == (404, "unknown_revision")
    assert ann.get(f"/aliases/{alias}/served", params={"at": "2001-01-01T00:00:00"}).status_code == 422


def test_rollback_targets_are_listed_with_their_reasons(world: World):
    ann, alias = world.caller(), world.alias("a", "b")

    [target] = ann.get(f"/aliases/{alias}/rollback-targets").json()["items"]

    assert target["version"] == "a"
    assert "left by a flip" in target["because"]


# -- the revision that was seen -------------------------------------------------------------------


def test_a_write_that_names_no_revision_is_asked_for_one(world: World):
    ann, alias = world.caller(), world.alias("a")

    refused = ann.post(f"/aliases/{alias}/flip", {"version": "b"})

    assert (refused.status_code, refused.json()["code"]) == (428, "revision_required")
    assert "If-Match" in refused.json()["detail"]
    assert ann.get(f"/aliases/{alias}").json()["revision"] == 1


@pytest.mark.parametrize("how", ["header", "weak header", "body"])
def test_the_revision_may_come_in_the_header_or_in_the_body(world: World, how: str):
    ann, alias = world.caller(), world.alias("a", "b")

    def flip(seen: int) -> tuple[int, str]:
        body: dict[str, object] = {"version": "c"}
        headers = {}
        if how == "body":
            body["seen_revision"] = seen
        else:
            headers["if-match"] = f'"{seen}"' if how == "header" else f'W/"{seen}"'
        answer = ann.ask("POST", f"/aliases/{alias}/flip", json=body, headers=headers)
        return answer.status_code, answer.json().get("code", "")

    assert flip(1) == (412, "stale_revision")
    assert flip(2) == (200, "")


def test_two_revisions_that_contradict_each_other_are_refused(world: World):
    ann, alias = world.caller(), world.alias("a", "b")

    refused = ann.post(f"/aliases/{alias}/flip", {"version": "c", "seen_revision": 2}, seen=1)

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")


@pytest.mark.parametrize("header", ["*", "1", '"1", "2"', '"one"', '"0"'])
def test_an_if_match_that_names_no_single_revision_is_refused(world: World, header: str):
    ann, alias = world.caller(), world.alias("a")

    refused = ann.ask("POST", f"/aliases/{alias}/hold", json={}, headers={"if-match": header})

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")


def test_an_alias_that_did_not_move_is_not_sent_again(world: World):
    ann, alias = world.caller(), world.alias("a")
    tag = ann.get(f"/aliases/{alias}").headers["etag"]

    unchanged = ann.get(f"/aliases/{alias}", headers={"if-none-match": f'"99", W/{tag}'})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)

    ann.post(f"/aliases/{alias}/flip", {"version": "b"}, seen=1)
    assert ann.get(f"/aliases/{alias}", headers={"if-none-match": tag}).json()["version"] == "b"


def test_of_eight_flips_at_once_one_wins_and_seven_are_told_that_the_alias_moved(world: World):
    callers, alias = [world.caller(Role.OPERATOR) for _ in range(8)], world.alias("a")

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda caller: caller.post(f"/aliases/{alias}/flip", {"version": "b"}, seen=1), callers)
        )

    assert sorted(a.status_code for a in answers) == [200] + [412] * 7
    assert {a.json()["code"] for a in answers if a.status_code == 412} == {"stale_revision"}
    assert callers[0].get(f"/aliases/{alias}").json()["revision"] == 2
    assert callers[0].get("/audit/verify").status_code == 200


# -- the idempotency key --------------------------------------------------------------------------


def test_fifty_flips_with_one_key_have_one_effect_and_one_answer(world: World):
    ann, alias, key = world.caller(), world.alias("a"), str(uuid4())

    with ThreadPoolExecutor(25) as pool:
        answers = list(
            pool.map(
                lambda _: ann.post(f"/aliases/{alias}/flip", {"version": "b"}, seen=1, idempotency_key=key), range(50)
            )
        )

    assert {a.status_code for a in answers} == {200}
    assert {a.json()["revision"] for a in answers} == {2}
    assert [a.json()["replayed"] for a in answers].count(False) == 1
    assert [a.headers.get("idempotency-replayed") for a in answers].count("true") == 49
    assert ann.get(f"/aliases/{alias}").json()["revision"] == 2


def test_fifty_issues_with_one_key_are_one_issue(world: World):
    ann, key = world.caller(), str(uuid4())
    body = {"version": "a", "text": "drops the last line"}

    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda _: ann.post("/known-issues", body, idempotency_key=key), range(50)))

    assert {(a.status_code, a.text) for a in answers} == {(201, answers[0].text)}
    assert len(ann.get("/known-issues").json()["items"]) == 1
    with world.pinrail.store.reading() as session:
        said = select(func.count()).select_from(AuditRow).where(col(AuditRow.kind) == "version.issue_added")
        assert session.scalar(said) == 1


def test_a_key_is_good_for_one_request_only(world: World):
    ann, alias = world.caller(), world.alias("a")
    assert ann.post(f"/aliases/{alias}/flip", {"version": "b"}, seen=1, idempotency_key="k").status_code == 200
    assert ann.post("/known-issues", {"version": "a", "text": "x"}, idempotency_key="l").status_code == 201

    other_flip = ann.post(f"/aliases/{alias}/flip", {"version": "c"}, seen=2, idempotency_key="k")
    other_issue = ann.post("/known-issues", {"version": "a", "text": "y"}, idempotency_key="l")
    other_kind = ann.post("/known-issues", {"version": "a", "text": "y"}, idempotency_key="k")

    for refused in (other_flip, other_issue, other_kind):
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_mismatch")


def test_a_refused_request_does_not_use_its_key_up(world: World):
    ann = world.caller()
    body = {"name": "v", "provider": "later", "model_id": "m"}

    assert ann.post("/versions", body, idempotency_key="k").status_code == 404
    provider = {"name": "later", "kind": "recorded", "base_url": "http://127.0.0.1:9/v1"}
    assert ann.post("/providers", provider).status_code == 201

    assert ann.post("/versions", body, idempotency_key="k").status_code == 201


def test_a_secret_is_shown_once_even_to_its_own_repetition(world: World):
    ann = world.caller()
    body = {"name": "laptop", "scope": "rollback"}

    first = ann.post("/tokens", body, idempotency_key="k").json()
    again = ann.post("/tokens", body, idempotency_key="k")

    assert first["secret"].startswith("pr_")
    assert (again.json()["id"], again.json()["secret"]) == (first["id"], None)
    assert again.headers["idempotency-replayed"] == "true"
    assert first["secret"] not in ann.get("/tokens").text


# -- receipts -------------------------------------------------------------------------------------


def test_a_receipt_waits_until_every_gateway_has_confirmed(world: World):
    ann, store, now = world.caller(), world.pinrail.store, world.pinrail.now()
    serving.join(store, replica="r1", name="gw-1", now=now)
    alias = world.alias("a", "b")

    unconfirmed = ann.get(f"/aliases/{alias}/receipts/2").json()
    assert (unconfirmed["complete"], unconfirmed["waiting"]) == (False, ["gw-1"])

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ann.get, f"/aliases/{alias}/receipts/2?wait_s=20")
        at = world.pinrail.now() + timedelta(milliseconds=40)
        serving.acknowledge(store, replica="r1", serial=serving.current_serial(store), at=at)
        receipt = waiting.result().json()

    assert (receipt["complete"], receipt["gateways"]) == (True, 1)
    assert receipt["sentence"].startswith("Revision 2 is in force at 1 of 1 gateways after ")


def test_a_receipt_does_not_wait_where_no_gateway_runs(world: World):
    ann, alias = world.caller(), world.alias("a")

    receipt = ann.get(f"/aliases/{alias}/receipts/1?wait_s=30").json()

    assert (receipt["complete"], receipt["gateways"]) == (False, 0)
    assert ann.get(f"/aliases/{alias}/receipts/7").json()["code"] == "unknown_revision"
    assert ann.get(f"/aliases/{alias}/receipts/1?wait_s=31").status_code == 422
