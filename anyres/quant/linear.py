"""Linear layers and token tables that keep their weights in few bits, and how they take the place of the dense ones."""

from collections.abc import Mapping
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anyres.kernels.packed import PackedWeight, dequantize, pack, take_rows
from anyres.model.qwen2vl import Qwen2VL
from anyres.quant.affine import Affine
from anyres.quant.nf4 import Nf4Weight

__all__ = ["Compute", "Nf4Linear", "QuantizedLinear", "QuantizedTable", "packed_of", "swap_linears", "widen"]

NF4_BLOCK_VALUES = 1 << 22  # weights dequantised at a time


class Compute(Protocol):
    """y_TN = x_TK w_NK^T + bias_N: the native kernel, its plain twin, or the exact one."""

    def __call__(
        self, x_TK: Tensor, packed: PackedWeight, bias_N: Tensor | None = None, *, out_dtype: torch.dtype | None = None
    ) -> Tensor: ...


def packed_of(weight: Affine) -> PackedWeight:
    """In the kernels' order."""
    return pack(weight.codes_NK, weight.scales_NG, weight.minimums_NG, bits=weight.bits, group=weight.group)


class _Packed(nn.Module):
    """Holds a PackedWeight as buffers, so that it moves to a device with its model."""

    codes: Tensor
    scales: Tensor
    minimums: Tensor

    def __init__(self, packed: PackedWeight, compute: Compute) -> None:
        super().__init__()
        self._sizes = (packed.bits, packed.group, packed.rows, packed.columns)
        for name in ("codes", "scales", "minimums"):
            self.register_buffer(name, getattr(packed, name))
        self._compute = compute

    @property
    def packed(self) -> PackedWeight:
        return PackedWeight(*self._sizes, self.codes, self.scales, self.minimums)

    def extra_repr(self) -> str:
        bits, group, rows, columns = self._sizes
        return f"{columns} -> {rows}, {bits} bits in groups of {group}"


class QuantizedLinear(_Packed):
    """`order_K` says which input each column of the weight stands for, where that is not its own number."""

    bias: Tensor | None
    order_K: Tensor | None

    def __init__(
        self, packed: PackedWeight, bias_N: Tensor | None = None, *, compute: Compute, order_K: Tensor | None = None
    ) -> None:
        super().__init__(packed, compute)
        self.register_buffer("bias", bias_N)
        self.register_buffer("order_K", order_K)

    def forward(self, x_TK: Tensor) -> Tensor:
        x_TK = x_TK if self.order_K is None else x_TK[:, self.order_K]
        return self._compute(x_TK, self.packed, self.bias)

    def weight_values(self) -> Tensor:
        """w_NK in float32, columns in the order of the inputs."""
        values_NK = dequantize(self.packed)
        if self.order_K is None:
            return values_NK
        return torch.empty_like(values_NK).index_copy_(1, self.order_K, values_NK)


class QuantizedTable(_Packed):
    """A token table: rows are looked up, and multiplied with where the head is tied."""

    def __init__(self, packed: PackedWeight, *, compute: Compute, dtype: torch.dtype) -> None:
        super().__init__(packed, compute)
        self.dtype = dtype

    def forward(self, token_ids_T: Tensor) -> Tensor:
        return take_rows(self.packed, token_ids_T).to(self.dtype)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """logits_NV, float32."""
        return self._compute(hidden_ND, self.packed, None, out_dtype=torch.float32)


class Nf4Linear(nn.Module):
    """A weight in nf4, which is no scale * code + minimum: its rows are dequantised in blocks as they are used."""

    packed: Tensor
    absmax: Tensor
    levels: Tensor
    bias: Tensor | None

    def __init__(self, weight: Nf4Weight, bias_N: Tensor | None = None) -> None:
        super().__init__()
        self._shape, self._block = weight.shape, weight.block
        for name in ("packed", "absmax", "levels"):
            self.register_buffer(name, getattr(weight, name))
        self.register_buffer("bias", bias_N)

    def weight_values(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Rows `start` to `stop` of w_NK in float32."""
        weight = Nf4Weight(self.packed, self.absmax, self.levels, self._shape, self._block)
        return weight.values(start, stop)

    def forward(self, x_TK: Tensor) -> Tensor:
        rows, columns = self._shape
        step = max(1, NF4_BLOCK_VALUES // columns)
        x32_TK = x_TK.float()
        blocks = (self.weight_values(start, min(rows, start + step)) for start in range(0, rows, step))
        y_TN = torch.cat([x32_TK @ block.T for block in blocks], dim=1)
        y_TN = y_TN if self.bias is None else y_TN + self.bias.float()
        return y_TN.to(x_TK.dtype)


class WideLinear(nn.Module):
    """A layer whose quantised form failed: float32 weights, float32 sums."""

    def __init__(self, weight_NK: Tensor, bias_N: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight_NK)
        self.register_buffer("bias", None if bias_N is None else bias_N.float())

    weight: Tensor
    bias: Tensor | None

    def forward(self, x_TK: Tensor) -> Tensor:
        return F.linear(x_TK.float(), self.weight, self.bias).to(x_TK.dtype)


class WideTable(nn.Module):
    """A token table whose quantised form failed."""

    weight: Tensor

    def __init__(self, weight_VD: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weight", weight_VD)
        self._dtype = dtype

    def forward(self, token_ids_T: Tensor) -> Tensor:
        return self.weight[token_ids_T].to(self._dtype)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """logits_NV, float32."""
        return F.linear(hidden_ND.float(), self.weight)


def swap_linears(model: Qwen2VL, layers: Mapping[str, nn.Module]) -> Qwen2VL:
    """Puts each layer in the place it is named for, as "model.layers.0.mlp.up_proj". Returns the same model."""
    for name, layer in layers.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer)
    return model


def widen(model: Qwen2VL, name: str) -> bool:
    """Puts float32 weights in place of a quantised layer; False where the layer is not quantised."""
    known = dict(model.named_modules())
    name = "model.embed_tokens" if name == "lm_head" and name not in known else name
    layer = known.get(name)
    if isinstance(layer, QuantizedLinear | Nf4Linear):
        wide: nn.Module = WideLinear(layer.weight_values(), layer.bias)
    elif isinstance(layer, QuantizedTable):
        weight_VD = dequantize(layer.packed)
        wide = WideTable(weight_VD, layer.dtype)
    else:
        return False
    swap_linears(model, {name: wide})
    return True
