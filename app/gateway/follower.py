"""Keeps a replica's routes those of the store: one thread that learns of changes, applies them, and says so.

A new table is in force first and acknowledged second, so a receipt never speaks too soon. While the store is gone the
last table goes on, from memory or after a restart from disk. A store that came back empty counts as gone.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing

from app.gateway.disk_copy import BadCopy, DiskCopy
from app.gateway.routes import Routes
from app.gateway.state import Source, Standing, State
from core.domain.routing import RouteTable
from core.errors import PinrailError, StoreError
from core.ports import Clock
from core.services import route_changes, serving
from core.store import changes, migrate
from core.store.changes import ChangeWatch
from core.store.database import Store

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
"""The slow poll: no change is missed for longer, whatever happens to announcements."""
BEAT_EVERY_S = 5.0
WAIT_S = 0.2
"""The longest wait at a time, so that stopping does not take longer."""
SAVE_WHEN_QUIET_S = 0.1
SAVE_AFTER_S = 1.0
SHORTEST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0


class EmptiedStore(StoreError):
    """The store has nothing in it, and had something before."""

    code = "emptied_store"


class Follower(threading.Thread):
    """Follows one store for one replica."""

    def __init__(
        self,
        store: Store,
        state: State,
        copy: DiskCopy,
        clock: Clock,
        *,
        replica: str,
        dropped: Callable[[], int],
    ) -> None:
        super().__init__(name="follower", daemon=True)
        self._store = store
        self._state = state
        self._copy = copy
        self._clock = clock
        self._replica = replica
        self._dropped = dropped
        self._ending = threading.Event()
        self._unsaved_since: float | None = None
        self._beat_at = 0.0
        self._look_at = 0.0

    def finish(self, patience_s: float = 3.0) -> None:
        """Stop following, and take leave of the store if it is there."""
        self._ending.set()
        if not self.is_alive():
            return
        self.join(patience_s)
        try:
            serving.leave(self._store, replica=self._replica, now=self._clock.now())
        except PinrailError as fault:
            log.warning("The store was not told that this gateway stops: %s", fault)

    def run(self) -> None:
        """Follow; when that fails, go on with what there is and try again."""
        pause_s = SHORTEST_PAUSE_S
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                self._follow()
            except PinrailError as fault:
                self._carry_on_without(f"{fault}")
            except Exception as fault:
                # Without this thread the replica would serve old routes for ever, and look well.
                log.exception("Following the store failed")
                self._carry_on_without(f"Following the store failed: {type(fault).__name__}.")
            if time.monotonic() - began > LONGEST_PAUSE_S:
                pause_s = SHORTEST_PAUSE_S
            self._ending.wait(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    # -- with the store -------------------------------------------------------------------------------

    def _follow(self) -> None:
        migrate.check_schema(self._store)
        # Watch before looking, or a change in between would wait for the slow poll.
        with closing(changes.watch(self._store)) as watch:
            serving.join(self._store, replica=self._replica, name=self._state.name, now=self._clock.now())
            self._put_in_force(serving.load_table(self._store))
            self._beat_at = time.monotonic() + BEAT_EVERY_S
            while not self._ending.is_set():
                self._wait(watch)
                self._beat()

    def _wait(self, watch: ChangeWatch) -> None:
        """Wait for a change or for whatever is due, and deal with it."""
        changed = watch.wait(WAIT_S if self._unsaved_since is None else SAVE_WHEN_QUIET_S)
        now = time.monotonic()
        if changed or now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            self._keep_up()
        if self._unsaved_since is not None and (not changed or now - self._unsaved_since > SAVE_AFTER_S):
            self._save()

    def _keep_up(self) -> None:
        """Ask what changed, which is one question while only aliases moved, and apply it."""
        assert self._state.standing is not None, "a table was loaded when following began"
        old = self._state.standing.routes.table
        new = route_changes.refreshed(self._store, old)
        self._confirmed()
        if new is not old:
            self._put_in_force(new)

    def _put_in_force(self, table: RouteTable) -> None:
        self._refuse_emptied(table)
        self._confirmed()
        # What follows is the moment: every request accepted from here on takes the new routes.
        self._state.standing = Standing(Routes(table), Source.STORE)
        at = self._clock.now()
        if self._unsaved_since is None:
            self._unsaved_since = time.monotonic()
        serving.acknowledge(self._store, replica=self._replica, serial=table.serial, at=at)
        log.info("Routing by change %d: %d aliases", table.serial, len(table.aliases))

    def _refuse_emptied(self, table: RouteTable) -> None:
        """A store that lost everything, or a new one in its place, must not take every alias from every caller.

        Whoever retires the last alias does it by a change, which counts the serial up.
        """
        standing = self._state.standing
        if standing is None or table.aliases or not standing.routes.table.aliases:
            return
        if table.serial < standing.routes.table.serial:
            raise EmptiedStore(
                f"The store is empty, and at change {table.serial} behind the routes of change "
                f"{standing.routes.table.serial}. If that is meant, restart this gateway."
            )

    def _confirmed(self) -> None:
        self._state.confirmed_at_s = self._clock.now().timestamp()
        self._state.store_fault = None

    def _beat(self) -> None:
        if time.monotonic() >= self._beat_at:
            serving.heartbeat(self._store, replica=self._replica, now=self._clock.now(), dropped=self._dropped())
            self._copy.confirm()
            self._beat_at = time.monotonic() + BEAT_EVERY_S

    def _save(self) -> None:
        self._unsaved_since = None
        assert self._state.standing is not None, "only a table that is in force is saved"
        try:
            self._copy.save(self._state.standing.routes.table)
        except OSError as fault:
            self._state.copy_fault = f"The routes cannot be kept at {self._copy.path}: {fault.strerror}."
            log.warning("%s A restart without the store would find none.", self._state.copy_fault)
        else:
            self._state.copy_fault = None

    # -- without it -----------------------------------------------------------------------------------

    def _carry_on_without(self, fault: str) -> None:
        if self._state.store_fault != fault:
            log.warning("Going on without the store: %s", fault)
        self._state.store_fault = fault
        if self._state.standing is None:
            self._take_copy()
        elif self._unsaved_since is not None:
            self._save()

    def _take_copy(self) -> None:
        try:
            loaded = self._copy.load()
        except BadCopy as fault:
            if self._state.copy_fault != str(fault):
                log.warning("%s", fault)
            self._state.copy_fault = str(fault)
            return
        if loaded is None:
            self._state.copy_fault = f"There is no copy of the routes at {self._copy.path}."
            return
        table, self._state.confirmed_at_s = loaded
        self._state.standing = Standing(Routes(table), Source.DISK_COPY)
        self._state.copy_fault = None
        log.warning("Serving from the copy on disk: change %d, %d aliases", table.serial, len(table.aliases))
