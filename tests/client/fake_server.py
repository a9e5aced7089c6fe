"""A real HTTP server on 127.0.0.1 that plays what it is told: statuses, bytes in pieces, pauses, cut connections."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = "application/json"
SSE = "text/event-stream; charset=utf-8"


@dataclass(frozen=True)
class Reply:
    """`pieces` are written one after the other; `cut` closes the connection before the body's announced end."""

    pieces: Sequence[bytes] = ()
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    hold: threading.Event | None = None  # before the last piece it waits for this


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    raw: bytes


@dataclass
class FakeServer:
    """`replies` are played in order, the last one again and again; GETs of /v1/models are answered from `models`."""

    base_url: str
    replies: list[Reply] = field(default_factory=list)
    models: Reply | None = None
    seen: list[Seen] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)  # set when a client closed a stream early

    @property
    def chats(self) -> list[Seen]:
        return [one for one in self.seen if one.path.endswith("/chat/completions")]

    @property
    def body(self) -> Any:
        """Of the last question."""
        return self.chats[-1].body


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply([json.dumps(value).encode()], status, headers=headers or {})


def error(status: int, message: str = "no", code: str | None = None, headers: Mapping[str, str] | None = None) -> Reply:
    body = {"error": {"message": message, "type": "some_error", "param": None, "code": code}}
    return as_json(body, status, headers)


def completion(content: str | None = "Hi.", **more: Any) -> Reply:
    """One whole answer; `more` are keys of the choice, of the message, or of the completion."""
    message = {"role": "assistant", "content": content}
    message |= {name: more.pop(name) for name in ("tool_calls", "refusal") if name in more}
    choice = {"index": 0, "message": message, "finish_reason": more.pop("finish_reason", "stop")}
    choice |= {"logprobs": more.pop("logprobs", None)}
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
    return as_json({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage, **more})


def chunk(delta: Mapping[str, Any] | None = None, finish_reason: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason, **more}]
    extra = more if delta is None else {}
    return b"data: " + json.dumps({"object": "chat.completion.chunk", "choices": choices, **extra}).encode() + b"\n\n"


def streamed(*texts: str, finish: str = "stop", usage: Mapping[str, Any] | None = None) -> Reply:
    """A stream as OpenAI documents it."""
    counted = usage or {"prompt_tokens": 10, "completion_tokens": len(texts)}
    pieces = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": text}) for text in texts)]
    return Reply([*pieces, chunk({}, finish), chunk(usage=counted), b"data: [DONE]\n\n"], content_type=SSE)


def listed(*names: str, owned_by: str = "someone") -> Reply:
    return as_json(
        {"object": "list", "data": [{"id": name, "object": "model", "owned_by": owned_by} for name in names]}
    )


@contextmanager
def serving() -> Iterator[FakeServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    fake = FakeServer(f"http://127.0.0.1:{server.server_port}/v1", models=listed("some-model"))
    server.fake = fake  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing is printed."""

    def do_GET(self) -> None:
        fake = self._note()
        reply = fake.models if self.path.endswith("/models") else None
        self._play(fake, reply or error(404, "no such page"))

    def do_POST(self) -> None:
        fake = self._note()
        number = len(fake.chats) - 1
        self._play(fake, fake.replies[min(number, len(fake.replies) - 1)])

    def _note(self) -> FakeServer:
        fake: FakeServer = self.server.fake  # type: ignore[attr-defined]
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        fake.seen.append(Seen(self.command, self.path, headers, json.loads(raw) if raw else None, raw))
        return fake

    def _play(self, fake: FakeServer, reply: Reply) -> None:
        self.close_connection = True
        length = sum(map(len, reply.pieces)) + (1000 if reply.cut else 0)
        streams = reply.content_type == SSE
        self.send_response(reply.status)
        self.send_header("content-type", reply.content_type)
        self.send_header("connection", "close")
        if reply.cut or not streams:
            self.send_header("content-length", str(length))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for number, piece in enumerate(reply.pieces):
                if reply.hold is not None and number == len(reply.pieces) - 1:
                    self._wait(fake, reply.hold)
                self.wfile.write(piece)
                self.wfile.flush()
        except OSError:
            fake.gone.set()

    def _wait(self, fake: FakeServer, hold: threading.Event) -> None:
        """Until it may go on, or the client has gone."""
        self.connection.settimeout(0.02)
        for _ in range(500):
            if hold.is_set():
                return
            try:
                if self.connection.recv(1) == b"":
                    fake.gone.set()
                    raise ConnectionResetError
            except TimeoutError:
                continue
