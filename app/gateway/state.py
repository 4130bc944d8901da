"""What one replica knows: the routes it serves by and how it came to them. Each change is one assignment."""

from dataclasses import dataclass
from enum import StrEnum

from app.gateway.routes import Routes


class Source(StrEnum):
    """Where the routes in force came from."""

    STORE = "store"
    DISK_COPY = "disk copy"


@dataclass(frozen=True)
class Standing:
    """The routes in force, replaced as a whole."""

    routes: Routes
    source: Source


class State:
    """Written by the follower and the server, read by the endpoints; no lock, because no two fields must agree."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.standing: Standing | None = None
        self.confirmed_at_s: float | None = None
        """When the store last said that these routes are the current ones, in seconds since the epoch."""
        self.store_fault: str | None = "The store was not asked yet."
        """Why the store cannot be used; None while it can."""
        self.copy_fault: str | None = None
        """Why there is no usable copy of the routes on disk; None while there is one, or none was needed."""
        self.draining = False

    @property
    def serial(self) -> int | None:
        """The change that the routes in force contain; None without routes."""
        return self.standing.routes.table.serial if self.standing is not None else None

    def readiness(self, now_s: float) -> tuple[bool, dict[str, object]]:
        """Whether this replica should get requests, and why."""
        ready = self.standing is not None and not self.draining
        age_s = round(now_s - self.confirmed_at_s, 1) if self.confirmed_at_s is not None else None
        return ready, {
            "ready": ready,
            "because": self._because(),
            "name": self.name,
            "serial": self.serial,
            "source": self._source(),
            "confirmed_s_ago": age_s,
            "store": self.store_fault or "reachable",
            "disk_copy": self.copy_fault or "good",
        }

    def _source(self) -> str | None:
        if self.standing is None:
            return None
        if self.standing.source is Source.STORE and self.store_fault is not None:
            return "memory"
        return self.standing.source

    def _because(self) -> str:
        if self.draining:
            return "This gateway is stopping: it finishes what it has begun."
        if self.standing is None:
            return " ".join(filter(None, ["No route table yet.", self.store_fault, self.copy_fault]))
        if self.store_fault is None:
            return "Serving the store's current routes."
        return f"Serving the last known routes, without the store. {self.store_fault}"
