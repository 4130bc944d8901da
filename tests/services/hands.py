"""What other processes do through the services in tests; they import this module by name."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from core.services import flips
from core.store.database import open_store
from tests.services.world import ROOT

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def flip(url: str, version: str, seen_revision: int) -> dict[str, Any]:
    """Flip prod once, with a store of one's own."""
    store = open_store(url)
    try:
        return asdict(flips.flip(store, ROOT, "prod", version, seen_revision=seen_revision, now=NOW))
    finally:
        store.close()


def flip_to_and_fro(url: str, times: int) -> int:
    """Flip prod from a to b and back as often as asked; the number of its newest revision."""
    store = open_store(url)
    for number in range(1, times + 1):
        flips.flip(store, ROOT, "prod", "ab"[number % 2], seen_revision=number, now=NOW)
    store.close()
    return times + 1


def flip_under_one_key(url: str, times: int) -> list[dict[str, Any]]:
    """Send the same flip of prod as often as asked, all at once, under one idempotency key."""
    store = open_store(url)

    def once(_number: int) -> dict[str, Any]:
        moved = flips.flip(store, ROOT, "prod", "b", seen_revision=1, idempotency_key="double-click", now=NOW)
        return asdict(moved)

    with ThreadPoolExecutor(times) as threads:
        done = list(threads.map(once, range(times)))
    store.close()
    return done
