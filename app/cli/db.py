"""`pinrail db …`: the store itself: where it is, whether it fits this program, and bringing it up to date."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import typer
from pydantic import BaseModel

from app.cli.doors import read_settings
from app.cli.options import Json
from app.cli.screen import Screen, show

if TYPE_CHECKING:
    from app.settings import Settings
    from core.store.database import Store

T = TypeVar("T")

app = typer.Typer(help="The store itself: its address and its schema.", no_args_is_help=True)


class StoreView(BaseModel):
    """A store and its schema."""

    url: str
    embedded: bool
    schema_at: str | None = None
    schema_needed: str
    changed: bool = False


@app.command("upgrade")
def upgrade(as_json: Json = False) -> None:
    """Bring the schema up to date.

    Safe to run at any time, and by several at once.
    """
    from core.store import migrate

    settings = read_settings()
    changed = _with_store(settings, migrate.upgrade)
    show(_view(settings, at=migrate.newest(), changed=changed), as_json=as_json, draw=_draw_upgrade)


def _draw_upgrade(screen: Screen, view: StoreView) -> None:
    what = "Brought up to date" if view.changed else "Up to date already"
    screen.say(f"{what}: {view.url} is at schema {view.schema_at}.")


@app.command("check")
def check(as_json: Json = False) -> None:
    """Say whether the store fits this program.

    Exit code 6 when it cannot be reached, or has another schema.
    """
    from core.store import migrate

    settings = read_settings()
    _with_store(settings, migrate.check_schema)
    show(
        _view(settings, at=migrate.newest()),
        as_json=as_json,
        draw=lambda screen, view: screen.say(f"The store {view.url} is at schema {view.schema_at}, as needed."),
    )


@app.command("url")
def url(as_json: Json = False) -> None:
    """Print the address of the store, without its password."""
    show(_view(read_settings()), as_json=as_json, draw=lambda screen, view: screen.say(view.url))


def _with_store(settings: "Settings", work: "Callable[[Store], T]") -> T:
    from app.wiring import open_pinrail

    pinrail = open_pinrail(settings)
    try:
        return work(pinrail.store)
    finally:
        pinrail.store.close()


def _view(settings: "Settings", *, at: str | None = None, changed: bool = False) -> StoreView:
    from sqlalchemy import make_url

    from core.store import migrate

    shown = make_url(settings.store_url).render_as_string(hide_password=True)
    return StoreView(
        url=shown, embedded=settings.embedded, schema_at=at, schema_needed=migrate.newest(), changed=changed
    )
