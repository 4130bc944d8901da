"""The export of the audit log: who gets it, what is in it, and that no spreadsheet computes what somebody typed."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.dashboard import server
from app.dashboard.front import exports
from app.dashboard.front.exports import COLUMNS, tamed
from app.dashboard.front.signing import COOKIE
from app.settings import Settings
from app.wiring import Pinrail, SystemClock
from core.domain.permissions import Grant, Role
from core.services import access, flips, reading
from tests.dashboard.stage import ALIAS, BAD, OLD, PASSWORD, ROOT, Stage


@pytest.fixture
def asked(full: Stage) -> TestClient:
    """A browser before the whole front."""
    pinrail = Pinrail(Settings(), full.store, SystemClock())
    return TestClient(server.fronted(pinrail, Starlette()), base_url="http://127.0.0.1", follow_redirects=False)


def signed_in(client: TestClient, full: Stage, person: str) -> TestClient:
    client.cookies.set(COOKIE, full.secret_of(person))
    return client


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_nobody_gets_the_log_without_a_session(asked):
    answer = asked.get("/export/audit.csv?who=ann")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=%2Fexport%2Faudit.csv%3Fwho%3Dann"


def test_a_role_on_one_alias_is_not_enough_for_the_export(asked, full):
    access.add_person(full.store, ROOT, "guest", password=PASSWORD, now=full.now)
    access.grant(full.store, ROOT, "guest", Grant(Role.OPERATOR, ALIAS), now=full.now)
    answer = signed_in(asked, full, "guest").get("/export/audit.json")
    assert answer.status_code == 403
    assert "audit:read needs viewer" in answer.text
    assert BAD not in answer.text


def test_both_formats_hold_every_event_that_fits_with_times_in_iso(asked, full):
    client = signed_in(asked, full, "viewer")
    whole = reading.audit_head(full.store, ROOT).events
    told = client.get("/export/audit.json").json()
    assert (told["count"], told["more"], len(told["events"])) == (whole, False, whole)
    assert list(told["events"][0]) == list(COLUMNS)
    table = rows(client.get("/export/audit.csv").text)
    assert [int(row["seq"]) for row in table] == list(range(whole, 0, -1))
    for row in table:
        assert datetime.fromisoformat(row["at"]).tzinfo == UTC
        assert row["at"].endswith("Z")


def test_the_filter_of_the_page_is_the_filter_of_the_export(asked, full):
    client = signed_in(asked, full, "viewer")
    found = rows(client.get(f"/export/audit.csv?alias={ALIAS}&action=alias.flipped&from=2h").text)
    assert [(row["subject"], json.loads(row["after"])["stable"]) for row in found] == [(f"alias:{ALIAS}", BAD)]
    assert client.get("/export/audit.csv?from=soonish").status_code == 400
    assert client.get("/export/audit.csv?action=alias.exploded").status_code == 400
    assert client.get("/export/audit.csv?outcome=maybe").status_code == 400


def test_it_is_a_file_with_a_name_and_kept_by_nobody_between(asked, full):
    answer = signed_in(asked, full, "viewer").get("/export/audit.csv")
    assert answer.headers["content-disposition"].startswith('attachment; filename="pinrail-audit-')
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"


@pytest.mark.parametrize("typed", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_what_a_spreadsheet_would_compute_stays_text(asked, full, typed):
    flips.flip(full.store, ROOT, ALIAS, OLD, seen_revision=3, reason=f"{typed} why", now=full.now)
    found = rows(signed_in(asked, full, "viewer").get(f"/export/audit.csv?alias={ALIAS}").text)
    assert found[0]["reason"].startswith("'")
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in found for cell in row.values())


def test_ordinary_text_is_left_alone():
    assert tamed("newer, and cheaper") == "newer, and cheaper"


def test_an_export_that_ends_early_says_so(asked, full, monkeypatch):
    monkeypatch.setattr(exports, "MOST_EXPORTED", reading.audit_head(full.store, ROOT).events + 1)
    client = signed_in(asked, full, "viewer")
    assert client.get("/export/audit.json").json()["more"] is True
    assert "narrow the filter" in client.get("/export/audit.csv").text.splitlines()[-1]
