"""Requests over HTTP, tried again where that can help; the same rule for threads and event loops."""

import asyncio
import json
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import httpx

from anyres.client.endpoint import Endpoint
from anyres.client.failure import broken_reply, error_in_reply, no_reply
from anyres.client.retry import is_worth_repeating, pause_s
from anyres.errors import EndpointError, OptionError

__all__ = ["Patience", "Wire"]

MOST_BYTES = 64 << 20  # of an answer that is not streamed
MOST_ERROR_BYTES = 64 << 10


@dataclass(frozen=True)
class Patience:
    """How waiting is done: real, or a test's. `now` is the wall clock, `share` random from 0 to 1."""

    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time
    share: Callable[[], float] = random.random


@dataclass
class Wire:
    """Sends to one endpoint. `transport` replaces the network (tests); `patience` the waiting."""

    endpoint: Endpoint
    transport: httpx.BaseTransport | None = None
    async_transport: httpx.AsyncBaseTransport | None = None
    patience: Patience = field(default_factory=Patience)

    def close(self) -> None:
        """Closes connections that are kept open. It may be used again afterwards."""
        if "_client" in vars(self):
            self._client.close()
            del self._client

    def get(self, path: str) -> Any:
        """JSON of a GET."""
        with self.open("GET", path, None) as response:
            return self.read_json(response)

    @contextmanager
    def open(self, method: str, path: str, body: Mapping[str, Any] | None) -> Iterator[httpx.Response]:
        """A response of status 200 whose body is yet to be read. EndpointError for every other end."""
        content = None if body is None else _encoded(body)
        for attempt in range(self.endpoint.retries + 1):
            request = self._client.build_request(method, self.endpoint.url(path), content=content)
            response, wait_s = self._try(request, attempt)
            if response is None:
                self.patience.sleep(wait_s)
                continue
            try:
                yield response
            except httpx.HTTPError as error:
                raise no_reply(self.endpoint, error, 1) from None
            finally:
                response.close()
            return

    @asynccontextmanager
    async def aopen(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[httpx.Response]:
        """`open` of a POST for an event loop. Connections are not kept: another loop could not use them."""
        content = await asyncio.to_thread(_encoded, body)
        async with self._async_client() as client:
            for attempt in range(self.endpoint.retries + 1):
                request = client.build_request("POST", self.endpoint.url(path), content=content)
                response, wait_s = await self._atry(client, request, attempt)
                if response is None:
                    await asyncio.sleep(wait_s)
                    continue
                try:
                    yield response
                except httpx.HTTPError as error:
                    raise no_reply(self.endpoint, error, 1) from None
                finally:
                    await response.aclose()
                return

    def read_json(self, response: httpx.Response) -> Any:
        """The whole of a response, of at most 64 MiB."""
        return self._parsed(_bounded(response.iter_bytes(), MOST_BYTES))

    async def aread_json(self, response: httpx.Response) -> Any:
        """`read_json` for an event loop."""
        return self._parsed(await _abounded(response.aiter_bytes(), MOST_BYTES))

    def _parsed(self, data: bytes) -> Any:
        if len(data) > MOST_BYTES:
            raise broken_reply(self.endpoint, f"more than {MOST_BYTES:,} bytes")
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise broken_reply(self.endpoint, f"{len(data):,} bytes that are no JSON") from None

    def _try(self, request: httpx.Request, attempt: int) -> tuple[httpx.Response | None, float]:
        """A good response, or seconds until the next try."""
        try:
            response = self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            return None, self._pause_after(error, attempt)
        if response.status_code == 200:
            return response, 0.0
        try:
            data = _bounded(response.iter_bytes(), MOST_ERROR_BYTES)
        except httpx.HTTPError:
            data = b""
        finally:
            response.close()
        return None, self._pause_for(response, data, attempt)

    async def _atry(
        self, client: httpx.AsyncClient, request: httpx.Request, attempt: int
    ) -> tuple[httpx.Response | None, float]:
        try:
            response = await client.send(request, stream=True)
        except httpx.HTTPError as error:
            return None, self._pause_after(error, attempt)
        if response.status_code == 200:
            return response, 0.0
        try:
            data = await _abounded(response.aiter_bytes(), MOST_ERROR_BYTES)
        except httpx.HTTPError:
            data = b""
        finally:
            await response.aclose()
        return None, self._pause_for(response, data, attempt)

    def _pause_after(self, error: httpx.HTTPError, attempt: int) -> float:
        """Nobody answered. A server that took the request and is silent is not given it a second time."""
        again = isinstance(error, (httpx.TransportError,)) and not isinstance(
            error, (httpx.ReadTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
        )
        if not again or attempt >= self.endpoint.retries:
            raise no_reply(self.endpoint, error, attempt + 1) from None
        return self._pause(attempt, {})

    def _pause_for(self, response: httpx.Response, data: bytes, attempt: int) -> float:
        status, headers = response.status_code, response.headers
        if attempt >= self.endpoint.retries or not is_worth_repeating(status, headers):
            raise self._refusal(status, headers, data, attempt)
        return self._pause(attempt, headers)

    def _refusal(self, status: int, headers: Mapping[str, str], data: bytes, attempt: int) -> EndpointError:
        return error_in_reply(self.endpoint, status, headers, data, attempt + 1)

    def _pause(self, attempt: int, headers: Mapping[str, str]) -> float:
        return pause_s(attempt, headers, now=self.patience.now(), share=self.patience.share())

    @cached_property
    def _ssl(self) -> ssl.SSLContext:
        return httpx.create_ssl_context()

    @cached_property
    def _client(self) -> httpx.Client:
        return httpx.Client(
            headers=self._headers,
            timeout=self._timeout,
            transport=self.transport,
            trust_env=not self.endpoint.is_local,
            verify=self._verify,
        )

    def _async_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers=self._headers,
            timeout=self._timeout,
            transport=self.async_transport,
            trust_env=not self.endpoint.is_local,
            verify=self._verify,
        )

    @property
    def _verify(self) -> ssl.SSLContext | bool:
        """Reading the certificates takes longer than a request; plain HTTP on this machine needs none."""
        return self._ssl if self.endpoint.base_url.startswith("https:") or not self.endpoint.is_local else False

    @property
    def _timeout(self) -> httpx.Timeout:
        connect_s, read_s = self.endpoint.connect_timeout_s, self.endpoint.read_timeout_s
        return httpx.Timeout(connect=connect_s, pool=connect_s, read=read_s, write=read_s)

    @property
    def _headers(self) -> dict[str, str]:
        key = {} if self.endpoint.api_key is None else {"authorization": f"Bearer {self.endpoint.api_key}"}
        ours = {"content-type": "application/json", "user-agent": f"anyres/{_version()}"}
        return {**ours, **self.endpoint.headers, **key}


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise OptionError("request", f"not JSON in UTF-8 ({type(error).__name__})", "texts, finite numbers") from None


def _bounded(pieces: Iterator[bytes], most: int) -> bytes:
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > most:
            break
    return bytes(data)


async def _abounded(pieces: AsyncIterator[bytes], most: int) -> bytes:
    data = bytearray()
    async for piece in pieces:
        data += piece
        if len(data) > most:
            break
    return bytes(data)


def _version() -> str:
    try:
        return version("anyres")
    except PackageNotFoundError:
        return "0"
