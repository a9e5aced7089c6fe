"""A server that says what a test wants, as slowly as it wants; with OpenAI's wire format and open to other origins."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

__all__ = ["Fake", "Script", "events"]


class Script(NamedTuple):
    """Pieces of an answer, with a pause before each."""

    pieces: tuple[str, ...]
    pause_s: float = 0.0


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def events(pieces: Iterable[str]) -> Iterator[bytes]:
    """The stream of an answer that is made of these pieces."""
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
    count = 0
    for piece in pieces:
        count += 1
        yield event({**frame, "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
    yield event({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": 11, "completion_tokens": count, "total_tokens": 11 + count}
    details = {"prompt_tokens_details": {"cached_tokens": 4, "text_tokens": 11}}
    yield event({**frame, "choices": [], "usage": usage | details, "timings": {"predicted_per_second": 12.5}})
    yield b"data: [DONE]\n\n"


class Fake:
    """Answers by the words of the question; `asked` holds the bodies of requests."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Fake":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def script_for(self, body: dict[str, Any]) -> Script:
        content = body["messages"][-1]["content"]
        words = content if isinstance(content, str) else content[-1].get("text", "")
        return self.scripts.get(words, Script(("Scripted: ", words)))


def _handler(fake: Fake) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def log_message(self, *words: object) -> None:
            pass

        def _head(self, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Access-Control-Allow-Headers", "authorization, content-type")
            self.end_headers()

        def do_OPTIONS(self) -> None:
            self._head("text/plain")

        def do_GET(self) -> None:
            fake.keys.append(self.headers.get("Authorization"))
            self._head("application/json")
            self.wfile.write(json.dumps({"object": "list", "data": [{"id": "scripted", "object": "model"}]}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.asked.append(body)
            script = fake.script_for(body)
            self._head("text/event-stream")
            try:
                for chunk in events(script.pieces):
                    time.sleep(script.pause_s)
                    self.wfile.write(chunk)
                    self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):
                pass

    return Handler
