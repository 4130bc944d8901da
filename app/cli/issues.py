"""`pinrail version issue …`: what is wrong with a version that people must know before they send traffic to it."""

from collections.abc import Sequence
from typing import Annotated

import typer

from app.api import shapes
from app.cli.doors import asked, opened_door
from app.cli.options import IdempotencyKey, Json, fresh_key
from app.cli.screen import Column, Screen, show

app = typer.Typer(help="Known issues of versions.", no_args_is_help=True)


@app.command("list")
def list_issues(
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="By default of every version.")] = None,
    as_json: Json = False,
) -> None:
    """List known issues, open ones first."""
    with opened_door() as door:
        show(door.issues(version), as_json=as_json, draw=lambda screen, page: draw(screen, page.items))


def draw(screen: Screen, issues: Sequence[shapes.IssueView]) -> None:
    """Known issues as a table."""
    rows = [
        (str(i.id), i.version, i.text, f"{screen.when(i.added_at)} by {i.added_by}", _end(screen, i)) for i in issues
    ]
    columns = (
        Column("ISSUE", right=True),
        "VERSION",
        Column("WHAT", folds=True),
        Column("ADDED", folds=True),
        Column("RESOLVED", folds=True),
    )
    screen.table(columns, rows, empty="No known issues.")


def _end(screen: Screen, issue: shapes.IssueView) -> str:
    return f"{screen.when(issue.resolved_at)} by {issue.resolved_by}" if issue.resolved_at else "open"


@app.command("add")
def add(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version that has it.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is wrong.")],
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Put something wrong with a version on its record."""
    with opened_door() as door:
        made = door.add_issue(asked(shapes.AddIssue, version=version, text=text), key=fresh_key(idempotency_key))
    show(made, as_json=as_json, draw=lambda screen, i: screen.say(f"Added issue {i.id} to {i.version}."))


@app.command("resolve")
def resolve(
    issue: Annotated[int, typer.Argument(metavar="ISSUE", min=1, help="Its number.")], as_json: Json = False
) -> None:
    """Say that a known issue no longer holds; it stays on the record."""
    with opened_door() as door:
        made = door.resolve_issue(issue)
    show(made, as_json=as_json, draw=lambda screen, i: screen.say(f"Resolved issue {i.id} of {i.version}."))
