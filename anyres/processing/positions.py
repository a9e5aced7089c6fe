"""Multimodal rotary positions (M-RoPE): where each token stands in time, height and width.

Source: section 3.1 of the Qwen2-VL paper; rule and numbers as `get_rope_index` of transformers 4.45 to 4.57. Text
moves all three axes together; a picture or clip spreads over them, and the text behind it goes on after the furthest
axis. Positions come from the layout of the prompt, never from searching token ids.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from anyres.model_input import Grid

__all__ = [
    "PackedPositions",
    "PaddedPositions",
    "Positions",
    "merged_grid",
    "pack_positions",
    "pad_positions",
    "rope_positions",
    "visual_tokens",
]

PADDING_POSITION = 1  # what transformers gives to padding


class Positions(NamedTuple):
    """`positions_3T` int64; the token after the last one stands at T + `rope_delta` on all axes."""

    positions_3T: Tensor
    rope_delta: int


class PaddedPositions(NamedTuple):
    """A batch of B rows of equal length: `positions_3BT`; `rope_delta_B` counts from the padded length."""

    positions_3BT: Tensor
    rope_delta_B: Tensor


class PackedPositions(NamedTuple):
    """Samples one behind the other: sample i is `positions_3T[:, cu_seqlens[i]:cu_seqlens[i + 1]]`."""

    positions_3T: Tensor
    cu_seqlens: Tensor


def rope_positions(layout: Sequence[int | Grid], *, spatial_merge_size: int = 2) -> Positions:
    """Positions of a prompt: a number is a run of that many text tokens, a grid (t, h, w before the merge) an item.

    >>> rope_positions([2, (1, 4, 4), 1]).positions_3T.tolist()
    [[0, 1, 2, 2, 2, 2, 4], [0, 1, 2, 2, 3, 3, 4], [0, 1, 2, 3, 2, 3, 4]]
    >>> rope_positions([5, (3, 4, 4), 5]).rope_delta
    -9
    """
    start = 0
    spans: list[Tensor] = []
    for span in layout:
        extent = (span, span, span) if isinstance(span, int) else merged_grid(span, spatial_merge_size)
        offsets_3T = torch.arange(span).expand(3, -1) if isinstance(span, int) else _grid_offsets(extent)
        spans.append(offsets_3T + start)
        start += max(extent)
    positions_3T = torch.cat(spans, dim=1) if spans else torch.zeros(3, 0, dtype=torch.int64)
    return Positions(positions_3T, start - positions_3T.shape[1])


def pad_positions(
    rows: Sequence[Positions], *, side: Literal["left", "right"] = "left", length: int | None = None
) -> PaddedPositions:
    """Rows of different lengths as one batch; `length` is at least that of the longest row, its default.

    >>> batch = pad_positions([rope_positions([1]), rope_positions([3])])
    >>> batch.positions_3BT[0].tolist(), batch.rope_delta_B.tolist()
    ([[1, 1, 0], [0, 1, 2]], [-2, 0])
    """
    lengths = [row.positions_3T.shape[1] for row in rows]
    width = max(lengths, default=0) if length is None else length
    assert width >= max(lengths, default=0), f"rows of {lengths} tokens do not fit into {width}"
    positions_3BT = torch.full((3, len(rows), width), PADDING_POSITION)
    for number, (row, size) in enumerate(zip(rows, lengths, strict=True)):
        first = width - size if side == "left" else 0
        positions_3BT[:, number, first : first + size] = row.positions_3T
    deltas = [row.rope_delta + size - width for row, size in zip(rows, lengths, strict=True)]
    return PaddedPositions(positions_3BT, torch.tensor(deltas, dtype=torch.int64))


def pack_positions(rows: Sequence[Positions]) -> PackedPositions:
    """Rows in one sequence without padding; positions start anew with each, `cu_seqlens` (int32) holds the borders.

    >>> packed = pack_positions([rope_positions([2]), rope_positions([3])])
    >>> packed.positions_3T[0].tolist(), packed.cu_seqlens.tolist()
    ([0, 1, 0, 1, 2], [0, 2, 5])
    """
    tensors = [row.positions_3T for row in rows]
    borders = accumulate((tensor.shape[1] for tensor in tensors), initial=0)
    positions_3T = torch.cat(tensors, dim=1) if tensors else torch.zeros(3, 0, dtype=torch.int64)
    return PackedPositions(positions_3T, torch.tensor(list(borders), dtype=torch.int32))


def merged_grid(grid_thw: Grid, spatial_merge_size: int = 2) -> Grid:
    """The grid in visual tokens.

    >>> merged_grid((1, 98, 146))
    (1, 49, 73)
    """
    t, h, w = grid_thw
    assert h % spatial_merge_size == 0 == w % spatial_merge_size, f"grid {grid_thw} cannot be merged"
    return t, h // spatial_merge_size, w // spatial_merge_size


def visual_tokens(grid_thw: Grid, spatial_merge_size: int = 2) -> int:
    """Visual tokens M of a grid: a quarter of its patches.

    >>> visual_tokens((1, 98, 146))
    3577
    """
    t, h, w = merged_grid(grid_thw, spatial_merge_size)
    return t * h * w


def _grid_offsets(grid_thw: Grid) -> Tensor:
    """(t, h, w) index of each token of a grid, t outermost."""
    axes = torch.meshgrid(*(torch.arange(size) for size in grid_thw), indexing="ij")
    return torch.stack(axes).flatten(1)
