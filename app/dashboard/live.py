"""Figures that keep themselves fresh: read again when the store's pulse changed, and marked when they cannot be."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar, cast

import streamlit as st

from app.dashboard.session import Visit
from app.dashboard.words import length
from core.errors import StoreError
from core.store import read_models
from core.store.read_models import Pulse

T = TypeVar("T")


@dataclass(frozen=True)
class Read(Generic[T]):
    """A value and when it was read; ``stale`` says why it is not from this moment, if it is not."""

    value: T
    pulse: Pulse
    at: datetime
    read_at: datetime
    stale: str | None = None


def read(name: str, visit: Visit, query: Callable[[Visit], T], *, at_most_s: float = 30.0) -> Read[T]:
    """What ``query`` answers, kept for this browser under ``name`` until the store's pulse changes.

    It is read again after ``at_most_s`` in any case, because figures of the last minutes age by themselves. A
    store that does not answer leaves the last value, marked as stale; without any value its fault goes on.
    """
    place = f"read:{name}"
    kept = cast("Read[T] | None", st.session_state.get(place))
    try:
        pulse = read_models.pulse(visit.store, now=visit.now)
        old = kept is None or pulse != kept.pulse or (visit.now - kept.read_at).total_seconds() > at_most_s
        fresh = Read(query(visit), pulse, visit.now, visit.now) if old or kept is None else kept
    except StoreError as fault:
        if kept is None:
            raise
        age = length(visit.now - kept.at)
        return Read(kept.value, kept.pulse, kept.at, kept.read_at, f"Data is {age} old. {fault}")
    current = Read(fresh.value, pulse, visit.now, fresh.read_at)
    st.session_state[place] = current
    return current
