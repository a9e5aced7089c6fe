"""One download over HTTP or HTTPS, with limits on bytes, seconds, redirects and addresses."""

import base64
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from anyres.errors import MediaError

__all__ = ["fetch"]

_CHUNK = 1 << 16
_SAFE = "/%:@!$&'()*+,;=~?"  # may stand in the path and query of an address as it is
_REDIRECTS = (301, 302, 303, 307, 308)
_ALLOWED = "an http(s) address that answers with the file itself"
_PUBLIC = "a public internet address"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address inside an IPv6 one


class _Url(NamedTuple):
    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def fetch(url: str, *, max_bytes: int, timeout_s: float, max_redirects: int, allow_local_addresses: bool) -> bytes:
    """The body behind `url`, or MediaError.

    Each hop is parsed once, resolved once and dialled at the address that was checked. `timeout_s` covers the whole
    download. A public address never redirects to a local one; with `allow_local_addresses=False` no hop is local and
    no proxy is used.
    """
    deadline = time.monotonic() + timeout_s
    target, allow_local = _parse(url), allow_local_addresses
    for _ in range(max_redirects + 1):
        with (
            _connected(target, deadline=deadline, allow_local=allow_local) as route,
            closing(_request(route)) as response,
        ):
            location = response.getheader("Location") if response.status in _REDIRECTS else None
            if location is None:
                return _body(response, target, max_bytes=max_bytes)
        allow_local = allow_local and _is_local(target)
        target = _parse(urljoin(str(target), location))
    raise MediaError(_label(url), f"more than {max_redirects} redirects", _ALLOWED)


def _parse(url: str) -> _Url:
    if any(char.isspace() or char == "\\" or not char.isprintable() for char in url):
        raise MediaError(_label(url), "an address with a space, backslash or control character", _ALLOWED)
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:  # UnicodeError is one
        raise MediaError(_label(url), "not a valid address", _ALLOWED) from None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        raise MediaError(_label(url), "not an http(s) address, or with a user name in it", _ALLOWED)
    path = quote(parts.path or "/", safe=_SAFE)
    if parts.query:
        path += f"?{quote(parts.query, safe=_SAFE)}"
    return _Url(parts.scheme, host, port, path)


def _label(url: str) -> str:
    """The address without its query, which may hold a key."""
    shown = "".join(char for char in url.split("?")[0] if char.isprintable())
    return shown if len(shown) <= 100 else f"{shown[:97]}..."


class _Route(NamedTuple):
    """An open connection, and what to ask for on it: a proxy for http wants the whole address and its own login."""

    connection: http.client.HTTPConnection
    path: str
    headers: dict[str, str]


@contextmanager
def _connected(target: _Url, *, deadline: float, allow_local: bool) -> Iterator[_Route]:
    """A connection that is cut at the deadline, however slowly the other side drips."""
    cut = threading.Event()
    route: _Route | None = None
    timer: threading.Timer | None = None
    try:
        route = _dial(target, timeout_s=_left(target, deadline), allow_local=allow_local)
        timer = threading.Timer(_left(target, deadline), _cut, (route.connection.sock, cut))
        timer.daemon = True
        timer.start()
        yield route
        if cut.is_set():  # the cut looks like an ordinary end where the answer did not state its length
            raise _too_slow(target)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if cut.is_set() or isinstance(error, TimeoutError):
            raise _too_slow(target) from None
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise MediaError(_label(str(target)), f"cannot be fetched ({reason})", _ALLOWED) from None
    finally:
        if timer is not None:
            timer.cancel()
        if route is not None:
            route.connection.close()


def _cut(sock: socket.socket, cut: threading.Event) -> None:
    cut.set()
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # the plain method: TLS must not wait for a goodbye
    except OSError:
        return


def _left(target: _Url, deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise _too_slow(target)
    return left


def _too_slow(target: _Url) -> MediaError:
    return MediaError(_label(str(target)), "the server was too slow", "a whole answer within the time limit")


def _dial(target: _Url, *, timeout_s: float, allow_local: bool) -> _Route:
    proxy = getproxies().get(target.scheme) if allow_local and not proxy_bypass(target.host) else None
    if proxy:
        return _dial_proxy(target, proxy, timeout_s=timeout_s)
    family, address = _resolve(target, allow_local=allow_local)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect((address, target.port))
        if target.scheme == "https":
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=target.host)
    except OSError:
        sock.close()
        raise
    connection = http.client.HTTPConnection(target.host, target.port, timeout=timeout_s)
    connection.default_port = 443 if target.scheme == "https" else 80  # decides whether Host names the port
    connection.sock = sock
    return _Route(connection, target.path, {})


def _dial_proxy(target: _Url, proxy: str, *, timeout_s: float) -> _Route:
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    words = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    login = {"Proxy-Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"} if parts.username else {}
    kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port or 80, timeout=timeout_s)
    if target.scheme == "https":
        connection.set_tunnel(target.host, target.port, login)
    connection.connect()
    return _Route(connection, target.path, {}) if target.scheme == "https" else _Route(connection, str(target), login)


def _resolve(target: _Url, *, allow_local: bool) -> tuple[int, str]:
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = [(int(family), str(where[0])) for family, _, _, _, where in found]
    if not allow_local and not all(_is_public(address) for _, address in addresses):
        raise MediaError(_label(str(target)), "a local or private address", _PUBLIC)
    return addresses[0]


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and (ip.ipv4_mapped or ip.sixtofour or ip.teredo or ip in _NAT64):
        return False  # an IPv4 address in disguise
    return ip.is_global and not ip.is_multicast


def _is_local(target: _Url) -> bool:
    try:
        return any(not _is_public(str(row[4][0])) for row in socket.getaddrinfo(target.host, target.port))
    except OSError:
        return False


def _request(route: _Route) -> http.client.HTTPResponse:
    headers = {"User-Agent": "anyres", "Accept": "image/*, video/*, */*"}
    route.connection.request("GET", route.path, headers=headers | route.headers)
    return route.connection.getresponse()


def _body(response: http.client.HTTPResponse, target: _Url, *, max_bytes: int) -> bytes:
    label = _label(str(target))
    if response.status != 200:
        raise MediaError(label, f"the server answered {response.status}", _ALLOWED)
    if response.getheader("Content-Encoding", "identity") != "identity":
        raise MediaError(label, "a compressed answer that was not asked for", _ALLOWED)
    pieces, size, expected = [], 0, response.length  # None where the answer comes in chunks
    while piece := response.read1(_CHUNK):
        size += len(piece)
        if size > max_bytes:
            raise MediaError(label, f"more than {max_bytes:,} bytes", f"at most {max_bytes:,}")
        pieces.append(piece)
    if expected is not None and size < expected:
        raise http.client.IncompleteRead(b"", expected - size)
    return b"".join(pieces)
