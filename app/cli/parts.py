"""The commands that are one part each: gateway, dashboard, scheduler, the recorded provider, the demo's traffic."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.doors import read_settings
from core.errors import CannotStart, InvalidInput

if TYPE_CHECKING:
    from app.settings import Settings

Host = Annotated[
    str | None, typer.Option("--host", metavar="ADDRESS", help="Where to listen; by default only on this machine.")
]
Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Folder for everything that is kept.")]

LIBRARIES: dict[str, tuple[str, ...]] = {
    "gateway": ("aiohttp", "uvicorn"),
    "dashboard": ("fastapi", "plotly", "streamlit", "uvicorn"),
    "scheduler": ("apscheduler",),
}
"""What only an extra installs; see pyproject.toml."""


def insist_on(extra: str) -> None:
    """Return when the packages of ``extra`` are installed; CannotStart says how to get them."""
    if any(importlib.util.find_spec(library) is None for library in LIBRARIES[extra]):
        raise CannotStart(f"This needs the {extra}'s packages: pip install 'pinrail[{extra}]'")


def _served(run: "Callable[[Settings], int | None]", settings: "Settings") -> None:
    code = run(settings)
    if code:
        raise typer.Exit(code)


def gateway(
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Port to listen on.")
    ] = None,
    host: Host = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Its name in receipts; one of its own per replica.")
    ] = None,
    data: Data = None,
) -> None:
    """Run a gateway.

    It answers OpenAI clients, and routes each alias to its version.
    """
    settings = read_settings(gateway_port=port, host=host, gateway_name=name, data_dir=data)
    insist_on("gateway")
    from app.gateway import server

    _served(server.run, settings)


def dashboard(
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Port to listen on.")
    ] = None,
    host: Host = None,
    data: Data = None,
) -> None:
    """Run the dashboard, with the API beside it."""
    settings = read_settings(port=port, host=host, data_dir=data)
    insist_on("dashboard")
    from app.dashboard import server

    _served(server.run, settings)


def scheduler(data: Data = None) -> None:
    """Run a scheduler; of several, one wins each run."""
    settings = read_settings(data_dir=data)
    insist_on("scheduler")
    from app import scheduler as part

    _served(part.run, settings)


def recorded(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Folders of recordings, or of such folders.")],
    port: Annotated[
        int | None, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Port to listen on.")
    ] = None,
    host: Host = None,
    behaviour: Annotated[
        list[str] | None,
        typer.Option("--behaviour", metavar="NAME=VALUE", help="For every model, such as error_share=0.1; repeatable."),
    ] = None,
    calm: Annotated[bool, typer.Option("--calm", help="Leave every behaviour.json aside.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Where the drawing of faults begins.")] = None,
) -> None:
    """Serve recordings as a provider.

    The same request always gets the recorded answer; see docs/recorded-provider.md.
    """
    settings = read_settings(recorded_port=port, host=host)
    insist_on("gateway")
    from core.connectors.recorded_server import serve

    serve(
        paths,
        host=settings.host,
        port=settings.recorded_port,
        settings=dict(map(_setting, behaviour or [])),
        seed=seed,
        calm=calm,
        say=say,
    )


def _setting(pair: str) -> tuple[str, Any]:
    name, equals, value = pair.partition("=")
    try:
        if not equals:
            raise ValueError(pair)
        return name.strip(), json.loads(value)
    except ValueError as fault:
        raise InvalidInput(f"{pair!r} is no behaviour; give NAME=VALUE, such as error_share=0.1.") from fault


def demo_traffic() -> None:
    """Send the demo's gentle traffic through the gateway until stopped."""
    insist_on("gateway")
    from app import demo

    _served(demo.run_traffic, read_settings())


def say(line: str) -> None:
    """A line about a part's progress."""
    print(line, file=sys.stdout, flush=True)
