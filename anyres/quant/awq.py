"""Linear layers of AWQ checkpoints (4 bits, version gemm), as AutoAWQ writes them.

`qweight` and `qzeros` hold 8 outputs an int32, in the order 0 2 4 6 1 3 5 7 from the lowest bits on.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from anyres.errors import CheckpointError
from anyres.quant.affine import Affine, unpack_int32
from anyres.quant.gptq import FLOATS, expect

__all__ = ["AWQ_TENSORS", "AwqLayout", "awq_layer"]

AWQ_TENSORS = ("qweight", "qzeros", "scales")
BITS = 4
PLACES = (0, 4, 1, 5, 2, 6, 3, 7)  # where outputs 0..7 lie among the eight codes


class AwqLayout:
    """What `quantization_config` says of all layers."""

    def __init__(self, raw: Mapping[str, Any], *, item: str) -> None:
        bits, version, group = raw.get("bits"), raw.get("version", "gemm"), raw.get("group_size", 128)
        if bits != BITS:
            raise CheckpointError(f"{item}: bits", repr(bits)[:80], str(BITS))
        if not isinstance(version, str) or version.lower() != "gemm":
            raise CheckpointError(f"{item}: version", repr(version)[:80], "gemm")
        if not isinstance(group, int) or isinstance(group, bool) or group < 8 or group % 8:
            raise CheckpointError(f"{item}: group_size", repr(group)[:80], "a multiple of 8 above 0")
        self.group_size = group


def awq_layer(tensors: Mapping[str, Tensor], shape: tuple[int, int], layout: AwqLayout, *, item: str) -> Affine:
    """One layer of `shape` [N, K]; CheckpointError where its tensors do not fit that."""
    rows, columns = shape
    groups = columns // layout.group_size
    if columns % layout.group_size or rows % 8:
        raise CheckpointError(
            item, f"{rows}x{columns} in groups of {layout.group_size}", f"multiples of 8 and {layout.group_size}"
        )
    expect(item, tensors["qweight"], "qweight", (columns, rows // 8), torch.int32)
    expect(item, tensors["qzeros"], "qzeros", (groups, rows // 8), torch.int32)
    expect(item, tensors["scales"], "scales", (groups, rows), *FLOATS)
    codes_NK = _in_order(tensors["qweight"]).T.contiguous()
    zeros_NG = _in_order(tensors["qzeros"]).T.float()
    scales_NG = tensors["scales"].float().T.contiguous()
    return Affine(codes_NK, scales_NG, -scales_NG * zeros_NG, BITS, layout.group_size)


def _in_order(packed_RC: Tensor) -> Tensor:
    """[R, N] codes of an int32 tensor [R, N/8]."""
    return unpack_int32(packed_RC, BITS)[..., list(PLACES)].flatten(1)
