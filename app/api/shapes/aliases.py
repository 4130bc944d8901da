"""Aliases as they are shown: revisions, what a write did, rollback targets, receipts."""

from datetime import datetime
from typing import TYPE_CHECKING, Self

from pydantic import Field

from app.api.shapes.common import View
from core.domain.aliases import Hold, Revision, RollbackTarget
from core.domain.receipts import Confirmation, Receipt

if TYPE_CHECKING:  # the command line on a laptop needs the views and no database
    from core.services.flips import Moved


class HoldView(View):
    """Automatic steps wait until a person releases the alias."""

    by: str
    at: datetime
    reason: str

    @classmethod
    def from_domain(cls, hold: Hold) -> Self:
        """The view of a hold."""
        return cls(by=hold.by, at=hold.at, reason=hold.reason)


class RevisionView(View):
    """One state of an alias, and how it came about."""

    alias: str
    revision: int
    version: str = Field(description="The version that serves.")
    fallbacks: tuple[str, ...] = Field(description="Versions tried in order when the first fails before its answer.")
    description: str
    owner: str | None
    protected: bool
    hold: HoldView | None
    retired: bool
    cause: str = Field(description="created, flipped, rolled back, undone, held, released, described, ...")
    by: str
    automatic: bool
    at: datetime
    reason: str
    reverts: int | None = Field(description="The revision that this one undid.")
    serial: int = Field(description="The store-wide number of the change, as gateways acknowledge it.")

    @classmethod
    def from_domain(cls, revision: Revision) -> Self:
        """The view of a revision."""
        state = revision.state
        return cls(
            alias=revision.alias,
            revision=revision.number,
            version=state.stable,
            fallbacks=state.fallbacks,
            description=state.description,
            owner=state.owner,
            protected=state.protected,
            hold=HoldView.from_domain(state.hold) if state.hold else None,
            retired=state.retired,
            cause=revision.cause.value,
            by=revision.by,
            automatic=revision.automatic,
            at=revision.at,
            reason=revision.reason,
            reverts=revision.reverts,
            serial=revision.serial,
        )


class AliasView(RevisionView):
    """An alias as it is now: its newest revision. `revision` is also its ETag."""


class MovedView(View):
    """What a write on an alias did."""

    alias: str
    revision: int
    serial: int
    cause: str
    version: str
    previous_version: str | None
    by: str
    at: datetime
    replayed: bool = Field(description="True when this Idempotency-Key had done it before: nothing happened now.")
    quarantined: str | None = Field(None, description="The version that was left for doing badly, if it was.")

    @classmethod
    def from_domain(cls, moved: "Moved") -> Self:
        """The view of a write on an alias."""
        return cls(**vars(moved))


class RollbackTargetView(View):
    """A version one may roll back to, and why."""

    version: str
    because: str
    served_until: datetime
    caution: str | None

    @classmethod
    def from_domain(cls, target: RollbackTarget) -> Self:
        """The view of a rollback target."""
        return cls(**vars(target))


class ConfirmationView(View):
    """One gateway routes by the revision."""

    replica: str
    name: str
    at: datetime
    after_ms: float

    @classmethod
    def from_domain(cls, confirmation: Confirmation) -> Self:
        """The view of a confirmation."""
        return cls(**vars(confirmation))


class ReceiptView(View):
    """Where a revision is in force, among requests accepted from now on."""

    alias: str
    revision: int
    version: str
    committed_at: datetime
    confirmed: tuple[ConfirmationView, ...]
    waiting: tuple[str, ...] = Field(description="Gateways that have not confirmed yet, by name.")
    silent: tuple[str, ...] = Field(
        (), description="Gateways that fell silent without leaving: what still runs there serves an earlier revision."
    )
    gateways: int = Field(description="How many gateways are heard of.")
    complete: bool = Field(description="Every live gateway routes by it; false while none is running.")
    slowest_ms: float | None
    sentence: str

    @classmethod
    def from_domain(cls, receipt: Receipt) -> Self:
        """The view of a receipt."""
        return cls(
            alias=receipt.alias,
            revision=receipt.revision,
            version=receipt.version,
            committed_at=receipt.committed_at,
            confirmed=tuple(ConfirmationView.from_domain(c) for c in receipt.confirmed),
            waiting=receipt.waiting,
            silent=receipt.silent,
            gateways=receipt.gateways,
            complete=receipt.complete,
            slowest_ms=receipt.slowest_ms,
            sentence=receipt.sentence,
        )
