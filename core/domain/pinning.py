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


_OPENAI = frozenset({"openai", "openai_compatible"})
_ANTHROPIC = frozenset({"anthropic", "google", "openai_compatible"})
_GOOGLE = frozenset({"google", "openai_compatible"})
_MISTRAL = frozenset({"mistral", "openai_compatible"})
_OTHERS = frozenset({"openai_compatible"})

_PREFIX = r"(?:[\w.-]+/)*"  # a router's path before the id, as in mistralai/…
_VENDOR = r"(?:[\w-]+[./])*"  # the same, or a cloud's, as in eu.anthropic.…
_MMDD = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_DATE = r"(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_CLAUDE_FROM_4_6 = _VENDOR + r"claude-[a-z]+-(?:4-(?:[6-9]|\d\d)|[5-9]|[1-9]\d)(?:-\d{1,2})?"
_MISTRALS = r"(?:mistral|ministral|mixtral|codestral|devstral|magistral|pixtral|voxtral)"

RULES: tuple[Rule, ...] = (
    Rule(r".*", PinClass.PINNED, "a recording never changes", frozenset({"recorded"})),
    # -- whoever the provider is ------------------------------------------------------------------
    Rule(r".*@sha256:[0-9a-f]{64}", PinClass.PINNED, "named by its digest"),
    Rule(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", PinClass.PINNED, "named by its commit"),
    Rule(r".*[-_.:/@]latest(?:[-_.:].*)?|latest", PinClass.FLOATING, "'latest' moves with every release"),
    Rule(
        r".*",
        PinClass.UNKNOWN,
        "an Azure id names a deployment; its version, and whether it upgrades itself, are set in Azure",
        frozenset({"azure"}),
    ),
    Rule(r".*@default", PinClass.FLOATING, "'default' moves with every release"),
    Rule(r"openrouter/.*|arn:.*prompt-router/.*", PinClass.FLOATING, "a router picks the model for each request"),
    Rule(
        r"labs-.*",
        PinClass.FLOATING,
        "Mistral updates its labs models without notice, also under a dated id",
        frozenset({"mistral"}),
    ),
    Rule(
        _CLAUDE_FROM_4_6 + r"-\d{8}",
        PinClass.UNKNOWN,
        "Claude ids from 4.6 on carry no date, so this one is none of Anthropic's",
        _ANTHROPIC,
    ),
    Rule(r".*[-_]" + _DATE, PinClass.PINNED, "dated snapshot -YYYY-MM-DD"),
    Rule(
        r".*[-_@](?:19|20)\d\d" + _MMDD + r"(?:-v\d+(?::\d+)?)?",
        PinClass.PINNED,
        "dated snapshot YYYYMMDD",
    ),
    # -- OpenAI -----------------------------------------------------------------------------------
    Rule(
        r"ft:[\w.-]+-(?:" + _DATE + "|" + _MMDD + r"):.*",
        PinClass.PINNED,
        "fine-tune of a dated snapshot",
        _OPENAI,
    ),
    Rule(
        _PREFIX + r"gpt-(?:3\.5|4)[\w.-]*-" + _MMDD + r"(?:-preview)?",
        PinClass.PINNED,
        "old-style snapshot with MMDD",
        _OPENAI,
    ),
    Rule(
        _PREFIX + r"(?:text|code)-(?!embedding)[a-z-]+-00\d",
        PinClass.PINNED,
        "old-style version number -00N",
        frozenset({"openai"}),
    ),
    Rule(
        _PREFIX + r"gpt-(?:5\.[6-9]|[6-9]|5\.\d-codex)(?:[.-][\w.-]*)?",
        PinClass.UNKNOWN,
        "OpenAI lists no dated snapshot of this generation, so nothing more exact can be named",
        _OPENAI,
    ),
    Rule(
        _PREFIX + r"(?:gpt-(?!oss)[\w.-]*|chatgpt-[\w.-]*|o\d(?:-[\w.-]*)?|codex-[\w.-]*|computer-use-[\w.-]*)",
        PinClass.FLOATING,
        "OpenAI ids without a date are pointers that move to newer snapshots",
        _OPENAI,
    ),
    # -- Anthropic --------------------------------------------------------------------------------
    Rule(
        _CLAUDE_FROM_4_6 + r"(?:-v\d+)?",
        PinClass.PINNED,
        "from 4.6 on a Claude id without a date is the exact model",
        _ANTHROPIC,
    ),
    Rule(_PREFIX + r"claude(?:-instant)?-[12]\.\d", PinClass.PINNED, "full version number", _ANTHROPIC),
    Rule(
        _VENDOR + r"claude-[\w-]*preview",
        PinClass.UNKNOWN,
        "whether an undated preview is updated in place is not documented",
        _ANTHROPIC,
    ),
    Rule(
        _PREFIX + r"claude[\w.-]*",
        PinClass.FLOATING,
        "Claude ids before 4.6 without a date are aliases of a dated snapshot",
        _ANTHROPIC,
    ),
    # -- Google -----------------------------------------------------------------------------------
    Rule(
        r"[\w.-]+@(?:00\d|\d{4}(?:-\d{3})?)",
        PinClass.PINNED,
        "version after the @",
        _GOOGLE,
    ),
    Rule(_PREFIX + r"(?:gemini|imagen)-[\w.-]*-00\d", PinClass.PINNED, "stable version -00N", _GOOGLE),
    Rule(
        _PREFIX + r"gemini[\w.-]*-preview-\d\d-\d\d(?:\d\d)?(?:-\d{4})?",
        PinClass.PINNED,
        "dated Gemini preview",
        _GOOGLE,
    ),
    Rule(
        _PREFIX + r"gemini[\w.-]*-exp",
        PinClass.FLOATING,
        "an experimental Gemini can be exchanged for another without notice",
        _GOOGLE,
    ),
    Rule(
        _PREFIX + r"gemini[\w.-]*-(?:preview|exp-\d\d-\d\d)",
        PinClass.UNKNOWN,
        "whether it is updated in place is not documented",
        _GOOGLE,
    ),
    Rule(
        _PREFIX + r"gemini-(?:1\.\d|2\.0)-[\w.-]*",
        PinClass.FLOATING,
        "before 2.5 a Gemini id without -00N is an alias that is updated",
        _GOOGLE,
    ),
    Rule(
        _PREFIX + r"gemini-(?:2\.5|[3-9](?:\.\d+)?)-[\w-]+",
        PinClass.PINNED,
        "from 2.5 on the plain Gemini id is the stable version",
        _GOOGLE,
    ),
    # -- Mistral ----------------------------------------------------------------------------------
    Rule(
        _PREFIX + r"[\w-]*" + _MISTRALS + r"[\w.-]*-2\d(?:0[1-9]|1[0-2])",
        PinClass.PINNED,
        "dated Mistral release -YYMM",
        _MISTRAL,
    ),
    Rule(
        _MISTRALS + r"-[a-z-]+-\d-\d",
        PinClass.PINNED,
        "Mistral release with major and minor number",
        frozenset({"mistral"}),
    ),
    Rule(
        _MISTRALS + r"(?:-[a-z]+)*(?:-\d)?",
        PinClass.FLOATING,
        "Mistral ids without a date or minor number are aliases of the newest release",
        frozenset({"mistral"}),
    ),
    # -- others that speak the OpenAI API ---------------------------------------------------------
    Rule(r"(?:[\w-]+\.)+[\w.-]*v\d+:\d+", PinClass.PINNED, "Bedrock version -vN:N", _OTHERS),
    Rule(
        _PREFIX + r"command[a-z-]*-(?:0[1-9]|1[0-2])-20\d\d",
        PinClass.PINNED,
        "dated Cohere release -MM-YYYY",
        _OTHERS,
    ),
    Rule(_PREFIX + r"(?:embed|rerank)-[a-z-]*v\d\.\d(?:-[a-z]+)*", PinClass.PINNED, "Cohere version vN.N", _OTHERS),
    Rule(_PREFIX + r"command(?:-[a-z]+)*", PinClass.FLOATING, "Cohere ids without a date are aliases", _OTHERS),
    Rule(
        _PREFIX + r"qwen[\w.]*(?:-[a-z]+)*-(?:max|plus|turbo|flash)(?:-preview)?",
        PinClass.FLOATING,
        "Qwen's mainline ids are moved to newer snapshots",
        _OTHERS,
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
