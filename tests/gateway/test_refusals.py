"""Every refusal in OpenAI's error shape, with the status that the one visible table says."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import openai
import pytest
import requests

from app.gateway import refusals
from app.gateway.refusals import REFUSALS, HeadTooLarge, InternalFault, NoRoutes, NotHttp, Stopped, on_the_wire
from core.domain.routing import RouteTable
from core.errors import MissingSecret, PinrailError, ProviderFailed, ProviderTimeout, UnknownAlias
from tests.gateway.upstream import Then
from tests.gateway.world import HELLO, Running, World, now

SMALL = 2000
"""The largest body that the gateway of these tests takes."""


@dataclass(frozen=True)
class Case:
    """A request that is refused, how it is refused, and words that help."""

    refusal: type[PinrailError]
    ask: Callable[[Running], requests.Response]
    words: str
    names_version: bool = False


def posting(body: Any = None, **more: Any) -> Callable[[Running], requests.Response]:
    return lambda gateway: gateway.post(body, **more)


def getting(path: str, **more: Any) -> Callable[[Running], requests.Response]:
    return lambda gateway: gateway.get(path, **more)


def piecemeal(gateway: Running) -> requests.Response:
    """A body whose length is not announced."""
    return gateway.post(None, data=iter([b'{"model": "', b"x" * SMALL]))


def expired(gateway: Running) -> requests.Response:
    """A key of two hours ago that was good for one."""
    world = gateway.world
    key = world.new_key("old-shop", at=now() - timedelta(hours=2), expires_at=now() - timedelta(hours=1))
    gateway.stands(serial=world.flip("prod-chat", "two").serial)
    return gateway.post(key=key)


def limited(alias: str) -> Callable[[Running], requests.Response]:
    """A key for another alias."""

    def ask(gateway: Running) -> requests.Response:
        world = gateway.world
        world.alias("prod-mail", "one")
        key = world.new_key("post-office", aliases=["prod-mail"])
        gateway.stands(serial=world.flip("prod-chat", "two").serial)
        return gateway.post({"model": alias}, key=key)

    return ask


def unset_secret(gateway: Running) -> requests.Response:
    world = gateway.world
    world.provider("secretive", world.upstream.url, "NO_SUCH_KEY_IN_TESTS")
    world.version("four", "m-4", "secretive")
    gateway.stands(serial=world.flip("prod-chat", "four").serial)
    return gateway.post()


def scripted(*script: Any) -> Callable[[Running], requests.Response]:
    def ask(gateway: Running) -> requests.Response:
        gateway.world.upstream.scripts["m-1"] = script
        return gateway.post()

    return ask


CASES: dict[str, Case] = {
    "no key": Case(refusals.NoCallerKey, posting(headers={"Authorization": ""}), "Authorization: Bearer pk_"),
    "a key of another kind": Case(refusals.NoCallerKey, posting(headers={"Authorization": "Basic eDp5"}), "Bearer"),
    "a key nobody has": Case(refusals.UnknownCallerKey, posting(key="pk_0_wrong"), "No caller has this key"),
    "a key's id with another secret": Case(
        refusals.UnknownCallerKey,
        lambda g: g.post(key="_".join([*g.world.key.split("_")[:2], "wrong"])),
        "No caller has this key",
    ),
    "a key with bytes that are no text": Case(
        refusals.UnknownCallerKey, posting(headers={"Authorization": "Bearer pk_\xff_\xe9"}), "No caller"
    ),
    "an expired key": Case(refusals.ExpiredCallerKey, expired, "old-shop has expired"),
    "an alias that the key may not use": Case(refusals.AliasNotAllowed, limited("prod-chat"), "may not use prod-chat"),
    "not JSON": Case(refusals.BadBody, posting(b"{nope"), "not JSON"),
    "an empty body": Case(refusals.BadBody, posting(b""), "not JSON"),
    "no object": Case(refusals.BadBody, posting(b"[]"), "JSON object"),
    "a body nested so deeply that it can be read and not written": Case(
        refusals.BadBody,
        lambda g: g.post(b'{"model": "prod-chat", "messages": [' + b"[" * 500 + b"]" * 500 + b"]}"),
        "nested too deeply",
        names_version=True,
    ),
    "a body nested so deeply that it cannot be read": Case(
        refusals.BadBody, lambda g: g.post(b'{"a":' + b"[" * 1900), "not JSON"
    ),
    "no model": Case(refusals.NoModel, posting({"model": None}), "name an alias"),
    "an empty model": Case(refusals.NoModel, posting({"model": ""}), "name an alias"),
    "a model that is no text": Case(refusals.NoModel, posting({"model": 7}), "name an alias"),
    "no messages": Case(refusals.NoMessages, posting({"messages": None}), "at least one message"),
    "an empty list of messages": Case(refusals.NoMessages, posting({"messages": []}), "at least one message"),
    "an unknown alias": Case(UnknownAlias, posting({"model": "prod-chatt"}), "Closest: prod-chat."),
    "an unknown alias for a limited key": Case(UnknownAlias, limited("prod-chatt"), "no alias 'prod-chatt'"),
    "a body too large": Case(refusals.BodyTooLarge, posting({"x": "y" * SMALL}), f"takes {SMALL}"),
    "a body too large that did not say so": Case(refusals.BodyTooLarge, piecemeal, f"more than the {SMALL} bytes"),
    "another path": Case(refusals.UnknownPath, getting("/v1/chat/completion"), "Closest: /v1/chat/completions"),
    "an alias without a name": Case(refusals.UnknownPath, getting("/v1/aliases/"), "no path"),
    "another method": Case(refusals.MethodNotAllowed, getting("/v1/chat/completions"), "answers POST, not GET"),
    "resolving an unknown alias": Case(UnknownAlias, getting("/v1/aliases/prod-chatt"), "Closest: prod-chat."),
    "listing without a key": Case(refusals.UnknownCallerKey, getting("/v1/models", key="nobody's"), "No caller"),
    "a provider that hangs up": Case(
        ProviderFailed, scripted(Then.CLOSE), "acme closed the connection without an answer", True
    ),
    "a silent provider": Case(ProviderTimeout, scripted(Then.HANG), "acme did not answer within 0.5 s", True),
    "a secret that is not set": Case(MissingSecret, unset_secret, "NO_SUCH_KEY_IN_TESTS", True),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_refusal_has_openai_s_shape_the_table_s_status_and_helpful_words(
    world: World, start: Callable[..., Running], case: Case
):
    gateway = start(world, max_body_bytes=SMALL, answer_timeout_s=0.5)

    answer = case.ask(gateway)

    wire = REFUSALS.get(case.refusal) or on_the_wire(case.refusal(""))
    assert answer.status_code == wire.status
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"], error["code"]) == (wire.type, wire.param, case.refusal.code)
    assert case.words in error["message"]
    assert answer.headers["x-pinrail-served-by"] == "gw-1"
    assert answer.headers["x-pinrail-request-id"]
    assert ("x-pinrail-version" in answer.headers) is case.names_version
    assert ("x-pinrail-revision" in answer.headers) is case.names_version
    if wire.status in refusals.MORE_HEADERS:
        name, value = refusals.MORE_HEADERS[wire.status]
        assert answer.headers[name.decode()] == value.decode()


UNPROVOKED: dict[type[PinrailError], str] = {
    HeadTooLarge: "proved with what arrives before there is a request, in test_protocol",
    NotHttp: "proved with what arrives before there is a request, in test_protocol",
    NoRoutes: "proved where the store is missing, in test_following",
    Stopped: "proved where a gateway is stopped, in test_server",
    InternalFault: "proved below",
}


def test_every_refusal_of_the_gateway_is_provoked_by_a_case():
    own = {
        kind
        for _name, kind in inspect.getmembers(refusals, inspect.isclass)
        if issubclass(kind, PinrailError) and kind.__module__ == refusals.__name__
    }
    assert own <= {case.refusal for case in CASES.values()} | set(UNPROVOKED)


def test_every_line_of_the_table_is_used_by_a_refusal_or_by_those_that_descend_from_it():
    provoked = [case.refusal for case in CASES.values()] + list(UNPROVOKED)
    used = {next(kind for kind in refusal.__mro__ if kind in REFUSALS) for refusal in provoked}
    inherited = {kind for kind in REFUSALS if any(issubclass(line, kind) and line is not kind for line in REFUSALS)}
    assert set(REFUSALS) == used | inherited


PAGE = Path(__file__).parents[2] / "docs" / "gateway.md"


ALL_KINDS: dict[str, type[PinrailError]] = {
    kind.code: kind for kind in [*(case.refusal for case in CASES.values()), *UNPROVOKED]
}


@pytest.mark.parametrize("refusal", ALL_KINDS.values(), ids=ALL_KINDS)
def test_every_refusal_is_documented_with_its_status(refusal: type[PinrailError]):
    wire = on_the_wire(refusal(""))
    assert f"| `{refusal.code}` | {wire.status} | `{wire.type}` | {(refusal.__doc__ or '').strip()}" in PAGE.read_text()


def test_a_refusal_without_a_line_of_its_own_still_answers():
    class Unheard(PinrailError):
        """Nobody thought of this."""

    assert on_the_wire(Unheard("")).status == 500


def test_a_stranger_is_turned_away_before_its_body_is_read(gateway: Running):
    answer = gateway.post(b"x" * (11 * 2**20), key="stranger")

    assert answer.status_code == 401


def test_a_key_limited_to_some_aliases_may_use_those_and_hears_of_no_other(world: World, start: Callable[..., Running]):
    world.alias("prod-mail", "two")
    key = world.new_key("post-office", aliases=["prod-mail"])
    gateway = start(world)

    assert gateway.post({"model": "prod-mail"}, key=key).status_code == 200
    assert gateway.get("/v1/aliases/prod-mail", key=key).status_code == 200
    assert gateway.get("/v1/aliases/prod-chat", key=key).status_code == 403
    assert [model["id"] for model in gateway.get("/v1/models", key=key).json()["data"]] == ["prod-mail"]
    assert "prod-chat" not in gateway.post({"model": "prod-chatt"}, key=key).text.replace("prod-chatt", "")


def test_a_key_without_an_id_is_found_by_all_of_it(world: World, start: Callable[..., Running]):
    gateway = start(world)
    key = world.new_key("demo", demo_key="pk-demo")
    gateway.stands(serial=world.flip("prod-chat", "two").serial)

    assert key == "pk-demo"
    assert gateway.post(key="pk-demo").status_code == 200


def test_the_real_client_raises_its_own_kind_for_each_refusal(gateway: Running):
    client = gateway.client()
    stranger = client.with_options(api_key="pk_0_wrong")

    with pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(model="prod-chat", messages=HELLO)
    with pytest.raises(openai.NotFoundError, match=r"Closest: prod-chat\.") as raised:
        client.chat.completions.create(model="prod-cat", messages=HELLO)
    assert (raised.value.code, raised.value.param) == ("unknown_alias", "model")
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="prod-chat", messages=[])


def test_our_own_fault_is_told_in_the_same_shape(
    world: World, start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    gateway = start(world, table=RouteTable(serial=1))
    # Nothing real makes it fail, so a route table of the wrong type does.
    monkeypatch.setattr(gateway.replica.state, "standing", 7)

    answer = gateway.post()

    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_fault")
    assert "A request to /v1/chat/completions failed" in caplog.text
