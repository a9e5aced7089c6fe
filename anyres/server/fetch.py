"""One download of a picture or clip from a listed host: resolved once, the checked address dialled, no redirects."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import h11

from anyres.server.media_limits import FLAGS, MediaLimits
from anyres.server.refusal import Kind, refusal

__all__ = ["Address", "Fetcher", "is_public", "resolve"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]

_CHUNK = 1 << 16
_HEAD_BYTES = 64 << 10  # of an answer
_SAFE = "/%:@!$&'()*+,;=~?"  # may stand in the path and query of an address as it is
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(words)
    for words in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "::ffff:0:0/96", "fec0::/10")
)  # IPv4 addresses inside IPv6 ones, and old site-local ones


class Fetcher:
    """Fetches from the hosts of `limits.domains` and nowhere else.

    Names are asked for once, by `look_up`, and every address that comes back must pass `is_allowed`. Redirects,
    compressed answers and proxies of the environment are not followed. Cancelling closes the connection.
    """

    def __init__(
        self,
        limits: MediaLimits,
        *,
        look_up: Resolve | None = None,
        is_allowed: Callable[[Address], bool] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits
        self._look_up = look_up or resolve
        self._is_allowed = is_allowed or is_public
        self._tls = tls

    async def fetch(self, url: str, *, kind: Kind, max_bytes: int) -> bytes:
        """The body behind `url`; RefusedMediaError. All of it within the seconds of its kind."""
        target = _parse(url, kind)
        if not any(_matches(target, domain) for domain in self._limits.domains):
            remedy = f"a host of {FLAGS['domains']}, or the media itself as a data: URL"
            raise refusal(kind, "address", f"the host {target.host[:100]!r}", remedy)
        seconds = self._limits.video_fetch_s if kind == "video" else self._limits.image_fetch_s
        flag = FLAGS["video_fetch_s" if kind == "video" else "image_fetch_s"]
        try:
            async with asyncio.timeout(seconds):
                return await self._download(target, kind, max_bytes)
        except TimeoutError:
            raise refusal(kind, "download", "the host was too slow", f"{seconds:g} s for all of it ({flag})") from None
        except (OSError, h11.RemoteProtocolError, EOFError) as error:
            seen = f"cannot be fetched ({_reason(error)})"
            raise refusal(kind, "download", seen, "a host that answers with the file itself") from None

    async def _download(self, target: "_Target", kind: Kind, max_bytes: int) -> bytes:
        address = await self._vetted(target, kind)
        tls = (self._tls or ssl.create_default_context()) if target.scheme == "https" else None
        name = target.host if tls else None
        reader, writer = await asyncio.open_connection(address, target.port, ssl=tls, server_hostname=name)
        try:
            return await _converse(reader, writer, target, _Wanted(kind, max_bytes))
        finally:
            writer.transport.abort()  # at once: no goodbye that the other side could draw out

    async def _vetted(self, target: "_Target", kind: Kind) -> str:
        """The first address of the host, once all of them are known to be allowed: no second look-up, no other door."""
        found = await self._look_up(target.host, target.port)
        if not found:
            raise OSError
        if not all(self._is_allowed(ipaddress.ip_address(address.split("%")[0])) for address in found):
            raise refusal(kind, "address", "a host with a local or private address", "hosts of the public internet")
        return found[0]


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, as the system knows them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(where[0]) for *_, where in found]


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, and not an IPv4 address in the clothes of IPv6.

    >>> [is_public(ipaddress.ip_address(words)) for words in ("93.184.215.14", "10.0.0.1", "::ffff:127.0.0.1")]
    [True, False, False]
    """
    if isinstance(address, ipaddress.IPv6Address) and any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class _Target(NamedTuple):
    scheme: str
    host: str
    port: int
    path: str


class _Wanted(NamedTuple):
    kind: Kind
    max_bytes: int


def _parse(url: str, kind: Kind) -> _Target:
    """One reading of the address, from which everything that is sent is written anew."""
    plain = url.isascii() or url.isprintable()
    if not plain or any(char.isspace() or char == "\\" or not char.isprintable() for char in url):
        raise refusal(kind, "address", "an address with blanks, backslashes or control characters", "https://host/path")
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode("ascii").lower().rstrip(".")
        port = parts.port if parts.port is not None else {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):  # UnicodeError is a ValueError
        raise refusal(kind, "address", "not a valid address", "https://host/path") from None
    if not host or "@" in parts.netloc or not 0 < port < 65536:
        raise refusal(kind, "address", "an address without a host, or with a user name", "https://host/path")
    query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
    return _Target(parts.scheme, host, port, quote(parts.path or "/", safe=_SAFE) + query)


def _matches(target: _Target, domain: str) -> bool:
    """Whether a host is one of the list: that name, or a name below it for `*.`; at its port, or at 80 and 443."""
    name, _, port = domain.partition(":")
    allowed_ports = (int(port),) if port else (80, 443)
    below = name.startswith("*.") and target.host.endswith(name[1:]) and len(target.host) >= len(name)
    return (target.host == name or below) and target.port in allowed_ports


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: _Target, wanted: _Wanted
) -> bytes:
    """Asks, and reads the answer piece by piece, never more than is wanted."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
    default = {"http": 80, "https": 443}[target.scheme]
    host = target.host if target.port == default else f"{target.host}:{target.port}"
    headers = [("Host", host), ("User-Agent", "anyres"), ("Accept", "image/*, video/*, */*"), ("Connection", "close")]
    request = h11.Request(method="GET", target=target.path, headers=headers)
    writer.write((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
    await writer.drain()
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            _check_head(event, wanted)
        elif isinstance(event, h11.Data):
            body += event.data
            _check_size(len(body), wanted)
        elif isinstance(event, h11.EndOfMessage):
            return bytes(body)
        elif not isinstance(event, h11.InformationalResponse):
            raise EOFError


def _check_head(response: h11.Response, wanted: _Wanted) -> None:
    headers = dict(response.headers)
    if response.status_code in (301, 302, 303, 307, 308):
        raise refusal(wanted.kind, "download", "the host sends on to another address", "the address of the file itself")
    if response.status_code != 200:
        raise refusal(wanted.kind, "download", f"the host answered {response.status_code}", "an answer of 200")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise refusal(wanted.kind, "download", "a compressed answer that was not asked for", "the file itself")
    _check_size(int(headers.get(b"content-length", b"0")), wanted)


def _check_size(size: int, wanted: _Wanted) -> None:
    if size > wanted.max_bytes:
        flag = FLAGS["video_bytes" if wanted.kind == "video" else "image_bytes"]
        raise refusal(wanted.kind, "bytes", "too many bytes", f"at most {wanted.max_bytes:,} ({flag})")


def _reason(error: Exception) -> str:
    """In words of our own: those of libraries may hold addresses."""
    if isinstance(error, ssl.SSLError):
        return "its certificate is not that of a trusted host of this name, or TLS failed"
    if isinstance(error, socket.gaierror):
        return "no host of this name is known"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    return "the answer was cut off or is not HTTP" if isinstance(error, h11.RemoteProtocolError) else "no connection"
