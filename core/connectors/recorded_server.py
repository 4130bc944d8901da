"""Running the recorded provider, in the foreground or beside something else."""

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import orjson
import uvicorn

from core.connectors.recorded import RecordedProvider
from core.connectors.recorded_behaviour import Behaviours, changed, merged
from core.connectors.recordings import Recordings, load
from core.errors import BadRecording, CannotStart, InvalidInput

_SECONDS_TO_FINISH = 2
_SECONDS_TO_START = 30


def serve(
    paths: Iterable[Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8090,
    settings: Mapping[str, object] = MappingProxyType({}),
    seed: int | None = None,
    calm: bool = False,
    say: Callable[[str], None] = lambda _sentence: None,
) -> None:
    """Serve the recordings in these folders until interrupted; ``say`` is told once what is served and where.

    ``settings`` are laid over the behaviour of every model; ``calm`` leaves behaviour.json aside. Port 0 takes a
    free one.
    """
    app = provider(paths, settings=settings, seed=seed, calm=calm)
    with _listening(host, port) as listener, suppress(KeyboardInterrupt):
        models = app.recordings.by_model
        count = sum(map(app.recordings.count, models))
        place = f"http://{host}:{listener.getsockname()[1]}/v1"
        say(f"Replaying {count} recordings of {len(models)} models at {place}")
        _server(app).run([listener])


@contextmanager
def running(
    paths: Iterable[Path],
    *,
    settings: Mapping[str, object] = MappingProxyType({}),
    seed: int | None = None,
    calm: bool = False,
    port: int = 0,
) -> Iterator[str]:
    """Serve from a thread of this process, by default on a free port; gives the URL before ``/v1``."""
    app = provider(paths, settings=settings, seed=seed, calm=calm)
    with _listening("127.0.0.1", port) as listener:
        server = _server(app)
        thread = threading.Thread(target=server.run, args=([listener],), name="recorded-provider", daemon=True)
        thread.start()
        try:
            # The socket listens already, so a request that comes before the server waits for it.
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_SECONDS_TO_START + _SECONDS_TO_FINISH)


def provider(
    paths: Iterable[Path],
    *,
    settings: Mapping[str, object] = MappingProxyType({}),
    seed: int | None = None,
    calm: bool = False,
) -> RecordedProvider:
    """The application, with the behaviour that the folders and the caller ask for."""
    recordings = load(paths)
    behaviours = Behaviours() if calm else behaviours_of(recordings)
    behaviours = merged(behaviours, {"default": settings})
    return RecordedProvider(recordings, behaviours if seed is None else replace(behaviours, seed=seed))


def behaviours_of(recordings: Recordings) -> Behaviours:
    """What the behaviour.json files say; a folder's default is for the models recorded below it."""
    found = Behaviours()
    for folder, models in recordings.models_by_folder.items():
        path = folder / "behaviour.json"
        if path.is_file():
            found = _with_file(found, path, models)
    return found


def _with_file(found: Behaviours, path: Path, models: Iterable[str]) -> Behaviours:
    try:
        document = orjson.loads(path.read_bytes())
        named = merged(Behaviours(), document)
        unknown = [model for model in named.models if model not in models]
        if unknown:
            raise InvalidInput(f"no recordings here of {', '.join(unknown)}")
        default = document.get("default") or {}
        everyone = {model: changed(found.of(model), default) for model in models}
        found = replace(found, models=MappingProxyType({**found.models, **everyone}))
        return merged(found, {"seed": document.get("seed"), "models": document.get("models")})
    except (OSError, orjson.JSONDecodeError, InvalidInput) as fault:
        raise BadRecording(f"{path}: {fault}") from fault


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as fault:
            raise CannotStart(f"cannot listen on {host}:{port}: {fault.strerror}. Name another --port.") from fault
        listener.listen(1024)
        yield listener
    finally:
        listener.close()


def _server(app: RecordedProvider) -> uvicorn.Server:
    # A stream that is cut on purpose is no news to anybody.
    logging.getLogger("uvicorn.error").addFilter(_not_about_cut_streams)
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        # Who is on this machine is decided by the connection, never by a header.
        proxy_headers=False,
        # Longer than clients keep idle connections, so that none is closed while a request is on its way.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_SECONDS_TO_FINISH,
    )
    return uvicorn.Server(config)


def _not_about_cut_streams(record: logging.LogRecord) -> bool:
    return "returned without completing response" not in record.getMessage()
