"""How a provider's answer counts, and whether another version may answer in its place."""

from core.domain.traffic import Failure
from core.errors import MissingSecret, PinrailError, ProviderFailed, ProviderTimeout

BEFORE_AN_ANSWER = (ProviderFailed, MissingSecret)
"""What may happen instead of an answer. Each lets the next version of the chain be asked."""

BLAMES_THE_CALLER = frozenset({400, 413, 415, 422})
"""Statuses by which a provider refuses the request as such. None of the others is the caller's doing: with which key
and for which model a provider is asked, the version says."""

TOO_MANY_REQUESTS = 429
TOOK_TOO_LONG = frozenset({408, 504})


def failure_of_status(status: int) -> Failure | None:
    """How an answer with this status failed; None if it did not."""
    if 200 <= status < 300:
        return None
    if status == TOO_MANY_REQUESTS:
        return Failure.RATE_LIMITED
    if status in TOOK_TOO_LONG:
        return Failure.TIMEOUT
    return Failure.CALLER if status in BLAMES_THE_CALLER else Failure.PROVIDER


def failure_of_fault(fault: PinrailError) -> Failure:
    """How a request failed that got no answer."""
    return Failure.TIMEOUT if isinstance(fault, ProviderTimeout) else Failure.UNREACHABLE


def another_may_answer(status: int) -> bool:
    """Whether an answer with this status is worth asking the next version instead."""
    return status >= 500 or status == TOO_MANY_REQUESTS
