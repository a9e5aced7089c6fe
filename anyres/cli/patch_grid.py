"""A picture of what the model sees: its own pixels, thin lines between patches, thick ones between visual tokens."""

import math
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from anyres.config import ImageProcessorConfig
from anyres.model_input import Grid, VisualInput

__all__ = ["draw_patch_grid", "unpatchify"]

THIN, THICK = (255, 255, 255, 90), (255, 40, 40, 220)
MAX_COLUMNS = 4  # frame pairs of a clip beside each other


def draw_patch_grid(visual: VisualInput, config: ImageProcessorConfig) -> Image.Image:
    """The item as resized, under its grid; of a clip the first frame of every pair, in reading order."""
    assert visual.pixels_PX is not None, "an item that is encoded already has no pixels"
    frames = unpatchify(visual.pixels_PX, visual.grid_thw, config)[:: config.temporal_patch_size]
    tiles = [_with_lines(Image.fromarray(frame), config) for frame in frames]
    columns = min(MAX_COLUMNS, len(tiles))
    width, height = tiles[0].size
    sheet = Image.new("RGB", (columns * width, math.ceil(len(tiles) / columns) * height))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * width, number // columns * height))
    return sheet


def unpatchify(pixels_PX: Tensor, grid_thw: Grid, config: ImageProcessorConfig) -> np.ndarray[Any, Any]:
    """uint8 [frames, H, W, 3] of uint8 patches: the exact pixels that were cut."""
    t, h, w = grid_thw
    merge, patch, depth = config.merge_size, config.patch_size, config.temporal_patch_size
    assert pixels_PX.dtype == torch.uint8, "as the processor makes them"
    patches = pixels_PX.unflatten(1, (len(config.image_mean), depth, patch, patch))
    blocks = patches.unflatten(0, (t, h // merge, w // merge, merge, merge))
    frames: np.ndarray[Any, Any] = blocks.permute(0, 6, 1, 3, 7, 2, 4, 8, 5).numpy()
    return frames.reshape(t * depth, h * patch, w * patch, -1)


def _with_lines(picture: Image.Image, config: ImageProcessorConfig) -> Image.Image:
    lines = Image.new("RGBA", picture.size)
    pen = ImageDraw.Draw(lines)
    for step, colour, width in ((config.patch_size, THIN, 1), (config.factor, THICK, 2)):
        for x in range(0, picture.width + 1, step):
            pen.line((x, 0, x, picture.height), fill=colour, width=width)
        for y in range(0, picture.height + 1, step):
            pen.line((0, y, picture.width, y), fill=colour, width=width)
    return Image.alpha_composite(picture.convert("RGBA"), lines).convert("RGB")
