"""Runs one gateway replica: its parts wired together, served until told to stop, and stopped without losing a request.

On SIGTERM or Ctrl-C ``/readyz`` turns 503 and every answer closes its connection, so that callers and balancers go
elsewhere; then nothing new is accepted, what is under way finishes, the counts are written, and the store is told.
"""

import asyncio
import gc
import logging
import socket
import sys
import time
import uuid
from dataclasses import dataclass
from functools import partial
from types import FrameType

import uvicorn

from app.gateway.disk_copy import DiskCopy
from app.gateway.endpoints import Gateway
from app.gateway.exchange import Around
from app.gateway.follower import Follower
from app.gateway.protocol import Protocol
from app.gateway.recorder import Recorder
from app.gateway.state import State
from app.settings import Settings
from app.wiring import Pinrail, open_pinrail
from core.connectors.openai_compatible import OpenAICompatible, Patience
from core.domain.names import checked_slug
from core.errors import CannotStart
from core.ports import ChatProvider
from core.services import serving

log = logging.getLogger(__name__)

NOTICE_S = 0.5
"""How long a stopping gateway still accepts requests, so that nobody is refused before they could know."""
KEEP_ALIVE_S = 75
"""Longer than clients and balancers keep an idle connection, so that they never write into one that we just closed."""
LAST_WORDS_S = 1.0
TURN_S = 0.001
"""How long one thread may keep the interpreter while another waits. By default 5 ms: the follower would need several of
those turns to apply a flip while requests keep the event loop busy."""


@dataclass(frozen=True)
class Replica:
    """The parts of one gateway process."""

    state: State
    recorder: Recorder
    follower: Follower
    provider: ChatProvider
    app: Gateway

    def start(self) -> None:
        """Begin to follow the store and to count."""
        self.recorder.start()
        self.follower.start()

    def finish(self) -> None:
        """Write what was counted, and take leave of the store."""
        self.recorder.finish()
        self.follower.finish()


def create(pinrail: Pinrail, *, provider: ChatProvider | None = None) -> Replica:
    """The parts of a replica, not yet started."""
    settings = pinrail.settings
    name = checked_slug("a gateway", settings.gateway_name)
    replica = uuid.uuid4().hex
    state = State(name)
    record = partial(serving.record_windows, pinrail.store, replica=replica)
    recorder = Recorder(lambda windows: record(windows=windows), queue_limit=settings.outcome_queue)
    copy = DiskCopy(settings.data_dir, name)
    follower = Follower(pinrail.store, state, copy, pinrail.clock, replica=replica, dropped=lambda: recorder.dropped)
    asked = provider or OpenAICompatible(
        Patience(settings.connect_timeout_s, settings.answer_timeout_s, settings.idle_timeout_s)
    )
    around = Around(state, asked, recorder, replica=replica, largest_body=settings.max_body_bytes)
    return Replica(state, recorder, follower, asked, Gateway(around))


def run(settings: Settings) -> int:
    """Serve until told to stop; the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it would tell of each look at the schema
    pinrail = open_pinrail(settings)
    replica = create(pinrail)
    with listening(settings.host, settings.gateway_port) as listener:
        sys.setswitchinterval(TURN_S)
        replica.start()
        try:
            # What was made so far stays; looking through it again and again would only delay requests.
            gc.freeze()
            host, port = listener.getsockname()[:2]
            log.info("Gateway %s listens on %s:%d", replica.state.name, host, port)
            Server(replica).run([listener])
        finally:
            replica.finish()
            pinrail.store.close()
    return 0


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens already; CannotStart if it cannot."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as fault:
        listener.close()
        raise CannotStart(
            f"The gateway cannot listen on {host}:{port}: {fault.strerror}. Choose another with --gateway-port."
        ) from fault
    return listener


class Server(uvicorn.Server):
    """uvicorn, with a notice before it stops accepting."""

    def __init__(self, replica: Replica, *, finish_s: float = 8.0) -> None:
        """``finish_s``: how long requests under way may take once nothing new is accepted."""
        self._replica = replica
        self._stop_at: float | None = None
        logging.getLogger("uvicorn.error").addFilter(_not_about_cut_answers)
        super().__init__(
            uvicorn.Config(
                replica.app,  # on uvloop where it is installed, which is wherever it exists
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Who calls is decided by the key, never by a header.
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=int(finish_s),
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal gives notice, a second one stops at once."""
        if self._stop_at is not None:
            self.should_exit = True
            self.force_exit = True
        self.give_notice()

    def give_notice(self) -> None:
        """Stop soon: from now on every answer closes its connection."""
        self._replica.state.draining = True
        self._stop_at = time.monotonic() + NOTICE_S

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: is it time to stop?"""
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, let what is under way finish, and close the connections to providers."""
        self._replica.state.draining = True
        await super().shutdown(sockets)
        # Whoever still waits is told that it is over, before its provider's connection closes and takes the blame.
        late = [task for task in self.server_state.tasks if not task.done()]
        for task in late:
            if not task.cancelling():
                task.cancel()
        if late:
            await asyncio.wait(late, timeout=LAST_WORDS_S)
        await self._replica.provider.close()


def _not_about_cut_answers(record: logging.LogRecord) -> bool:
    # That is how a broken-off answer is told to a caller; the outcome is counted as cut.
    return "returned without completing response" not in record.getMessage()
