"""A chat endpoint that does to each question what the question says: a real HTTP server on this machine."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SILENT_S = 3.0


class Endpoint(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tries: Counter[str] = Counter()
        self.silent = 0
        self.most_silent = 0
        """Questions that were left without an answer at one time."""
        self.counting = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


@contextmanager
def misbehaving() -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing is printed."""

    def do_GET(self) -> None:
        self._reply(200, {"data": [{"id": "some-model", "owned_by": "somebody"}]})

    def do_POST(self) -> None:
        server = self.server
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        content = asked["messages"][-1]["content"]
        question = content if isinstance(content, str) else content[-1]["text"]
        server.tries[question] += 1
        deed, _, until = question.partition(" until ")
        self._do(deed if server.tries[question] < int(until or 10**6) else "answer")

    def _do(self, deed: str) -> None:
        if deed.isdigit():
            self._reply(int(deed), {"error": {"message": f"{deed} on purpose", "type": "test"}})
        elif deed == "silent":
            self._count(1)
            time.sleep(SILENT_S)
            self._count(-1)
        elif deed == "garbage":
            self._send(200, b"<html>no JSON</html>")
        elif deed == "cut":
            self.send_response(200)
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices": [')
        else:
            message = {"role": "assistant", "content": "an answer"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._reply(200, {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})

    def _count(self, silent: int) -> None:
        server = self.server
        with server.counting:
            server.silent += silent
            server.most_silent = max(server.most_silent, server.silent)

    def _reply(self, status: int, value: object) -> None:
        self._send(status, json.dumps(value).encode())

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
