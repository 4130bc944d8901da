"""Evacuations as they are previewed, asked for and shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, Field

from app.api.shapes.aliases import MovedView, ReceiptView
from app.api.shapes.bodies import Body, Name, Slug
from app.api.shapes.common import View
from core.domain.evacuation import MAX_MOVES, MAX_SAID, Concern, Plan, Wanted, receipt_in_words

if TYPE_CHECKING:
    from core.services.evacuation import Evacuation, Move, Result


class PlanView(View):
    """Where one alias would go. Without a `target` it stays, and `because` says why."""

    alias: str
    revision: int
    version: str
    because: str
    target: str | None
    action: str | None = Field(description="What moving it needs.")
    fallbacks: tuple[str, ...] = Field(description="Its fallbacks that are concerned; they stay.")
    stays: bool = Field(description="Its stable version is not concerned, so nothing has to move.")

    @classmethod
    def from_domain(cls, plan: Plan) -> Self:
        """The view of a plan."""
        return cls(**vars(plan))


class PreviewView(View):
    """Every alias that is concerned, by name, as far as you may see aliases."""

    provider: str | None
    version: str | None
    items: tuple[PlanView, ...]

    @classmethod
    def from_domain(cls, concern: Concern, plans: Sequence[Plan]) -> Self:
        """The view of a preview."""
        items = tuple(PlanView.from_domain(plan) for plan in plans)
        return cls(provider=concern.provider, version=concern.version, items=items)


class EvacuationMove(Body):
    """One alias as the preview showed it."""

    alias: Slug
    seen_revision: int = Field(ge=1, le=2**31 - 1)
    target: Name

    def to_domain(self) -> Wanted:
        """The move that is wanted."""
        return Wanted(**dict(self))


def _each_once(moves: tuple[EvacuationMove, ...]) -> tuple[EvacuationMove, ...]:
    if len({move.alias for move in moves}) != len(moves):
        raise ValueError("an alias is named twice")
    return moves


class Evacuate(Body):
    """Move these aliases off a provider, or off a version."""

    provider: Slug | None = None
    version: Name | None = None
    moves: Annotated[tuple[EvacuationMove, ...], AfterValidator(_each_once)] = Field(
        min_length=1, max_length=MAX_MOVES, description="What the preview showed, as far as it shall happen."
    )
    reason: str = Field("", max_length=MAX_SAID)


class ReturnEvacuation(Body):
    """Put back what an evacuation moved."""

    reason: str = Field("", max_length=MAX_SAID)


class ResultView(View):
    """What came of one alias: what was done, or the refusal."""

    alias: str
    moved: MovedView | None
    code: str = Field(description="The kind of refusal; empty when it was moved.")
    message: str

    @classmethod
    def from_domain(cls, result: "Result") -> Self:
        """The view of a result."""
        moved = MovedView.from_domain(result.moved) if result.moved else None
        return cls(alias=result.alias, moved=moved, code=result.code, message=result.message)


class EvacuationMoveView(View):
    """One revision of an evacuation."""

    alias: str
    revision: int
    came_from: str
    version: str
    returned: int | None = Field(description="The revision that undid it, if one did.")
    receipt: ReceiptView | None

    @classmethod
    def from_domain(cls, move: "Move") -> Self:
        """The view of a move."""
        revision = move.revision
        return cls(
            alias=revision.alias,
            revision=revision.number,
            came_from=move.came_from,
            version=revision.state.stable,
            returned=move.returned,
            receipt=ReceiptView.from_domain(move.receipt) if move.receipt else None,
        )


class EvacuationView(View):
    """An evacuation, what it moved, and one receipt for all of it."""

    id: str
    provider: str | None
    version: str | None
    reason: str
    by: str
    at: datetime
    moves: tuple[EvacuationMoveView, ...] = Field(description="As far as you may see aliases; empty in the list.")
    results: tuple[ResultView, ...] = Field(description="What this very request did or was refused, by alias.")
    sentence: str = Field(description="The receipts of all moves in words.")

    @classmethod
    def from_domain(cls, found: "Evacuation", results: "Sequence[Result]" = ()) -> Self:
        """The view of an evacuation, with the results of the request that is answered."""
        receipts = {move.revision.alias: move.receipt for move in found.moves if move.receipt}
        return cls(
            id=found.id,
            provider=found.concern.provider,
            version=found.concern.version,
            reason=found.reason,
            by=found.by,
            at=found.at,
            moves=tuple(EvacuationMoveView.from_domain(move) for move in found.moves),
            results=tuple(ResultView.from_domain(result) for result in results),
            sentence=receipt_in_words(receipts),
        )
