"""A store with one alias, two versions and one caller key, as small as a gateway needs."""

from datetime import UTC, datetime

from core.domain.permissions import local
from core.domain.versions import Provider, Version
from core.services import callers, flips, registry
from core.store import migrate
from core.store.database import Store, open_store

ALIAS, OLD, NEW, KEY = "bench", "old-2026-01-01", "new-2026-02-02", "pk-bench"
HAND = local("bench")


def prepared(database_url: str, upstream: str) -> Store:
    """The store at ``database_url``, migrated and filled."""
    store = open_store(database_url)
    migrate.upgrade(store)
    now = datetime.now(UTC)
    registry.register_provider(store, HAND, Provider("bench", "recorded", upstream), now=now)
    for name in (OLD, NEW):
        registry.register_version(store, HAND, Version(name, "bench", name), now=now)
    flips.create(store, HAND, ALIAS, OLD, now=now)
    callers.create_key(store, HAND, "bench", demo_key=KEY, now=now)
    return store
