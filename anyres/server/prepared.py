"""Pictures and clips of earlier requests, decoded and cut into patches: a conversation sends them again every turn."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from anyres.model_input import VisualInput

__all__ = ["Prepared", "prepared_key"]


class Prepared:
    """The last used ones, of `max_bytes` together. Owners share nothing: the key holds whose they are, so nobody can
    tell from the time of an answer what others have sent."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[bytes, tuple[VisualInput, ...]] = OrderedDict()
        self.bytes = 0

    def get(self, key: bytes) -> tuple[VisualInput, ...] | None:
        """Those of a key; they are the last to go now."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: bytes, visuals: Sequence[VisualInput]) -> None:
        """Keeps them, unless they alone are too many bytes; the oldest make room."""
        size = _bytes(visuals)
        if size > self._max_bytes or key in self._kept:
            return
        self._kept[key] = tuple(visuals)
        self.bytes += size
        while self.bytes > self._max_bytes:
            _, gone = self._kept.popitem(last=False)
            self.bytes -= _bytes(gone)


def prepared_key(owner: str, knobs: str, data: Sequence[bytes]) -> bytes:
    """SHA-256 over whose, what is done, and the files; each with its length before it.

    >>> prepared_key("a", "b", [b"c"]) == prepared_key("ab", "", [b"c"])
    False
    """
    digest = hashlib.sha256(b"anyres prepared 1")
    for field in (owner.encode("utf-8", "surrogatepass"), knobs.encode(), *data):
        digest.update(len(field).to_bytes(8, "big"))
        digest.update(field)
    return digest.digest()


def _bytes(visuals: Sequence[VisualInput]) -> int:
    return sum(visual.pixels_PX.nbytes for visual in visuals if visual.pixels_PX is not None)
