"""`pinrail user …`: people, their roles, passwords and sessions."""

from typing import Annotated

import typer

from app.api import shapes
from app.api.shapes import Page
from app.cli.doors import asked, opened_door
from app.cli.options import Json, new_password
from app.cli.screen import Column, Screen, show
from app.cli.status import roles
from core.domain.permissions import Role

app = typer.Typer(help="People, their roles, passwords and sessions.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The person's name.")]
RoleName = Annotated[Role, typer.Argument(metavar="ROLE", help=f"One of {', '.join(Role)}.")]
OnAlias = Annotated[
    str | None, typer.Option("--alias", metavar="ALIAS", help="Only on this alias; by default everywhere.")
]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@app.command("list")
def list_users(as_json: Json = False) -> None:
    """List the people and the roles they hold."""
    with opened_door() as door:
        show(door.people(), as_json=as_json, draw=_draw_list)


def _draw_list(screen: Screen, page: Page[shapes.PersonView]) -> None:
    rows = [(p.name, roles(p.grants), _state(screen, p), screen.when(p.added_at)) for p in page.items]
    columns = ("PERSON", Column("ROLES", folds=True), Column("STATE", folds=True), Column("ADDED", folds=True))
    screen.table(columns, rows, empty="Nobody yet. Add yourself: pinrail user add NAME --role admin")


def _state(screen: Screen, person: shapes.PersonView) -> str:
    if person.disabled_at is not None:
        return f"disabled {screen.when(person.disabled_at)}"
    return "can sign in" if person.has_password else "has no password"


@app.command("add")
def add(
    name: Name,
    role: Annotated[
        Role | None, typer.Option("--role", metavar="ROLE", help=f"Everywhere: one of {', '.join(Role)}.")
    ] = None,
    password_stdin: PasswordStdin = False,
    as_json: Json = False,
) -> None:
    """Add a person.

    The password is asked for on a terminal, and may be set later.
    """
    password = new_password(from_stdin=password_stdin, required=False)
    with opened_door() as door:
        made = door.add_person(asked(shapes.AddPerson, name=name, role=role, password=password))
    show(made, as_json=as_json, draw=lambda screen, p: _say(screen, f"Added {p.name}", p))


def _say(screen: Screen, what: str, person: shapes.PersonView) -> None:
    screen.say(f"{what}. Roles: {roles(person.grants)}; {_state(screen, person)}.")


@app.command("disable")
def disable(name: Name, as_json: Json = False) -> None:
    """Shut an account: its sessions end and its tokens stop at once."""
    with opened_door() as door:
        made = door.disable_person(name)
    show(made, as_json=as_json, draw=lambda screen, p: _say(screen, f"Disabled {p.name}", p))


@app.command("enable")
def enable(name: Name, as_json: Json = False) -> None:
    """Open a disabled account again; its old sessions stay ended."""
    with opened_door() as door:
        made = door.enable_person(name)
    show(made, as_json=as_json, draw=lambda screen, p: _say(screen, f"Enabled {p.name}", p))


@app.command("grant")
def grant(name: Name, role: RoleName, alias: OnAlias = None, as_json: Json = False) -> None:
    """Give a person a role, everywhere or on one alias."""
    with opened_door() as door:
        made = door.grant(name, asked(shapes.GiveRole, role=role, alias=alias))
    what = f"{name} is {role}{_where(alias)} now"
    show(made, as_json=as_json, draw=lambda screen, p: _say(screen, what, p))


@app.command("ungrant")
def ungrant(name: Name, role: RoleName, alias: OnAlias = None, as_json: Json = False) -> None:
    """Take a role away again."""
    with opened_door() as door:
        made = door.ungrant(name, asked(shapes.GiveRole, role=role, alias=alias))
    what = f"{name} is no longer {role}{_where(alias)}"
    show(made, as_json=as_json, draw=lambda screen, p: _say(screen, what, p))


def _where(alias: str | None) -> str:
    return f" on {alias}" if alias else ""


@app.command("password")
def password(name: Name, password_stdin: PasswordStdin = False, as_json: Json = False) -> None:
    """Set a password and end the sessions begun with the old one."""
    chosen = new_password(from_stdin=password_stdin, required=True)
    with opened_door() as door:
        made = door.set_password(name, asked(shapes.SetPassword, password=chosen))
    show(made, as_json=as_json, draw=lambda screen, p: _say(screen, f"Set the password of {p.name}", p))


@app.command("sign-out")
def sign_out(name: Name, as_json: Json = False) -> None:
    """End every session of a person."""
    with opened_door() as door:
        made = door.sign_out(name)
    show(
        made,
        as_json=as_json,
        draw=lambda screen, e: screen.say(f"Ended {e.ended} session{'' if e.ended == 1 else 's'} of {e.person}."),
    )
