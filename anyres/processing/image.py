"""One picture into patches: the size it is given, the resize, the table of normalisation and the order of patches."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from anyres.chat import ImagePart, PixelLimit
from anyres.config import ImageProcessorConfig
from anyres.errors import MediaError, OptionError
from anyres.model_input import VisualInput
from anyres.processing.media import DEFAULT_LIMITS, MediaLimits, open_image

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "Size",
    "check_pixel_options",
    "image_to_visual",
    "normalise_table",
    "patchify",
    "resize",
    "shrunk_note",
    "smart_resize",
    "target_size",
]

MAX_RATIO = 200  # longer side to shorter side; qwen-vl-utils 0.0.8 and transformers refuse more
DEFAULT_MAX_PIXELS = 1280 * 28 * 28  # 1,280 visual tokens, the budget DashScope gives a picture
_NOTED_SHRINK = 0.9  # of the pixels: rounding a side to 28 is not worth a word


class Size(NamedTuple):
    """In pixels, in the order arrays have."""

    height: int
    width: int


def smart_resize(
    height: int,
    width: int,
    *,
    factor: int = 28,
    min_pixels: int = ImageProcessorConfig.min_pixels,
    max_pixels: float = ImageProcessorConfig.max_pixels,
    name: str = "image",
) -> Size:
    """The size a picture is resized to: sides are multiples of `factor`, pixels within the limits where that can be.

    The rule of qwen-vl-utils 0.0.8, except that no side becomes 0. Ties round to even. MediaError for a ratio of
    sides above 200.

    >>> smart_resize(1080, 1920), smart_resize(70, 70), smart_resize(4032, 3024, max_pixels=1003520)
    (Size(height=1092, width=1932), Size(height=56, width=56), Size(height=1148, width=840))
    """
    if min(height, width) < 1:
        raise MediaError(name, f"{width}x{height} pixels", "at least 1x1")
    ratio = max(height, width) / min(height, width)
    if ratio > MAX_RATIO:
        raise MediaError(name, f"{width}x{height} pixels, aspect ratio {ratio:.4g}", f"at most {MAX_RATIO}")
    return _fit(height, width, factor=factor, min_pixels=min_pixels, max_pixels=max_pixels)


def _fit(height: int, width: int, *, factor: int, min_pixels: int, max_pixels: float) -> Size:
    rounded = Size(max(factor, round(height / factor) * factor), max(factor, round(width / factor) * factor))
    if rounded.height * rounded.width > max_pixels:
        shrink = math.sqrt((height * width) / max_pixels)
        sides = (math.floor(side / shrink / factor) * factor for side in (height, width))
        return Size(*(max(factor, side) for side in sides))
    if rounded.height * rounded.width < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        return Size(*(math.ceil(side * grow / factor) * factor for side in (height, width)))
    return rounded


def target_size(
    original: Size, *, config: ImageProcessorConfig, min_pixels: int, max_pixels: float, name: str = "image"
) -> Size:
    """`smart_resize` with an item's own limits; where the result leaves the checkpoint's limits those apply after it,
    as transformers' processor does to what qwen-vl-utils gives it."""
    size = smart_resize(*original, factor=config.factor, min_pixels=min_pixels, max_pixels=max_pixels, name=name)
    own_limits = (min_pixels, max_pixels) == (config.min_pixels, config.max_pixels)
    if own_limits or config.min_pixels <= size.height * size.width <= config.max_pixels:
        return size
    return _fit(*size, factor=config.factor, min_pixels=config.min_pixels, max_pixels=config.max_pixels)


def resize(picture: Image.Image, size: Size) -> Image.Image:
    """Pillow's bicubic filter (a = -0.5, antialiased, 8 bits between its two passes), the reference's filter."""
    if picture.size == (size.width, size.height):
        return picture
    return picture.resize((size.width, size.height), Image.Resampling.BICUBIC)


def normalise_table(config: ImageProcessorConfig) -> Tensor:
    """float32 [3, 256]: what each 8-bit value becomes, bit for bit as transformers' slow processor computes it.

    uint8 -> float64 / 255 -> float32, then (x - mean) / std in float32.
    """
    values = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)
    mean = np.array(config.image_mean, dtype=np.float32)[:, None]
    std = np.array(config.image_std, dtype=np.float32)[:, None]
    return torch.from_numpy((values[None] - mean) / std)


def patchify(
    frames: Iterable[np.ndarray[Any, Any]],
    *,
    count: int,
    size: Size,
    config: ImageProcessorConfig,
    pixels_PX: Tensor | None = None,
) -> Tensor:
    """uint8 [P, X] patches of `count` frames uint8 [H, W, 3]; the last frame is repeated to fill the last pair.

    Rows run over frame pair, block row, block column, row and column in the block; columns over channel, frame of
    the pair, row, column. A 56x84 picture gives [24, 1176]. They are written into `pixels_PX` where one is given:
    when a frame is asked for, those before it are in their places.
    """
    depth, merge, patch = config.temporal_patch_size, config.merge_size, config.patch_size
    pairs, rows, columns = -(-count // depth), size.height // config.factor, size.width // config.factor
    shape = (pairs, rows, columns, merge, merge, len(config.image_mean), depth, patch, patch)
    out = np.empty(shape, dtype=np.uint8) if pixels_PX is None else pixels_PX.numpy().reshape(shape)
    done = 0
    for done, frame in enumerate(frames, start=1):
        assert frame.dtype == np.uint8, "8-bit frames, as they are shown"
        blocks = frame.reshape(rows, merge, patch, columns, merge, patch, -1)
        out[(done - 1) // depth, ..., (done - 1) % depth, :, :] = blocks.transpose(0, 3, 1, 4, 6, 2, 5)
    assert done == count, "one frame for each that was announced"
    for slot in range((count - 1) % depth + 1, depth):
        out[-1, ..., slot, :, :] = out[-1, ..., (count - 1) % depth, :, :]
    return torch.from_numpy(out.reshape(pairs * rows * columns * merge**2, -1))


def image_to_visual(
    part: ImagePart,
    *,
    config: ImageProcessorConfig,
    limits: MediaLimits = DEFAULT_LIMITS,
    default_max_pixels: int = DEFAULT_MAX_PIXELS,
) -> VisualInput:
    """Opens, sizes, resizes and patches one picture; one already encoded passes through.

    MediaError for the picture, OptionError for its knobs.
    """
    check_pixel_options(part)
    if isinstance(part.image, VisualInput):
        return _already_encoded(part)
    name, picture = open_image(part.image, limits=limits)
    original = Size(picture.height, picture.width)
    size = _image_size(part, original, config=config, default_max_pixels=default_max_pixels, name=name)
    pixels_PX = patchify([np.asarray(resize(picture, size))], count=1, size=size, config=config)
    return VisualInput(
        name=name,
        kind="image",
        grid_thw=(1, size.height // config.patch_size, size.width // config.patch_size),
        original_size=original,
        resized_size=size,
        pixels_PX=pixels_PX,
        normalise_CV=normalise_table(config),
        note="" if part.resized_height is not None else shrunk_note(name, original, size),
    )


def _already_encoded(part: ImagePart) -> VisualInput:
    knobs = (part.min_pixels, part.max_pixels, part.resized_height, part.resized_width)
    if any(knob is not None for knob in knobs):
        raise OptionError("min_pixels, max_pixels, resized_*", "set for a picture already encoded", "none of them")
    assert isinstance(part.image, VisualInput)
    return part.image


def _image_size(
    part: ImagePart, original: Size, *, config: ImageProcessorConfig, default_max_pixels: int, name: str
) -> Size:
    if part.resized_height is not None and part.resized_width is not None:
        return pair_size(part.resized_height, part.resized_width, config)
    low = config.min_pixels if part.min_pixels is None else part.min_pixels
    high = max_pixels_of(part.max_pixels, low, config=config, default_max_pixels=default_max_pixels)
    return target_size(original, config=config, min_pixels=low, max_pixels=high, name=name)


def pair_size(height: int, width: int, config: ImageProcessorConfig) -> Size:
    """A size asked for by `resized_height` and `resized_width`, through the rule with the checkpoint's limits."""
    return _fit(height, width, factor=config.factor, min_pixels=config.min_pixels, max_pixels=config.max_pixels)


def max_pixels_of(asked: PixelLimit, low: int, *, config: ImageProcessorConfig, default_max_pixels: int) -> int:
    """A picture's upper limit; the default gives way to a larger `min_pixels`."""
    if asked == "checkpoint":
        return config.max_pixels
    if asked is not None:
        return asked
    return min(config.max_pixels, max(default_max_pixels, low))


def check_pixel_options(part: Any) -> None:
    """The knobs that pictures and clips share; OptionError names the first that is out of range."""
    for name in ("min_pixels", "max_pixels", "resized_height", "resized_width"):
        value = getattr(part, name)
        if name == "max_pixels" and value == "checkpoint":
            continue
        check_whole(name, value, 1, words=' or "checkpoint"' if name == "max_pixels" else "")
    low, high, pair = part.min_pixels, part.max_pixels, (part.resized_height, part.resized_width)
    if isinstance(low, int) and isinstance(high, int) and low > high:
        raise OptionError("min_pixels", f"{low}, above max_pixels = {high}", "at most max_pixels")
    if (pair[0] is None) != (pair[1] is None):
        raise OptionError("resized_height, resized_width", "only one of them", "both or none")
    if pair[0] is not None and max(pair) > MAX_RATIO * min(pair):
        raise OptionError(
            "resized_height, resized_width", f"{pair[0]} and {pair[1]}", f"a ratio of at most {MAX_RATIO}"
        )


def check_whole(name: str, value: object, low: int, *, words: str = "") -> None:
    """None, or a whole number from `low` up."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= low):
        return
    raise OptionError(name, repr(value), f"a whole number from {low}{words}")


def shrunk_note(name: str, original: Size, size: Size) -> str:
    """What the reader of the answer should know; empty unless a tenth of the pixels is gone.

    >>> shrunk_note("photo.jpg", Size(3000, 4000), Size(840, 1148))
    'photo.jpg: shrunk from 4000x3000 to 1148x840'
    """
    if size.height * size.width >= _NOTED_SHRINK * original.height * original.width:
        return ""
    return f"{name}: shrunk from {original.width}x{original.height} to {size.width}x{size.height}"
