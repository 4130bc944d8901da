"""What arrives before there is a request: heads without an end, offers of other protocols, and what is no HTTP."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.gateway import protocol
from app.gateway.refusals import HeadTooLarge, NotHttp, on_the_wire
from tests.gateway.upstream import chunked, stream
from tests.gateway.world import HELLO, PATIENCE_S, Running, eventually

BODY = json.dumps({"model": "prod-chat", "messages": HELLO}).encode()


@contextmanager
def connected(gateway: Running) -> Iterator[socket.socket]:
    """A bare connection to the gateway."""
    host, _, port = gateway.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        yield connection


def head(gateway: Running, *more: str, length: int | None = len(BODY)) -> bytes:
    """The head of a chat request."""
    announced = [f"content-length: {length}"] if length is not None else []
    key = f"authorization: Bearer {gateway.world.key}"
    return "\r\n".join(["POST /v1/chat/completions HTTP/1.1", "host: x", key, *announced, *more, "", ""]).encode()


def answered(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The next answer on the connection."""
    answer = http.client.HTTPResponse(connection, method="POST")
    answer.begin()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def is_over(connection: socket.socket) -> bool:
    """Wait for the other side to hang up."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


# -- too much -------------------------------------------------------------------------------------


def test_a_head_that_is_too_large_is_refused_however_it_arrives(gateway: Running):
    large = "x-large: " + "a" * protocol.LARGEST_HEAD
    with connected(gateway) as connection:
        connection.sendall(head(gateway, large))
        status, headers, body = answered(connection)

    assert (status, headers["connection"]) == (on_the_wire(HeadTooLarge("")).status, "close")
    assert json.loads(body)["error"]["code"] == HeadTooLarge.code
    assert gateway.world.upstream.seen == []


def test_a_header_without_an_end_is_cut_off_and_not_collected(gateway: Running):
    sent = 0
    with connected(gateway) as connection:
        connection.sendall(head(gateway)[:-2] + b"x-endless: ")
        try:
            while sent < 100 * protocol.LARGEST_HEAD:
                connection.sendall(b"a" * 4096)
                sent += 4096
        except ConnectionError:
            pass

    # What the kernel takes on the way counts as sent.
    assert sent < 100 * protocol.LARGEST_HEAD
    assert gateway.post().status_code == 200


# -- too slow -------------------------------------------------------------------------------------


def test_a_head_that_does_not_end_in_time_ends_the_connection(gateway: Running, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(protocol, "WITHIN_S", 0.2)
    with connected(gateway) as connection:
        connection.sendall(head(gateway)[:-2])
        assert is_over(connection)


def test_a_stranger_cannot_keep_a_connection_by_sending_the_rest_of_a_refused_body_for_ever(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(protocol, "WITHIN_S", 0.2)
    with connected(gateway) as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
        assert answered(connection)[0] == 401
        connection.sendall(b"a")
        assert is_over(connection)


def test_a_connection_over_which_nothing_is_ever_asked_ends(gateway: Running):
    gateway.server.config.timeout_keep_alive = 1
    with connected(gateway) as connection:
        assert is_over(connection)


def test_a_request_that_arrives_in_pieces_is_answered_and_its_connection_kept(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(protocol, "WITHIN_S", 0.5)
    whole = head(gateway) + BODY
    with connected(gateway) as connection:
        for piece in (whole[:10], whole[10:40], whole[40 : len(whole) - 5], whole[-5:]):
            connection.sendall(piece)
        assert answered(connection)[0] == 200
        # Longer than a head may take: the patience with the first one is over and done with.
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(PATIENCE_S)
        connection.sendall(whole)
        assert answered(connection)[0] == 200


# -- at the end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("asked_before", [0, 1])
def test_a_request_that_is_on_its_way_when_the_gateway_stops_is_answered(
    gateway: Running, monkeypatch: pytest.MonkeyPatch, asked_before: int
):
    monkeypatch.setattr(protocol, "LINGER_S", 5.0)
    with connected(gateway) as connection:
        for _ in range(asked_before):
            connection.sendall(head(gateway) + BODY)
            answered(connection)
        eventually(lambda: len(gateway.server.server_state.connections) >= 1, "the connection is accepted")
        gateway.server.give_notice()
        eventually(lambda: not is_open(gateway), "nothing new is accepted")

        connection.sendall(head(gateway) + BODY)
        status, headers, _body = answered(connection)

    assert (status, headers["connection"]) == (200, "close")


def is_open(gateway: Running) -> bool:
    """Does anybody listen?"""
    try:
        with connected(gateway):
            return True
    except ConnectionRefusedError:
        return False


# -- other than expected ----------------------------------------------------------------------------


@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.0"])
def test_the_body_of_a_request_that_offers_another_protocol_is_read(gateway: Running, offer: str):
    offered = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {offer}", "HTTP2-Settings: AAEAAEAA")
    with connected(gateway) as connection:
        connection.sendall(head(gateway, *offered) + BODY)
        assert answered(connection)[0] == 200

    [seen] = gateway.world.upstream.seen
    assert seen.document["messages"] == HELLO
    assert not {name for name in seen.headers if "upgrade" in name or "http2" in name}


def test_an_offer_in_the_middle_of_a_text_is_the_text_s_own(gateway: Running):
    text = "Send\r\nUpgrade: h2c\r\n"
    body = json.dumps({"model": "prod-chat", "messages": [{"role": "user", "content": text}]}).encode()
    raw = body.replace(b"Send", b"\r\nUpgrade: h2c\r\n")  # no JSON, and passed on to be refused as it is
    with connected(gateway) as connection:
        connection.sendall(head(gateway, length=len(body)) + body)
        assert answered(connection)[0] == 200
        connection.sendall(head(gateway, length=len(raw)) + raw)
        assert answered(connection)[0] == 400

    assert gateway.world.upstream.seen[0].document["messages"][0]["content"] == text


def test_trailers_are_not_taken_for_headers(gateway: Running):
    trailers = b"authorization: Bearer pk_0_stranger\r\nx-pinrail-routing-key: forged\r\nx-smuggled: 1\r\n"
    with connected(gateway) as connection:
        begun = head(gateway, "transfer-encoding: chunked", length=None)
        connection.sendall(begun + chunked(BODY) + b"0\r\n" + trailers + b"\r\n")
        assert answered(connection)[0] == 200

    [seen] = gateway.world.upstream.seen
    assert "x-smuggled" not in seen.headers


@pytest.mark.parametrize(
    "bytes_", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"hello\r\n\r\n"]
)
def test_what_is_no_http_is_refused_in_the_usual_shape(gateway: Running, bytes_: bytes):
    with connected(gateway) as connection:
        connection.sendall(bytes_)
        status, headers, body = answered(connection)
        assert is_over(connection)

    assert (status, headers["content-type"]) == (on_the_wire(NotHttp("")).status, "application/json")
    assert json.loads(body)["error"]["code"] == NotHttp.code


def test_a_body_in_broken_chunks_is_refused_and_its_provider_never_asked(gateway: Running):
    with connected(gateway) as connection:
        connection.sendall(head(gateway, "transfer-encoding: chunked", length=None) + b"ZZ\r\nabc\r\n")
        assert answered(connection)[0] == 400

    assert gateway.world.upstream.seen == []


def test_nonsense_amid_an_answer_never_shows_up_in_it(gateway: Running):
    gateway.world.upstream.scripts["m-1"] = stream([b"data: {}\n\n"], 5.0)
    with connected(gateway) as connection:
        connection.sendall(head(gateway) + BODY)
        received = b""
        while b"data: {}" not in received:
            received += connection.recv(4096)
        connection.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        rest = b""
        while chunk := connection.recv(4096):
            rest += chunk

    assert b"HTTP/1.1" not in rest
    eventually(lambda: gateway.post({"model": "prod-chatt"}).status_code == 404, "others are served")
