"""What the processor hands to the model: token ids, their positions, and the pictures and clips between them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

__all__ = ["EncodedImage", "Grid", "ModelInput", "PairedClip", "VisualInput"]

Grid = tuple[int, int, int]

LOOKUP_ROWS = 256  # patches normalised at a time


@dataclass(frozen=True)
class VisualInput:
    """One picture or clip, ready for the vision encoder.

    `grid_thw` counts frame pairs and patches before the 2x2 merge, so P = t*h*w patches give M = P/4 visual tokens.
    Exactly one of `pixels_PX` (X = 1176 values a patch) and `visual_MD` (already encoded) is set. `pixels_PX` is either
    float32, normalised, or uint8, a quarter of the memory, with `normalise_CV`: float32 [channels, 256], what each
    8-bit value of a channel becomes. `patches` gives float32 for both.
    `original_size` and `resized_size` are (height, width) in pixels, the first after EXIF orientation.
    """

    name: str
    kind: Literal["image", "video"]
    grid_thw: Grid
    original_size: tuple[int, int]
    resized_size: tuple[int, int]
    pixels_PX: Tensor | None = None
    normalise_CV: Tensor | None = None
    visual_MD: Tensor | None = None
    frame_times_s: tuple[float, ...] = ()
    note: str = ""

    @cached_property
    def content_key(self) -> bytes:
        """32 bytes, a SHA-256: equal keys mean equal input of the vision encoder, whatever file or address it is from.

        Over kind, grid, and shape, dtype and values of the pixels and of their table, or of the visual tokens.
        """
        return _content_key(self)

    def patches(self, start: int = 0, stop: int | None = None) -> Tensor:
        """float32 [n, X], normalised: rows `start` to `stop` of `pixels_PX`, to its end without a `stop`.

        Columns run over channel, frame of the pair, row, column.

        >>> table_CV = torch.stack([torch.arange(256.0), -torch.arange(256.0)])
        >>> pixels_PX = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]], dtype=torch.uint8)
        >>> VisualInput("x", "image", (1, 1, 2), (1, 4), (1, 4), pixels_PX, table_CV).patches(1)
        tensor([[ 5.,  6., -7., -8.]])
        """
        assert self.pixels_PX is not None, "an item that is encoded already has no pixels"
        rows_PX = self.pixels_PX[start:stop]
        if self.normalise_CV is None:
            assert rows_PX.is_floating_point(), "uint8 pixels come with their table"
            return rows_PX
        assert rows_PX.dtype == torch.uint8, "a table is for uint8 pixels"
        return _looked_up(rows_PX, self.normalise_CV)


@dataclass(frozen=True)
class EncodedImage(VisualInput):
    """A picture that has been through the vision encoder (`visual_MD` is set); it goes wherever a picture goes.

    `encoder` tells which weights made it, so that no other checkpoint takes it for its own.
    """

    encoder: str = ""

    @cached_property
    def content_key(self) -> bytes:
        """That of the visual tokens and of the encoder that made them."""
        return hashlib.sha256(b"encoded by " + self.encoder.encode() + _content_key(self)).digest()


@dataclass(frozen=True)
class PairedClip(VisualInput):
    """A clip whose frame pairs are items of their own, so that one more of them changes nothing about the others.

    `pairs` are clips of one frame pair each, of equal size; `grid_thw` counts them all. Neither `pixels_PX` nor
    `visual_MD` is set. In a prompt it stands where a whole clip would, at the same positions, and its pairs are the
    `visuals`.
    """

    pairs: tuple[VisualInput, ...] = ()

    @cached_property
    def content_key(self) -> bytes:
        """That of the pairs in their order."""
        return hashlib.sha256(b"pairs" + b"".join(pair.content_key for pair in self.pairs)).digest()


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


def _content_key(visual: VisualInput) -> bytes:
    digest = hashlib.sha256(f"{visual.kind} {visual.grid_thw}".encode())
    for values in (visual.pixels_PX, visual.normalise_CV, visual.visual_MD):
        _add_values(digest, values)
    return digest.digest()


def _add_values(digest: "hashlib._Hash", values: Tensor | None) -> None:
    """The header says where the values end, so no two lists of tensors give the same bytes."""
    if values is None:
        digest.update(b"none")
        return
    digest.update(f"{values.dtype} {tuple(values.shape)}".encode())
    digest.update(values.detach().cpu().contiguous().view(torch.uint8).numpy().data)


def _looked_up(pixels_PX: Tensor, table_CV: Tensor) -> Tensor:
    """Some rows at a time: the indices, four bytes for each pixel's one, stay in the processor's cache."""
    channels, values = table_CV.shape
    first_C1 = values * torch.arange(channels, dtype=torch.int32)[:, None]
    out_PX = torch.empty(pixels_PX.shape, dtype=table_CV.dtype)
    for rows_PX, out in zip(pixels_PX.split(LOOKUP_ROWS), out_PX.split(LOOKUP_ROWS), strict=True):
        index_PCX = rows_PX.unflatten(1, (channels, -1)).to(torch.int32).add_(first_C1)
        torch.index_select(table_CV.flatten(), 0, index_PCX.flatten(), out=out.view(-1))
    return out_PX
