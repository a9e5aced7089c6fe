"""uvicorn's HTTP/1.1 with refusals in the API's own form, and no patience for heads that do not come."""

import asyncio
import json
import secrets
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from anyres.server.errors import ApiError

__all__ = ["Protocol"]


class Protocol(H11Protocol):
    """`head_s` is how long a request line and headers may take, from the connection or the first byte on; `close_s` how
    long a connection that is closed may take to empty itself, into a client that does not read or still sends."""

    head_s = 30.0
    close_s = 2.0
    _slow: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(_Transport(transport, self.loop, self.close_s))  # type: ignore[arg-type]
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._watch_head()
        try:
            super().data_received(data)
        except UnicodeDecodeError:  # bytes in the request line that no URL has
            self.send_400_response("request line: not ASCII")
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_watching()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Called while an h11 error is handled, which knows a better status."""
        told = _refusal(sys.exc_info()[1], msg)
        body = json.dumps(told.body).encode()
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
            ("x-request-id", f"req_{secrets.token_hex(12)}"),
            ("x-content-type-options", "nosniff"),
        ]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            parts: list[Any] = [h11.Response(status_code=told.status, headers=headers), h11.Data(data=body)]
            for part in (*parts, h11.EndOfMessage()):
                self.transport.write(self.conn.send(part) or b"")
        self._refused = True
        self._stop_watching()
        if self.transport.can_write_eof():
            self.transport.write_eof()  # closed at once, the refusal would be lost to a client that still sends
        self.loop.call_later(self.close_s, self.transport.close)

    def _watch_head(self) -> None:
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._slow is None:
            self._slow = self.loop.call_later(self.head_s, self._give_up)

    def _stop_watching(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _give_up(self) -> None:
        self._slow = None
        if not self.transport.is_closing():
            self.transport.close()


class _Transport:
    """A transport that is gone some seconds after it is closed, whether or not what it holds was read."""

    def __init__(self, inner: Any, loop: asyncio.AbstractEventLoop, close_s: float) -> None:
        self._inner = inner
        self._loop = loop
        self._close_s = close_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def close(self) -> None:
        if not self._inner.is_closing():
            self._inner.close()
            self._loop.call_later(self._close_s, self._inner.abort)


def _refusal(error: BaseException | None, otherwise: str) -> ApiError:
    if isinstance(error, h11.RemoteProtocolError):
        if error.error_status_hint == 431:
            return ApiError(431, "headers: too large; allowed: less (--max-header-bytes)")
        if "Host" in str(error):
            return ApiError(403, "Host: not one; allowed: one Host header", code="host_not_allowed")
        if error.error_status_hint == 501:
            return ApiError(400, "Transfer-Encoding: unknown; allowed: chunked")
    return ApiError(400, f"request: no HTTP ({otherwise}); allowed: HTTP/1.1")
