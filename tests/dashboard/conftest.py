"""Pages without a browser: the real script on a real store, seen by whoever is said to look."""

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.dashboard import session
from app.dashboard.installation import hold
from app.settings import Settings
from app.wiring import Pinrail, SystemClock
from tests.dashboard import stage
from tests.dashboard.stage import Stage

MAIN = Path(__file__).parents[2] / "app" / "dashboard" / "main.py"

Look = Callable[..., AppTest]


@pytest.fixture
def full(sqlite_url: str) -> Iterator[Stage]:
    """A store with an alias that was flipped to something bad 12 minutes ago."""
    yield from _held(stage.full(sqlite_url))


@pytest.fixture
def bare(sqlite_url: str) -> Iterator[Stage]:
    """A store with people and nothing else."""
    yield from _held(stage.empty(sqlite_url))


def _held(made: Stage) -> Iterator[Stage]:
    hold(Pinrail(Settings(), made.store, SystemClock()))
    yield made
    hold(None)
    made.store.close()


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Look:
    """Open a page as somebody: ``look(stage, "oncall", "alias", name="prod-math")``."""

    def looked(at: Stage, person: str | None, page: str = "overview", **parameters: str) -> AppTest:
        secret = at.secret_of(person) if person else None
        monkeypatch.setattr(session, "secret", lambda: secret)
        app = AppTest.from_file(str(MAIN), default_timeout=30)
        if page != "overview":
            app.run()
            app.switch_page(f"screens/{page}.py")
        for name, value in parameters.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return looked


def text_of(app: AppTest) -> str:
    """All that the page says, as plain text."""
    parts = [element.proto.body for element in [*app.get("html"), *app.get("markdown")]]
    alerts = [f"{a.proto.title} {a.value}" for a in [*app.error, *app.warning, *app.success, *app.info]]
    tagless = re.sub(r"<style>.*?</style>|<[^>]+>", " ", " ".join(parts), flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(tagless) + " " + " ".join(alerts).replace("\\", ""))
