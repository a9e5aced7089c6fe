"""The server as a process: loads the model while it listens already, and goes down in order."""

import asyncio
import logging
import socket
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from anyres.errors import EngineError, OptionError
from anyres.server.app import create_app
from anyres.server.gate import Gate
from anyres.server.media import MediaDoor, MediaLimits
from anyres.server.protocol import Protocol
from anyres.server.service import Service
from anyres.server.settings import ServerSettings
from anyres.server.uploads import Uploads

if TYPE_CHECKING:
    from anyres.engine.engine import LocalChatModel

__all__ = ["Server", "attach", "make_service", "serve"]

logger = logging.getLogger("anyres.server")


def make_service(settings: ServerSettings) -> Service:
    """A service that waits for its model."""
    gate = Gate(settings.running, queue=settings.queue, queue_s=settings.queue_s)
    return Service(settings, gate, version=_version())


async def attach(service: Service, model: "LocalChatModel", limits: MediaLimits, uploads: Path | None) -> None:
    """The service is ready from here on. `uploads` is the folder of files that clients send ahead."""
    processor = model.processor
    files = None if uploads is None else Uploads(uploads, limits.video_bytes)
    door = MediaDoor(limits, files, config=processor.image_config, default_max_pixels=processor.default_max_pixels)
    await door.start()
    service.uploads, service.media, service.loaded = files, door, model


def serve(
    load: Callable[[], "LocalChatModel"],
    *,
    settings: ServerSettings,
    limits: MediaLimits,
    uploads: Path | None = None,
    on_ready: Callable[[Service, str], None] | None = None,
) -> None:
    """Serves until SIGTERM or Ctrl-C; then finishes what is under way, for `settings.shutdown_s` at most.

    Raises OptionError where the port cannot be had, and whatever `load` raises.
    """
    asyncio.run(_serve(load, settings, limits, uploads, on_ready))


async def _serve(
    load: Callable[[], "LocalChatModel"],
    settings: ServerSettings,
    limits: MediaLimits,
    uploads: Path | None,
    on_ready: Callable[[Service, str], None] | None = None,
) -> None:
    service = make_service(settings)
    bound = _bind(settings)
    server = Server(service)
    running = asyncio.create_task(server.serve(sockets=[bound]))
    loading = asyncio.create_task(_load(load, service, limits, uploads))
    await asyncio.wait({running, loading}, return_when=asyncio.FIRST_COMPLETED)
    if loading.done() and not loading.exception():
        if on_ready is not None:
            on_ready(service, _address(bound))
        await running
        return
    server.should_exit = True
    await running
    if loading.done():
        await loading


async def _load(
    load: Callable[[], "LocalChatModel"], service: Service, limits: MediaLimits, uploads: Path | None
) -> None:
    await attach(service, await asyncio.to_thread(load), limits, uploads)


def _bind(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        bound.close()
        seen = f"{settings.host}:{settings.port} ({error.strerror})"
        raise OptionError("--host, --port", seen, "an address of this machine and a port nobody listens on") from None
    return bound


class Server(uvicorn.Server):
    """Of one service. The first signal lets requests finish while new ones are refused; the second ends them."""

    def __init__(self, service: Service) -> None:
        settings = service.settings
        config = uvicorn.Config(
            create_app(service),
            log_config=None,
            access_log=False,
            server_header=False,
            http=Protocol,
            ws="none",
            h11_max_incomplete_event_size=settings.header_bytes + settings.url_bytes + 1024,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
        self._service = service
        self._drain: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        del sig, frame
        if not self._service.draining:
            self._service.draining = True
            self._drain = asyncio.get_running_loop().create_task(self._finish())
        else:
            self._end()

    async def _finish(self) -> None:
        try:
            await asyncio.wait_for(self._service.gate.empty(), self._service.settings.shutdown_s)
            self.should_exit = True
        except TimeoutError:
            self._end()

    def _end(self) -> None:
        self._service.end_all(EngineError("server", "going down", "requests to another one"))
        self.should_exit = True


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _version() -> str:
    try:
        return version("anyres")
    except PackageNotFoundError:
        return "0"
