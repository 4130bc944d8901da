"""Whether an answer has the format that the request asked for.

Schemas come from callers. Nothing they refer to is fetched, and their regular expressions are not tried: a hostile one
holds the interpreter for minutes, and with it every request of this gateway. So a text that only fails a ``pattern``
counts as valid. A few rules that refer to each other can take longer than the world lasts; so each text has its time,
and what is not judged in it is unknown.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

SCHEMAS_KEPT_READY = 256
LARGEST_SCHEMA = 64 << 10
"""Bytes of a schema beyond which no text is held against it."""
MOST_PARTS = 1000
"""Objects and lists in a schema, likewise: whether it is one takes a while for each of them."""
LONGEST_S = 0.1
"""Seconds of computing that one text is given."""


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
    written = orjson.dumps(schema)
    if len(written) > LARGEST_SCHEMA:
        return None
    try:
        validator = _validator(written)
        with _limited_time():
            return bool(validator.is_valid(document)) if validator is not None else None
    except (Unresolvable, RecursionError, _TakesTooLong, orjson.JSONEncodeError):
        return None


@lru_cache(maxsize=SCHEMAS_KEPT_READY)
def _validator(schema: bytes) -> Any:
    parsed = orjson.loads(schema)
    if isinstance(parsed, dict):
        parsed.pop("$schema", None)
    parts = list(islice(_parts(parsed), MOST_PARTS + 1))
    # Below the root, the name of another dialect would bring that dialect's own rules back, patterns and all.
    if len(parts) > MOST_PARTS or any(map(_names_a_dialect, parts)):
        return None
    try:
        _Checking.check_schema(parsed)
    except (SchemaError, RecursionError):
        return None
    return _Checking(parsed, registry=Registry())


def _names_a_dialect(part: object) -> bool:
    return isinstance(part, dict) and isinstance(part.get("$schema"), str)


def _parts(whole: object) -> Iterator[object]:
    """Every object and list in it, itself among them."""
    left = [whole]
    while left:
        part = left.pop()
        if isinstance(part, dict | list):
            yield part
            left.extend(part.values() if isinstance(part, dict) else part)


# -- the rules ------------------------------------------------------------------------------------


class _TakesTooLong(Exception):
    """The time for this text is over."""


class _Time(threading.local):
    over_at_s = float("inf")


_TIME = _Time()


@contextmanager
def _limited_time() -> Iterator[None]:
    """Let rules be tried by this thread until it has computed for so long."""
    _TIME.over_at_s = time.thread_time() + LONGEST_S
    try:
        yield
    finally:
        _TIME.over_at_s = float("inf")


def _in_time(rule: Callable[..., Any]) -> Callable[..., Any]:
    """The rule, as long as there is time."""

    def tried(*about: Any) -> Any:
        if time.thread_time() > _TIME.over_at_s:
            raise _TakesTooLong
        return rule(*about)

    return tried


def _not_tried(*_about: object) -> Iterator[Any]:
    return iter(())


def _unless_patterns(keyword: str) -> Any:
    """The keyword's own rule, except where it would have to try a regular expression."""
    rule: Any = Draft202012Validator.VALIDATORS[keyword]

    def checked(validator: Any, value: object, instance: object, schema: Mapping[str, Any]) -> Any:
        return iter(()) if "patternProperties" in schema else rule(validator, value, instance, schema)

    return checked


def _unique_items(_validator: Any, wanted: object, instance: object, _schema: object) -> Iterator[ValidationError]:
    """As the keyword's own rule, which compares each with each."""
    if wanted is True and isinstance(instance, list):
        different = {orjson.dumps(item, option=orjson.OPT_SORT_KEYS) for item in instance}
        if len(different) < len(instance):
            yield ValidationError("something is in it twice")


_OURS: dict[str, Callable[..., Any]] = {
    "pattern": _not_tried,
    "patternProperties": _not_tried,
    "additionalProperties": _unless_patterns("additionalProperties"),
    # These look into the schemas around them: for patterns the one, again and again both.
    "unevaluatedProperties": _not_tried,
    "unevaluatedItems": _not_tried,
    "uniqueItems": _unique_items,
}
_Checking: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {keyword: _in_time(rule) for keyword, rule in {**Draft202012Validator.VALIDATORS, **_OURS}.items()},
)
