"""A real server in a thread, on a free port, and a few things to ask it."""

import asyncio
import base64
import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageDraw

from anyres.engine.engine import LocalChatModel
from anyres.server.media import MediaLimits
from anyres.server.run import Server, attach, make_service
from anyres.server.service import Service
from anyres.server.settings import ServerSettings

WAIT_S = 20.0


class Running:
    """A server at `url`; `client` speaks to it, with the key where there is one, and `anyone` without."""

    def __init__(self, service: Service, port: int, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.service = service
        self.port = port
        self.server = server
        self.loop = loop
        self.url = f"http://127.0.0.1:{port}"
        keys = service.settings.api_keys
        headers = {"authorization": f"Bearer {keys[0]}"} if keys else {}
        self.client = httpx.Client(base_url=self.url, headers=headers, timeout=60, verify=False)
        self.anyone = httpx.Client(base_url=self.url, timeout=60, verify=False)

    def chat(self, content: Any = "Hello", **fields: Any) -> httpx.Response:
        messages = fields.pop("messages", [{"role": "user", "content": content}])
        return self.client.post("/v1/chat/completions", json={"messages": messages, "max_tokens": 8, **fields})

    def say(self, content: Any = "Hello", **fields: Any) -> str:
        return str(self.chat(content, **fields).raise_for_status().json()["choices"][0]["message"]["content"])

    def stream(self, content: Any = "Hello", **fields: Any) -> list[dict[str, Any]]:
        """All chunks; the last line must be [DONE]."""
        return chunks_of(self.chat(content, stream=True, **fields).raise_for_status().text)

    def raw(self, request: bytes, *, read: int = 1 << 20) -> bytes:
        """Sends bytes as they are, and gives all that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S) as connection:
            connection.sendall(request)
            found = b""
            while len(found) < read and (more := connection.recv(1 << 16)):
                found += more
            return found

    def on_loop(self, call: Callable[[], None]) -> None:
        """Runs it in the server's event loop, as a signal would."""
        self.loop.call_soon_threadsafe(call)

    def idle(self) -> bool:
        """Nobody is at work, neither here nor in the engine."""
        stats = self.service.model.stats
        return self.service.gate.taken == self.service.gate.waiting == stats.running == stats.waiting == 0


@contextmanager
def serving(model: LocalChatModel, tmp: Path, limits: MediaLimits | None = None, **settings: Any) -> Iterator[Running]:
    """A server of this model; `settings` are those of ServerSettings."""
    service = make_service(ServerSettings(port=0, **settings))
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    server = Server(service)
    errors: list[BaseException] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        await attach(service, model, limits or MediaLimits(), tmp / "uploads")
        await server.serve(sockets=[bound])

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            errors.append(error)
            raise

    model_close, model.close = model.close, lambda: None  # type: ignore[method-assign]
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started or bool(errors))
        assert not errors, errors
        running = Running(service, bound.getsockname()[1], server, loops[0])
        with running.client, running.anyone:
            yield running
    finally:
        server.should_exit = True
        thread.join(WAIT_S)
        model.close = model_close  # type: ignore[method-assign]
        assert not thread.is_alive(), "the server did not end"


@contextmanager
def cut_short(running: Running, tokens: int) -> Iterator[None]:
    """Who asks for so many tokens inside gets fewer, and then nobody is at work any more."""
    before = running.service.model.stats.answer_tokens
    yield
    eventually(running.idle)
    assert running.service.model.stats.answer_tokens - before < tokens


def eventually(right: Callable[[], bool], within_s: float = WAIT_S) -> float:
    """Waits until it is so, and gives the seconds."""
    started = time.monotonic()
    while not right():
        assert time.monotonic() - started < within_s, "it never came"
        time.sleep(0.005)
    return time.monotonic() - started


def chunks_of(text: str) -> list[dict[str, Any]]:
    events = [event for event in text.split("\n\n") if event and not event.startswith(":")]
    assert all(event.startswith("data: ") for event in events)
    assert events[-1] == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in events[:-1]]


def picture(words: str = "anyres 42", size: tuple[int, int] = (168, 56)) -> str:
    """A data: URL of a PNG with some words."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((8, 16), words, fill="black", font_size=22)
    return data_url(image)


def data_url(image: Image.Image, format_: str = "PNG") -> str:
    file = io.BytesIO()
    image.save(file, format_)
    return f"data:image/{format_.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def image_part(url: str, **knobs: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **knobs}


def begun(
    port: int, body: dict[str, Any], path: str = "/v1/chat/completions", **headers: str
) -> http.client.HTTPConnection:
    """A request that is sent and not read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json", **headers})
    return connection


def answer_to(connection: http.client.HTTPConnection) -> tuple[int, bytes]:
    """Status and body of what was begun; it is over then."""
    response = connection.getresponse()
    try:
        return response.status, response.read()
    finally:
        response.close()
        connection.close()
