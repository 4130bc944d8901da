"""Audit events as a file, for whoever is signed in and may read the log: CSV for a spreadsheet, JSON for a program.

Both are sent while they are read, hold at most MOST_EXPORTED events, and say so where they end early.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from app.dashboard.audit_filter import filter_of
from app.dashboard.front.signing import COOKIE
from app.wiring import Pinrail
from core.errors import InvalidInput, NotPermitted, NotSignedIn, PinrailError
from core.services import access, records
from core.store.read_audit import MOST_EXPORTED, Entry

COLUMNS: tuple[str, ...] = (
    "seq", "at", "kind", "subject", "actor", "actor_kind", "via", "outcome", "reason", "before", "after", "hash",
)  # fmt: skip
"""What is told of each event, in this order."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Beginnings that a spreadsheet takes for a formula; the apostrophe before them keeps them text."""


class Exports:
    """The routes of the export."""

    def __init__(self, pinrail: Pinrail) -> None:
        self._pinrail = pinrail

    async def csv(self, request: Request) -> Response:
        """The events that fit, as CSV."""
        return await self._answer(request, "text/csv; charset=utf-8", "csv", csv_lines)

    async def json(self, request: Request) -> Response:
        """The events that fit, as one JSON array."""
        return await self._answer(request, "application/json", "json", json_lines)

    async def _answer(self, request: Request, mime: str, suffix: str, written: Any) -> Response:
        now = self._pinrail.now()
        try:
            entries = await run_in_threadpool(self._entries, request, now)
        except PinrailError as refusal:
            return PlainTextResponse(f"{refusal}\n", _status(refusal), headers={"cache-control": "no-store"})
        name = f"pinrail-audit-{now:%Y-%m-%dT%H%M%SZ}.{suffix}"
        headers = {"cache-control": "no-store", "content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(written(entries), media_type=mime, headers=headers)

    def _entries(self, request: Request, now: datetime) -> Iterator[Entry]:
        store = self._pinrail.store
        actor = access.who_is(store, request.cookies.get(COOKIE), now=now)
        return records.exported(store, actor, filter_of(dict(request.query_params), now=now))


def _status(refusal: PinrailError) -> int:
    known: dict[type[PinrailError], int] = {NotSignedIn: 401, NotPermitted: 403, InvalidInput: 400}
    return next((status for kind, status in known.items() if isinstance(refusal, kind)), 503)


# -- how it is written ----------------------------------------------------------------------------


def csv_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """A header line, then a line for each event; times are ISO 8601 in UTC, before and after are JSON."""
    # A spreadsheet knows UTF-8 by this mark.
    yield "\ufeff" + _csv_line(COLUMNS)
    count = 0
    for entry in entries:
        count += 1
        yield _csv_line([tamed(cell) for cell in _cells(entry)])
    if count == MOST_EXPORTED:
        yield _csv_line([f"Only the newest {MOST_EXPORTED} events are here; narrow the filter for the others."])


def tamed(cell: str) -> str:
    """``cell`` as a spreadsheet shows it and never computes it."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _cells(entry: Entry) -> list[str]:
    return [text if isinstance(text, str) else _json(text) for text in told(entry).values()]


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def json_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """An object with the events, one a line, and whether there were more than are here."""
    count = 0
    yield '{"events": ['
    for entry in entries:
        yield f"{',' if count else ''}\n{_json(told(entry))}"
        count += 1
    yield f'\n], "count": {count}, "more": {_json(count == MOST_EXPORTED)}}}\n'


def told(entry: Entry) -> dict[str, Any]:
    """One event by COLUMNS."""
    event = entry.event
    values = (
        entry.seq,
        event.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        event.kind,
        event.subject,
        event.actor,
        event.actor_kind,
        event.via or "",
        event.outcome,
        event.reason,
        dict(event.before),
        dict(event.after),
        entry.hash,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
