"""Options that several commands share, and how days, prices, texts and secrets are given."""

import re
import secrets
import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from core.errors import InvalidInput

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, as the API answers it.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the history and the audit log.")]
Override = Annotated[
    str | None,
    typer.Option(
        "--override-quarantine", metavar="REASON", help="Why a quarantined version shall serve all the same; kept."
    ),
]
SeenRevision = Annotated[
    int | None,
    typer.Option(
        "--seen-revision",
        metavar="N",
        min=1,
        help="The revision you decided on; by default the newest, read just before.",
    ),
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key", metavar="KEY", help="The same key again has no second effect; by default a fresh one."
    ),
]
Wait = Annotated[
    float,
    typer.Option(
        "--wait", min=0, max=600, metavar="SECONDS", help="Wait for the gateways to confirm; 0 does not wait."
    ),
]
Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="The name that callers use.")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="The version that shall serve.")]
Description = Annotated[str | None, typer.Option("--description", metavar="TEXT", help="What it is for.")]
Owner = Annotated[
    str | None, typer.Option("--owner", metavar="NAME", help="Who looks after it; an empty text clears it.")
]
Fallback = Annotated[
    list[str] | None,
    typer.Option("--fallback", metavar="VERSION", help="Tried when the one before fails; may be repeated, in order."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]
Aliases = Annotated[
    list[str] | None, typer.Option("--alias", metavar="ALIAS", help="Only for this alias; may be repeated.")
]
Expires = Annotated[
    str | None,
    typer.Option("--expires", metavar="TIME", help="When it ends: 90d, 12h, or 2027-01-31; by default never."),
]

_PRICE = re.compile(r"\$?(\d{1,6})(?:\.(\d{1,6}))?")
LONGEST_INPUT = 4 * 2**20


def fresh_key(given: str | None) -> str:
    """The idempotency key of this invocation: the one that was given, or one that nobody has used."""
    if given is None:
        return f"cli-{secrets.token_hex(12)}"
    if not re.fullmatch(r"[\x21-\x7e]{1,200}", given):
        raise InvalidInput("An idempotency key has 1 to 200 printable ASCII characters and no blanks.")
    return given


def overriding(reason: str | None) -> dict[str, str]:
    """The override as a field of a body: left out where nobody gave one."""
    return {} if reason is None else {"override_quarantine": reason}


def day(text: str | None) -> date | None:
    """A day such as 2026-11-20."""
    try:
        return date.fromisoformat(text) if text is not None else None
    except ValueError as fault:
        raise InvalidInput(f"{text!r} is no date; give one such as 2026-11-20.") from fault


def microdollars(text: str | None) -> int | None:
    """Dollars, to the millionth, as whole micro-dollars: `2.50` is 2,500,000."""
    if text is None:
        return None
    found = _PRICE.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(f"{text!r} is no price; give dollars per million tokens, such as 2.50.")
    return int(found[1]) * 1_000_000 + int((found[2] or "").ljust(6, "0"))


def text_from(path: str) -> str:
    """The text of a file, or of standard input for `-`."""
    try:
        raw = sys.stdin.buffer.read(LONGEST_INPUT + 1) if path == "-" else Path(path).read_bytes()
        text = raw.decode("utf-8")
    except OSError as fault:
        raise InvalidInput(f"{path} cannot be read: {fault.strerror}.") from fault
    except UnicodeDecodeError as fault:
        raise InvalidInput(f"{path} is not a text in UTF-8.") from fault
    if len(raw) > LONGEST_INPUT:
        raise InvalidInput(f"{path} is larger than {LONGEST_INPUT // 2**20} MiB.")
    return text


def new_password(*, from_stdin: bool, required: bool) -> str | None:
    """A password from standard input, or typed twice unseen; never from the command line, which others can read."""
    if from_stdin:
        return text_from("-").rstrip("\r\n")
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    if required:
        raise InvalidInput("There is no terminal to type a password at: send it with --password-stdin.")
    return None
