"""Runs the dashboard's process: pages, the sign-in before them and the control API beside them, on one port."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

import streamlit as st
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Lifespan
from streamlit.file_util import get_static_dir
from streamlit.web.bootstrap import load_config_options

from app.api.app import Beside, create_api
from app.dashboard.front.compression import CompressedFiles
from app.dashboard.front.gate import Gate
from app.dashboard.front.headers import SecurityHeaders, policy
from app.dashboard.front.signing import Front
from app.dashboard.installation import hold
from app.running.listening import Port, refuse_taken
from app.settings import Settings
from app.wiring import Pinrail, ready_pinrail
from core.errors import CannotStart
from core.store import read_models

HERE = Path(__file__).resolve().parent
MAIN = HERE / "main.py"
STREAMLIT_CONFIG = HERE.parent.parent / ".streamlit" / "config.toml"


def run(settings: Settings) -> int:
    """Serve until told to stop; the exit code is returned."""
    refuse_taken([Port(settings.host, settings.port, "--port")])
    pinrail = ready_pinrail(settings)
    try:
        refuse_public_demo(pinrail)
        configure_streamlit(settings)
        Server(serving(create(pinrail), settings)).run()
    finally:
        hold(None)
        pinrail.store.close()
    return 0


def refuse_public_demo(pinrail: Pinrail) -> None:
    """CannotStart where people from outside could sign in with the demo's well-known passwords."""
    if not pinrail.settings.on_loopback and read_models.was_seeded(pinrail.store):
        raise CannotStart(
            f"This store holds the demo workspace, whose passwords everybody knows, so the dashboard does not listen "
            f"on {pinrail.settings.host}. Start with --no-demo and an empty store (--data DIR, or "
            "PINRAIL_DATABASE_URL), or stay on --host 127.0.0.1."
        )


def create(pinrail: Pinrail) -> Starlette:
    """The whole front with our pages. A process can hold only one: Streamlit keeps its state in the process."""
    hold(pinrail)
    dashboard = st.App(MAIN)
    return fronted(pinrail, dashboard, lifespan=dashboard.lifespan())


def fronted(pinrail: Pinrail, dashboard: ASGIApp, *, lifespan: Lifespan[Starlette] | None = None) -> Starlette:
    """``dashboard`` behind the gate, with the sign-in before it and the control API beside it."""
    front = Front(pinrail)
    static = Path(get_static_dir())
    return Starlette(
        routes=[
            Route("/sign-in", front.show, methods=["GET"]),
            Route("/sign-in", front.sign_in, methods=["POST"]),
            Route("/sign-out", front.ask_to_leave, methods=["GET"]),
            Route("/sign-out", front.sign_out, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/front/mark.svg", mark),
            Route("/a/{alias}", to_alias),
            Route("/a/{alias}/rollback", to_rollback),
            Mount("/", dashboard),
        ],
        middleware=[
            Middleware(SecurityHeaders, policy=policy((static / "index.html").read_text(encoding="utf-8"))),
            Middleware(Beside, api=create_api(pinrail)),
            Middleware(Gate, pinrail=pinrail),
            Middleware(CompressedFiles, folder=static),
        ],
        lifespan=lifespan,
    )


def configure_streamlit(settings: Settings) -> None:
    """Give Streamlit our configuration wherever the process was started: by itself it looks in the current folder."""
    options = dict(_flat(tomllib.loads(STREAMLIT_CONFIG.read_text(encoding="utf-8"))))
    load_config_options({**options, "server.address": settings.host, "server.port": settings.port})


def _flat(table: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


# -- small routes ---------------------------------------------------------------------------------


async def healthz(_request: Request) -> JSONResponse:
    """The process lives. Whether the store does is shown on the pages: restarting this would not mend it."""
    return JSONResponse({"status": "ok"}, headers={"cache-control": "no-store"})


async def mark(_request: Request) -> FileResponse:
    """The mark in the browser's tab."""
    return FileResponse(HERE / "mark.svg", headers={"cache-control": "public, max-age=86400"})


async def to_alias(request: Request) -> RedirectResponse:
    """A short link to an alias."""
    return RedirectResponse(f"/alias?name={quote(request.path_params['alias'], safe='')}", 307)


async def to_rollback(request: Request) -> RedirectResponse:
    """A short link to an alias with the rollback dialog open. It shows; only a click there acts."""
    return RedirectResponse(f"/alias?name={quote(request.path_params['alias'], safe='')}&do=rollback", 307)


# -- the server -----------------------------------------------------------------------------------


def serving(app: Starlette, settings: Settings) -> uvicorn.Config:
    """How the front is served."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ws="websockets-sansio",
        ws_ping_interval=30,
        ws_ping_timeout=30,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )


class Server(uvicorn.Server):
    """uvicorn, which here ends by itself after a signal instead of sending it to itself again."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal stops in good order, a second one at once."""
        self.force_exit = self.should_exit
        self.should_exit = True
