"""The OpenAPI document is valid, describes every operation, and keeps what it promises under generated requests."""

from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.api.app import PREFIX
from app.api.envelope import REQUEST_ID
from tests.api.world import World

EXAMPLES_PER_OPERATION = 8


@pytest.fixture
def document(world: World) -> dict[str, Any]:
    """The document as anybody may fetch it."""
    found = requests.get(f"{world.url}{PREFIX}/openapi.json", timeout=10)
    assert found.status_code == 200
    answer: dict[str, Any] = found.json()
    return answer


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_document_is_valid_openapi(document: dict[str, Any]):
    schemathesis.openapi.from_dict(document).validate()

    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": PREFIX}]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_operation_says_what_it_does_how_to_sign_in_and_how_it_refuses(document: dict[str, Any]):
    [(scheme_name, scheme)] = document["components"]["securitySchemes"].items()
    assert scheme == {"type": "http", "scheme": "bearer", "bearerFormat": "pr_…", "description": "An API token."}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method.upper()} {path}"
            assert operation["security"] == [{scheme_name: []}], where
            assert {"401", "422", "500", "503"} <= operation["responses"].keys(), where
            for status, answer in operation["responses"].items():
                assert REQUEST_ID in answer["headers"], where
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], where
            if method != "get":
                keyed = [p["name"] for p in operation["parameters"]]
                assert "Idempotency-Key" in keyed, where
            if "/aliases/{alias}" in path and method != "get":
                assert "If-Match" in keyed, where
                assert {"412", "428"} <= operation["responses"].keys(), where


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_field_that_is_taken_has_a_limit(document: dict[str, Any]):
    """A text has a longest length, a list a largest number, a number both ends."""
    shapes = document["components"]["schemas"]
    taken = {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        for operations in document["paths"].values()
        for operation in operations.values()
        if "requestBody" in operation
    }
    unlimited = [
        f"{shape}.{name}"
        for shape in sorted(taken)
        for name, declared in shapes[shape]["properties"].items()
        for one in declared.get("anyOf", [declared])
        if (one.get("type") == "string" and not {"maxLength", "format", "enum"} & one.keys())
        or (one.get("type") == "array" and "maxItems" not in one)
        or (one.get("type") == "integer" and not {"minimum", "maximum"} <= one.keys())
    ]

    assert unlimited == []
    assert {shape for shape in taken if shapes[shape].get("additionalProperties") is not False} == set()


@pytest.mark.slow
def test_generated_requests_are_answered_as_the_document_promises(world: World):
    """Never a fault on our side, never a status, type or body that the document does not state."""
    ann = world.caller()
    world.alias("a", "b")
    schema = schemathesis.openapi.from_url(f"{world.url}{PREFIX}/openapi.json")
    headers = {"Authorization": f"Bearer {ann.secret}"}

    def hold(operation: schemathesis.APIOperation[Any, Any, Any, Any]) -> None:
        @settings(
            max_examples=EXAMPLES_PER_OPERATION,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def promise(case: schemathesis.Case) -> None:
            # Much that fits the document's shapes is refused for what it means: a floating id, a taken name.
            case.call_and_validate(headers=headers, timeout=30, excluded_checks=[positive_data_acceptance])

        promise()

    asked = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        hold(found.ok())
        asked += 1

    assert asked == sum(len(operations) for operations in schema.raw_schema["paths"].values())
    assert ann.get("/audit/verify").status_code == 200
