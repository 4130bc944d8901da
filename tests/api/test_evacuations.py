"""Evacuations over HTTP: the preview is what is sent back, nothing is moved twice, and return undoes."""

from core.domain.permissions import Role
from tests.api.world import World


def test_preview_run_see_and_return(world: World):
    ann, alias = world.caller(Role.OPERATOR), world.alias("a", "b")
    preview = ann.get("/evacuations/preview", params={"version": "b"}).json()
    [plan] = [one for one in preview["items"] if one["alias"] == alias]
    assert (plan["target"], plan["action"], plan["revision"]) == ("a", "alias:roll_back", 2)

    wanted = [{"alias": alias, "seen_revision": 2, "target": "a"}]
    body = {"version": "b", "moves": wanted, "reason": "wrong answers"}
    done = ann.post("/evacuations", body, idempotency_key="once")
    again = ann.post("/evacuations", body, idempotency_key="once")
    assert (done.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    made = done.json()
    assert again.json()["id"] == made["id"]
    assert [(r["alias"], r["moved"]["version"], r["code"]) for r in made["results"]] == [(alias, "a", "")]
    assert made["sentence"].startswith("1 alias moved")
    assert made["id"] in {one["id"] for one in ann.get("/evacuations").json()["items"]}

    back = ann.post(f"/evacuations/{made['id']}/return", {"reason": "a mistake"}).json()
    assert [r["moved"]["version"] for r in back["results"]] == ["b"]
    assert ann.get(f"/evacuations/{made['id']}").json()["moves"][0]["returned"] == 4


def test_what_cannot_be_meant_is_refused(world: World):
    ann = world.caller(Role.OPERATOR)
    assert ann.get("/evacuations/preview").json()["code"] == "invalid_input"
    assert ann.get("/evacuations/preview", params={"provider": "nobody"}).status_code == 404
    move = {"alias": "x", "seen_revision": 1, "target": "a"}
    assert ann.post("/evacuations", {"version": "a", "moves": [move, move]}).json()["code"] == "invalid_input"
    assert ann.post("/evacuations", {"version": "a", "moves": []}).status_code == 422
    assert ann.get("/evacuations/ev-none").status_code == 404
