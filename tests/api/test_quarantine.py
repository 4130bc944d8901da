"""Quarantine over HTTP: a refusal with its code, an override in the body, seen and lifted."""

from core.domain.permissions import Role
from core.domain.versions import Version
from core.services import registry
from tests.api.world import ROOT, World


def bad(world: World) -> str:
    """A version of its own, whose name holds a slash."""
    name = world.fresh("team/bad")
    now = world.pinrail.now()
    registry.register_version(world.pinrail.store, ROOT, Version(name, "recorded", "m"), now=now)
    return name


def test_a_rollback_says_what_it_quarantined_and_a_flip_there_needs_an_override(world: World):
    version = bad(world)
    ann, alias = world.caller(Role.OPERATOR), world.alias("a", version)
    assert ann.post(f"/aliases/{alias}/rollback", {"reason": "slow"}, seen=2).json()["quarantined"] == version

    refused = ann.post(f"/aliases/{alias}/flip", {"version": version}, seen=3)
    assert (refused.status_code, refused.json()["code"]) == (409, "quarantined")
    done = ann.post(f"/aliases/{alias}/flip", {"version": version, "override_quarantine": "faster now"}, seen=3)
    assert done.json()["version"] == version


def test_a_quarantine_is_seen_and_lifted(world: World):
    version = bad(world)
    ann, alias = world.caller(Role.OPERATOR), world.alias("a", version)
    ann.post(f"/aliases/{alias}/rollback", seen=2)
    seen = ann.get(f"/versions/{version}/quarantine").json()
    assert (seen["quarantined"], [q["alias"] for q in seen["items"]]) == (True, [alias])

    lifted = ann.post(f"/versions/{version}/quarantine/lift", {"reason": "fixed"})
    assert (lifted.status_code, lifted.json()["quarantined"]) == (200, False)
    assert ann.get(f"/versions/{version}").json()["issues"][0]["resolved_at"] is not None
    again = ann.post(f"/versions/{version}/quarantine/lift", {"reason": "fixed"})
    assert (again.status_code, again.json()["code"]) == (409, "nothing_to_change")
