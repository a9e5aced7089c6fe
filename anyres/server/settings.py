"""What a server is told when it starts: every limit with its default."""

import re
from dataclasses import dataclass, field

from anyres.errors import OptionError

__all__ = ["ServerSettings"]

MIB = 1 << 20
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True)
class ServerSettings:
    """Limits of the HTTP side; those of pictures and clips are `MediaLimits`. Raises OptionError.

    `hosts` are names a request may be addressed to beside loopback names and private addresses. `running` requests are
    at work together, up to `queue` wait for a place and no longer than `queue_s`; a request takes `total_s` at most.
    `held_bytes` is what the bodies of all requests at once may have.
    What a client goes on to send after a refusal is passed over for `linger_s`.
    `names` are further model names that are answered to; `page_endpoints` are further servers that the page may ask.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    running: int = 32
    queue: int = 64
    queue_s: float = 60.0
    total_s: float = 600.0
    shutdown_s: float = 30.0
    body_bytes: int = 64 * MIB
    upload_bytes: int = 257 * MIB
    held_bytes: int = 1024 * MIB
    header_bytes: int = 64 << 10
    url_bytes: int = 8 << 10
    read_s: float = 60.0
    write_s: float = 60.0
    linger_s: float = 2.0
    ping_s: float = 15.0
    page: bool = True
    page_endpoints: tuple[str, ...] = ()
    public: frozenset[str] = field(default=frozenset({"/health", "/ready"}))

    def __post_init__(self) -> None:
        for name in ("running", "queue", "body_bytes", "held_bytes", "header_bytes", "url_bytes"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise OptionError(name, repr(value), "a whole number from 1")
        for name in ("queue_s", "total_s", "shutdown_s", "read_s", "write_s", "linger_s", "ping_s"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not value > 0:
                raise OptionError(name, repr(value), "seconds above 0")
        if any(not key for key in self.api_keys):
            raise OptionError("api_keys", "an empty key", "keys of at least one character")
        for address in self.page_endpoints:
            if not _ORIGIN.fullmatch(address):
                raise OptionError("page_endpoints", repr(address), "addresses such as https://b.example:8000")
