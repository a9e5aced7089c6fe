"""What all routes of one server share."""

import asyncio
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from anyres.chat import Answer, Piece
from anyres.server.errors import ApiError
from anyres.server.gate import Gate
from anyres.server.metrics import Metrics
from anyres.server.settings import ServerSettings

if TYPE_CHECKING:
    from anyres.engine.engine import LocalChatModel
    from anyres.server.media import MediaDoor
    from anyres.server.uploads import Uploads

__all__ = ["Inbox", "Service"]

Inbox = asyncio.Queue[tuple[int, Piece | Answer | Exception]]
"""What the choices of one request say, with their numbers."""


@dataclass(eq=False)
class Service:
    """The model (None while it is loaded), the gate before it, and whether the server is going down."""

    settings: ServerSettings
    gate: Gate
    version: str = "0"
    loaded: "LocalChatModel | None" = None
    media: "MediaDoor | None" = None
    uploads: "Uploads | None" = None
    draining: bool = False
    created: int = 0
    body_bytes: int = 0  # of all requests that are here
    inboxes: set[Inbox] = field(default_factory=set)
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self._gauges)

    @property
    def model(self) -> "LocalChatModel":
        """Raises ApiError 503 while it is loaded."""
        if self.loaded is None:
            raise ApiError(503, "the model is being loaded", code="loading", headers={"retry-after": "1"})
        return self.loaded

    @property
    def door(self) -> "MediaDoor":
        """Comes with the model."""
        assert self.media is not None, "asked before the model"
        return self.media

    @property
    def merge(self) -> int:
        """Patches that become one visual token, along one side."""
        return self.model.config.vision.spatial_merge_size

    @property
    def fingerprint(self) -> str:
        """Changes with whatever may change answers."""
        return f"anyres-{self.version}-{self.model.name}-{str(self.model.dtype).removeprefix('torch.')}"

    @property
    def names(self) -> tuple[str, ...]:
        """What the model is called in requests; the first is its own name."""
        return (self.model.name, *self.settings.names)

    @property
    def parameters(self) -> int:
        """Numbers that the model is made of, however they are kept."""
        return sum(one.numel() for one in self.model.model.parameters())

    @property
    def weight_bytes(self) -> int:
        tensors = (*self.model.model.parameters(), *self.model.model.buffers())
        return sum(one.nbytes for one in tensors)

    def require_model(self) -> None:
        """Raises ApiError 503 while the model is loaded."""
        assert self.model is not None

    def name_of(self, asked: str | None) -> str:
        """The name an answer bears. Raises ApiError 404 for a model that is not here."""
        if asked is None or asked == "":
            return self.names[0]
        if asked not in self.names:
            allowed = f"{', '.join(self.names)} (anyres serve --model NAME serves another)"
            raise ApiError(404, f"model: {asked[:80]!r}; allowed: {allowed}", code="model_not_found", param="model")
        return asked

    def salt(self, owner: str, cache_salt: str | None) -> bytes:
        """Keeps cached prompts of one key and one `cache_salt` from all others."""
        if not owner and not cache_salt:
            return b""
        return sha256(f"{owner}\0{cache_salt or ''}".encode("utf-8", "surrogatepass")).digest()

    def end_all(self, error: Exception) -> None:
        """Ends every answer under way or waiting with it."""
        self.gate.end_all(error)
        for inbox in self.inboxes:
            inbox.put_nowait((0, error))

    def _gauges(self) -> dict[str, float]:
        now = {"num_requests_waiting": float(self.gate.waiting)}
        if self.loaded is not None:
            stats, cache = self.loaded.stats, self.loaded.vision_cache.stats
            now |= {
                "num_requests_running": stats.running,
                "num_requests_waiting": self.gate.waiting + stats.waiting,
                "kv_cache_bytes": stats.held_bytes,
                "kv_cache_cap_bytes": self.loaded.kv_cap_bytes,
                "kv_cache_usage_perc": stats.held_bytes / max(1, self.loaded.kv_cap_bytes),
                "num_preemptions": stats.preempted,
                "vision_cache_bytes": cache.bytes,
                "vision_cache_cap_bytes": self.loaded.vision_cache.max_bytes,
            }
        if self.media is not None:
            now |= {
                "media_cache_bytes": self.media.kept_bytes,
                "media_cache_cap_bytes": self.media.limits.prepared_bytes,
            }
        return now
