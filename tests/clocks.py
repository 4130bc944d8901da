"""A clock for tests: it stands still until it is moved."""

from datetime import UTC, datetime, timedelta


class SetClock:
    """Keeps the contract of ``core.ports.Clock``."""

    def __init__(self, at: datetime = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)) -> None:
        self._at = at

    def now(self) -> datetime:
        """The moment it was set to."""
        return self._at

    def wait(self, **span: float) -> datetime:
        """Move on (or back) by ``span``, given as for a timedelta; the new moment."""
        self._at += timedelta(**span)
        return self._at
