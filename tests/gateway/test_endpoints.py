"""The small paths: which aliases there are, what one means, whether the gateway lives and is ready."""

from collections.abc import Callable
from pathlib import Path

import openai
import pytest

from app.gateway.endpoints import METHODS
from tests.gateway.world import Running, World


def test_models_lists_aliases_in_openai_s_shape_with_what_they_mean(gateway: Running):
    listed = gateway.get("/v1/models").json()

    assert listed["object"] == "list"
    assert listed["data"] == [
        {
            "id": "prod-chat",
            "object": "model",
            "created": 0,
            "owned_by": "pinrail",
            "revision": 1,
            "version": "one",
            "model": "m-1",
            "provider": "acme",
            "prompt": None,
            "parameters": {},
        }
    ]


def test_the_real_client_lists_aliases(world: World, start: Callable[..., Running]):
    world.alias("prod-mail", "two")

    assert [model.id for model in start(world).client().models.list()] == ["prod-chat", "prod-mail"]


def test_an_alias_is_resolved_with_its_variants_and_fallbacks(world: World, start: Callable[..., Running]):
    world.alias("prod-mail", "polite", "two")
    polite = {
        "version": "polite",
        "model": "m-1",
        "provider": "acme",
        "prompt": "polite@1",
        "parameters": {"temperature": 0},
    }

    answer = start(world).get("/v1/aliases/prod-mail")

    resolved = answer.json()
    assert resolved.pop("serial") > 0
    assert resolved == {
        "alias": "prod-mail",
        "revision": 1,
        "variant": "stable",
        "because": "polite serves 100 %",
        **polite,
        "variants": [{"name": "stable", "share": 1.0, **polite}],
        "fallbacks": [{"version": "two", "model": "m-2", "provider": "acme", "prompt": None, "parameters": {}}],
    }
    assert (answer.headers["x-pinrail-alias"], answer.headers["x-pinrail-revision"]) == ("prod-mail", "1")


def test_a_retired_alias_is_no_longer_there(world: World, start: Callable[..., Running]):
    gateway = start(world)
    world.alias("prod-mail", "two")
    gateway.stands(serial=world.retire("prod-mail").serial)

    assert gateway.get("/v1/aliases/prod-mail").status_code == 404
    with pytest.raises(openai.NotFoundError, match="no alias 'prod-mail'"):
        gateway.client().chat.completions.create(model="prod-mail", messages=[{"role": "user", "content": "Hi"}])


PAGE = Path(__file__).parents[2] / "docs" / "gateway.md"


@pytest.mark.parametrize("path", METHODS)
def test_every_path_is_documented(path: str):
    assert f"| `{METHODS[path][0]} {path + '{alias}' if path.endswith('/') else path}` |" in PAGE.read_text()


def test_every_header_and_every_word_of_readiness_is_documented(world: World, start: Callable[..., Running]):
    world.alias("prod-mail", "polite")
    gateway = start(world)

    named = [name for name in gateway.post({"model": "prod-mail"}).headers if name.startswith("x-pinrail-")]
    words = [*named, *gateway.get("/readyz").json()]

    assert len(named) == 8
    assert [word for word in words if f"| `{word}` |" not in PAGE.read_text()] == []


def test_a_living_gateway_says_so_to_anybody(gateway: Running):
    answer = gateway.get("/healthz", key="nobody")

    assert (answer.status_code, answer.json()) == (200, {"alive": True, "name": "gw-1"})


def test_a_ready_gateway_says_which_change_it_routes_by_and_that_the_store_is_there(gateway: Running):
    moved = gateway.world.flip("prod-chat", "two")
    gateway.stands(serial=moved.serial)

    answer = gateway.get("/readyz", key="nobody")

    said = answer.json()
    assert answer.status_code == 200
    assert (said["ready"], said["serial"], said["source"]) == (True, moved.serial, "store")
    assert (said["store"], said["because"]) == ("reachable", "Serving the store's current routes.")
    assert said["confirmed_s_ago"] >= 0


@pytest.mark.parametrize("path", METHODS)
def test_a_path_answers_its_methods_and_names_them_to_others(gateway: Running, path: str):
    full = path + "prod-chat" if path.endswith("/") else path
    allowed = ", ".join(METHODS[path])

    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
        answer = gateway.request(method, full)
        if method in METHODS[path]:
            assert answer.status_code in (200, 400), method
        else:
            assert (answer.status_code, answer.headers["allow"]) == (405, allowed), method
            assert method == "HEAD" or answer.json()["error"]["code"] == "method_not_allowed"
