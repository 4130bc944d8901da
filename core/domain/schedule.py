"""When scheduled work is due: every interval has one grid, so that any number of schedulers mean the same slot."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def slot_at(at: datetime, every: timedelta) -> datetime:
    """The slot that ``at`` falls into: the last whole multiple of ``every`` since the epoch."""
    return at - (at - _EPOCH) % every


def slot_after(at: datetime, every: timedelta) -> datetime:
    """The first slot that begins after ``at``."""
    return slot_at(at, every) + every
