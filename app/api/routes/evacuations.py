"""Evacuations over HTTP: look where every alias would go, move them, see them, and put them back."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.api.asking import AskingNow, WritingNow
from app.api.doors import WRITES, door
from app.api.shapes import Evacuate, EvacuationView, Page, PreviewView, ReturnEvacuation
from core import errors
from core.domain.evacuation import Concern
from core.services import evacuation

router = APIRouter(prefix="/evacuations", tags=["evacuations"])

Id = Annotated[str, Path(max_length=64, description="The id of the evacuation.")]


@router.get("", **door("alias:read"))
def list_evacuations(at: AskingNow) -> Page[EvacuationView]:
    """List the evacuations, newest first."""
    return Page(items=tuple(EvacuationView.from_domain(one) for one in evacuation.listed(at.store, at.actor)))


@router.get("/preview", **door("alias:read", errors.NotFound, errors.UnknownVersion))
def preview_evacuation(
    at: AskingNow,
    provider: Annotated[str | None, Query(max_length=64, description="The provider that is down.")] = None,
    version: Annotated[str | None, Query(max_length=128, description="Or the version that is bad.")] = None,
) -> PreviewView:
    """See where every alias would go, or why it would stay. Nothing is changed."""
    concern, dwell = Concern(provider, version), at.pinrail.settings.minimum_dwell
    plans = evacuation.preview(at.store, at.actor, concern, now=at.now, minimum_dwell=dwell)
    return PreviewView.from_domain(concern, plans)


@router.post("", status_code=201, **door("alias:roll_back", *WRITES, errors.NotFound, errors.UnknownVersion))
def evacuate(at: WritingNow, body: Evacuate) -> EvacuationView:
    """Move the aliases of a preview, each by the normal rules and a revision of its own. What cannot move is named in
    `results` and stays; an alias that goes to a fallback needs `alias:flip`."""

    def work() -> EvacuationView:
        made, results = evacuation.run(
            at.store,
            at.actor,
            Concern(body.provider, body.version),
            [move.to_domain() for move in body.moves],
            reason=body.reason,
            now=at.now,
            minimum_dwell=at.pinrail.settings.minimum_dwell,
        )
        return EvacuationView.from_domain(evacuation.show(at.store, at.actor, made.id, now=at.now), results)

    return at.once(body, EvacuationView, work)


@router.get("/{evacuation_id}", **door("alias:read", errors.NotFound))
def get_evacuation(at: AskingNow, evacuation_id: Id) -> EvacuationView:
    """See what an evacuation moved, what was returned, and where it is in force."""
    return EvacuationView.from_domain(evacuation.show(at.store, at.actor, evacuation_id, now=at.now))


@router.post("/{evacuation_id}/return", **door("alias:flip", *WRITES, errors.NotFound, errors.NothingToChange))
def return_evacuation(at: WritingNow, evacuation_id: Id, body: ReturnEvacuation) -> EvacuationView:
    """Undo every revision of an evacuation that nothing overtook since; the others are named in `results` and left."""

    def work() -> EvacuationView:
        made, results = evacuation.give_back(at.store, at.actor, evacuation_id, reason=body.reason, now=at.now)
        return EvacuationView.from_domain(made, results)

    return at.once(body, EvacuationView, work)
