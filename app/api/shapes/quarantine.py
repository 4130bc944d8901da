"""Quarantine as it is shown and lifted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from pydantic import Field

from app.api.shapes.bodies import Body
from app.api.shapes.common import View
from core.domain.quarantine import Quarantine


class QuarantineView(View):
    """One reason why a version must not begin to serve: a revision of an alias left it for doing badly."""

    version: str
    alias: str
    revision: int
    since: datetime
    by: str
    reason: str
    issue: int = Field(description="The known issue it added.")
    lifted_at: datetime | None
    lifted_by: str | None
    lift_reason: str

    @classmethod
    def from_domain(cls, found: Quarantine) -> Self:
        """The view of a quarantine."""
        return cls(**{key: value for key, value in vars(found).items() if key not in ("id", "serial")})


class VersionQuarantineView(View):
    """Whether a version is quarantined, and every quarantine it was ever in."""

    version: str
    quarantined: bool = Field(description="Nothing may begin to serve it without an override that says why.")
    items: tuple[QuarantineView, ...] = Field(description="Open ones first, then newest first.")

    @classmethod
    def from_domain(cls, version: str, found: Sequence[Quarantine]) -> Self:
        """The view of all quarantines of a version."""
        views = tuple(QuarantineView.from_domain(one) for one in found)
        return cls(version=version, quarantined=any(view.lifted_at is None for view in views), items=views)


class LiftQuarantine(Body):
    """Say that a version may serve again, and why."""

    reason: str = Field(min_length=1, max_length=500)
