"""What parts log: lines for people, or one JSON object a line, and never a secret.

Parts log through ``logging``; what they would print about their progress goes through ``sayer``. The one set-up for
all of them is chosen by PINRAIL_LOG_FORMAT and PINRAIL_LOG_LEVEL.
"""

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import Settings  # it loads more than a command over the API needs

Say = Callable[[str], None]

_TALKATIVE = ("alembic", "apscheduler", "uvicorn", "streamlit")
"""Libraries whose INFO is about themselves; PINRAIL_LOG_LEVEL=debug lets them speak."""

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(pr_|pk-|pk_)[A-Za-z0-9_\-]{12,}"), r"\1…"),
    (re.compile(r"\b(Bearer|Basic)\s+[^\s\"']+", re.IGNORECASE), r"\1 …"),
    (re.compile(r"(://[^/\s:@]+):[^@\s/]+@"), r"\1:…@"),
    (re.compile(r"\b(pinrail_session=)[^;\s]+"), r"\1…"),
    (re.compile(r"\b(sk-)[A-Za-z0-9_\-]{12,}"), r"\1…"),
)
"""What keys, tokens, cookies and passwords in addresses look like, and what stands in their place."""


def scrubbed(text: str) -> str:
    """The text without what looks like a secret: the cause of a fault may quote one."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class Lines(logging.Formatter):
    """For people."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """One record, with its traceback below it."""
        return scrubbed(super().format(record))


class Objects(logging.Formatter):
    """For programs: time, level, part, event, and the request and the traceback where there is one."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def format(self, record: logging.LogRecord) -> str:
        """One record on one line."""
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "part": getattr(record, "part", self._part),
            "event": scrubbed(record.getMessage()),
            "logger": record.name,
        }
        request_id = getattr(record, "request_id", None)
        if request_id is not None:
            said["request_id"] = str(request_id)
        if record.exc_info:
            said["exception"] = scrubbed(self.formatException(record.exc_info))
        return json.dumps(said, ensure_ascii=False)


def set_up(settings: "Settings", part: str) -> None:
    """Let everything that is logged in this process come out as the settings say, on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Objects(part) if settings.log_format == "json" else Lines())
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old.formatter, (Lines, Objects)):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    for name in _TALKATIVE:
        quiet = logging.DEBUG if settings.log_level == "debug" else max(logging.WARNING, root.level)
        logging.getLogger(name).setLevel(quiet)
    if settings.log_format == "json":
        logging.captureWarnings(True)


def adopt(library: str) -> None:
    """Take the handlers from a library's own loggers, so that their lines come out like all others."""
    for name in list(logging.root.manager.loggerDict):
        if name == library or name.startswith(f"{library}."):
            logger = logging.getLogger(name)
            logger.handlers.clear()
            logger.propagate = True


def sayer(settings: "Settings", part: str) -> Say:
    """How a part tells of its progress: a line on standard output, or an event of its log."""
    if settings.log_format == "text":
        return _print
    log = logging.getLogger(f"pinrail.{part}")
    return lambda line: log.info("%s", line.strip(), extra={"part": part})


def _print(line: str) -> None:
    print(line, file=sys.stdout, flush=True)


def pass_on(part: str, line: str) -> None:
    """What a supervised part said, when all is JSON: an object as it is, any other line as an event of that part."""
    if line.startswith("{") and _is_object(line):
        print(line, file=sys.stderr, flush=True)
    else:
        logging.getLogger(f"pinrail.{part}").info("%s", line, extra={"part": part})


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
