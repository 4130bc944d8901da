"""Whether an answer has the format that was asked for; silence has its own word; no caller stalls the gateway."""

import json
import threading
from typing import Any

import pytest

from app.gateway import formats
from app.gateway.formats import has_format, wanted_format

OBJECT = {"type": "json_object"}


def schema(inner: object) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": inner}}


PERSON = schema(
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"$ref": "#/$defs/age"}},
        "required": ["name", "age"],
        "additionalProperties": False,
        "$defs": {"age": {"type": "integer", "minimum": 0}},
    }
)

VERDICTS = {
    "an object": (OBJECT, ["{}"], True),
    "a list is no object": (OBJECT, ["[]"], False),
    "prose": (OBJECT, ["Sure! {}"], False),
    "fenced": (OBJECT, ["```json\n{}\n```"], False),
    "a trailing comma": (OBJECT, ['{"a": 1,}'], False),
    "NaN": (OBJECT, ['{"a": NaN}'], False),
    "nothing": (OBJECT, [""], False),
    "cut short": (OBJECT, ['{"a": "b'], False),
    "one of two wrong": (OBJECT, ["{}", "no"], False),
    "no text at all": (OBJECT, None, None),
    "no choices": (OBJECT, [], None),
    "only tool calls": (OBJECT, [None], None),
    "a tool call beside an answer": (OBJECT, [None, "{}"], True),
    "as the schema says": (PERSON, ['{"name": "Ada", "age": 36}'], True),
    "of another type": (PERSON, ['{"name": "Ada", "age": "36"}'], False),
    "against a referenced rule": (PERSON, ['{"name": "Ada", "age": -1}'], False),
    "with something missing": (PERSON, ['{"name": "Ada"}'], False),
    "with something more": (PERSON, ['{"name": "Ada", "age": 36, "x": 1}'], False),
    "a schema that forbids everything": (schema(False), ["{}"], False),
    "no schema given": ({"type": "json_schema"}, ["[1]"], True),
    "a schema that is none": (schema({"type": 7}), ["{}"], None),
    "a schema that refers to nothing": (schema({"$ref": "#/$defs/nobody"}), ["{}"], None),
    "a schema elsewhere": (schema({"$ref": "http://127.0.0.1:1/schema.json"}), ["{}"], None),
    "a schema that refers to itself": (schema({"$ref": "#"}), ["{}"], None),
    "a pattern is not tried": (schema({"type": "string", "pattern": "^a$"}), ['"b"'], True),
    "names by pattern are let pass": (
        schema({"type": "object", "patternProperties": {"^a": {}}, "additionalProperties": False}),
        ['{"b": 1}'],
        True,
    ),
    "something twice": (schema({"uniqueItems": True}), ['[{"a": 1, "b": 2}, {"b": 2, "a": 1}]'], False),
    "nothing twice": (schema({"uniqueItems": True}), ["[1, true, {}, [], null]"], True),
    "more left over than is looked for": (schema({"prefixItems": [{}], "unevaluatedItems": False}), ["[1, 2]"], True),
    "nested deeper than can be compared": (schema({"uniqueItems": True}), ["[" * 400 + "]" * 400], None),
    "a schema larger than is read": (schema({"description": "x" * formats.LARGEST_SCHEMA}), ["{}"], None),
    "a schema of more parts than are looked at": (schema({"allOf": [{}] * formats.MOST_PARTS}), ["{}"], None),
    "another dialect at the root": (
        schema({"$schema": "http://json-schema.org/draft-07/schema#", "type": "string", "pattern": "^a$"}),
        ['"b"'],
        True,
    ),
    "a property that is called like a dialect": (
        schema({"properties": {"$schema": {"type": "integer"}}}),
        ['{"$schema": "x"}'],
        False,
    ),
    "another dialect below": (
        schema({"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "^a$"}}}),
        ['{"a": "b"}'],
        None,
    ),
}


@pytest.mark.parametrize(("wanted", "texts", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_a_format_is_judged(wanted: dict[str, Any], texts: list[str | None] | None, verdict: bool | None):
    assert has_format(wanted, texts) is verdict


ASKED = {
    "nothing": ({}, None),
    "text": ({"response_format": {"type": "text"}}, None),
    "an object": ({"response_format": OBJECT}, OBJECT),
    "a schema": ({"response_format": PERSON}, PERSON),
    "nonsense": ({"response_format": "json"}, None),
}


@pytest.mark.parametrize(("request_", "wanted"), ASKED.values(), ids=ASKED)
def test_a_format_is_wanted_only_where_json_is_insisted_on(request_: dict[str, Any], wanted: object):
    assert wanted_format(request_) == wanted


HOSTILE = {
    "pattern": {"properties": {"a": {"pattern": "^(a+)+$"}}},
    "names by pattern": {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
    "names left over": {"allOf": [{"patternProperties": {"^(a+)+$": {}}}], "unevaluatedProperties": False},
    "names": {"propertyNames": {"pattern": "^(a+)+$"}},
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_regular_expression_made_to_take_for_ever_is_not_tried(hostile: dict[str, Any]):
    text = '{"a": "' + "a" * 60 + '!", "' + "a" * 60 + '!": 1}'
    judged: list[bool | None] = []
    thread = threading.Thread(target=lambda: judged.append(has_format(schema(hostile), [text])), daemon=True)

    thread.start()
    thread.join(20)

    assert judged == [True]


def branching(keyword: str, depth: int = 40) -> dict[str, Any]:
    """A small schema that is 2^depth rules when followed."""
    next_one = [{"$ref": f"#/$defs/{level + 1}"} for level in range(depth)]
    rules: dict[str, Any] = {str(level): {keyword: [next_one[level]] * 2} for level in range(depth)}
    return {"$defs": {**rules, str(depth): {"type": "object"}}, "$ref": "#/$defs/0"}


ENDLESS: dict[str, tuple[dict[str, Any], str]] = {
    "all of": (branching("allOf"), "{}"),
    "any of": (branching("anyOf"), "[]"),
    "one of": (branching("oneOf"), "{}"),
    "what is left over": ({**branching("allOf"), "unevaluatedItems": False}, "[1]"),
    "each against each": (
        {"uniqueItems": True, "items": {"uniqueItems": True}},
        "[" + ",".join(["[[1],{}]", "{}"] * 20_000) + "]",
    ),
    "a large text, told with each error": (
        {"anyOf": [{"type": "string", "minLength": n} for n in range(1000)]},
        '[["' + "a" * 900_000 + '"]]',
    ),
    "a large schema": ({"allOf": [{"not": {"const": n}} for n in range(490)]}, json.dumps([[1] * 1000] * 100)),
}


@pytest.mark.parametrize(("hostile", "text"), ENDLESS.values(), ids=ENDLESS)
def test_a_schema_made_to_take_for_ever_is_given_up(hostile: dict[str, Any], text: str):
    judged: list[bool | None] = []
    thread = threading.Thread(target=lambda: judged.append(has_format(schema(hostile), [text])), daemon=True)

    thread.start()
    thread.join(20)

    assert len(judged) == 1


def test_what_is_not_judged_in_its_time_is_unknown_and_the_next_text_has_its_own(monkeypatch: pytest.MonkeyPatch):
    assert has_format(PERSON | {"extra": 1}, ['{"name": "Ada", "age": 36}']) is True

    with monkeypatch.context() as hurried:
        hurried.setattr(formats, "LONGEST_S", -1.0)
        assert has_format(PERSON, ['{"name": "Ada", "age": 36}']) is None
        assert has_format(schema({"type": "array"}), ["[]"]) is None

    assert has_format(PERSON, ['{"name": "Ada", "age": "36"}']) is False
