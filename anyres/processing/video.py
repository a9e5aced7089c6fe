"""One clip into patches: which frames are taken, how large they become, and their resize."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from anyres.chat import VideoPart
from anyres.config import ImageProcessorConfig
from anyres.errors import MediaError, OptionError
from anyres.model_input import Grid, VisualInput
from anyres.processing.clip import Clip
from anyres.processing.image import (
    DEFAULT_MAX_PIXELS,
    Size,
    check_pixel_options,
    check_whole,
    max_pixels_of,
    normalise_table,
    pair_size,
    patchify,
    resize,
    shrunk_note,
    target_size,
)
from anyres.processing.media import DEFAULT_LIMITS, MediaLimits, OpenedImage, open_image, open_video

__all__ = [
    "Taken",
    "as_list",
    "check_video_options",
    "clip_size",
    "frame_indices",
    "frame_range",
    "grid_of",
    "note_of",
    "resize_frame",
    "smart_nframes",
    "take_frames",
    "take_list",
    "video_to_visual",
    "visual_of",
]

# All from qwen-vl-utils 0.0.8, vision_process.py.
FPS = 2.0
FRAME_FACTOR = 2
FPS_MIN_FRAMES = 4
FPS_MAX_FRAMES = 768
VIDEO_MIN_PIXELS = 128 * 28 * 28
VIDEO_MAX_PIXELS = 768 * 28 * 28
VIDEO_TOTAL_PIXELS = 24576 * 28 * 28
_MIN_PIXELS_SLACK = 1.05


def smart_nframes(
    total_frames: int,
    video_fps: float,
    *,
    fps: float | None = None,
    nframes: int | None = None,
    min_frames: int | None = None,
    max_frames: int | None = None,
) -> int:
    """How many frames of a clip are taken: an even number, by default two for each second.

    The rule of qwen-vl-utils 0.0.8, except that `max_frames` above the clip's length means the clip's length.

    >>> smart_nframes(300, 30.0), smart_nframes(45, 30.0), smart_nframes(36000, 30.0)
    (20, 4, 768)
    """
    if nframes is not None:
        count = _round_to_even(nframes)
    else:
        low = math.ceil((FPS_MIN_FRAMES if min_frames is None else min_frames) / FRAME_FACTOR) * FRAME_FACTOR
        high = min(FPS_MAX_FRAMES if max_frames is None else max_frames, total_frames) // FRAME_FACTOR * FRAME_FACTOR
        count = _round_to_even(min(max(total_frames / video_fps * (FPS if fps is None else fps), low), high))
    if not FRAME_FACTOR <= count <= total_frames:
        name = "max_frames" if nframes is None else "nframes"
        seen = f"{count} frames of a clip that has {total_frames}"
        raise OptionError(name, seen, f"{FRAME_FACTOR} to {total_frames}")
    return count


def _round_to_even(number: float) -> int:
    return round(number / FRAME_FACTOR) * FRAME_FACTOR


def frame_indices(first: int, last: int, count: int) -> list[int]:
    """Numbers of `count` frames spread evenly from `first` to `last`, both taken.

    In float32, as the reference: in long clips single numbers differ by one from exact arithmetic.

    >>> frame_indices(0, 299, 20)[:5]
    [0, 16, 31, 47, 63]
    """
    numbers: list[int] = torch.linspace(first, last, count).round().long().tolist()
    return numbers


def frame_range(total_frames: int, video_fps: float, *, start: float | None, end: float | None) -> tuple[int, int]:
    """First and last frame within `start`..`end` seconds (the rule of qwen-vl-utils 0.0.14).

    >>> frame_range(300, 30.0, start=1.01, end=2.0)
    (31, 60)
    """
    duration_s = total_frames / video_fps
    first = 0 if start is None else math.ceil(min(start, duration_s) * video_fps)
    last = total_frames - 1 if end is None else min(math.floor(min(end, duration_s) * video_fps), total_frames - 1)
    if first >= last:
        seen = f"{start or 0:g} to {duration_s if end is None else end:g} seconds hold less than 2 frames"
        raise OptionError("start, end", seen, f"a range within 0 to {duration_s:.4g} with at least 2 frames")
    return first, last


class _Limits(NamedTuple):
    low: int
    high: float


def _frame_limits(part: VideoPart, count: int, config: ImageProcessorConfig) -> _Limits:
    """Pixel limits of one frame of a decoded clip."""
    default_low = VIDEO_MIN_PIXELS if config.video_min_pixels is None else config.video_min_pixels
    default_high = VIDEO_MAX_PIXELS if config.video_max_pixels is None else config.video_max_pixels
    low = default_low if part.min_pixels is None else part.min_pixels
    if part.max_pixels == "checkpoint":
        return _Limits(low, config.max_pixels if config.video_max_pixels is None else config.video_max_pixels)
    if part.max_pixels is not None:
        return _Limits(low, part.max_pixels)
    total = VIDEO_TOTAL_PIXELS if part.total_pixels is None else part.total_pixels
    return _Limits(low, max(min(default_high, total / count * FRAME_FACTOR), int(low * _MIN_PIXELS_SLACK)))


def _outer_limits(config: ImageProcessorConfig) -> ImageProcessorConfig:
    """Limits nothing gets past: a picture's, widened where the checkpoint states smaller or larger frames."""
    low = config.min_pixels if config.video_min_pixels is None else min(config.min_pixels, config.video_min_pixels)
    high = config.max_pixels if config.video_max_pixels is None else max(config.max_pixels, config.video_max_pixels)
    return replace(config, min_pixels=low, max_pixels=high)


def clip_size(
    part: VideoPart, original: Size, *, count: int, config: ImageProcessorConfig, name: str = "video"
) -> Size:
    """The size each of `count` frames is resized to.

    >>> clip_size(VideoPart("a.mp4"), Size(1080, 1920), count=100, config=ImageProcessorConfig())
    Size(height=448, width=812)
    """
    if part.resized_height is not None and part.resized_width is not None:
        return pair_size(part.resized_height, part.resized_width, config)
    low, high = _frame_limits(part, count, config)
    return target_size(original, config=_outer_limits(config), min_pixels=low, max_pixels=high, name=name)


def resize_frame(frame_HWC: np.ndarray[Any, Any], size: Size) -> np.ndarray[Any, Any]:
    """The float32 antialiased bicubic filter that torchvision applies to clips, rounded to uint8; not Pillow's."""
    if frame_HWC.shape[:2] == size:
        return frame_HWC
    frame_1CHW = torch.from_numpy(frame_HWC).permute(2, 0, 1).contiguous().unsqueeze(0).to(torch.float32)
    resized = functional.interpolate(frame_1CHW, size=list(size), mode="bicubic", align_corners=False, antialias=True)
    rounded = resized.clamp_(min=0, max=255).round_().to(torch.uint8)
    return rounded[0].permute(1, 2, 0).contiguous().numpy()


def video_to_visual(
    part: VideoPart,
    *,
    config: ImageProcessorConfig,
    limits: MediaLimits = DEFAULT_LIMITS,
    default_max_pixels: int = DEFAULT_MAX_PIXELS,
) -> VisualInput:
    """Opens a clip or a list of pictures, takes frames, resizes and patches them.

    A clip's frames are resized as they are decoded. A list is taken whole, each picture sized like an image (the
    first decides the size of all); one clip frame is no clip, a list of one is repeated. MediaError for the clip,
    OptionError for its knobs.
    """
    check_video_options(part)
    if isinstance(part.video, VisualInput):
        return part.video
    frame_list = as_list(part.video)
    if frame_list is not None:
        taken = take_list(part, frame_list, config=config, limits=limits, default_max_pixels=default_max_pixels)
        return visual_of(part, taken, config)
    with open_video(part.video, limits=limits) as clip:
        return visual_of(part, take_frames(part, clip, config), config)


class Taken(NamedTuple):
    """The chosen frames, decoded and resized one by one as they are asked for."""

    name: str
    frames: Iterator[np.ndarray[Any, Any]]
    times_s: tuple[float, ...]
    original: Size
    size: Size


def take_frames(part: VideoPart, clip: Clip, config: ImageProcessorConfig) -> Taken:
    """What the knobs choose from a clip. Nothing is decoded yet."""
    if clip.total_frames < FRAME_FACTOR:
        raise MediaError(clip.name, f"{clip.total_frames} frame", "at least 2 frames; give a still as a picture")
    first, last = frame_range(clip.total_frames, clip.fps, start=part.start, end=part.end)
    count = smart_nframes(
        last - first + 1,
        clip.fps,
        fps=part.fps,
        nframes=part.nframes,
        min_frames=part.min_frames,
        max_frames=part.max_frames,
    )
    indices = frame_indices(first, last, count)
    original = Size(clip.height, clip.width)
    size = clip_size(part, original, count=count, config=config, name=clip.name)
    frames = (resize_frame(frame, size) for frame in clip.iter_frames(indices))
    return Taken(clip.name, frames, clip.times_s(indices), original, size)


def as_list(video: object) -> Sequence[object] | None:
    """The frames of a clip that is given as pictures; None for anything else."""
    if isinstance(video, np.ndarray):
        return list(video) if video.ndim == 4 else None
    return video if isinstance(video, (list, tuple)) else None


def take_list(
    part: VideoPart,
    sources: Sequence[object],
    *,
    config: ImageProcessorConfig,
    limits: MediaLimits,
    default_max_pixels: int,
    open_frame: Callable[[object], OpenedImage] | None = None,
) -> Taken:
    """All pictures of a list, each in the size that the first is given. They are opened as they are asked for, by
    `open_frame` where there is one."""
    _check_list(part, sources, limits)
    open_ = open_frame or partial(open_image, limits=limits)
    name, picture = open_(sources[0])
    original = Size(picture.height, picture.width)
    size = _list_size(part, original, len(sources), config=config, default_max_pixels=default_max_pixels, name=name)
    frames = (np.asarray(resize(open_(source).picture, size)) for source in sources)
    times_s = tuple(index / (part.fps or FPS) for index in range(len(sources)))
    return Taken(name, frames, times_s, original, size)


def _list_size(
    part: VideoPart, original: Size, count: int, *, config: ImageProcessorConfig, default_max_pixels: int, name: str
) -> Size:
    """The limits of pictures, further bounded by what the checkpoint states for frames and by `total_pixels`."""
    if part.resized_height is not None and part.resized_width is not None:
        return pair_size(part.resized_height, part.resized_width, config)
    default_low = config.min_pixels if config.video_min_pixels is None else config.video_min_pixels
    low = default_low if part.min_pixels is None else part.min_pixels
    high: float = max_pixels_of(part.max_pixels, low, config=config, default_max_pixels=default_max_pixels)
    if config.video_max_pixels is not None and not isinstance(part.max_pixels, int):
        high = max(min(high, config.video_max_pixels), low)
    if part.total_pixels is not None:
        high = min(high, part.total_pixels / count * FRAME_FACTOR)
    return target_size(original, config=_outer_limits(config), min_pixels=low, max_pixels=high, name=name)


def visual_of(part: VideoPart, taken: Taken, config: ImageProcessorConfig) -> VisualInput:
    """The patches of the chosen frames; now they are decoded."""
    size = taken.size
    return VisualInput(
        name=taken.name,
        kind="video",
        grid_thw=grid_of(taken, config),
        original_size=taken.original,
        resized_size=size,
        pixels_PX=patchify(taken.frames, count=len(taken.times_s), size=size, config=config),
        normalise_CV=normalise_table(config),
        frame_times_s=taken.times_s,
        note=note_of(part, taken),
    )


def grid_of(taken: Taken, config: ImageProcessorConfig) -> Grid:
    """(t, h, w) of the frames: pairs, and patches."""
    pairs = -(-len(taken.times_s) // config.temporal_patch_size)
    return (pairs, taken.size.height // config.patch_size, taken.size.width // config.patch_size)


def note_of(part: VideoPart, taken: Taken) -> str:
    """What was shrunk, unless a size was asked for."""
    return "" if part.resized_height is not None else shrunk_note(taken.name, taken.original, taken.size)


def _check_list(part: VideoPart, sources: Sequence[object], limits: MediaLimits) -> None:
    if len(sources) == 0:
        raise MediaError("video", "a list of 0 frames", f"1 to {limits.max_list_frames} frames")
    if len(sources) > limits.max_list_frames:
        raise MediaError("video", f"a list of {len(sources):,} frames", f"1 to {limits.max_list_frames} frames")
    for name in ("nframes", "min_frames", "max_frames", "start", "end"):
        if getattr(part, name) is not None:
            raise OptionError(name, "set for a list of frames", "only for a clip; a list is taken whole")


def check_video_options(part: VideoPart) -> None:
    """OptionError names the first knob that is out of range."""
    check_pixel_options(part)
    for name, low in (("nframes", 2), ("min_frames", 1), ("max_frames", 2), ("total_pixels", 1)):
        check_whole(name, getattr(part, name), low)
    _check_number("fps", part.fps, above_zero=True)
    _check_number("start", part.start, above_zero=False)
    _check_number("end", part.end, above_zero=True)
    if part.fps is not None and part.nframes is not None:
        raise OptionError("fps, nframes", "both set", "one of them")
    if part.min_frames is not None and part.max_frames is not None and part.min_frames > part.max_frames:
        raise OptionError("min_frames", f"{part.min_frames}, above max_frames {part.max_frames}", "at most max_frames")


def _check_number(name: str, value: object, *, above_zero: bool) -> None:
    if value is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < 0 or (above_zero and value == 0):  # type: ignore[operator]
        raise OptionError(name, repr(value), "a number above 0" if above_zero else "a number from 0")
