"""`pinrail alert …`: what needs somebody, taking it, silencing it, and what was told of it."""

from typing import Annotated, Literal

import typer

from app.api import shapes
from app.api.shapes import Page
from app.cli import channels
from app.cli.doors import asked, opened_door
from app.cli.options import Json, Reason
from app.cli.screen import Column, Screen, present, show
from app.times import future
from core.errors import InvalidInput

app = typer.Typer(help="What needs somebody, and who is told.", no_args_is_help=True)
app.add_typer(channels.app, name="channel")

Number = Annotated[int, typer.Argument(metavar="ALERT", min=1, help="The alert's number.")]
UNRESOLVED = ("open", "acknowledged")


@app.command("list")
def list_alerts(
    state: Annotated[
        Literal["open", "acknowledged", "resolved", "all"] | None,
        typer.Option("--state", metavar="STATE", help="open, acknowledged, resolved or all; by default unresolved."),
    ] = None,
    alias: Annotated[str | None, typer.Option("--alias", metavar="ALIAS", help="Only of this alias.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=500, help="How many.")] = 100,
    as_json: Json = False,
) -> None:
    """List the alerts that are not resolved, the worst first."""
    states = UNRESOLVED if state is None else () if state == "all" else (state,)
    with opened_door() as door:
        show(door.alerts(states=states, alias=alias, limit=limit), as_json=as_json, draw=_draw_list)


def _draw_list(screen: Screen, page: Page[shapes.AlertView]) -> None:
    rows = [
        (str(a.id), a.severity, _state(screen, a), a.title, a.because, screen.when(a.opened_at)) for a in page.items
    ]
    columns = (
        Column("ALERT", right=True),
        "SEVERITY",
        Column("STATE", folds=True),
        Column("WHAT", folds=True),
        Column("WHY", folds=True),
        Column("SINCE", folds=True),
    )
    screen.table(columns, rows, empty="No alerts. Older ones: pinrail alert list --state resolved")


def _state(screen: Screen, alert: shapes.AlertView) -> str:
    words = [alert.state]
    if alert.state == "acknowledged":
        words.append(f"by {alert.acknowledged_by}")
    if alert.state == "resolved":
        words.append(f"by {alert.resolved_by}")
    if alert.silenced_until is not None:
        words.append(f"(silenced until {screen.when(alert.silenced_until)})")
    return " ".join(words)


@app.command("show")
def show_alert(number: Number, as_json: Json = False) -> None:
    """Show an alert, what happened to it, and who was told."""
    with opened_door() as door:
        show(door.alert(number), as_json=as_json, draw=_draw_alert)


def _draw_alert(screen: Screen, alert: shapes.AlertView) -> None:
    screen.facts(
        [
            ("Alert", f"{alert.id}: {alert.title}"),
            ("Why", alert.because),
            ("Severity", alert.severity),
            ("State", _state(screen, alert)),
            ("Since", screen.when(alert.opened_at)),
            ("Alias", alert.alias or ""),
            ("Owner", alert.owner or "no one yet"),
            ("Watch", alert.watch),
            ("Open", alert.link),
        ]
    )
    happened = [(screen.when(c.at), c.did, c.by, c.reason) for c in alert.changes or ()]
    screen.table(("WHEN", "WHAT", "BY", Column("WHY", folds=True)), happened, empty="Nothing happened to it.")
    channels.draw_deliveries(screen, alert.deliveries or ())


@app.command("ack")
def acknowledge(number: Number, reason: Reason = "", as_json: Json = False) -> None:
    """Say that you look after an alert, so that it is not escalated."""
    body = asked(shapes.HandleAlert, reason=reason)
    with opened_door() as door:
        done = door.acknowledge(number, body)
    show(done, as_json=as_json, draw=lambda screen, a: screen.say(f"Acknowledged alert {a.id}: {a.title}. {a.link}"))


@app.command("resolve")
def resolve(number: Number, reason: Reason = "", as_json: Json = False) -> None:
    """Say that an alert is over.

    If its condition holds on, a new one is raised after a quarter of an hour.
    """
    body = asked(shapes.HandleAlert, reason=reason)
    with opened_door() as door:
        done = door.resolve_alert(number, body)
    show(done, as_json=as_json, draw=lambda screen, a: screen.say(f"Resolved alert {a.id}: {a.title}."))


@app.command("silence")
def silence(
    number: Number,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="When it ends: 2h, 3d, or 2027-01-31.")
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="End a silence.")] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Let nobody be told of an alert's condition for a while."""
    if (until is None) is not end:
        raise InvalidInput("Give --until TIME, or --end to end a silence.")
    body = asked(shapes.SilenceAlert, until=future(until, now=present()), reason=reason)
    with opened_door() as door:
        done = door.silence(number, body)
    show(done, as_json=as_json, draw=_draw_silence)


def _draw_silence(screen: Screen, alert: shapes.AlertView) -> None:
    if alert.silenced_until is None:
        screen.say(f"The silence of alert {alert.id} is over: {alert.title}.")
    else:
        screen.say(f"Silenced alert {alert.id} until {screen.when(alert.silenced_until)}: {alert.title}.")


@app.command("deliveries")
def deliveries(
    channel: Annotated[str | None, typer.Option("--channel", metavar="NAME", help="Only to this channel.")] = None,
    alert: Annotated[int | None, typer.Option("--alert", metavar="ALERT", min=1, help="Only of this alert.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=500, help="How many.")] = 50,
    as_json: Json = False,
) -> None:
    """List what channels were told and are to be told, newest first."""
    with opened_door() as door:
        page = door.deliveries(channel=channel, alert=alert, limit=limit)
    show(page, as_json=as_json, draw=lambda screen, found: channels.draw_deliveries(screen, found.items))
