"""A gateway as a process: it starts or says why not, and stops without losing a request."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlmodel import select

from app.gateway.server import listening
from app.settings import Settings
from core.errors import CannotStart, InvalidInput
from core.store.tables import ReplicaRow
from tests.gateway.upstream import chunked, completion, plain, stream
from tests.gateway.world import HELLO, World, eventually

RUN = (
    "import sys; from app.gateway.server import run; from app.settings import Settings; sys.exit(run(Settings.read()))"
)
ROOT = Path(__file__).parents[2]


class Process:
    """A gateway in a process of its own."""

    def __init__(self, world: World, process: subprocess.Popen[str], port: int) -> None:
        self.world = world
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.session = requests.Session()

    def post(self, session: requests.Session | None = None, **body: Any) -> requests.Response:
        """Post a chat request over a connection that stays."""
        return (session or self.session).post(
            f"{self.url}/v1/chat/completions",
            json={"model": "prod-chat", "messages": HELLO} | body,
            headers={"Authorization": f"Bearer {self.world.key}"},
            timeout=20,
        )

    def ready(self) -> int | None:
        """The status of /readyz; None when nobody listens."""
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).status_code
        except requests.ConnectionError:
            return None

    def replica(self) -> ReplicaRow:
        """The process as the store knows it."""
        with self.world.store.reading() as session:
            return session.scalars(select(ReplicaRow)).one()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def process_of(world: World) -> Iterator[Process]:
    """Start one, and end it whatever happened."""
    port = free_port()
    env = os.environ | {
        "PINRAIL_DATABASE_URL": world.store.url,
        "PINRAIL_DATA_DIR": str(world.data_dir),
        "PINRAIL_GATEWAY_PORT": str(port),
        "PINRAIL_GATEWAY_NAME": "gw-p",
    }
    process = subprocess.Popen([sys.executable, "-c", RUN], env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        running = Process(world, process, port)
        eventually(lambda: process.poll() is not None or running.ready() == 200, "the process is ready")
        yield running
    finally:
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_gateway_told_to_stop_finishes_what_it_has_begun_and_takes_its_leave(world: World, number: signal.Signals):
    slow = threading.Event()
    world.upstream.scripts |= {
        "m-1": [slow, *plain(completion("late"))],
        "m-2": stream([b"data: {}\n\n"], slow, chunked(b"data: [DONE]\n\n"), b"0\r\n\r\n"),
    }
    world.alias("prod-stream", "two")
    answers: dict[str, requests.Response] = {}

    with process_of(world) as gateway:

        def call(model: str) -> None:
            answers[model] = gateway.post(requests.Session(), model=model, stream=model == "prod-stream")

        callers = [threading.Thread(target=call, args=(model,)) for model in ("prod-chat", "prod-stream")]
        for caller in callers:
            caller.start()
        eventually(lambda: len(world.upstream.seen) == 2, "both requests are with the provider")

        gateway.process.send_signal(number)
        eventually(lambda: gateway.ready() in (503, None), "it is no longer ready")
        eventually(lambda: gateway.ready() is None, "it accepts nothing new")
        slow.set()
        for caller in callers:
            caller.join()

        assert gateway.process.wait(10) == 0
        assert (answers["prod-chat"].status_code, answers["prod-chat"].content) == (200, completion("late"))
        assert answers["prod-stream"].content == b"data: {}\n\ndata: [DONE]\n\n"
        assert gateway.replica().stopped_at is not None

    assert world.counted()["one"].requests == 1
    assert world.counted("prod-stream")["two"].failures == {}


def test_a_caller_that_keeps_calling_loses_no_request_to_a_stop(world: World):
    """It goes elsewhere as soon as it cannot connect, and every request that it could send was answered."""
    answered: list[requests.Response] = []
    turned_away: list[str] = []
    elsewhere = threading.Event()

    with process_of(world) as gateway:

        def call() -> None:
            session = requests.Session()
            while not elsewhere.is_set():
                try:
                    answered.append(gateway.post(session))
                except requests.exceptions.ConnectionError as fault:
                    turned_away.append(str(fault))
                    elsewhere.set()

        caller = threading.Thread(target=call)
        caller.start()
        eventually(lambda: len(answered) > 20, "some answers")
        gateway.process.terminate()
        assert gateway.process.wait(10) == 0
        caller.join(10)

    assert "refused" in turned_away[0], "it could not connect, rather than connect and not be answered"
    assert {answer.status_code for answer in answered} == {200}
    assert answered[-1].headers["connection"] == "close", "it was told to go elsewhere"
    assert world.counted()["one"].requests == len(answered)


def test_a_second_signal_stops_at_once_and_tells_those_who_wait(world: World):
    never = threading.Event()
    world.upstream.scripts["m-1"] = [never]
    answers: list[requests.Response] = []
    with process_of(world) as gateway:
        caller = threading.Thread(target=lambda: answers.append(gateway.post()))
        caller.start()
        eventually(lambda: world.upstream.seen, "the provider was asked")

        gateway.process.send_signal(signal.SIGINT)
        eventually(lambda: gateway.ready() in (503, None), "it has heard")
        gateway.process.send_signal(signal.SIGINT)

        assert gateway.process.wait(5) == 0
        caller.join(5)
        never.set()

    assert (answers[0].status_code, answers[0].json()["error"]["code"]) == (503, "stopped")
    assert answers[0].headers["x-pinrail-version"] == "one"
    assert world.counted() == {}, "no version is to blame"


def test_a_port_in_use_is_a_sentence(world: World):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"cannot listen on 127.0.0.1:{port}: .* Choose another"):
            listening("127.0.0.1", port)


def test_a_name_that_cannot_be_a_folder_or_header_is_refused(world: World, start: Any):
    with pytest.raises(InvalidInput, match="cannot be the name of a gateway"):
        start(world, gateway_name="../elsewhere")


def test_the_settings_say_where_it_listens():
    assert Settings.read(gateway_port=0).gateway_port == 0
