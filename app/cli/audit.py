"""`pinrail audit …`: what was done and refused, and whether the log is whole."""

import json
import re
from typing import Annotated, Any, Literal

import typer

from app.api import shapes
from app.api.shapes import Page
from app.cli.doors import opened_door
from app.cli.options import Json
from app.cli.screen import Column, Screen, show
from core.errors import InvalidInput

app = typer.Typer(help="What was done, and whether the log is whole.", no_args_is_help=True)


LONGEST_WHAT = 160


@app.command("list")
def list_events(
    kind: Annotated[str | None, typer.Option("--kind", metavar="EVENT", help="Such as alias.flipped.")] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="ACTOR", help="Who did it.")] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="SUBJECT", help="Such as alias:prod-chat.")
    ] = None,
    outcome: Annotated[
        Literal["done", "refused"] | None, typer.Option("--outcome", metavar="OUTCOME", help="done or refused.")
    ] = None,
    before: Annotated[
        int | None, typer.Option("--before", metavar="SEQ", min=1, help="Go on from an earlier page.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=500, help="How many.")] = 50,
    as_json: Json = False,
) -> None:
    """List audit events, newest first."""
    with opened_door() as door:
        page = door.audit(
            kind=kind,
            by=by,
            subject=subject,
            outcome=outcome,
            before=str(before) if before is not None else None,
            limit=limit,
        )
    show(page, as_json=as_json, draw=_draw_list)


def _draw_list(screen: Screen, page: Page[shapes.AuditEventView]) -> None:
    rows = [
        (str(e.seq), screen.when(e.at), _who(e), e.kind, e.subject, e.outcome, _what(e), e.reason) for e in page.items
    ]
    columns = (
        Column("SEQ", right=True),
        Column("WHEN", folds=True),
        Column("WHO", folds=True),
        "EVENT",
        "SUBJECT",
        "OUTCOME",
        Column("WHAT", folds=True),
        Column("WHY", folds=True),
    )
    screen.table(columns, rows, empty="No event fits.")
    if page.next is not None:
        screen.say(f"There is more: --before {page.next}")


def _who(event: shapes.AuditEventView) -> str:
    return f"{event.actor} via {event.via}" if event.via else event.actor


def _what(event: shapes.AuditEventView) -> str:
    """What changed, such as `stable: a → b`, in short; --json has all of it."""
    fields = list(dict.fromkeys([*event.before, *event.after]))
    said = [f"{name}: {_change(event, name)}" for name in fields if event.before.get(name) or event.after.get(name)]
    return _short("; ".join(said))


def _change(event: shapes.AuditEventView, name: str) -> str:
    before, after = event.before.get(name), event.after.get(name)
    return f"{_text(before)} → {_text(after)}" if name in event.before else _text(after)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_WHAT else text[: LONGEST_WHAT - 1] + "…"


@app.command("verify")
def verify(
    head: Annotated[
        str | None, typer.Option("--head", metavar="HASH", help="A head noted earlier, which must still be in the log.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Recompute the whole chain.

    Exit code 8 when a row was changed, removed, inserted or moved.
    """
    if head is not None and not re.fullmatch(r"[0-9a-f]{64}", head):
        raise InvalidInput(f"{head!r} is no head; `pinrail audit head` prints one, 64 hexadecimal digits.")
    with opened_door() as door:
        found = door.audit_verified(head)
    show(
        found,
        as_json=as_json,
        draw=lambda screen, v: screen.say(f"The audit log is whole: {v.events:,} events, head {v.head}"),
    )


@app.command("head")
def head(as_json: Json = False) -> None:
    """Print the hash of the newest event, to be noted elsewhere."""
    with opened_door() as door:
        show(door.audit_head(), as_json=as_json, draw=lambda screen, v: screen.say(v.head))
