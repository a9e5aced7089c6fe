"""Visual tokens that requests are about to read: encoded in parts, taken from the vision cache, and let go."""

from collections.abc import Mapping, Sequence
from weakref import ref

import torch
from torch import Tensor

from anyres.engine.runner import Progress, Runner, VisualPart
from anyres.engine.scheduler import Item, Sight
from anyres.engine.vision_cache import VisionCache
from anyres.model_input import VisualInput
from anyres.processing.streaming import StreamedClip

__all__ = ["Visuals"]

MOST_DECODING = 2  # clips at a time: each takes memory for all of its frames


class Visuals:
    """By content key. Items that requests share are encoded once, and kept until `forget`."""

    def __init__(self, runner: Runner, vision_cache: VisionCache | None) -> None:
        self._runner = runner
        self._vision_cache = vision_cache
        self._parts: dict[bytes, list[Tensor]] = {}  # of items under way
        self._done: dict[bytes, int] = {}  # how many parts of an item are encoded
        self._whole: dict[bytes, Tensor] = {}
        self._decoding: list[ref[StreamedClip]] = []
        self.cached: set[bytes] = set()  # those from the vision cache

    def is_seen(self, key: bytes) -> bool:
        """Whether the vision cache has it; from now on it is here then."""
        found_MD = None if self._vision_cache is None else self._vision_cache.get(key)
        if found_MD is not None:
            self._whole[key] = found_MD
            self.cached.add(key)
        return found_MD is not None

    def parts_ready(self, item: Item, visual: VisualInput) -> int:
        """How many leading parts can be encoded without a wait. Asking starts the decoding of a clip."""
        if not isinstance(visual, StreamedClip):
            return item.parts
        clips = [clip for clip in (ref() for ref in self._decoding) if clip is not None and not clip.done]
        if not any(clip is visual for clip in clips):
            if len(clips) >= MOST_DECODING:
                return 0
            clips.append(visual)
        self._decoding = [ref(clip) for clip in clips]
        return visual.ready_rows() // item.patches

    def parts(self, key: bytes) -> int:
        """How many parts of an item were encoded here."""
        return self._done.get(key, 0)

    def tokens(self, item: Item, visual: VisualInput, start: int, stop: int) -> Tensor:
        """visual_MD of the item's tokens at places `start` to `stop` of its prompt."""
        visual_MD = self._whole[item.key] if visual.visual_MD is None else visual.visual_MD
        return visual_MD[start - item.start : stop - item.start]

    def is_whole(self, key: bytes) -> bool:
        """Whether all visual tokens of an item are here."""
        return key in self._whole

    def between(
        self, items: Sequence[Item], visuals: Mapping[bytes, VisualInput], start: int, stop: int
    ) -> tuple[tuple[int, Tensor], ...]:
        """What stands at places `start` to `stop` of a prompt: (place behind `start`, visual_MD)."""
        spans = [(item, max(item.start, start), min(item.stop, stop)) for item in items]
        return tuple(
            (first - start, self.tokens(item, visuals[item.key], first, last))
            for item, first, last in spans
            if first < last
        )

    def progress(self, items: Sequence[Item], *, read: int) -> Progress:
        """With these items of a prompt, of which the decoder has read that many tokens; known ones are left out."""
        wanted = {item.key: item for item in items if item.parts and item.key not in self.cached}
        sizes = {key: item.stop - item.start for key, item in wanted.items()}
        parts = {key: item.parts if item.stop <= read else self.parts(key) for key, item in wanted.items()}
        done = sum(sizes[key] * parts[key] // item.parts for key, item in wanted.items())
        whole = sum(parts[key] == item.parts for key, item in wanted.items())
        return Progress("encode", min(whole + 1, len(wanted)), len(wanted), done, sum(sizes.values()))

    def encode(self, sights: Sequence[Sight], visuals: Mapping[bytes, VisualInput]) -> dict[bytes, Exception]:
        """All in one pass, or one by one where that fails. Returns what went wrong, by key."""
        if not sights:
            return {}
        parts = [VisualPart(visuals[sight.item.key], sight.start, sight.stop) for sight in sights]
        try:
            made = self._runner.encode_parts(parts)
        except Exception as error:  # noqa: BLE001  whatever it is, only requests with this item may feel it
            if len(sights) == 1:
                return {sights[0].item.key: error}
            failed: dict[bytes, Exception] = {}
            for sight in sights:
                failed |= self.encode([sight], visuals)
            return failed
        for sight, visual_MD in zip(sights, made, strict=True):
            self._keep(sight, visual_MD)
        return {}

    def forget(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            self._parts.pop(key, None)
            self._done.pop(key, None)
            self._whole.pop(key, None)
            self.cached.discard(key)

    def _keep(self, sight: Sight, visual_MD: Tensor) -> None:
        item = sight.item
        parts = self._parts.setdefault(item.key, [])
        parts.append(visual_MD)
        self._done[item.key] = sight.stop
        if sight.stop < item.parts:
            return
        self._whole[item.key] = whole_MD = torch.cat(self._parts.pop(item.key))
        if self._vision_cache is not None:
            self._vision_cache.put(item.key, whole_MD)
