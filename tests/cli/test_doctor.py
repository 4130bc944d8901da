"""`pinrail doctor` finds what is ill, names a remedy for it, and looks on when one thing cannot be looked at."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.doctor import running_checks, store_checks
from app.doctor.examination import CHECKS, examined
from app.doctor.findings import Finding, Level, Patient
from app.gateway.disk_copy import DiskCopy
from app.wiring import Pinrail
from core.domain.versions import Provider
from core.errors import StoreUnreachable
from core.services import backups, flips, registry, serving
from core.store import leases, migrate
from tests.cli.desk import ROOT, Desk, alias_of, desk_over, gateway_joins


def findings(pinrail: Pinrail, *, full: bool = False, **env: str) -> dict[str, list[Finding]]:
    """What the doctor finds, by check."""
    found = examined(Patient(pinrail, pinrail.now(), full=full, env=env))
    return {check.name: [one for one in found if one.check == check.name] for check in CHECKS}


def levels(found: dict[str, list[Finding]]) -> set[str]:
    """The checks that found something that is not well."""
    return {name for name, seen in found.items() if any(one.level is not Level.WELL for one in seen)}


@pytest.fixture
def healthy(pinrail: Pinrail, monkeypatch: pytest.MonkeyPatch) -> Pinrail:
    """An installation as it should be."""
    monkeypatch.setattr(store_checks, "SQLITE_MENDED", (3, 7, 0))
    pinrail.settings.data_dir.chmod(0o700)
    alias_of(pinrail, "chat", "a", "b")
    backups.back_up(pinrail.store, ROOT, pinrail.settings.data_dir / "b.zip", now=pinrail.now())
    gateway_joins(pinrail, "gateway-1")
    DiskCopy(pinrail.settings.data_dir, "gateway-1").save(serving.load_table(pinrail.store))
    leases.take(pinrail.store, "scheduler", holder="s1", lasts=timedelta(minutes=9), now=pinrail.now())
    return pinrail


def test_an_installation_as_it_should_be_is_well(healthy: Pinrail, desk: Desk):
    assert levels(findings(healthy, full=True)) == set()
    said = json.loads(desk.done("doctor", "--json"))
    assert said["well"] is True
    assert {one["check"] for one in said["findings"]} == {check.name for check in CHECKS}
    assert "All is well." in desk.done("doctor")


def test_whatever_is_not_well_has_a_remedy_and_stands_alone(healthy: Pinrail, monkeypatch: pytest.MonkeyPatch):
    store, now, data = healthy.store, healthy.now(), healthy.settings.data_dir
    assert levels(findings(healthy)) == set()

    registry.register_provider(store, ROOT, Provider("acme", "recorded", "http://127.0.0.1:9/v1", "ACME_KEY"), now=now)
    found = findings(healthy)
    assert levels(found) == {"credentials", "gateways", "route-copies"}, "no gateway of this test follows the store"
    assert "ACME_KEY" in found["credentials"][0].said
    assert "routes by change" in found["gateways"][0].said
    assert not any(one.level is not Level.WELL for one in findings(healthy, ACME_KEY="x")["credentials"])

    flips.hold(store, ROOT, "chat", seen_revision=2, reason="incident", now=now)
    assert levels({"holds": findings(healthy)["holds"]}) == set()
    monkeypatch.setattr(running_checks, "HELD_LONG", timedelta(seconds=-1))
    assert "pinrail alias release chat" in findings(healthy)["holds"][0].remedy

    lease = leases.holder_of(store, "scheduler")
    assert lease is not None
    run = leases.claim(store, lease, "prune", now.replace(minute=0, second=0, microsecond=0), now=now)
    assert run is not None
    leases.finish(store, lease, run, leases.FAILED, "store_error: no", now=now)
    assert "prune" in findings(healthy)["scheduler"][-1].said

    data.chmod(0o755)
    assert findings(healthy)["folder"][0].remedy == f"chmod 700 {data}"
    monkeypatch.setattr(running_checks, "FREE_ILL", 2**60)
    monkeypatch.setattr(running_checks, "FREE_CARE", 2**61)
    assert findings(healthy)["disk"][0].level is Level.ILL
    (data / "gateway-gateway-1" / "routes.json").write_bytes(b"{}\n{}\n")
    assert "cannot be used" in findings(healthy)["route-copies"][0].said
    monkeypatch.setattr(leases, "time_of", lambda _store: now + timedelta(minutes=1))
    assert findings(healthy)["clock"][0].level is Level.ILL
    assert all(one.remedy for seen in findings(healthy).values() for one in seen if one.level is not Level.WELL)


def test_a_changed_audit_event_is_ill_and_ends_with_9(lite: Pinrail, lite_desk: Desk):
    with lite.store.writes.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_event_no_update"))
        connection.execute(text("UPDATE audit_event SET actor = 'eve' WHERE seq = 2"))
    said = lite_desk("doctor")
    assert said.code == 9
    assert "Event 2" in said.out
    assert "1 ill" in said.out


def test_a_store_that_is_away_is_named_and_the_rest_is_looked_at(lite: Pinrail, monkeypatch: pytest.MonkeyPatch):
    def away(_store: object) -> None:
        raise StoreUnreachable("The store did not answer.")

    monkeypatch.setattr(migrate, "check_schema", away)
    found = findings(lite)
    assert found["schema"][0].level is Level.ILL
    assert found["audit"][0].level is Level.UNKNOWN
    assert found["disk"][0].level is Level.WELL


def test_a_store_without_tables_is_told_what_to_do(tmp_path: Path):
    said = Desk({"PINRAIL_DATABASE_URL": f"sqlite:///{tmp_path / 'new.db'}", "PINRAIL_URL": None})("doctor")
    assert said.code == 9
    assert "pinrail db upgrade" in said.out


def test_over_the_api_there_is_no_doctor():
    assert "works on the store itself" in desk_over("http://127.0.0.1:9", "pr_x")("doctor").err
