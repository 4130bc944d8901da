"""The program `pinrail`: its commands, and how each of them ends."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app import __version__
from app.cli import (
    alerts,
    aliases,
    audit,
    backups,
    callers,
    data_versions,
    db,
    doctor,
    evacuate,
    moves,
    parts,
    prompts,
    providers,
    status,
    tokens,
    users,
    versions,
)
from app.cli import up as whole
from app.cli.doors import DATA_DIR
from app.cli.exits import Exit, exit_for
from app.cli.parts import Data, Host
from app.cli.screen import complain
from app.cli.up import DashboardPort, GatewayPort, Gateways, NoDemo
from core.errors import InvalidInput, PinrailError

HELP = """\
Pin, flip and roll back the model versions behind aliases. Without a command: everything on this machine, as `up`.

Commands work on the store of this machine (PINRAIL_DATABASE_URL, or the embedded one), or over the API when PINRAIL_URL
is set, with the API token in PINRAIL_TOKEN.
"""


ORDER = (
    "up",
    "status",
    "rollback",
    "evacuate",
    "whoami",
    "alias",
    "alert",
    "version",
    "prompt",
    "data-version",
    "provider",
    "caller",
    "user",
    "token",
    "audit",
    "db",
    "doctor",
    "backup",
    "restore",
    "gateway",
    "dashboard",
    "scheduler",
    "recorded",
    "demo-traffic",
)
"""What help lists first is what is wanted first."""


class PipeClosed(Exception):
    """Whoever read the output has closed it."""


class Interrupted(Exception):
    """Somebody pressed Ctrl-C."""


class Program(TyperGroup):
    """The commands of `pinrail`; whatever happens in one ends in a sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Carry out the command. Typer would end a closed pipe as if it were a refusal, and Ctrl-C without a word."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as fault:
            raise PipeClosed from fault
        except KeyboardInterrupt as fault:
            raise Interrupted from fault

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands, in the order of their use."""
        return sorted(self.commands, key=ORDER.index)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run one command and leave with its exit code."""

        def work() -> Any:
            return super(Program, self).main(
                args, prog_name="pinrail", complete_var=complete_var, standalone_mode=False, **extra
            )

        sys.exit(ended(work))


def ended(work: Callable[[], Any]) -> int:
    """Do the work, and say how it ended as an exit code."""
    try:
        code = work()
        sys.stdout.flush()
    except PinrailError as refusal:
        complain(str(refusal))
        return exit_for(refusal)
    except typer.TyperException as wrong:
        complain(_usage(wrong))
        return Exit.WRONG_USAGE
    except (Interrupted, KeyboardInterrupt, typer.Abort):
        complain("Stopped.")
        return Exit.INTERRUPTED
    except (PipeClosed, BrokenPipeError):
        # What Python flushes at the end must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.PIPE_CLOSED
    except Exception:  # noqa: BLE001  # the end of the line: nobody above could still tell a fault from a refusal
        traceback.print_exc()
        complain("This is a fault in Pinrail itself; the lines above tell where.")
        return Exit.FAULT
    return code if isinstance(code, int) else Exit.DONE


def _usage(wrong: typer.TyperException) -> str:
    said = wrong.format_message().strip().replace("Value error, ", "")
    said = said if said.endswith((".", "?")) else f"{said}."
    context = getattr(wrong, "ctx", None)
    return f"{said} See {context.command_path} --help." if context is not None else said


program = typer.Typer(
    cls=Program,
    help=HELP,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 110},
)


def _show_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@program.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    gateway_port: GatewayPort = None,
    port: DashboardPort = None,
    data: Data = None,
    host: Host = None,
    no_demo: NoDemo = False,
    gateways: Gateways = 1,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Without a command: everything."""
    DATA_DIR.set(data)
    if context.invoked_subcommand is None:
        whole.up(gateway_port, port, data, host, no_demo, gateways)
        return
    misplaced = [
        flag
        for flag, given in (
            ("--gateway-port", gateway_port is not None),
            ("--port", port is not None),
            ("--host", host is not None),
            ("--no-demo", no_demo),
            ("--gateways", gateways != 1),
        )
        if given
    ]
    if misplaced:
        raise InvalidInput(f"{', '.join(misplaced)} belongs after the command, or to no command at all.")


program.command("up")(whole.up)
program.command("status")(status.status)
program.command("whoami")(status.whoami)
program.command("rollback")(moves.roll_back)
for name, group in (
    ("evacuate", evacuate.app),
    ("alias", aliases.app),
    ("alert", alerts.app),
    ("version", versions.app),
    ("prompt", prompts.app),
    ("data-version", data_versions.app),
    ("provider", providers.app),
    ("caller", callers.app),
    ("user", users.app),
    ("token", tokens.app),
    ("audit", audit.app),
    ("db", db.app),
):
    program.add_typer(group, name=name)
program.command("doctor")(doctor.doctor)
program.command("backup")(backups.backup)
program.command("restore")(backups.restore)
program.command("gateway")(parts.gateway)
program.command("dashboard")(parts.dashboard)
program.command("scheduler")(parts.scheduler)
program.command("recorded")(parts.recorded)
program.command("demo-traffic", hidden=True)(parts.demo_traffic)


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character still gets the rest
    program()
