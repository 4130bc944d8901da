"""How a command ends: one table from outcomes and refusals to exit codes."""

from collections.abc import Mapping
from enum import IntEnum

from core.errors import (
    AlreadyExists,
    AuditBroken,
    IdempotencyMismatch,
    InvalidInput,
    NotFound,
    NotPermitted,
    NotSignedIn,
    PinrailError,
    StaleRevision,
    StoreError,
    TooManyAttempts,
    UndoOvertaken,
)


class ServerUnreachable(PinrailError):
    """The server named by PINRAIL_URL did not answer, or not as a Pinrail does."""

    code = "server_unreachable"


class Exit(IntEnum):
    """The exit codes of `pinrail`; each has one meaning in every command."""

    DONE = 0
    REFUSED = 1
    WRONG_USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    NOT_PERMITTED = 5
    UNREACHABLE = 6
    NOT_EVERYWHERE = 7
    AUDIT_BROKEN = 8
    FAULT = 70
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANING: Mapping[Exit, str] = {
    Exit.DONE: "done",
    Exit.REFUSED: "refused by a rule; nothing was changed",
    Exit.WRONG_USAGE: "wrong usage: an unknown option, a missing argument, a value that cannot be used",
    Exit.NOT_FOUND: "there is no such thing; the message names the nearest",
    Exit.CONFLICT: "stale or in conflict: somebody was faster, or the name is taken",
    Exit.NOT_PERMITTED: "not permitted, or not signed in",
    Exit.UNREACHABLE: "the store or the server cannot be reached or used",
    Exit.NOT_EVERYWHERE: "done, but not confirmed by every gateway within --wait",
    Exit.AUDIT_BROKEN: "the audit log does not verify",
    Exit.FAULT: "a fault in Pinrail itself; the traceback is on stderr",
    Exit.INTERRUPTED: "stopped by Ctrl-C",
    Exit.PIPE_CLOSED: "whoever read the output closed it, as `head` does",
}

EXIT_OF: Mapping[type[PinrailError], Exit] = {
    PinrailError: Exit.REFUSED,
    InvalidInput: Exit.WRONG_USAGE,
    NotFound: Exit.NOT_FOUND,
    AlreadyExists: Exit.CONFLICT,
    StaleRevision: Exit.CONFLICT,
    UndoOvertaken: Exit.CONFLICT,
    IdempotencyMismatch: Exit.CONFLICT,
    NotSignedIn: Exit.NOT_PERMITTED,
    NotPermitted: Exit.NOT_PERMITTED,
    TooManyAttempts: Exit.NOT_PERMITTED,
    StoreError: Exit.UNREACHABLE,
    ServerUnreachable: Exit.UNREACHABLE,
    AuditBroken: Exit.AUDIT_BROKEN,
}
"""The nearest ancestor of a refusal decides, so a new kind of refusal has an exit code from its first day."""


def exit_for(refusal: PinrailError) -> Exit:
    """The exit code of a refusal."""
    return next(EXIT_OF[kind] for kind in type(refusal).__mro__ if kind in EXIT_OF)
