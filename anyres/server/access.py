"""Who may ask, and from where: by the Host a request is addressed to, the page it comes from, and its key."""

import hmac
import ipaddress
import re
import socket
from collections.abc import Sequence
from hashlib import sha256
from urllib.parse import urlsplit

from starlette.types import Scope

from anyres.server.errors import ApiError
from anyres.server.settings import ServerSettings

__all__ = [
    "UPLOADS",
    "Headers",
    "check_content_type",
    "check_host",
    "checked_origin",
    "digest_of",
    "headers_of",
    "host_name",
    "is_allowed_host",
    "is_preflight",
    "one_of",
    "owner_of",
    "permissions",
]

LOCAL_ENDINGS = (".localhost", ".local", ".internal")
UPLOADS = "/v1/files"
_HEADER_NAMES = re.compile(r"[A-Za-z0-9-]{1,64}(, ?[A-Za-z0-9-]{1,64}){0,63}")

Headers = dict[bytes, list[bytes]]
"""Values of each header, by its name in small letters."""


def host_name(value: str) -> str:
    """A Host header's name, without its port.

    >>> host_name("[::1]:8000"), host_name("Example.org:80")
    ('::1', 'example.org')
    """
    try:
        parts = urlsplit(f"//{value}")
        return (parts.hostname or "").rstrip(".") if parts.port != 0 else ""
    except ValueError:
        return ""


def is_allowed_host(name: str, allowed: Sequence[str]) -> bool:
    """Loopback, private addresses, this machine's own name, names that only a local resolver knows, and `allowed`.

    >>> [is_allowed_host(name, ["a.example"]) for name in ("localhost", "10.0.0.7", "a.example", "8.8.8.8")]
    [True, True, True, False]
    """
    if name in (*allowed, "localhost", socket.gethostname().lower()) or name.endswith(LOCAL_ENDINGS):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_private


def headers_of(scope: Scope) -> Headers:
    found: Headers = {}
    for name, value in scope["headers"]:
        found.setdefault(name.lower(), []).append(value)
    return found


def one_of(headers: Headers, name: bytes) -> str | None:
    values = headers.get(name, [])
    return values[0].decode("latin-1") if len(values) == 1 else None


def check_host(settings: ServerSettings, headers: Headers) -> None:
    value = one_of(headers, b"host") or ""
    if not is_allowed_host(host_name(value), settings.hosts):
        allowed = "loopback names, private addresses, and names given with --allowed-hosts"
        raise ApiError(403, f"Host: {value[:80]!r}; allowed: {allowed}", code="host_not_allowed")


def checked_origin(settings: ServerSettings, headers: Headers) -> str | None:
    """The foreign origin that may read the answer; None for none and for the server's own page."""
    if b"origin" not in headers:
        return None
    origin = one_of(headers, b"origin") or ""
    if origin in settings.cors_origins:
        return origin
    if origin.partition("://")[2].lower() == (one_of(headers, b"host") or "").lower() != "":
        return None
    allowed = "this server's own page, and origins given with --cors-origins"
    raise ApiError(403, f"Origin: {origin[:80]!r}; allowed: {allowed}", code="origin_not_allowed")


def is_preflight(method: str, headers: Headers) -> bool:
    return method == "OPTIONS" and b"access-control-request-method" in headers


def permissions(headers: Headers) -> list[tuple[bytes, bytes]]:
    """What a listed page may send: any headers, for SDKs have some of their own, and no cookies."""
    asked = one_of(headers, b"access-control-request-headers") or ""
    names = asked.encode("latin-1") if _HEADER_NAMES.fullmatch(asked) else b"authorization, content-type"
    allowed = [
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"access-control-allow-headers", names),
        (b"access-control-max-age", b"600"),
    ]
    if b"access-control-request-private-network" in headers:
        allowed.append((b"access-control-allow-private-network", b"true"))
    return allowed


def check_content_type(scope: Scope, headers: Headers) -> None:
    if scope["method"] not in ("POST", "PUT", "PATCH"):
        return
    seen = (one_of(headers, b"content-type") or "").partition(";")[0].strip().lower()
    wanted = "multipart/form-data" if scope["path"] == UPLOADS else "application/json"
    if seen != wanted:
        raise ApiError(415, f"Content-Type: {seen[:80]!r}; allowed: {wanted}")


def owner_of(keys: Sequence[bytes], headers: Headers) -> str:
    """A name for the key that is shown; all keys are looked at, each in constant time. Raises ApiError 401."""
    if not keys:
        return ""
    scheme, _, shown = (one_of(headers, b"authorization") or "").partition(" ")
    digest = digest_of(shown.strip().encode("latin-1"))
    right = [hmac.compare_digest(digest, key) for key in keys]
    if scheme.lower() != "bearer" or not any(right):
        raise ApiError(
            401,
            "Authorization: no key that is known here; allowed: 'Bearer ' and a key of --api-key",
            code="invalid_api_key",
            headers={"www-authenticate": "Bearer"},
        )
    return digest.hex()


def digest_of(key: bytes) -> bytes:
    return sha256(b"anyres key " + key).digest()
