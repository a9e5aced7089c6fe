"""What all routes of one server share."""

import asyncio
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from anyres.chat import Answer, Piece
from anyres.server.errors import ApiError
from anyres.server.gate import Gate
from anyres.server.settings import ServerSettings

if TYPE_CHECKING:
    from anyres.engine.engine import LocalChatModel
    from anyres.server.media import MediaDoor

__all__ = ["Service"]


@dataclass(eq=False)
class Service:
    """The model (None while it is loaded), the gate before it, and whether the server is going down."""

    settings: ServerSettings
    gate: Gate
    loaded: "LocalChatModel | None" = None
    media: "MediaDoor | None" = None
    draining: bool = False
    created: int = 0
    inboxes: "set[asyncio.Queue[tuple[int, Piece | Answer | Exception]]]" = field(default_factory=set)
    version: str = "0"

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
    def fingerprint(self) -> str:
        """Changes with whatever may change answers."""
        return f"anyres-{self.version}-{self.model.name}-{str(self.model.dtype).removeprefix('torch.')}"

    @property
    def names(self) -> tuple[str, ...]:
        """What the model is called in requests; the first is its own name."""
        return (self.model.name, *self.settings.names)

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
        return sha256(f"{owner}\0{cache_salt or ''}".encode()).digest()

    def end_all(self, error: Exception) -> None:
        """Ends every answer under way with it."""
        for inbox in self.inboxes:
            inbox.put_nowait((0, error))
