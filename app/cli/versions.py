"""`pinrail version …`: pinned models with their prompt, parameters and data, registered once and for ever."""

import json
from typing import Annotated, Any

import typer

from app.api import shapes
from app.api.shapes import Page
from app.cli import issues, quarantine
from app.cli.doors import asked, opened_door
from app.cli.options import Json, day, microdollars
from app.cli.screen import Column, Screen, show
from app.cli.words import listed, price, yes
from core.errors import InvalidInput

app = typer.Typer(help="Pinned models with their prompt, parameters and data.", no_args_is_help=True)
app.add_typer(issues.app, name="issue")
app.command("quarantine")(quarantine.quarantine)
app.command("lift-quarantine")(quarantine.lift_quarantine)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The version's name.")]


@app.command("list")
def list_versions(as_json: Json = False) -> None:
    """List the versions, newest first."""
    with opened_door() as door:
        show(door.versions(), as_json=as_json, draw=_draw_list)


def _draw_list(screen: Screen, page: Page[shapes.VersionView]) -> None:
    rows = [
        (v.name, v.provider, v.model_id, v.pin_class, v.prompt or "", screen.when(v.registered_at)) for v in page.items
    ]
    columns = ("VERSION", "PROVIDER", "MODEL", "PIN", "PROMPT", Column("REGISTERED", folds=True))
    screen.table(columns, rows, empty="No versions yet. Register one: pinrail version register --help")


@app.command("show")
def show_version(name: Name, as_json: Json = False) -> None:
    """Show everything that is tracked of a version."""
    with opened_door() as door:
        show(door.version(name), as_json=as_json, draw=_draw)


def _draw(screen: Screen, version: shapes.VersionView) -> None:
    can = version.capabilities
    tokens = f"{can.context_tokens:,} tokens" if can.context_tokens is not None else "unknown"
    cost = version.price
    screen.facts(
        [
            ("Version", version.name),
            ("Runs", version.reference),
            ("Provider", version.provider),
            ("Model", f"{version.model_id} ({version.pin_class}: {version.pin_because})"),
            ("Prompt", version.prompt or "none"),
            ("Parameters", json.dumps(version.parameters) if version.parameters else "none"),
            ("Data", listed(version.data_versions)),
            ("Introduced", version.introduced.isoformat() if version.introduced else ""),
            ("Price", f"{price(cost.input_microdollars)} in, {price(cost.output_microdollars)} out per million tokens"),
            ("Tools", yes(can.tools)),
            ("Vision", yes(can.vision)),
            ("JSON schema", yes(can.json_schema)),
            ("Context", tokens),
            ("Notes", version.notes),
            ("Registered", f"{screen.when(version.registered_at)} by {version.registered_by}"),
        ]
    )
    if version.issues:
        screen.say("")
        issues.draw(screen, version.issues)


@app.command("register")
def register(
    name: Name,
    provider: Annotated[str, typer.Option("--provider", metavar="PROVIDER", help="Who runs the model.")],
    model: Annotated[
        str, typer.Option("--model", metavar="ID", help="The provider's exact model id; a floating one is refused.")
    ],
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="PROMPT", help="A registered prompt version.")
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", metavar="NAME=VALUE", help="A request parameter, its value as JSON; repeatable."),
    ] = None,
    data_version: Annotated[
        list[str] | None,
        typer.Option("--data-version", metavar="NAME", help="A registered data version; may be repeated."),
    ] = None,
    introduced: Annotated[
        str | None, typer.Option("--introduced", metavar="DATE", help="When the provider introduced the model.")
    ] = None,
    input_price: Annotated[
        str | None, typer.Option("--input-price", metavar="DOLLARS", help="Per million input tokens.")
    ] = None,
    output_price: Annotated[
        str | None, typer.Option("--output-price", metavar="DOLLARS", help="Per million output tokens.")
    ] = None,
    tools: Annotated[bool | None, typer.Option("--tools/--no-tools", help="It can call tools.")] = None,
    vision: Annotated[bool | None, typer.Option("--vision/--no-vision", help="It can see.")] = None,
    json_schema: Annotated[
        bool | None, typer.Option("--json-schema/--no-json-schema", help="It can be held to a JSON schema.")
    ] = None,
    context_tokens: Annotated[
        int | None, typer.Option("--context-tokens", metavar="N", min=1, help="How much it can read.")
    ] = None,
    notes: Annotated[
        str, typer.Option("--notes", metavar="TEXT", help="Anything else; the only part that may change later.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Register a version.

    The same again is no change; anything else under the name is refused.
    """
    body = asked(
        shapes.RegisterVersion,
        name=name,
        provider=provider,
        model_id=model,
        prompt=prompt,
        parameters=_parameters(parameter or []),
        data_versions=tuple(data_version or ()),
        introduced=day(introduced),
        price={"input_microdollars": microdollars(input_price), "output_microdollars": microdollars(output_price)},
        capabilities={"tools": tools, "vision": vision, "json_schema": json_schema, "context_tokens": context_tokens},
        notes=notes,
    )
    with opened_door() as door:
        made = door.register_version(body)
    show(made, as_json=as_json, draw=_say_registered)


def _say_registered(screen: Screen, version: shapes.VersionView) -> None:
    screen.say(f"Registered version {version.name}: {version.reference}.")
    screen.say(f"Its model id is {version.pin_class}: {version.pin_because}.")


def _parameters(given: list[str]) -> dict[str, Any]:
    """`temperature=0.2` and the like. A value that is no JSON is taken as the text it is."""
    found: dict[str, Any] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InvalidInput(f"{pair!r} is no parameter; give NAME=VALUE, such as temperature=0.2.")
        try:
            found[name] = json.loads(value, parse_constant=_no_number)
        except json.JSONDecodeError:
            found[name] = value
    return found


def _no_number(text: str) -> object:
    raise InvalidInput(f"{text} is no JSON number.")


@app.command("note")
def note(
    name: Name,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The new notes; an empty text clears them.")],
    as_json: Json = False,
) -> None:
    """Replace the notes of a version.

    They are the only part of it that may change.
    """
    with opened_door() as door:
        made = door.note_version(name, asked(shapes.NoteVersion, notes=text))
    show(made, as_json=as_json, draw=lambda screen, version: screen.say(f"Noted on {version.name}: {version.notes}"))
