"""Sends Streamlit's scripts and styles compressed: on a phone the rollback button appears in half the time.

Streamlit sends them as they are, to spare a process that serves thousands. They never change while it runs, so
each is compressed once, when first asked for, and kept.
"""

import gzip
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

BELOW = "/static/"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json"}
LEVEL = 6


class CompressedFiles:
    """Answers for static files that gain by it; everything else is passed on."""

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        """``folder`` holds ``static/``."""
        self._app = app
        self._folder = folder.resolve()
        self._kept: dict[str, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the compressed file, or pass the request on."""
        body = await self._body(scope) if scope["type"] == "http" else None
        if body is None:
            await self._app(scope, receive, send)
            return
        kind = TYPES[Path(scope["path"]).suffix]
        headers = {
            "content-encoding": "gzip",
            "vary": "accept-encoding",
            "cache-control": "public, immutable, max-age=31536000",  # their names change with their contents
        }
        await Response(body, media_type=kind, headers=headers)(scope, receive, send)

    async def _body(self, scope: Scope) -> bytes | None:
        path = scope["path"]
        if not path.startswith(BELOW) or scope["method"] not in ("GET", "HEAD") or Path(path).suffix not in TYPES:
            return None
        headers = Headers(scope=scope)
        if "range" in headers or "gzip" not in headers.get("accept-encoding", ""):
            return None
        if path not in self._kept:
            file = (self._folder / path.removeprefix("/")).resolve()
            if not file.is_relative_to(self._folder / "static") or not file.is_file():
                return None
            self._kept[path] = await run_in_threadpool(_compressed, file)
        return self._kept[path]


def _compressed(file: Path) -> bytes:
    return gzip.compress(file.read_bytes(), LEVEL, mtime=0)
