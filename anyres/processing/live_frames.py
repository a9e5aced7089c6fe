"""Frames of a running camera or screen, kept as whole frame pairs: new ones come, the oldest leave."""

import math
from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np

from anyres.chat import PixelLimit, VideoPart
from anyres.config import ImageProcessorConfig
from anyres.errors import MediaError, OptionError
from anyres.model_input import PairedClip, VisualInput
from anyres.processing.image import Size, check_whole, normalise_table, patchify, shrunk_note
from anyres.processing.media import DEFAULT_LIMITS, MediaLimits, open_image
from anyres.processing.video import FPS, check_video_options, clip_size, resize_frame

__all__ = ["LiveFrames"]


class LiveFrames:
    """At most `max_pairs` frame pairs; when one more comes, the `leave` oldest go (default: a quarter).

    The first frame decides the size of all, as if the clip had `max_pairs` pairs. Of frames with a time those that
    come sooner than 1/`fps` seconds after the last one taken are passed over.
    """

    def __init__(
        self,
        config: ImageProcessorConfig,
        *,
        max_pairs: int = 64,
        leave: int | None = None,
        fps: float = FPS,
        min_pixels: int | None = None,
        max_pixels: PixelLimit = None,
        total_pixels: int | None = None,
        resized_height: int | None = None,
        resized_width: int | None = None,
        name: str = "live",
        limits: MediaLimits = DEFAULT_LIMITS,
    ) -> None:
        self._part = VideoPart(
            None,
            fps=fps,
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            total_pixels=total_pixels,
            resized_height=resized_height,
            resized_width=resized_width,
        )
        check_video_options(self._part)
        check_whole("max_pairs", max_pairs, 1)
        check_whole("leave", leave, 1)
        if leave is not None and leave > max_pairs:
            raise OptionError("leave", f"{leave}, above max_pairs {max_pairs}", "at most max_pairs")
        self._config = config
        self._max_pairs = max_pairs
        self._leave = leave or max(1, max_pairs // 4)
        self._step_s = 1 / fps
        self._name = name
        self._limits = limits
        self._pairs: deque[VisualInput] = deque()
        self._waiting: list[np.ndarray[Any, Any]] = []  # frames of a pair that is not full
        self._waiting_s: list[float] = []
        self._original: Size | None = None
        self._size = Size(0, 0)
        self._last_s: float | None = None
        self._count = 0

    @property
    def clip(self) -> PairedClip:
        """What is kept. A frame without its second is repeated, as the last one of an odd clip is."""
        pairs = list(self._pairs)
        if self._waiting:
            pairs.append(self._pair(self._waiting, self._waiting_s))
        if not pairs or self._original is None:
            raise MediaError(self._name, "no frame yet", "at least one")
        first = pairs[0]
        return PairedClip(
            name=self._name,
            kind="video",
            grid_thw=(len(pairs), first.grid_thw[1], first.grid_thw[2]),
            original_size=self._original,
            resized_size=self._size,
            frame_times_s=tuple(time_s for pair in pairs for time_s in pair.frame_times_s),
            note=shrunk_note(self._name, self._original, self._size),
            pairs=(replace(first, note=shrunk_note(self._name, self._original, self._size)), *pairs[1:]),
        )

    def add(self, frame: Any, *, time_s: float | None = None) -> bool:
        """A picture as ImagePart takes them; whether it was taken. MediaError where it cannot be, or has another size.

        Without a time it comes 1/fps after the one before.
        """
        if time_s is not None and not math.isfinite(time_s):
            raise OptionError("time_s", repr(time_s), "seconds")
        now_s = (0.0 if self._last_s is None else self._last_s + self._step_s) if time_s is None else float(time_s)
        if self._last_s is not None and 0 <= now_s - self._last_s < self._step_s * (1 - 1e-9):
            return False
        pixels = self._resized(frame)
        self._last_s = now_s
        self._waiting.append(pixels)
        self._waiting_s.append(now_s)
        if len(self._waiting) == self._config.temporal_patch_size:
            self._pairs.append(self._pair(self._waiting, self._waiting_s))
            self._waiting, self._waiting_s = [], []
            self._let_go()
        return True

    def _let_go(self) -> None:
        if len(self._pairs) > self._max_pairs:
            for _ in range(self._leave):
                self._pairs.popleft()

    def _resized(self, frame: Any) -> np.ndarray[Any, Any]:
        name, picture = open_image(frame, limits=self._limits)
        original = Size(picture.height, picture.width)
        if self._original is None:
            count = self._max_pairs * self._config.temporal_patch_size
            self._size = clip_size(self._part, original, count=count, config=self._config, name=name)
            self._original = original
        if original != self._original:
            seen = f"a frame of {original.width}x{original.height} pixels"
            raise MediaError(self._name, seen, f"{self._original.width}x{self._original.height}, as the first one")
        return resize_frame(np.array(picture), self._size)

    def _pair(self, frames: list[np.ndarray[Any, Any]], times_s: list[float]) -> VisualInput:
        config, size = self._config, self._size
        assert self._original is not None
        return VisualInput(
            name=self._name,
            kind="video",
            grid_thw=(1, size.height // config.patch_size, size.width // config.patch_size),
            original_size=self._original,
            resized_size=size,
            pixels_PX=patchify(frames, count=len(frames), size=size, config=config),
            normalise_CV=normalise_table(config),
            frame_times_s=tuple(times_s),
        )
