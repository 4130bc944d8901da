"""Two versions side by side: which parts of the bundle differ, for dialogs and for the line that says what changed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from core.store.read_models import Bundle

NONE = "none"
LONGEST_VALUE = 60


@dataclass(frozen=True)
class Row:
    """One item of a bundle, now and after."""

    item: str
    now: str
    after: str
    is_name: bool = True  # written as names are, letter by letter

    @property
    def same(self) -> bool:
        """Nothing changes here."""
        return self.now == self.after


def rows(now: Bundle, after: Bundle) -> tuple[Row, ...]:
    """What a move from ``now`` to ``after`` changes: version, model, prompt, data, and each parameter that differs."""
    a, b = now.version, after.version
    return (
        Row("Version", a.name, b.name),
        Row("Model", a.model_id, b.model_id),
        *([] if a.provider == b.provider else [Row("Provider", a.provider, b.provider)]),
        Row("Prompt", a.prompt or NONE, b.prompt or NONE),
        Row("Data", ", ".join(a.data_versions) or NONE, ", ".join(b.data_versions) or NONE),
        *_parameters(a.parameters, b.parameters),
    )


def _parameters(now: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Row]:
    differing = [name for name in sorted(now.keys() | after.keys()) if now.get(name) != after.get(name)]
    if not differing:
        yield Row("Parameters", f"{len(now)} set", f"{len(after)} set", is_name=False)
    for name in differing:
        yield Row(name, _value(now, name), _value(after, name))


def _value(settings: Mapping[str, Any], name: str) -> str:
    return _short(settings[name]) if name in settings else "not set"


def _short(value: Any) -> str:
    """A value on one line. A long one, such as a schema, ends in a hash, so that two that differ look different."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    if len(text) <= LONGEST_VALUE:
        return text
    return f"{text[: LONGEST_VALUE - 10]}… #{sha256(text.encode()).hexdigest()[:6]}"


def parameters(settings: Mapping[str, Any]) -> str:
    """Every parameter of a version on one line."""
    return ", ".join(f"{name} {_short(value)}" for name, value in sorted(settings.items())) or NONE


def split_at_difference(one: str, other: str) -> tuple[str, str, str]:
    """What two names begin with in common, and where each goes on alone: so that the differing parts line up."""
    common = 0
    for index, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            break
        if a in "-_.:/@+":
            common = index + 1
    return one[:common], one[common:], other[common:]
