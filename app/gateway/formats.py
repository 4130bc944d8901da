"""Whether an answer has the format that the request asked for.

Schemas come from callers. Nothing they refer to is fetched, and their regular expressions are not tried: a hostile one
holds the interpreter for minutes, and with it every request of this gateway. So a text that only fails a ``pattern``
counts as valid.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

SCHEMAS_KEPT_READY = 256


def wanted_format(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The format a request insists on, or None if it takes any text."""
    wanted = request.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") in ("json_object", "json_schema"):
        return wanted
    return None


def has_format(wanted: Mapping[str, Any], texts: Sequence[str | None] | None) -> bool | None:
    """Whether every text has the format; None if that cannot be said, or all choices call tools instead."""
    answered = [text for text in texts or () if text is not None]
    if not answered:
        return None
    verdicts = [_has_format(wanted, text) for text in answered]
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _has_format(wanted: Mapping[str, Any], text: str) -> bool | None:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    if wanted["type"] == "json_object":
        return isinstance(document, dict)
    outer = wanted.get("json_schema")
    schema = outer.get("schema") if isinstance(outer, dict) else None
    if schema is None:
        return True
    try:
        validator = _validator(orjson.dumps(schema))
        return bool(validator.is_valid(document)) if validator is not None else None
    except (Unresolvable, RecursionError):
        return None


@lru_cache(maxsize=SCHEMAS_KEPT_READY)
def _validator(schema: bytes) -> Any:
    parsed = orjson.loads(schema)
    if isinstance(parsed, dict):
        parsed.pop("$schema", None)
    try:
        _Checking.check_schema(parsed)
        # Below the root, the name of another dialect would bring that dialect's own rules back, patterns and all.
        return None if _names_a_dialect(parsed) else _Checking(parsed, registry=Registry())
    except (SchemaError, RecursionError):
        return None


def _names_a_dialect(node: object) -> bool:
    if isinstance(node, dict):
        return isinstance(node.get("$schema"), str) or any(_names_a_dialect(child) for child in node.values())
    return isinstance(node, list) and any(_names_a_dialect(child) for child in node)


def _not_tried(*_about: object) -> Iterator[Any]:
    return iter(())


def _unless_patterns(keyword: str) -> Any:
    """The keyword's own rule, except where it would have to try a regular expression."""
    rule: Any = Draft202012Validator.VALIDATORS[keyword]

    def checked(validator: Any, value: object, instance: object, schema: Mapping[str, Any]) -> Any:
        return iter(()) if "patternProperties" in schema else rule(validator, value, instance, schema)

    return checked


_Checking: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "pattern": _not_tried,
        "patternProperties": _not_tried,
        "additionalProperties": _unless_patterns("additionalProperties"),
        # Looks into the schemas around it for patterns, so it is left out as a whole.
        "unevaluatedProperties": _not_tried,
    },
)
