"""`pinrail up`, and `pinrail` without a command: everything on this machine under one supervisor."""

from typing import Annotated

import typer

from app.cli.doors import read_settings
from app.cli.exits import Exit
from app.cli.parts import Data, Host, insist_on

MOST_GATEWAYS = 32

GatewayPort = Annotated[
    int | None,
    typer.Option(
        "--gateway-port", metavar="PORT", min=1, max=65535, help="Port of the first gateway; by default 8080."
    ),
]
DashboardPort = Annotated[
    int | None,
    typer.Option("--port", metavar="PORT", min=1, max=65535, help="Port of dashboard and API; by default 8501."),
]
NoDemo = Annotated[bool, typer.Option("--no-demo", help="Start empty, without the demo workspace and its traffic.")]
Gateways = Annotated[
    int,
    typer.Option("--gateways", metavar="N", min=1, max=MOST_GATEWAYS, help="How many gateways, on consecutive ports."),
]


def up(
    gateway_port: GatewayPort = None,
    port: DashboardPort = None,
    data: Data = None,
    host: Host = None,
    no_demo: NoDemo = False,
    gateways: Gateways = 1,
) -> None:
    """Run everything on this machine.

    Gateway, dashboard and scheduler as separate processes, and at the first start a demo workspace with its provider
    and traffic. A part that crashes comes back; Ctrl-C stops all.
    """
    for extra in ("gateway", "dashboard", "scheduler"):
        insist_on(extra)
    from app.cli import everything

    demo = False if no_demo else None
    settings = read_settings(gateway_port=gateway_port, port=port, data_dir=data, host=host, demo=demo)
    if everything.run(settings, gateways=gateways):
        raise typer.Exit(Exit.REFUSED)
