"""No watched change without its audit event: what a connection changed, asked when it commits.

The watch reads the statements themselves, so it does not matter who sends them: the mapper, a bulk statement, plain
SQL. It guards against forgetting. Whoever wants to deceive it has the store's password and can do worse, which
is what the chain of the audit log is there to find.
"""

import re
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, event

from core.errors import UnrecordedChange
from core.store.tables import WATCHED, AuditRow

_NAMES = frozenset(str(row.__tablename__) for row in WATCHED)
_AUDIT = str(AuditRow.__tablename__)
_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_CHANGE = re.compile(
    r"""\b(?: INSERT \s+ (?:OR \s+ \w+ \s+)? INTO | REPLACE \s+ INTO | MERGE \s+ INTO | DELETE \s+ FROM
           | UPDATE (?:\s+ OR \s+ \w+)? | TRUNCATE (?:\s+ TABLE)? | COPY ) \s+
        (?:ONLY \s+)? (?:["`\[]?\w+["`\]]? \. )? ["`\[]? (\w+)""",
    re.IGNORECASE | re.VERBOSE,
)


def watch(engine: Engine) -> None:
    """Let no connection of ``engine`` commit a change to a watched table without an audit event beside it."""
    event.listen(engine, "before_cursor_execute", _note)
    event.listen(engine, "commit", _insist)
    event.listen(engine, "rollback", _forget)
    event.listen(engine, "rollback_savepoint", _forget_audit)


@lru_cache(maxsize=1024)
def changed_tables(statement: str) -> frozenset[str]:
    """The tables that a statement changes, in lower case."""
    return frozenset(name.lower() for name in _CHANGE.findall(_COMMENT.sub(" ", statement)))


def _note(connection: Connection, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
    changed = changed_tables(statement)
    if changed:
        connection.info.setdefault("changed", set()).update(changed)


def _insist(connection: Connection) -> None:
    if connection.invalidated:
        return  # the commit itself will say so
    changed: set[str] = connection.info.pop("changed", set())
    unrecorded = changed & _NAMES
    if not unrecorded or _AUDIT in changed or connection.get_execution_options().get("migrating"):
        return
    # Rolled back here and now: the connection goes back to its pool, and must not take the change along.
    connection.connection.dbapi_connection.rollback()  # type: ignore[union-attr]
    raise UnrecordedChange(f"{', '.join(sorted(unrecorded))} would have changed without an audit event.")


def _forget(connection: Connection) -> None:
    if not connection.invalidated:  # a connection that was lost took its memory along
        connection.info.pop("changed", None)


def _forget_audit(connection: Connection, _name: str, _context: None) -> None:
    """What a savepoint took back may have been the audit event; another is needed then."""
    if not connection.invalidated:
        connection.info.get("changed", set()).discard(_AUDIT)
