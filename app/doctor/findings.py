"""What a check found: how grave it is, in a sentence, and the remedy."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from app.wiring import Pinrail


class Level(StrEnum):
    """How grave a finding is. ``UNKNOWN`` is what could not be looked at, which is not good news either."""

    WELL = "well"
    UNKNOWN = "unknown"
    CARE = "care"
    ILL = "ill"


@dataclass(frozen=True)
class Finding:
    """One thing that was seen; everything but what is well has a remedy."""

    check: str
    level: Level
    said: str
    remedy: str = ""


@dataclass(frozen=True)
class Patient:
    """What is looked at: the installation as this process sees it, and the moment."""

    pinrail: Pinrail
    now: datetime
    full: bool = False
    env: Mapping[str, str] = field(default_factory=dict)


Seen = Iterable[tuple[Level, str, str]]
"""Level, sentence and remedy of each finding."""


@dataclass(frozen=True)
class Check:
    """One thing to look at. ``needs_store``: without a store that answers and fits, nothing can be said."""

    name: str
    about: str
    look: Callable[[Patient], Seen]
    needs_store: bool = True
