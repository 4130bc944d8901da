"""Histories of an alias told in a few words, for tests of what may happen next."""

from datetime import UTC, datetime, timedelta
from typing import Any

from core.domain import aliases
from core.domain.aliases import Asked, Revision, State
from core.domain.permissions import Actor, ActorKind, Grant, Role, system

BEGIN = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
ANN = Actor("ann", ActorKind.PERSON, (Grant(Role.OPERATOR),))
BEN = Actor("ben", ActorKind.PERSON, (Grant(Role.OPERATOR),))
SCHEDULER = system("scheduler")


class Story:
    """An alias called prod that first served ``a``. Each step waits an hour first, unless it is told otherwise."""

    def __init__(self, **state: Any) -> None:
        self.now = BEGIN
        self.history: list[Revision] = [aliases.created("prod", State("a", **state), by=ANN, now=BEGIN)]

    @property
    def newest(self) -> Revision:
        return self.history[-1]

    @property
    def stable(self) -> str:
        return self.newest.state.stable

    @property
    def targets(self) -> list[str]:
        return [target.version for target in aliases.rollback_targets(self.history, now=self.now)]

    def asked(self, by: Actor = ANN, seen: int | None = None, after: timedelta = timedelta(hours=1)) -> Asked:
        self.now += after
        return Asked(by, self.now, seen or self.newest.number, "told in a story")

    def _then(self, revision: Revision) -> "Story":
        self.history.append(revision)
        return self

    def flip(self, version: str, **asked: Any) -> "Story":
        return self._then(aliases.flip(self.history, version, self.asked(**asked)))

    def roll_back(self, to: str | None = None, **asked: Any) -> "Story":
        return self._then(aliases.roll_back(self.history, self.asked(**asked), to=to))

    def undo(self, number: int, **asked: Any) -> "Story":
        return self._then(aliases.undo(self.history, number, self.asked(**asked)))

    def hold(self, **asked: Any) -> "Story":
        return self._then(aliases.hold(self.history, self.asked(**asked)))

    def release(self, **asked: Any) -> "Story":
        return self._then(aliases.release(self.history, self.asked(**asked)))

    def describe(self, *, by: Actor = ANN, seen: int | None = None, **fields: Any) -> "Story":
        return self._then(aliases.describe(self.history, self.asked(by, seen), **fields))

    def protect(self, *, protected: bool = True, **asked: Any) -> "Story":
        return self._then(aliases.protect(self.history, self.asked(**asked), protected=protected))

    def retire(self, **asked: Any) -> "Story":
        return self._then(aliases.retire(self.history, self.asked(**asked)))
