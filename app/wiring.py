"""Where real things are chosen: settings in, a Pinrail with its store and clock out."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime

from app.settings import Settings
from core.errors import CannotStart
from core.ports import Clock
from core.store import migrate
from core.store.database import Store, open_store


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class Pinrail:
    """The installation as one process sees it."""

    settings: Settings
    store: Store
    clock: Clock

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return self.clock.now()


def open_pinrail(settings: Settings, *, clock: Clock | None = None) -> Pinrail:
    """Open the store as it is; CannotStart when its folder cannot be made. Nothing is migrated or checked."""
    if settings.embedded:
        _make_folder(settings)
    return Pinrail(settings, open_store(settings.store_url), clock or SystemClock())


def ready_pinrail(settings: Settings, *, clock: Clock | None = None) -> Pinrail:
    """Open a store that this program may use: the embedded one is brought up to date, another must be already.

    Raises SchemaOutdated, SchemaTooNew or StoreUnreachable.
    """
    pinrail = open_pinrail(settings, clock=clock)
    if settings.embedded:
        migrate.upgrade(pinrail.store)
    migrate.check_schema(pinrail.store)
    return pinrail


def _make_folder(settings: Settings) -> None:
    folder = settings.data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what will be in it concerns nobody else on the machine
    except OSError as fault:
        raise CannotStart(
            f"The folder {folder} cannot be made ({fault.strerror}). Choose one with --data DIR."
        ) from fault
    if not os.access(folder, os.W_OK):
        raise CannotStart(f"The folder {folder} cannot be written to. Choose another with --data DIR.")
