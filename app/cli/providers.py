"""`pinrail provider …`: who answers requests, and which environment variable holds their key."""

from typing import Annotated

import typer

from app.api import shapes
from app.api.shapes import Page
from app.cli.doors import asked, opened_door
from app.cli.options import Json
from app.cli.screen import Column, Screen, show
from core.domain.versions import PROVIDER_KINDS
from core.errors import InvalidInput

app = typer.Typer(help="Who answers requests.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The provider's name.")]
SecretEnv = Annotated[
    str | None,
    typer.Option("--secret-env", metavar="VARIABLE", help="The *name* of the variable with the key, never the key."),
]
Description = Annotated[str | None, typer.Option("--description", metavar="TEXT", help="What it is for.")]
BASE_URL_HELP = "Where it answers, such as https://api.openai.com/v1"


@app.command("list")
def list_providers(as_json: Json = False) -> None:
    """List the providers."""
    with opened_door() as door:
        show(door.providers(), as_json=as_json, draw=_draw_list)


def _draw_list(screen: Screen, page: Page[shapes.ProviderView]) -> None:
    rows = [(p.name, p.kind, p.base_url, p.secret_env or "", p.description) for p in page.items]
    columns = ("PROVIDER", "KIND", "BASE URL", "KEY IN", Column("DESCRIPTION", folds=True))
    screen.table(columns, rows, empty="No providers yet. Register one: pinrail provider register --help")


@app.command("register")
def register(
    name: Name,
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help=f"One of {', '.join(PROVIDER_KINDS)}.")],
    base_url: Annotated[str, typer.Option("--base-url", metavar="URL", help=BASE_URL_HELP)],
    secret_env: SecretEnv = None,
    description: Description = None,
    as_json: Json = False,
) -> None:
    """Register a provider; the same again is no change."""
    body = asked(
        shapes.RegisterProvider,
        name=name,
        kind=kind,
        base_url=base_url,
        secret_env=secret_env,
        description=description or "",
    )
    with opened_door() as door:
        made = door.register_provider(body)
    show(made, as_json=as_json, draw=lambda screen, view: _say(screen, "Registered", view))


@app.command("change")
def change(
    name: Name,
    base_url: Annotated[str | None, typer.Option("--base-url", metavar="URL", help=BASE_URL_HELP)] = None,
    secret_env: SecretEnv = None,
    description: Description = None,
    as_json: Json = False,
) -> None:
    """Change where a provider answers.

    What is not given stays as it is; an empty --secret-env clears it.
    """
    edits: dict[str, object] = {"base_url": base_url, "description": description}
    given = {field: value for field, value in edits.items() if value is not None}
    if secret_env is not None:
        given["secret_env"] = secret_env or None
    if not given:
        raise InvalidInput("Give --base-url, --secret-env or --description.")
    with opened_door() as door:
        made = door.change_provider(name, asked(shapes.ChangeProvider, **given))
    show(made, as_json=as_json, draw=lambda screen, view: _say(screen, "Changed", view))


def _say(screen: Screen, what: str, provider: shapes.ProviderView) -> None:
    key = f"with the key in {provider.secret_env}" if provider.secret_env else "without a key"
    screen.say(f"{what} provider {provider.name} ({provider.kind}) at {provider.base_url}, {key}.")
