"""Sends what is queued: every channel in its own order, tried again after a pause that grows, and not for ever.

At least once: whoever dies between sending and putting that down leaves a claim that runs out, and the same notice is
sent again with the same event id, by which its receiver knows it.
"""

import logging
import uuid
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.domain.alert_channels import MOST_ATTEMPTS, next_attempt
from core.domain.names import is_storable
from core.domain.permissions import Actor, insist
from core.errors import PinrailError
from core.ports import AlertChannel, Clock
from core.store import alerts as rows
from core.store.alerts import GAVE_UP, SENT, WAITING, Queued
from core.store.database import Store

CLAIM_LASTS = timedelta(minutes=2)
"""Longer than any sender may take; so late after a crash a notice is sent again."""
MOST_PER_RUN = 50
AT_ONCE = 4
MAX_NOTE = 500

log = logging.getLogger("pinrail.alerts")


@dataclass(frozen=True)
class Delivered:
    """What one run came to, counted."""

    sent: int = 0
    to_be_tried_again: int = 0
    given_up: int = 0

    @property
    def note(self) -> str:
        """The run in words; empty when nothing was sent."""
        told = (("sent", self.sent), ("to be tried again", self.to_be_tried_again), ("given up", self.given_up))
        return ", ".join(f"{count} {word}" for word, count in told if count)


def deliver(
    store: Store, actor: Actor, senders: Mapping[str, AlertChannel], *, base_url: str, clock: Clock
) -> Delivered:
    """Tell every channel what it is due to be told; one that hangs keeps no other waiting."""
    insist(actor, "alert:handle")
    names = rows.waiting_channels(store)
    if not names:
        return Delivered()
    run = _Run(store, senders, base_url, clock)
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        came_to = sum(pool.map(run.channel, names), Counter[str]())
    return Delivered(came_to[SENT], came_to[WAITING], came_to[GAVE_UP])


@dataclass(frozen=True)
class _Run:
    store: Store
    senders: Mapping[str, AlertChannel]
    base_url: str
    clock: Clock

    def channel(self, name: str) -> "Counter[str]":
        """One channel's queue from its head on, until it is empty or its head has to wait."""
        counted = Counter[str]()
        for _ in range(MOST_PER_RUN):
            claim = uuid.uuid4().hex
            queued = rows.claim_next(
                self.store, name, claim=claim, lasts=CLAIM_LASTS, base_url=self.base_url, now=self.clock.now()
            )
            if queued is None:
                break
            state = self._told(queued)
            counted[state] += 1
            if state == WAITING:
                break
        return counted

    def _told(self, queued: Queued) -> str:
        """Tell one thing, and put down how that went."""
        if queued.delivery.attempts > MOST_ATTEMPTS:
            return self._put_down(queued, GAVE_UP, "whoever sent it did not live to say how that went")
        try:
            said = self.senders[queued.channel.kind].send(queued.channel, queued.notice, now=self.clock.now())
        except PinrailError as refusal:
            return self._failed(queued, str(refusal))
        except Exception as fault:  # a fault in one sender must not keep the other channels from being told
            log.exception("%s could not be told", queued.channel.name)
            return self._failed(queued, f"{type(fault).__name__}: the log says more")
        return self._put_down(queued, SENT, said)

    def _failed(self, queued: Queued, why: str) -> str:
        now = self.clock.now()
        again = next_attempt(queued.delivery.attempts, now=now)
        if again is None:
            return self._put_down(queued, GAVE_UP, why)
        return self._put_down(queued, WAITING, why, next_at=again)

    def _put_down(self, queued: Queued, state: str, note: str, *, next_at: datetime | None = None) -> str:
        kept = note[:MAX_NOTE] if is_storable(note) else "what it answered cannot be kept"
        rows.settle(self.store, queued, state, kept, next_at=next_at, now=self.clock.now())
        return state
