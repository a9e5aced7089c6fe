"""Visual tokens that were computed before, by what the vision encoder was given: in memory, and on disk if wanted."""

import hashlib
from collections import OrderedDict
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from anyres.disk_cache import DiskCache
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import VisualInput
from anyres.tensor_bytes import pack, unpack

__all__ = ["VisionCache", "VisionCacheStats", "cache_on", "content_key", "weights_id"]

MEMORY_BYTES = 256 * 2**20
KIND, FORMAT = "vision", 1  # FORMAT changes when what is kept, or what makes it, does
SUMMED_BYTES = 32 * 1024


class VisionCacheStats(NamedTuple):
    """What a cache was asked since it was made, and what it holds in memory now. `hits` counts those from disk too."""

    hits: int = 0
    disk_hits: int = 0
    misses: int = 0
    entries: int = 0
    bytes: int = 0


class VisionCache:
    """visual_MD by `content_key`, for the vision encoder of `weights_id` in one dtype. Several threads may use it.

    `max_bytes` bounds what is kept in memory, least recently used out first; 0 keeps nothing there. What is put goes
    to `disk` too, a little later.
    """

    def __init__(
        self,
        max_bytes: int = MEMORY_BYTES,
        *,
        disk: DiskCache | None = None,
        weights_id: str = "",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        assert disk is None or weights_id, "what other processes read is named by the weights that made it"
        self.disk = disk
        self._made_by = f"{FORMAT} {weights_id} {dtype} ".encode()
        self._dtype = dtype
        self.max_bytes = max_bytes
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()
        self._stats = VisionCacheStats()
        self._lock = Lock()

    @property
    def stats(self) -> VisionCacheStats:
        with self._lock:
            return self._stats

    def get(self, key: bytes) -> Tensor | None:
        """The visual tokens, on the CPU, not to be changed; None where they have to be computed."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                self._count(hits=1)
                return found
        read_MD = self._read(key)
        with self._lock:
            if read_MD is None:
                self._count(misses=1)
                return None
            self._count(hits=1, disk_hits=1)
            self._keep(key, read_MD)
            return read_MD

    def put(self, key: bytes, visual_MD: Tensor) -> None:
        """Keeps a copy: what it is given may be a view of a larger tensor, which would stay alive."""
        copy_MD = visual_MD.detach().to("cpu", copy=True).contiguous()
        with self._lock:
            self._keep(key, copy_MD)
        if self.disk is not None:
            assert copy_MD.dtype == self._dtype, "entries on disk are named by their dtype"
            self.disk.put_later(KIND, self._made_by + key, pack({}, {"visual_MD": copy_MD}))

    def clear(self) -> None:
        """Forgets what is in memory."""
        with self._lock:
            self._kept.clear()
            self._count(entries=-self._stats.entries, bytes=-self._stats.bytes)

    def _read(self, key: bytes) -> Tensor | None:
        data = None if self.disk is None else self.disk.get(KIND, self._made_by + key)
        return None if data is None else unpack(data).tensors["visual_MD"]

    def _keep(self, key: bytes, visual_MD: Tensor) -> None:
        self._forget(self._kept.pop(key, None))
        if visual_MD.nbytes > self.max_bytes:
            return
        self._kept[key] = visual_MD
        self._count(entries=1, bytes=visual_MD.nbytes)
        while self._stats.bytes > self.max_bytes:
            self._forget(self._kept.popitem(last=False)[1])

    def _forget(self, visual_MD: Tensor | None) -> None:
        if visual_MD is not None:
            self._count(entries=-1, bytes=-visual_MD.nbytes)

    def _count(self, **more: int) -> None:
        self._stats = self._stats._replace(**{name: getattr(self._stats, name) + count for name, count in more.items()})


def content_key(visual: VisualInput) -> bytes:
    """`visual.content_key`, 32 bytes, computed once for each VisualInput."""
    return visual.content_key


def cache_on(disk: DiskCache, model: Qwen2VL, *, max_bytes: int = MEMORY_BYTES) -> VisionCache:
    """That of a model's vision encoder, in memory and on disk."""
    return VisionCache(
        max_bytes, disk=disk, weights_id=weights_id(model.visual, model.config.vision), dtype=model.dtype
    )


def weights_id(module: nn.Module, sizes: object) -> str:
    """Tells the weights of a module from others: 32 hexadecimal digits, in 40 ms a gigabyte. `sizes` is its config.

    A hash over every tensor's name, dtype and shape and over the sums of each 32 KiB of its bits, none of which stays
    as it is when one value changes.
    """
    digest = hashlib.sha256(repr(sizes).encode())
    for name, weight in module.state_dict().items():
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(_sums(weight).data)
    return digest.hexdigest()[:32]


def _sums(weight: Tensor) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Whole numbers of 64 bits, added up modulo 2**64."""
    flat = weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    end = len(flat) // SUMMED_BYTES * SUMMED_BYTES
    rows = flat[:end].view(np.uint64).reshape(-1, SUMMED_BYTES // 8)
    rest = np.pad(flat[end:], (0, -len(flat[end:]) % 8)).view(np.uint64)
    return np.append(rows.sum(axis=1, dtype=np.uint64), rest.sum(dtype=np.uint64))
