"""Writes on the store that make something new each time are done once per idempotency key, as the API does them."""

import time
from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar

from app.api.shapes import Body, View
from app.wiring import Pinrail
from core.domain.permissions import Actor
from core.errors import PinrailError, StoreError
from core.services import replays

V = TypeVar("V", bound=View)

PATIENCE_S = 10.0
LOOK_EVERY_S = 0.05


def done_once(
    pinrail: Pinrail, actor: Actor, key: str, *, path: str, body: Body, view: type[V], work: Callable[[], V]
) -> V:
    """Do ``work``, or give the answer it had under ``key``; a secret is never given twice.

    The request is put down in the API's words, so that whoever turns to the store after a lost answer of the API,
    under the same key, is not done twice.
    """
    asked = f"POST /api/v1{path}\n{body.model_dump_json()}"
    digest = sha256(asked.encode()).hexdigest()
    deadline = time.monotonic() + PATIENCE_S
    while True:
        claim = replays.claim(pinrail.store, actor, key, digest, now=pinrail.now())
        if claim.answer is not None:
            return view.model_validate(claim.answer["answer"])
        if not claim.busy:
            break
        if time.monotonic() > deadline:
            raise StoreError("This is still being carried out under the same key. Ask again in a moment.")
        time.sleep(LOOK_EVERY_S)
    try:
        done = work()
    except PinrailError:
        replays.let_go(pinrail.store, actor, key)
        raise
    replays.settle(pinrail.store, actor, key, {"answer": done.model_dump(mode="json", exclude={"secret"})})
    return done
