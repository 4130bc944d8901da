"""Whether a model id names one exact model for ever: pinned, floating, or unknown, and why.

Rules are data: each names the provider kinds it holds for, what it looks for, and what it concludes. The
first that matches decides. An id that no rule knows is *unknown*, which is accepted with a visible mark.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class PinClass(StrEnum):
    """What an id is: exact, able to move without notice, or not known to us."""

    PINNED = "pinned"
    FLOATING = "floating"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class PinRuling:
    """The class of an id, the reason, and pinned ids known for a floating one."""

    pin_class: PinClass
    because: str
    pins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """``pattern`` must match the whole id, without case; ``kinds`` empty means every provider kind."""

    pattern: str
    pin_class: PinClass
    because: str
    kinds: frozenset[str] = frozenset()

    def matches(self, kind: str, model_id: str) -> bool:
        """Does this rule speak about ``model_id`` at a provider of ``kind``?"""
        return (not self.kinds or kind in self.kinds) and bool(re.fullmatch(self.pattern, model_id, re.IGNORECASE))


_OPENAI = frozenset({"openai", "azure", "openai_compatible"})
_ANTHROPIC = frozenset({"anthropic", "openai_compatible"})
_GOOGLE = frozenset({"google", "openai_compatible"})
_MISTRAL = frozenset({"mistral", "openai_compatible"})
_PREFIX = r"(?:[\w.-]+/)*"

RULES: tuple[Rule, ...] = (
    Rule(r".*", PinClass.PINNED, "a recording never changes", frozenset({"recorded"})),
    Rule(r".*@sha256:[0-9a-f]{64}", PinClass.PINNED, "named by its digest"),
    Rule(r".*[-_.:/@]latest(?:[-_.:].*)?|latest", PinClass.FLOATING, "'latest' moves with every release"),
    Rule(
        r".*[-_](?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])",
        PinClass.PINNED,
        "dated snapshot -YYYY-MM-DD",
    ),
    Rule(
        r".*[-_@](?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:-v\d+(?::\d+)?)?",
        PinClass.PINNED,
        "dated snapshot YYYYMMDD",
    ),
    Rule(
        _PREFIX + r"gpt-(?:3\.5|4)[\w.-]*-(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:-preview)?",
        PinClass.PINNED,
        "old-style snapshot with MMDD",
        _OPENAI,
    ),
    Rule(
        _PREFIX + r"(?:gpt|chatgpt|o\d|codex|computer-use)[\w.-]*",
        PinClass.FLOATING,
        "OpenAI ids without a date are pointers that move to newer snapshots",
        _OPENAI,
    ),
    Rule(
        _PREFIX + r"claude[\w.-]*",
        PinClass.FLOATING,
        "Claude ids without a date may be aliases of a dated snapshot",
        _ANTHROPIC,
    ),
    Rule(_PREFIX + r"gemini-\d[\w.-]*-00\d", PinClass.PINNED, "stable Gemini version -00N", _GOOGLE),
    Rule(
        _PREFIX + r"gemini[\w.-]*-preview-\d\d-\d\d(?:-\d{4})?",
        PinClass.PINNED,
        "dated Gemini preview",
        _GOOGLE,
    ),
    Rule(
        _PREFIX + r"gemini[\w.-]*-(?:preview|exp)",
        PinClass.FLOATING,
        "a preview without a date is replaced in place",
        _GOOGLE,
    ),
    Rule(
        _PREFIX
        + r"[\w-]*(?:mistral|ministral|mixtral|codestral|devstral|magistral|pixtral|voxtral)"
        + r"[\w.-]*-2\d(?:0[1-9]|1[0-2])",
        PinClass.PINNED,
        "dated Mistral release -YYMM",
        _MISTRAL,
    ),
)
"""The first rule that matches decides. A later issue completes this set."""

KNOWN_PINS: Mapping[str, tuple[str, ...]] = {
    "gpt-4o": ("gpt-4o-2024-11-20", "gpt-4o-2024-08-06", "gpt-4o-2024-05-13"),
    "gpt-4o-mini": ("gpt-4o-mini-2024-07-18",),
    "gpt-4.1": ("gpt-4.1-2025-04-14",),
    "gpt-4.1-mini": ("gpt-4.1-mini-2025-04-14",),
    "gpt-4.1-nano": ("gpt-4.1-nano-2025-04-14",),
    "gpt-4": ("gpt-4-0613",),
    "gpt-5": ("gpt-5-2025-08-07",),
    "gpt-5-mini": ("gpt-5-mini-2025-08-07",),
    "o1": ("o1-2024-12-17",),
    "o3": ("o3-2025-04-16",),
    "o4-mini": ("o4-mini-2025-04-16",),
    "claude-sonnet-4-5": ("claude-sonnet-4-5-20250929",),
    "claude-haiku-4-5": ("claude-haiku-4-5-20251001",),
    "claude-opus-4-1": ("claude-opus-4-1-20250805",),
    "claude-opus-4-5": ("claude-opus-4-5-20251101",),
    "mistral-large": ("mistral-large-2411",),
}
"""Pinned ids known for a family, newest first. From the providers' public model lists, as of November 2026."""


def classify(kind: str, model_id: str) -> PinRuling:
    """What ``model_id`` is at a provider of ``kind``, and why."""
    for rule in RULES:
        if rule.matches(kind, model_id):
            pins = pins_known_for(model_id) if rule.pin_class is PinClass.FLOATING else ()
            return PinRuling(rule.pin_class, rule.because, pins)
    return PinRuling(PinClass.UNKNOWN, "no rule knows how this provider names exact models")


def pins_known_for(model_id: str) -> tuple[str, ...]:
    """Pinned ids of the family that a floating ``model_id`` belongs to, newest first."""
    bare = re.sub(r"[-_:]?latest$", "", model_id.rsplit("/", 1)[-1].lower())
    exact = KNOWN_PINS.get(bare)
    if exact is not None:
        return exact
    return tuple(p for family, pins in KNOWN_PINS.items() if bare and _same_family(bare, family) for p in pins)[:4]


def _same_family(bare: str, family: str) -> bool:
    """True for the same words in another order or with a part left out, such as claude-sonnet."""
    asked, known = set(re.split(r"[-_.]", bare)), set(re.split(r"[-_.]", family))
    return len(asked) > 1 and asked <= known
