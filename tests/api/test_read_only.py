"""While PINRAIL_READ_ONLY is set every write is refused in one way, reading and signing in go on, and the CLI works."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from app.api.app import create_api
from app.api.doors import ACTION
from app.dashboard.server import fronted
from app.settings import Settings
from app.wiring import Pinrail, open_pinrail, pinrail_for_people
from core.domain.permissions import Role
from core.errors import ReadOnly, SchemaOutdated
from core.services import access
from core.store import migrate
from tests.api.browsing import Browser, pages
from tests.api.world import PASSWORD, ROOT, World, furnish, served
from tests.cli.desk import desk_on
from tests.store.rows import everything


@pytest.fixture
def frozen(database_url: str, tmp_path: Path) -> Iterator[tuple[World, Pinrail]]:
    """A read-only front on an installation, and the installation as the command line opens it."""
    settings = Settings(database_url=database_url, data_dir=tmp_path, minimum_dwell_s=0)
    whole = open_pinrail(settings)
    migrate.upgrade(whole.store)
    furnish(whole)
    people = pinrail_for_people(settings.model_copy(update={"read_only": True}))
    with served(fronted(people, pages)) as url:
        yield World(whole, url), people
    people.store.close()
    whole.store.close()


def test_every_write_is_refused_in_one_way_and_leaves_no_trace(frozen: tuple[World, Pinrail]):
    world, _people = frozen
    alias = world.alias("a", "b")
    admin = world.caller(Role.ADMIN)
    before = everything(world.pinrail.store)

    flip = admin.post(f"/aliases/{alias}/flip", {"version": "c", "reason": "x"}, seen=2, idempotency_key="k")
    others = [
        admin.post(f"/aliases/{alias}/rollback", seen=2),
        admin.post("/people", {"name": "ben"}),
        admin.post("/caller-keys", {"caller": "web"}, idempotency_key="k2"),
        admin.post("/known-issues", {"version": "a", "text": "wrong"}),
    ]

    for answer in (flip, *others):
        assert (answer.status_code, answer.json()["code"]) == (503, "read_only"), answer.text
        assert "`pinrail rollback ALIAS`" in answer.json()["detail"]
        assert "retry-after" not in answer.headers
    assert everything(world.pinrail.store) == before
    assert admin.get(f"/aliases/{alias}").json()["revision"] == 2


def test_somebody_whom_a_rule_would_stop_leaves_no_trace_either(frozen: tuple[World, Pinrail]):
    world, _people = frozen
    viewer = world.caller(Role.VIEWER)
    before = everything(world.pinrail.store)
    assert viewer.post("/people", {"name": "eve"}).json()["code"] == "read_only"
    assert everything(world.pinrail.store) == before


def test_people_sign_in_and_out_of_a_read_only_dashboard(frozen: tuple[World, Pinrail]):
    world, people = frozen
    access.add_person(world.pinrail.store, ROOT, "ann", password=PASSWORD, role=Role.ADMIN, now=people.now())
    browser = Browser(world.url, requests.Session())
    assert browser.sign_in().status_code == 303
    assert browser.open("/overview").status_code == 200
    assert browser.post("/sign-out").status_code == 303
    assert browser.open("/overview").status_code == 303


def test_the_command_line_on_the_store_is_not_bound_by_it(frozen: tuple[World, Pinrail]):
    world, _people = frozen
    alias = world.alias("a", "b")
    desk = desk_on(world.pinrail).having(PINRAIL_READ_ONLY="true")
    assert "Rolled back" in desk.done("rollback", alias, "--wait", "0")


def test_a_read_only_dashboard_does_not_bring_a_store_up_to_date(tmp_path: Path):
    with pytest.raises(SchemaOutdated):
        pinrail_for_people(Settings(data_dir=tmp_path, read_only=True))


def test_every_write_of_the_api_says_that_it_may_be_read_only(frozen: tuple[World, Pinrail]):
    _world, people = frozen
    document = create_api(people).openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            says = "read_only" in operation["responses"].get("503", {}).get("description", "")
            assert says == (method != "get"), f"{method} {path} ({operation[ACTION]})"


def test_a_read_only_store_refuses_plain_writes_too(frozen: tuple[World, Pinrail]):
    _world, people = frozen
    with pytest.raises(ReadOnly), people.store.writing():
        pass
    assert not replace(people.store, read_only=False).read_only
