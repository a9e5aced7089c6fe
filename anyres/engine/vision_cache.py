"""Visual tokens that were computed before, by what the vision encoder was given; the least recently used go first."""

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from torch import Tensor

from anyres.model_input import VisualInput

__all__ = ["VisionCache", "VisionCacheStats", "content_key"]

MEMORY_BYTES = 256 * 2**20


class VisionCacheStats(NamedTuple):
    """What a cache was asked since it was made, and what it holds now."""

    hits: int = 0
    misses: int = 0
    entries: int = 0
    bytes: int = 0


class VisionCache:
    """visual_MD by `content_key`, for the weights of one vision encoder in one dtype. Several threads may use it.

    `max_bytes` bounds what is kept in memory; 0 keeps nothing. What is larger than that is not kept.
    """

    def __init__(self, max_bytes: int = MEMORY_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._lock = Lock()

    @property
    def stats(self) -> VisionCacheStats:
        with self._lock:
            return VisionCacheStats(self._hits, self._misses, len(self._kept), self._bytes)

    def get(self, key: bytes) -> Tensor | None:
        """The visual tokens, on the CPU, not to be changed; None where they have to be computed."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                self._misses += 1
                return None
            self._hits += 1
            self._kept.move_to_end(key)
            return found

    def put(self, key: bytes, visual_MD: Tensor) -> None:
        """Keeps a copy: what it is given may be a view of a larger tensor, which would stay alive."""
        copy_MD = visual_MD.detach().to("cpu", copy=True).contiguous()
        with self._lock:
            self._keep(key, copy_MD)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _keep(self, key: bytes, visual_MD: Tensor) -> None:
        old_MD = self._kept.pop(key, None)
        self._bytes -= 0 if old_MD is None else old_MD.nbytes
        if visual_MD.nbytes > self._max_bytes:
            return
        self._kept[key] = visual_MD
        self._bytes += visual_MD.nbytes
        while self._bytes > self._max_bytes:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes


def content_key(visual: VisualInput) -> bytes:
    """`visual.content_key`, 32 bytes, computed once for each VisualInput."""
    return visual.content_key
