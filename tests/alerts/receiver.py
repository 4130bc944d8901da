"""Receivers of the tests' own, on real sockets: a webhook that keeps what it was sent, and a small SMTP server."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


@dataclass
class Hook:
    """What a webhook received, and what it answers: by default 200, or what ``answers`` has next.

    A number is a status, "hang" keeps the sender waiting, "drop" closes the connection without an answer.
    """

    url: str = ""
    answers: list[int | str] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    on_request: Callable[[], None] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The bodies, read as JSON."""
        return [orjson.loads(body) for _headers, body in self.requests]

    @property
    def events(self) -> list[str]:
        """What happened, in the order in which it was told."""
        return [document["event"] for document in self.documents]

    @property
    def event_ids(self) -> list[str]:
        """The event ids, in the order in which they came."""
        return [document["event_id"] for document in self.documents]


@contextmanager
def webhook() -> Iterator[Hook]:
    """A webhook on this machine."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with hook.lock:
                hook.requests.append(({k.lower(): v for k, v in self.headers.items()}, body))
                answer = hook.answers.pop(0) if hook.answers else 200
            if hook.on_request is not None:
                hook.on_request()
            if answer == "hang":
                time.sleep(1.5)
            if isinstance(answer, str):
                self.close_connection = True
                return
            self.send_response(answer)
            if 300 <= answer < 400:
                self.send_header("location", hook.url + "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


@dataclass
class Postbox:
    """The mails that an SMTP server took."""

    url: str = ""
    mails: list[str] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)


@contextmanager
def mail_server() -> Iterator[Postbox]:
    """A mail server on this machine, with just enough of SMTP."""
    box = Postbox()
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())

        to: list[str] = []
        say("220 tests")
        while line := (await reader.readline()).decode().strip():
            verb, _, rest = line.partition(" ")
            match verb.upper():
                case "EHLO" | "HELO":
                    say("250 tests")
                case "RCPT":
                    address = rest[rest.index("<") + 1 : rest.index(">")]
                    if address in box.refuses:
                        say("550 no such person")
                    else:
                        to.append(address)
                        say("250 ok")
                case "DATA":
                    say("354 go on")
                    mail = (await reader.readuntil(b"\r\n.\r\n")).decode()
                    box.mails.append(mail)
                    box.recipients.append(to)
                    say("250 taken")
                case "QUIT":
                    say("221 bye")
                    break
                case _:
                    say("250 ok")
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    box.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield box
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()
