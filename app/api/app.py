"""Makes the control API: routes in an envelope, every refusal a problem, the document that describes it all."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Security
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app import __version__
from app.api import problems
from app.api.envelope import REQUEST_ID, Envelope, Limits, Recognition
from app.api.routes import access, alerts, aliases, evacuations, registry, running
from app.api.shapes import Problem
from app.wiring import Pinrail
from core.domain.permissions import Actor
from core.errors import PinrailError
from core.services.access import actor_for_token

PREFIX = "/api/v1"

ABOUT = """\
Pin, flip and roll back the model versions behind aliases.

**Who asks.** `Authorization: Bearer pr_…`, an API token (`pinrail token create`). Cookies mean nothing here.

**Nobody decides on an old picture.** A write on an alias says which revision the person saw: the alias's ETag as
`If-Match`, or `seen_revision` in the body. Without it the answer is 428, and 412 when somebody moved the alias since.

**Asking twice is safe.** Every write takes an `Idempotency-Key`: the second time nothing happens, and the answer is
the first one again, with the header `idempotency-replayed: true`. A secret is not shown a second time.

**Refusals** are problem details (RFC 9457) with a stable `code`. `x-pinrail-action` of an operation names the action
that its caller must be allowed, as in `GET /can-i`.

Bodies have at most 2 MiB; unknown fields and query parameters are refused. Every answer carries
`x-pinrail-request-id`.
"""

ROUTERS = (aliases.router, registry.router, evacuations.router, access.router, running.router, alerts.router)


def create_api(pinrail: Pinrail) -> FastAPI:
    """The control API of an installation, to be put ``Beside`` something else."""

    def actor_for(secret: str) -> Actor:
        return actor_for_token(pinrail.store, secret, now=pinrail.now())

    api = FastAPI(
        title="Pinrail control API",
        version=__version__,
        description=ABOUT,
        docs_url=None,  # the page would load its scripts from somebody else's host
        redoc_url=None,
        openapi_url="/openapi.json",
        servers=[{"url": PREFIX}],
        root_path_in_servers=False,
        redirect_slashes=False,
        dependencies=[Security(HTTPBearer(bearerFormat="pr_…", description="An API token.", auto_error=False))],
        generate_unique_id_function=_operation_id,
        exception_handlers={
            PinrailError: problems.refuse,
            RequestValidationError: problems.refuse_values,
            HTTPException: problems.refuse_request,
        },
        middleware=[Middleware(Envelope), Middleware(Limits), Middleware(Recognition, actor_for=actor_for)],
    )
    api.state.pinrail = pinrail
    for router in ROUTERS:
        api.include_router(router)
    api.openapi = _document(api)  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
    return api


class Beside:
    """Answers what is below ``PREFIX`` with the API and passes everything else on.

    Starlette's Mount would do, but takes no address with a line break in it, and so would answer for us.
    """

    def __init__(self, app: ASGIApp, api: ASGIApp) -> None:
        self._app = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"].startswith(f"{PREFIX}/"):
            below = {**scope, "root_path": scope.get("root_path", "") + PREFIX}
            await self._api(below, receive, send)
        else:
            await self._app(scope, receive, send)


def _operation_id(route: APIRoute) -> str:
    return route.name


def _document(api: FastAPI) -> Callable[[], dict[str, Any]]:
    """The OpenAPI document, made once: with the shape of refusals, and the request id on every answer."""

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            made = get_openapi(
                title=api.title,
                version=api.version,
                description=api.description,
                routes=api.routes,
                servers=api.servers,
            )
            made["components"]["schemas"]["Problem"] = Problem.model_json_schema()
            named = {"description": "Finds this request in the log.", "schema": {"type": "string"}}
            for operations in made["paths"].values():
                for operation in operations.values():
                    for answer in operation["responses"].values():
                        answer.setdefault("headers", {})[REQUEST_ID] = named
            api.openapi_schema = made
        return api.openapi_schema

    return document
