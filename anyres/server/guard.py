"""What stands before every route: who asks, from where, and how much; pure ASGI, nothing of a body is kept here.

A request that is refused, too large, too slow or left by its client is ended here, whatever its route is doing.
"""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anyres.server.access import (
    UPLOADS,
    Headers,
    check_content_type,
    check_host,
    checked_origin,
    digest_of,
    headers_of,
    is_preflight,
    one_of,
    owner_of,
    permissions,
)
from anyres.server.errors import ApiError, api_error
from anyres.server.service import Service
from anyres.server.settings import ServerSettings

__all__ = ["Guard"]

logger = logging.getLogger("anyres.server")

PLACES = frozenset(
    ("/v1/chat/completions", "/v1/chat/completions/input_tokens", "/v1/completions", "/v1/responses", "/v1/embeddings",
     "/v1/previews", "/api/chat", "/api/generate", "/api/embed")
)  # fmt: skip
"""Where a full line refuses a request before its body is read."""


class Guard:
    """ASGI middleware around all routes of a service."""

    def __init__(self, app: ASGIApp, service: Service, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._service = service
        self._clock = clock
        self._keys = [digest_of(key.encode()) for key in service.settings.api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _Exchange(self._app, self._service, self._keys, self._clock, scope, receive, send).run()


class _Exchange:
    """One request and its response."""

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        keys: Sequence[bytes],
        clock: Callable[[], float],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._app = app
        self._service = service
        self._settings = service.settings
        self._keys = keys
        self._clock = clock
        self._scope = scope
        self._receive = receive
        self._send = send
        self._id = f"req_{secrets.token_hex(12)}"
        self._status = 0
        self._ended = False
        self._sent_bytes = 0
        self._body_bytes = 0
        self._body_read = asyncio.Event()
        self._stopped: asyncio.Future[ApiError | None] = asyncio.get_running_loop().create_future()
        self._headers = headers_of(scope)
        self._origin: str | None = None
        self._ends = 0.0

    async def run(self) -> None:
        started = self._clock()
        self._ends = started + self._settings.total_s
        try:
            self._check()
            await self._serve()
        except Exception as error:  # noqa: BLE001  the outermost handler: one request fails, never the server
            await self._refuse(error)
        finally:
            self._service.body_bytes -= self._body_bytes
            self._log(self._clock() - started)

    def _check(self) -> None:
        """Raises ApiError, cheapest question first."""
        settings, scope = self._settings, self._scope
        _check_sizes(settings, scope, self._headers)
        check_host(settings, self._headers)
        self._origin = checked_origin(settings, self._headers)
        scope.setdefault("state", {})
        scope["state"] |= {"request_id": self._id, "owner": ""}
        if is_preflight(scope["method"], self._headers):
            return
        if scope["path"] not in settings.public and not is_page(settings, scope):
            scope["state"]["owner"] = owner_of(self._keys, self._headers)
        if self._service.draining and scope["path"] not in (*settings.public, "/metrics"):
            raise ApiError(503, "server: going down; allowed: requests to another one", code="draining")
        check_content_type(scope, self._headers)
        if scope["method"] == "POST" and scope["path"] in PLACES:
            self._service.gate.refuse_if_full()

    async def _serve(self) -> None:
        if is_preflight(self._scope["method"], self._headers):
            await self._preflight()
            return
        work = asyncio.create_task(self._work())
        watch = asyncio.create_task(self._watch())
        try:
            waited: set[asyncio.Future[Any]] = {work, self._stopped}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            if not work.done():
                work.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)
        if self._stopped.done():
            if (error := self._stopped.result()) is not None:
                await self._refuse(error)
        elif not work.cancelled():
            work.result()

    async def _work(self) -> None:
        await self._app(self._scope, self._give, self._take)

    async def _watch(self) -> None:
        """Waits until the body is there, and then for the client to leave."""
        await self._body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._ended:
            self._stop(None)

    async def _give(self) -> Message:
        """The body for the route, counted; when it is over, nothing more."""
        if self._body_read.is_set():
            await asyncio.Event().wait()
        try:
            async with asyncio.timeout(min(self._settings.read_s, self._ends - self._clock())):
                message = await self._receive()
        except TimeoutError:
            return await self._halt(_too_slow(self._settings))
        if message["type"] == "http.disconnect":
            return await self._halt(None)
        self._count(len(message.get("body", b"")))
        if self._service.body_bytes > (most := self._settings.held_bytes):
            return await self._halt(_too_many(self._service.body_bytes, most))
        if self._body_bytes > (most := _most_bytes(self._settings, self._scope)):
            return await self._halt(_too_large(f"more than {most:,} bytes", most))
        if not message.get("more_body", False):
            self._body_read.set()
        return message

    def _count(self, size: int) -> None:
        self._body_bytes += size
        self._service.body_bytes += size

    async def _halt(self, error: ApiError | None) -> Message:
        """Ends the exchange; the route is cancelled while it waits here."""
        self._stop(error)
        await asyncio.Event().wait()
        raise AssertionError("cancelled")

    def _stop(self, error: ApiError | None) -> None:
        if not self._stopped.done():
            self._stopped.set_result(error)

    async def _take(self, message: Message) -> None:
        """A part of the route's response. A client that does not read ends the exchange."""
        try:
            await self._write(message)
        except TimeoutError:
            await self._halt(None)

    async def _write(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message = {**message, "headers": [*message.get("headers", []), *self._own_headers()]}
        self._sent_bytes += len(message.get("body", b""))
        self._ended = message["type"] == "http.response.body" and not message.get("more_body", False)
        async with asyncio.timeout(self._settings.write_s):
            await self._send(message)

    async def _refuse(self, error: Exception) -> None:
        told = api_error(error)
        if told.status == 500:
            logger.error("request failed", exc_info=error, extra={"request_id": self._id})
        if self._status:
            return  # the response is under way; nothing can be said any more
        body = json.dumps(told.body_for(self._scope["path"])).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += [(name.encode(), value.encode()) for name, value in told.headers.items()]
        if not self._body_read.is_set():
            headers.append((b"connection", b"close"))
        await self._answer(told.status, headers, body, linger=not self._body_read.is_set())

    async def _preflight(self) -> None:
        await self._answer(204, permissions(self._headers) if self._origin else [], b"")

    async def _answer(
        self, status: int, headers: list[tuple[bytes, bytes]], body: bytes, *, linger: bool = False
    ) -> None:
        with suppress(TimeoutError):
            await self._write({"type": "http.response.start", "status": status, "headers": headers})
            await self._write({"type": "http.response.body", "body": body, "more_body": True})
            if linger:
                await self._pass_over_body()
            await self._write({"type": "http.response.body", "body": b""})

    async def _pass_over_body(self) -> None:
        """A client that is still sending would lose the refusal, were the connection closed under it at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.linger_s):
                while (message := await self._receive())["type"] == "http.request" and message.get("more_body"):
                    pass

    def _own_headers(self) -> list[tuple[bytes, bytes]]:
        own = [(b"x-request-id", self._id.encode()), (b"x-content-type-options", b"nosniff")]
        if self._origin is not None:
            own += [
                (b"access-control-allow-origin", self._origin.encode()),
                (b"access-control-expose-headers", b"x-request-id, x-ignored-fields, retry-after"),
                (b"vary", b"origin"),
            ]
        return own

    def _log(self, seconds: float) -> None:
        """No body, no query, no key; the path as the client may have chosen it, without control characters."""
        line = {
            "id": self._id,
            "method": self._scope["method"][:16],
            "path": self._scope["path"][:200],
            "status": self._status or 499,
            "ms": round(seconds * 1000),
            "in": self._body_bytes,
            "out": self._sent_bytes,
        }
        logger.info("%s", json.dumps(line), extra={"request": line})


def is_page(settings: ServerSettings, scope: Scope) -> bool:
    """The web page's own files, which hold nothing of anyone."""
    readable = scope["method"] in ("GET", "HEAD")
    return settings.page and readable and (scope["path"] == "/" or scope["path"].startswith("/static/"))


def _check_sizes(settings: ServerSettings, scope: Scope, headers: Headers) -> None:
    url = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
    if url > settings.url_bytes:
        raise ApiError(414, f"URL: {url:,} bytes; allowed: at most {settings.url_bytes:,} (--max-url-bytes)")
    length = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    if length > settings.header_bytes:
        allowed = f"at most {settings.header_bytes:,} (--max-header-bytes)"
        raise ApiError(431, f"headers: {length:,} bytes; allowed: {allowed}")
    said = one_of(headers, b"content-length")
    most = _most_bytes(settings, scope)
    if said is not None and said.isdigit() and int(said[:20]) > most:
        raise _too_large(f"{int(said[:20]):,} bytes", most)


def _most_bytes(settings: ServerSettings, scope: Scope) -> int:
    return settings.upload_bytes if scope["path"] == UPLOADS else settings.body_bytes


def _too_large(seen: str, most: int) -> ApiError:
    return ApiError(413, f"body: {seen}; allowed: at most {most:,} (--max-body-bytes)", code="request_too_large")


def _too_slow(settings: ServerSettings) -> ApiError:
    allowed = f"pauses of {settings.read_s:g} s (--read-seconds), {settings.total_s:g} s in all (--total-seconds)"
    return ApiError(408, f"body: it does not come; allowed: {allowed}")


def _too_many(seen: int, most: int) -> ApiError:
    """Who comes later may find room: this one is repeated."""
    message = f"server: bodies of {seen:,} bytes; allowed: {most:,} of all requests together (--max-held-bytes)"
    return ApiError(429, message, code="server_busy", headers={"retry-after": "1"})
