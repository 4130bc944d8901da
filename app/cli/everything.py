"""Everything on this machine: the parts, whose workspace they serve, and what is said once they are ready."""

import sys
from enum import Enum
from pathlib import Path

from app import demo
from app.cli.parts import say
from app.demo.workspace import KEY, PASSWORD, PEOPLE, RECORDINGS
from app.running import supervisor
from app.running.listening import Port, refuse_taken
from app.running.supervisor import Part
from app.settings import Settings
from app.wiring import Pinrail, ready_pinrail
from core.errors import CannotStart
from core.services.access import anybody_yet
from core.store import migrate, read_models

ROOT = Path(__file__).resolve().parents[2]
RECORDED_FLAG = "PINRAIL_RECORDED_PORT"


def run(settings: Settings, *, gateways: int) -> int:
    """Run all parts until told to stop; the exit code is returned."""
    parts = own_parts(settings, gateways=gateways)
    refuse_taken(where for part in parts for where in part.ports)  # before anything is written
    pinrail = ready_pinrail(settings)
    try:
        workspace = prepared(pinrail)
        nobody_yet = not anybody_yet(pinrail.store)
    finally:
        pinrail.store.close()
    if workspace is Workspace.DEMO:
        parts = demo_parts(settings) + parts
    said = banner(settings, parts, workspace, nobody_yet=nobody_yet)
    return supervisor.run(parts, say=say, when_ready=lambda: say(said))


# -- the workspace --------------------------------------------------------------------------------


class Workspace(Enum):
    """Whose data is in the store."""

    OWN = "one's own"
    DEMO = "the demo's"
    EMPTY = "nobody's yet: the demo may move in"


def workspace_of(settings: Settings, *, empty: bool, seeded: bool) -> Workspace:
    """Whose workspace is run; CannotStart where the demo, whose passwords are known to all, must not be."""
    if not seeded:
        demo_may_move_in = empty and settings.embedded and settings.demo and settings.on_loopback
        return Workspace.EMPTY if demo_may_move_in else Workspace.OWN
    if not settings.on_loopback:
        raise CannotStart(
            "The store holds the demo workspace, whose passwords everybody knows, so it is not served at "
            f"{settings.host}. Start with your own: --no-demo --data DIR."
        )
    if not settings.demo:
        raise CannotStart(
            f"The store in {settings.data_dir} holds the demo workspace. Start empty in a folder of your own: "
            "--no-demo --data DIR."
        )
    return Workspace.DEMO


def prepared(pinrail: Pinrail) -> Workspace:
    """Look whose workspace it is, and let the demo move into an empty one."""
    settings, store = pinrail.settings, pinrail.store
    workspace = workspace_of(settings, empty=migrate.is_empty(store), seeded=read_models.was_seeded(store))
    if workspace is Workspace.OWN:
        if settings.demo and settings.embedded and migrate.is_empty(store):
            say(f"Starting empty: the demo, whose passwords everybody knows, keeps out of what {settings.host} shows.")
        return workspace
    refuse_taken(where for part in demo_parts(settings) for where in part.ports)
    if workspace is Workspace.EMPTY:
        say("Writing the demo workspace ...")
        demo.seed(pinrail, recorded_url=recorded_url(settings))
    else:
        demo.point_at(pinrail, recorded_url(settings))
    return Workspace.DEMO


# -- the parts ------------------------------------------------------------------------------------


def own_parts(settings: Settings, *, gateways: int) -> list[Part]:
    """Gateways, dashboard and scheduler."""
    parts = [_gateway(settings, number, alone=gateways == 1) for number in range(1, gateways + 1)]
    parts.append(
        _part(
            settings,
            "dashboard",
            "dashboard",
            health=f"{address(settings, settings.port)}/healthz",
            port=Port(settings.host, settings.port, "--port"),
        )
    )
    parts.append(_part(settings, "scheduler", "scheduler"))
    return parts


def _gateway(settings: Settings, number: int, *, alone: bool) -> Part:
    port = settings.gateway_port + number - 1
    if port > 65535:
        raise CannotStart("There are no ports above 65535: choose a lower --gateway-port, or fewer --gateways.")
    name = settings.gateway_name if alone else f"gateway-{number}"
    return _part(
        settings,
        name if not alone else "gateway",
        "gateway",
        health=f"{address(settings, port)}/readyz",
        port=Port(settings.host, port, "--gateway-port"),
        env={"PINRAIL_GATEWAY_PORT": str(port), "PINRAIL_GATEWAY_NAME": name},
    )


def demo_parts(settings: Settings) -> list[Part]:
    """The recorded provider, which comes before whoever asks it, and the callers' traffic."""
    return [
        _part(
            settings,
            "recorded",
            "recorded",
            str(RECORDINGS),
            health=f"http://127.0.0.1:{settings.recorded_port}/healthz",
            port=Port("127.0.0.1", settings.recorded_port, RECORDED_FLAG),
            env={"PINRAIL_HOST": "127.0.0.1"},
        ),
        _part(settings, "traffic", "demo-traffic"),
    ]


def _part(
    settings: Settings,
    name: str,
    *command: str,
    health: str | None = None,
    port: Port | None = None,
    env: dict[str, str] | None = None,
) -> Part:
    common = {
        "PINRAIL_HOST": settings.host,
        "PINRAIL_PORT": str(settings.port),
        "PINRAIL_GATEWAY_PORT": str(settings.gateway_port),
        "PINRAIL_RECORDED_PORT": str(settings.recorded_port),
        "PINRAIL_DATA_DIR": str(settings.data_dir.resolve()),
        "PINRAIL_DEMO": str(settings.demo).lower(),
        "PYTHONPATH": str(ROOT),
    }
    # -P: a folder called `app` where somebody happens to stand is not ours.
    started = (sys.executable, "-P", "-m", "app.cli", *command)
    return Part(name, started, {**common, **(env or {})}, health, (port,) if port else ())


def address(settings: Settings, port: int) -> str:
    """Where a part answers from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def recorded_url(settings: Settings) -> str:
    """The base URL of the demo's provider."""
    return f"http://127.0.0.1:{settings.recorded_port}/v1"


# -- the banner -----------------------------------------------------------------------------------


def banner(settings: Settings, parts: list[Part], workspace: Workspace, *, nobody_yet: bool) -> str:
    """Where everything is, who may sign in, how to stop, and how to go on."""
    data = f" --data {settings.data_dir}" if settings.embedded else ""
    gateways = [where.number for part in parts for where in part.ports if where.flag == "--gateway-port"]
    lines = ["", f"  Dashboard  {address(settings, settings.port)}"]
    lines += [f"  Gateway    {address(settings, number)}/v1" for number in gateways]
    lines += [f"  API        {address(settings, settings.port)}/api/v1", ""]
    if workspace is Workspace.DEMO:
        lines += [
            f"  This is the demo workspace. Sign in as {', '.join(PEOPLE)} with the password {PASSWORD};",
            f"  applications call the gateway with the key {KEY}.",
            "  Start with your own models: --no-demo --data DIR",
        ]
    elif nobody_yet:
        lines += [f"  Nobody can sign in yet. Add yourself: pinrail{data} user add NAME --role admin"]
    lines += ["  Stop with Ctrl-C.", ""]
    return "\n".join(lines)
