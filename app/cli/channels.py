"""`pinrail alert channel …`: where alerts are sent."""

import time
from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from app.api import shapes
from app.api.shapes import Page
from app.cli.doors import Door, asked, opened_door
from app.cli.exits import Exit
from app.cli.options import Json
from app.cli.screen import Column, Screen, show
from app.cli.words import listed

app = typer.Typer(help="Where alerts are sent.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The channel's name.")]
Url = Annotated[str | None, typer.Option("--url", metavar="URL", help="Its address, if that holds no secret.")]
UrlEnv = Annotated[
    str | None,
    typer.Option("--url-env", metavar="VARIABLE", help="The environment variable of the scheduler with its address."),
]
SecretEnv = Annotated[
    str | None,
    typer.Option("--secret-env", metavar="VARIABLE", help="The environment variable of the scheduler with its secret."),
]
UserEnv = Annotated[
    str | None, typer.Option("--user-env", metavar="VARIABLE", help="The one with the name for a mail server.")
]
Sender = Annotated[str | None, typer.Option("--from", metavar="ADDRESS", help="Who mails come from.")]
Recipients = Annotated[list[str] | None, typer.Option("--to", metavar="ADDRESS", help="Whom to mail; repeatable.")]
Least = Annotated[
    Literal["warning", "critical"] | None,
    typer.Option("--least", metavar="SEVERITY", help="warning for everything, or critical."),
]
Escalations = Annotated[
    bool | None,
    typer.Option("--escalations-only/--everything", help="Told only of what nobody acknowledged in time."),
]
Enabled = Annotated[bool | None, typer.Option("--on/--off", help="One that is off is told nothing.")]

POLL_S = 0.5


@app.command("list")
def list_channels(as_json: Json = False) -> None:
    """List the channels, by name."""
    with opened_door() as door:
        show(door.channels(), as_json=as_json, draw=_draw_list)


def _draw_list(screen: Screen, page: Page[shapes.ChannelView]) -> None:
    rows = [(c.name, c.kind, _where(c), _told(c), "on" if c.enabled else "off") for c in page.items]
    columns = ("CHANNEL", "KIND", Column("WHERE", folds=True), Column("TOLD OF", folds=True), "STATE")
    screen.table(columns, rows, empty="No alert channels yet. Add one: pinrail alert channel add --help")


def _where(channel: shapes.ChannelView) -> str:
    address = channel.url or (f"what {channel.url_env} holds" if channel.url_env else "its kind's own")
    return f"{address} to {listed(channel.recipients)}" if channel.recipients else address


def _told(channel: shapes.ChannelView) -> str:
    what = "critical alerts" if channel.least == "critical" else "every alert"
    return f"{what}, once escalated" if channel.escalations_only else what


@app.command("add")
def add(
    name: Name,
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="webhook, slack, pagerduty, email or apprise.")],
    url: Url = None,
    url_env: UrlEnv = None,
    secret_env: SecretEnv = None,
    user_env: UserEnv = None,
    sender: Sender = None,
    to: Recipients = None,
    least: Least = None,
    escalations_only: Escalations = None,
    as_json: Json = False,
) -> None:
    """Add a channel.

    Secrets are given by the name of an environment variable of the scheduler's process; see docs/alerts.md.
    """
    body = asked(
        shapes.AddChannel,
        name=name,
        kind=kind,
        **_given(url, url_env, secret_env, user_env, sender, to, least, escalations_only),
    )
    with opened_door() as door:
        made = door.add_channel(body)
    show(
        made,
        as_json=as_json,
        draw=lambda screen, c: screen.say(f"Added channel {c.name}. Try it: pinrail alert channel test {c.name}"),
    )


@app.command("change")
def change(
    name: Name,
    url: Url = None,
    url_env: UrlEnv = None,
    secret_env: SecretEnv = None,
    user_env: UserEnv = None,
    sender: Sender = None,
    to: Recipients = None,
    least: Least = None,
    escalations_only: Escalations = None,
    enabled: Enabled = None,
    as_json: Json = False,
) -> None:
    """Change a channel.

    What is not given stays as it is; an empty text clears.
    """
    given = _given(url, url_env, secret_env, user_env, sender, to, least, escalations_only)
    body = asked(shapes.ChangeChannel, **given, **({} if enabled is None else {"enabled": enabled}))
    with opened_door() as door:
        made = door.change_channel(name, body)
    show(made, as_json=as_json, draw=lambda screen, c: screen.say(f"Changed channel {c.name}."))


def _given(
    url: str | None,
    url_env: str | None,
    secret_env: str | None,
    user_env: str | None,
    sender: str | None,
    to: list[str] | None,
    least: str | None,
    escalations_only: bool | None,
) -> dict[str, object]:
    """What was given on the command line."""
    said: dict[str, object | None] = {
        "url": url,
        "url_env": url_env,
        "secret_env": secret_env,
        "user_env": user_env,
        "sender": sender,
        "recipients": tuple(filter(None, to)) if to else None,
        "least": least,
        "escalations_only": escalations_only,
    }
    return {name: value for name, value in said.items() if value is not None}


@app.command("remove")
def remove(name: Name, as_json: Json = False) -> None:
    """Remove a channel; what it was told stays in the log."""
    with opened_door() as door:
        gone = door.remove_channel(name)
    show(gone, as_json=as_json, draw=lambda screen, c: screen.say(f"Removed channel {c.name}."))


@app.command("test")
def try_out(
    name: Name,
    wait: Annotated[
        float, typer.Option("--wait", min=0, max=600, metavar="SECONDS", help="Wait for the scheduler to send it.")
    ] = 30.0,
    as_json: Json = False,
) -> None:
    """Let the scheduler send a test, the same way as an alert.

    Exit code 1 when it was not sent in time, or was not taken.
    """
    with opened_door() as door:
        delivery = _awaited(door, door.test_channel(name), wait)
    show(delivery, as_json=as_json, draw=_draw_test)
    if delivery.state != "sent" and wait > 0:
        raise typer.Exit(Exit.REFUSED)


def _awaited(door: Door, delivery: shapes.DeliveryView, wait_s: float) -> shapes.DeliveryView:
    """The delivery once it was tried, or as it is after so long."""
    deadline = time.monotonic() + wait_s
    while delivery.state == "waiting" and not delivery.note and time.monotonic() < deadline:
        time.sleep(min(POLL_S, wait_s))
        newest = door.deliveries(channel=delivery.channel, alert=None, limit=50).items
        delivery = next((one for one in newest if one.id == delivery.id), delivery)
    return delivery


def _draw_test(screen: Screen, delivery: shapes.DeliveryView) -> None:
    if delivery.state == "sent":
        screen.say(f"{delivery.channel} was told: {delivery.note}.")
    elif delivery.note:
        screen.say(f"{delivery.channel} was not told. {delivery.note}")
    else:
        screen.say(
            f"A test for {delivery.channel} waits for the scheduler. How it went: "
            f"pinrail alert deliveries --channel {delivery.channel}"
        )


def draw_deliveries(screen: Screen, deliveries: Sequence[shapes.DeliveryView]) -> None:
    """What channels were told, as a table."""
    rows = [
        (
            screen.when(d.created_at),
            d.channel,
            f"{d.event} of alert {d.alert}" if d.alert else d.event,
            d.state if d.next_at is None or not d.attempts else f"{d.state}, next {screen.when(d.next_at)}",
            str(d.attempts),
            d.note,
        )
        for d in deliveries
    ]
    columns = (
        "WHEN",
        "CHANNEL",
        "WHAT",
        Column("STATE", folds=True),
        Column("TRIES", right=True),
        Column("NOTE", folds=True),
    )
    screen.table(columns, rows, empty="No channel was told anything.")
