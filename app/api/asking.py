"""One request as the routes see it: who asks, when, of which store, and the revision or key that guards a write."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request
from starlette.responses import Response

from app.api.problems import RevisionRequired, StillRunning
from app.api.shapes import Body, View, Write
from app.wiring import Pinrail
from core.domain.names import no_such
from core.domain.permissions import Actor
from core.errors import InvalidInput, PinrailError
from core.services import replays
from core.store.database import Store

PATIENCE_S = 10.0
FIRST_LOOK_S, LONGEST_PAUSE_S = 0.02, 0.8

V = TypeVar("V", bound=View)


@dataclass(frozen=True)
class Asking:
    """Who asks, and when."""

    pinrail: Pinrail
    actor: Actor
    now: datetime

    @property
    def store(self) -> Store:
        """The store that is asked."""
        return self.pinrail.store


def asking(request: Request) -> Asking:
    """What every route is given."""
    _refuse_unknown_parameters(request)
    pinrail: Pinrail = request.app.state.pinrail
    return Asking(pinrail, request.scope["pinrail.actor"], pinrail.now())


def _refuse_unknown_parameters(request: Request) -> None:
    """A filter with a typo in its name would silently show everything."""
    operation = request.app.openapi()["paths"][request.scope["route"].path_format][request.method.lower()]
    known = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
    for name in request.query_params:
        if name not in known:
            raise InvalidInput(
                no_such("query parameter", name, known) + (f" Known: {', '.join(known)}." if known else "")
            )


@dataclass(frozen=True)
class Writing(Asking):
    """A write: as asked, and under which idempotency key."""

    key: str | None
    target: str
    response: Response

    def replayed(self) -> None:
        """Say that nothing happened now: the answer is the one the key had before."""
        self.response.headers["idempotency-replayed"] = "true"

    def once(self, body: Body | None, view: type[V], work: Callable[[], V]) -> V:
        """Do ``work``, or give the answer it had under the same key; a secret is never given twice."""
        if self.key is None:
            return work()
        # A plain digest of a password would be a gift to whoever reads the store.
        asked = f"{self.target}\n{body.model_dump_json(exclude={'password'}) if body else ''}"
        answer = self._claimed(self.key, sha256(asked.encode()).hexdigest())
        if answer is not None:
            self.replayed()
            return view.model_validate(answer)
        try:
            done = work()
        except PinrailError:
            replays.let_go(self.store, self.actor, self.key)
            raise
        kept = done.model_dump(mode="json", exclude={"secret"})
        replays.settle(self.store, self.actor, self.key, {"answer": kept})
        return done

    def _claimed(self, key: str, request_sha256: str) -> dict[str, Any] | None:
        """The answer kept under the key, or None when the work is ours to do."""
        deadline = time.monotonic() + PATIENCE_S
        pause_s = FIRST_LOOK_S
        while True:
            claim = replays.claim(self.store, self.actor, key, request_sha256, now=self.now)
            if claim.answer is not None:
                kept: dict[str, Any] = claim.answer["answer"]
                return kept
            if not claim.busy:
                return None
            if time.monotonic() > deadline:
                raise StillRunning("This request is still being carried out under the same key. Ask again in a moment.")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)  # many who wait must not slow down the one who works


def writing(
    request: Request,
    response: Response,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=200,
            pattern=r"^[\x21-\x7e]+$",
            description="Any text of your choice. Asking again with the same one has no second effect and gets the "
            "first answer; a UUID per click or job is a good choice.",
        ),
    ] = None,
) -> Writing:
    """What every route that writes is given."""
    at = asking(request)
    query = f"?{request.url.query}" if request.url.query else ""
    target = f"{request.method} {request.url.path}{query}"
    return Writing(at.pinrail, at.actor, at.now, idempotency_key, target, response)


AskingNow = Annotated[Asking, Depends(asking)]
WritingNow = Annotated[Writing, Depends(writing)]

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=64,
        description='The ETag of the alias as the person saw it, such as `"7"`. Required, unless `seen_revision` is in '
        "the body.",
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(alias="If-None-Match", max_length=1000, description="An ETag you have; 304 while it still holds."),
]


def etag(revision: int) -> str:
    """The ETag of an alias at a revision."""
    return f'"{revision}"'


def seen_revision(body: Write, if_match: str | None) -> int:
    """The revision the person saw: from `If-Match` or from the body, and never guessed."""
    if if_match is None:
        if body.seen_revision is None:
            raise RevisionRequired(
                'Say which revision you saw: send the alias\'s ETag as `If-Match: "7"`, or `"seen_revision": 7` '
                "in the body. Nothing was changed."
            )
        return body.seen_revision
    # A proxy that compresses turns an ETag into a weak one; the number in it is the same.
    found = re.fullmatch(r'(?:W/)?"([1-9]\d{0,8})"', if_match.strip())
    if found is None:
        raise InvalidInput(f'If-Match is {if_match!r}; it takes the ETag of the alias and nothing else, such as "7".')
    number = int(found[1])
    if body.seen_revision not in (None, number):
        raise InvalidInput(f"If-Match says revision {number} and seen_revision says {body.seen_revision}.")
    return number


def still_holds(if_none_match: str | None, tag: str) -> bool:
    """Does the client have the answer with this ETag already?"""
    if if_none_match is None:
        return False
    known = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return "*" in known or tag in known
