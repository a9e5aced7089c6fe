"""What the processor hands to the model: token ids, their positions, and the pictures and clips between them."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

__all__ = ["EncodedImage", "Grid", "ModelInput", "VisualInput"]

Grid = tuple[int, int, int]


@dataclass(frozen=True)
class VisualInput:
    """One picture or clip, ready for the vision encoder.

    `grid_thw` counts frame pairs and patches before the 2x2 merge, so P = t*h*w patches give M = P/4 visual tokens.
    Exactly one of `pixels_PX` (float32, X = 1176 values a patch) and `visual_MD` (already encoded) is set.
    `original_size` and `resized_size` are (height, width) in pixels, the first after EXIF orientation.
    """

    name: str
    kind: Literal["image", "video"]
    grid_thw: Grid
    original_size: tuple[int, int]
    resized_size: tuple[int, int]
    pixels_PX: Tensor | None = None
    visual_MD: Tensor | None = None
    frame_times_s: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class EncodedImage(VisualInput):
    """A picture that has been through the vision encoder (`visual_MD` is set); it goes wherever a picture goes.

    `encoder` tells which weights made it, so that no other checkpoint takes it for its own.
    """

    encoder: str = ""


@dataclass(frozen=True)
class ModelInput:
    """One prompt.

    `token_ids_T` holds M placeholder ids for every item of `visuals`, in the same order. `positions_3T` are the
    (t, h, w) positions of each token. The token after the last one stands at T + `rope_delta` on all three axes.
    """

    token_ids_T: Tensor
    positions_3T: Tensor
    rope_delta: int
    visuals: tuple[VisualInput, ...] = ()
