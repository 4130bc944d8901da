"""What a caller gets: the provider's bytes, from the version that the headers name."""

from tests.gateway.upstream import completion, plain
from tests.gateway.world import Running


def test_a_plain_answer_names_who_gave_it(gateway: Running):
    gateway.world.upstream.scripts["m-1"] = plain(completion("Hi"), 200, "x-request-id: theirs")

    answer = gateway.post()

    assert (answer.status_code, answer.content) == (200, completion("Hi"))
    assert answer.headers["x-request-id"] == "theirs"
    named = {name: value for name, value in answer.headers.items() if name.startswith("x-pinrail-")}
    assert float(named.pop("x-pinrail-overhead-ms")) > 0
    assert named.pop("x-pinrail-request-id")
    assert named == {
        "x-pinrail-alias": "prod-chat",
        "x-pinrail-revision": "1",
        "x-pinrail-version": "one",
        "x-pinrail-variant": "stable",
        "x-pinrail-served-by": "gw-1",
    }
