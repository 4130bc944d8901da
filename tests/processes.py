"""Real processes that begin at the same moment, for tests of what several of them do to one store."""

import multiprocessing
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.synchronize import Barrier
from typing import Any

PRELOADED = ["pytest", "sqlmodel", "alembic.command", "psycopg", "core.services.flips", "core.services.access"]
PATIENCE_S = 90


def at_once(work: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """``work(*call)`` for each call in a process of its own, begun together; results in the order of the calls.

    A result may be an exception: then it is what the call raised, as ``(type name, message)``.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    start, answers = context.Barrier(len(calls)), context.SimpleQueue()
    hands = [context.Process(target=_one, args=(work, call, n, start, answers)) for n, call in enumerate(calls)]
    for hand in hands:
        hand.start()
    try:
        found = dict(answers.get() for _ in hands)
    finally:
        for hand in hands:
            hand.join(PATIENCE_S)
    broken = [answer for kind, answer in found.values() if kind == "broken"]
    assert not broken, broken[0]
    return [found[number][1] for number in range(len(calls))]


def _one(work: Callable[..., Any], call: tuple[Any, ...], number: int, start: Barrier, answers: Any) -> None:
    from core.errors import PinrailError  # here, so that importing this module costs the test run nothing

    start.wait(PATIENCE_S)
    try:
        answers.put((number, ("done", work(*call))))
    except PinrailError as refusal:
        answers.put((number, ("done", (type(refusal).__name__, str(refusal)))))
    except BaseException:  # noqa: BLE001  # whatever it was, the test must hear of it and not wait for ever
        answers.put((number, ("broken", traceback.format_exc())))
