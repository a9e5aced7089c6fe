"""Linear layers of GPTQ checkpoints, 4 and 8 bits, as AutoGPTQ and GPTQModel write them.

`qweight` holds 32/bits codes an int32 down the inputs, `qzeros` the zero points across the outputs, `scales` float16,
`g_idx` the group of every input. The first version of the format stores each zero point less one.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from anyres.errors import CheckpointError
from anyres.quant.affine import Affine, unpack_int32

__all__ = ["GPTQ_TENSORS", "GptqLayout", "gptq_layer"]

GPTQ_TENSORS = ("qweight", "qzeros", "scales", "g_idx")
BITS = (4, 8)


class GptqLayout:
    """What `quantization_config` says of all layers. `group_size` None: one group over all inputs."""

    def __init__(self, raw: Mapping[str, Any], *, item: str) -> None:
        self.bits = _one_of(raw.get("bits"), BITS, f"{item}: bits")
        self.group_size = _group_size(raw.get("group_size", 128), f"{item}: group_size")
        form = _one_of(raw.get("checkpoint_format", "gptq"), ("gptq", "gptq_v2"), f"{item}: checkpoint_format")
        self.stored_less = 0 if form == "gptq_v2" else 1


def gptq_layer(tensors: Mapping[str, Tensor], shape: tuple[int, int], layout: GptqLayout, *, item: str) -> Affine:
    """One layer of `shape` [N, K]; CheckpointError where its tensors do not fit that."""
    rows, columns = shape
    group, per_int = layout.group_size or columns, 32 // layout.bits
    groups = -(-columns // group)
    if columns % group or columns % per_int or rows % per_int:
        raise CheckpointError(item, f"{rows}x{columns} in groups of {group}", f"multiples of {group} and {per_int}")
    expect(item, tensors["qweight"], "qweight", (columns // per_int, rows), torch.int32)
    expect(item, tensors["qzeros"], "qzeros", (groups, rows // per_int), torch.int32)
    expect(item, tensors["scales"], "scales", (groups, rows), *FLOATS)
    codes_NK = unpack_int32(tensors["qweight"], layout.bits).transpose(1, 2).flatten(0, 1).T.contiguous()
    zeros_GN = unpack_int32(tensors["qzeros"], layout.bits).flatten(1).int()
    zeros_GN = (zeros_GN + layout.stored_less) & ((1 << layout.bits) - 1)
    scales_NG = tensors["scales"].float().T.contiguous()
    order_K = _order(tensors.get("g_idx"), columns, group, item)
    codes_NK = codes_NK if order_K is None else codes_NK[:, order_K]
    return Affine(codes_NK, scales_NG, -scales_NG * zeros_GN.T, layout.bits, group, order_K)


FLOATS = (torch.float16, torch.bfloat16, torch.float32)


def expect(item: str, tensor: Tensor, name: str, shape: tuple[int, ...], *dtypes: torch.dtype) -> None:
    """CheckpointError for a tensor of another shape or type."""
    if tuple(tensor.shape) != shape or tensor.dtype not in dtypes:
        kinds = " or ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
        seen = f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
        raise CheckpointError(f"{item}.{name}", seen, f"{kinds} {list(shape)}")


def _order(g_idx: Tensor | None, columns: int, group: int, item: str) -> Tensor | None:
    """Inputs sorted by their group; None where they are so already."""
    if g_idx is None:
        return None
    expect(item, g_idx, "g_idx", (columns,), torch.int32, torch.int64)
    plain_K = torch.arange(columns) // group
    if bool((g_idx == plain_K).all()):
        return None
    order_K = torch.argsort(g_idx, stable=True)
    if not bool((g_idx[order_K] == plain_K).all()):
        raise CheckpointError(f"{item}.g_idx", "groups of unequal size", f"{group} inputs in each group")
    return order_K


def _group_size(value: object, item: str) -> int | None:
    if value == -1:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 8 and value % 8 == 0:
        return value
    raise CheckpointError(item, repr(value)[:80], "-1, or a multiple of 8 above 0")


def _one_of(value: Any, allowed: tuple[Any, ...], item: str) -> Any:
    if value not in allowed:
        raise CheckpointError(item, repr(value)[:80], " or ".join(map(str, allowed)))
    return value
