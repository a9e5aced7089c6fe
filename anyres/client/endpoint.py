"""Where an OpenAI-compatible API is, and how patiently it is asked."""

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from anyres.errors import OptionError

__all__ = ["Endpoint", "endpoint_from"]

OPENAI = "https://api.openai.com/v1"
HIDDEN = "[API key]"
_URL = "an address such as http://127.0.0.1:8000/v1"
_RESERVED = ("authorization", "content-length", "content-type", "host", "transfer-encoding")


@dataclass(frozen=True)
class Endpoint:
    """An API's address and key, and how long it is waited for.

    `base_url` ends before `/chat/completions`; where it names no path, `/v1` is meant. `read_timeout_s` bounds the
    silence between two pieces of an answer, and the whole wait for one that is not streamed. `retries` come on top of
    the first try. `headers` go with every request. The key is shown nowhere.

    >>> Endpoint("http://127.0.0.1:8000", "secret").url("chat/completions")
    'http://127.0.0.1:8000/v1/chat/completions'
    >>> Endpoint("http://127.0.0.1:8000", "secret")
    Endpoint(base_url='http://127.0.0.1:8000', connect_timeout_s=10.0, read_timeout_s=600.0, retries=2)
    """

    base_url: str
    api_key: str | None = field(default=None, repr=False)
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 600.0
    retries: int = 2
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        _parts(self.base_url)
        _check_key(self.api_key)
        for name in ("connect_timeout_s", "read_timeout_s"):
            value = getattr(self, name)
            if not _is_number(value) or value <= 0:
                raise OptionError(name, repr(value), "seconds, above 0")
        if not isinstance(self.retries, int) or isinstance(self.retries, bool) or not 0 <= self.retries <= 100:
            raise OptionError("retries", repr(self.retries), "a whole number from 0 to 100")
        for name, value in self.headers.items():
            _check_header(name, value)

    @property
    def host(self) -> str:
        """In lower case, without the port."""
        return _parts(self.base_url).hostname or ""

    @property
    def is_local(self) -> bool:
        """Whether it is this machine, which no proxy stands before."""
        return self.host == "localhost" or self.host.endswith(".localhost") or _is_loopback(self.host)

    def url(self, path: str) -> str:
        """The address of one of the API's functions."""
        return f"{_root(self.base_url)}/{path}"

    def redact(self, text: str) -> str:
        """Text of the server without the key in it."""
        return text.replace(self.api_key, HIDDEN) if self.api_key else text


def endpoint_from(base_url: str | None, api_key: str | None, environ: Mapping[str, str]) -> Endpoint | None:
    """What is given, else what the environment says; None where neither names an address.

    ANYRES_BASE_URL is the address. A key goes only where it belongs: ANYRES_API_KEY to ANYRES_BASE_URL's host (to any
    address that is given, where that is not set), OPENAI_API_KEY to OPENAI_BASE_URL's host or OpenAI's,
    DASHSCOPE_API_KEY to DashScope.

    >>> endpoint_from(None, None, {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://a/v1"}) is None
    True
    >>> endpoint_from("http://b/v1", None, {"OPENAI_API_KEY": "sk-1"}).api_key is None
    True
    """
    url = base_url or environ.get("ANYRES_BASE_URL") or None
    if url is None:
        return None
    return Endpoint(url, api_key or _key_for(Endpoint(url), environ))


def _key_for(endpoint: Endpoint, environ: Mapping[str, str]) -> str | None:
    ours, openai = environ.get("ANYRES_BASE_URL") or endpoint.base_url, environ.get("OPENAI_BASE_URL") or OPENAI
    holders = (
        ("ANYRES_API_KEY", _same_host(endpoint, ours)),
        ("OPENAI_API_KEY", _same_host(endpoint, openai)),
        ("DASHSCOPE_API_KEY", endpoint.host.startswith("dashscope") and endpoint.host.endswith(".aliyuncs.com")),
    )
    return next((environ[name] for name, belongs in holders if belongs and environ.get(name)), None)


def _same_host(endpoint: Endpoint, url: str) -> bool:
    one, other = _parts(endpoint.base_url), _parts(url)
    return (one.scheme, one.hostname, one.port) == (other.scheme, other.hostname, other.port)


def _root(base_url: str) -> str:
    parts = _parts(base_url)
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def _parts(base_url: str) -> SplitResult:
    """Nothing of an address that may hold a password is repeated."""
    try:
        parts = urlsplit(base_url)
        _ = parts.port
    except (ValueError, AttributeError, TypeError):
        raise OptionError("base_url", "not an address", _URL) from None
    if not isinstance(base_url, str) or any(char <= " " or char == "\x7f" for char in base_url):
        raise OptionError("base_url", "not an address", _URL)
    if parts.username is not None or parts.password is not None:
        raise OptionError("base_url", "a user name or password in the address", f"{_URL}, and an API key beside it")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OptionError("base_url", repr(base_url)[:200], _URL)
    if parts.query or parts.fragment:
        raise OptionError("base_url", "an address with ? or #", _URL)
    return parts


def _check_key(key: object) -> None:
    if key is None:
        return
    if not isinstance(key, str) or not key or not all("!" <= char <= "~" for char in key):
        raise OptionError("api_key", "empty, or with characters no key has (not shown)", "ASCII without blanks")


def _check_header(name: str, value: str) -> None:
    if not name.isascii() or not name.replace("-", "").isalnum() or name.lower() in _RESERVED:
        raise OptionError("headers", repr(name)[:80], f"names of letters, digits and -, none of {', '.join(_RESERVED)}")
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise OptionError(f"headers: {name}", "a value with characters no header has", "printable ASCII")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
