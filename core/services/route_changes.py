"""Bringing a route table up to date with as few questions to the store as possible: this is where a rollback waits.

Every change counts the serial up by one, and a revision keeps the serial it was committed under. So if the serials
since a table are those of revisions, without a gap, nothing but aliases changed: one question tells all. Otherwise
(a provider, a key, a version new to this table, a store restored from a backup) the table is loaded anew.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlmodel import Session, col

from core.domain.aliases import Revision
from core.domain.routing import AliasRoute, RouteTable
from core.services import serving
from core.store import repositories
from core.store.database import Store
from core.store.tables import LedgerRow, RevisionRow


def refreshed(store: Store, table: RouteTable) -> RouteTable:
    """The table as it is now; ``table`` itself when nothing changed."""
    with store.glancing() as session:
        serial, moves = _moves_since(session, table.serial)
    if serial == table.serial:
        return table
    aliases = _moved(table, moves)
    if serial < table.serial:  # a store that was put back to an earlier day knows nothing of what came after it
        return serving.load_table(store)
    known = all(name in table.targets for route in aliases.values() for name in serving.versions_of(route))
    if known and [move.serial for move in moves] == list(range(table.serial + 1, serial + 1)):
        return replace(table, serial=serial, aliases=aliases)
    return serving.load_table(store)


def _moves_since(session: Session, serial: int) -> tuple[int, Sequence[Revision]]:
    """The newest serial, and the revisions committed after ``serial`` in their order: one statement, one snapshot."""
    rows = session.execute(
        select(col(LedgerRow.serial), RevisionRow)
        .join(RevisionRow, col(RevisionRow.serial) > serial, isouter=True)
        .order_by(col(RevisionRow.serial))
    ).all()
    return rows[0][0], [repositories.as_revision(row) for _newest, row in rows if row is not None]


def _moved(table: RouteTable, moves: Sequence[Revision]) -> dict[str, AliasRoute]:
    aliases = dict(table.aliases)
    for move in moves:
        if move.state.retired:
            aliases.pop(move.alias, None)
        else:
            aliases[move.alias] = serving.route_of(move)
    return aliases
