"""An installation with the API on a real socket, on each kind of store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from starlette.applications import Starlette

from app.api.app import Beside, create_api
from app.dashboard.server import fronted
from app.settings import Settings
from app.wiring import Pinrail, open_pinrail
from core.domain.permissions import Role
from core.services import access
from core.store import migrate
from tests.api.browsing import Browser, pages
from tests.api.world import PASSWORD, ROOT, World, furnish, served


@pytest.fixture
def pinrail(database_url: str, tmp_path: Path) -> Iterator[Pinrail]:
    """An installation with a provider and three versions, where a version has served well at once."""
    opened = open_pinrail(Settings(database_url=database_url, data_dir=tmp_path, minimum_dwell_s=0))
    migrate.upgrade(opened.store)
    furnish(opened)
    yield opened
    opened.store.close()


@pytest.fixture
def world(pinrail: Pinrail) -> Iterator[World]:
    """The installation with its API, as programs reach it."""
    with served(Beside(Starlette(), create_api(pinrail))) as url:
        yield World(pinrail, url)


@pytest.fixture
def ann(pinrail: Pinrail) -> str:
    """Ann has an account."""
    access.add_person(pinrail.store, ROOT, "ann", password=PASSWORD, role=Role.ADMIN, now=pinrail.now())
    return "ann"


@pytest.fixture
def browser(pinrail: Pinrail) -> Iterator[Browser]:
    """A browser before an installation."""
    with served(fronted(pinrail, pages)) as url:
        yield Browser(url, requests.Session())
