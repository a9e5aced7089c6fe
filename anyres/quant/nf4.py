"""nf4 with double quantisation, in the layout of bitsandbytes: read and written.

Sixteen levels, the quantiles of a normal distribution, scaled by the largest value of each run of 64; these scales are
kept in 8 bits themselves, in runs of 256. Source: QLoRA, arXiv 2305.14314; file layout: bitsandbytes' QuantState.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from anyres.errors import CheckpointError
from anyres.quant.gptq import expect

__all__ = ["NF4_TENSORS", "Nf4Weight", "dynamic_levels", "nf4_from_tensors", "quantise_nf4"]

LEVELS = (  # arXiv 2305.14314, appendix E
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
BLOCK, NESTED_BLOCK = 64, 256
STATE = "quant_state.bitsandbytes__nf4"
NESTED = ("nested_absmax", "nested_quant_map")
NF4_TENSORS = ("absmax", "quant_map", *NESTED, STATE)
STATE_BYTES = 4096  # far more than any state takes
EXPONENTS = 7  # decades of the 8-bit levels of scales


@dataclass(frozen=True)
class Nf4Weight:
    """Codes two a byte, the first in the high half; value i of the flat weight is levels[code] * absmax[i // block]."""

    packed: Tensor
    absmax: Tensor
    levels: Tensor
    shape: tuple[int, int]
    block: int

    def values(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Rows `start` to `stop` in float32."""
        columns = self.shape[1]
        first, last = start * columns, (self.shape[0] if stop is None else stop) * columns
        some = self.packed[first // 2 : -(-last // 2)]
        codes = torch.stack((some >> 4, some & 15), dim=-1).flatten()[first % 2 :][: last - first]
        runs = torch.arange(first, last) // self.block
        return (self.levels[codes.int()] * self.absmax[runs]).view(-1, columns)


def dynamic_levels() -> Tensor:
    """The 256 levels of an 8-bit scale, float32: 0, 1, and both signs of seven decades, each twice as fine as the last.

    Source: 8-bit Optimizers, arXiv 2110.02861, section 2.2.

    >>> dynamic_levels()[[0, 127, 255]]
    tensor([-0.9930,  0.0000,  1.0000])
    """
    positive: list[float] = []
    for decade in range(EXPONENTS):
        edges = torch.linspace(0.1, 1, 2**decade + 1, dtype=torch.float32)
        positive += (10.0 ** (decade - EXPONENTS + 1) * ((edges[:-1] + edges[1:]) / 2)).tolist()
    return torch.tensor(sorted([0.0, 1.0, *positive, *(-level for level in positive)]), dtype=torch.float32)


def quantise_nf4(weight_NK: Tensor, *, dtype_name: str = "bfloat16") -> dict[str, Tensor]:
    """The tensors that bitsandbytes keeps for a weight, by the end of their names; "" is the packed codes."""
    flat = weight_NK.detach().float().flatten()
    runs = torch.nn.functional.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    absmax = runs.abs().amax(1)
    codes = _nearest(runs / absmax.where(absmax > 0, 1.0)[:, None], torch.tensor(LEVELS)).flatten()[: len(flat)]
    codes = torch.nn.functional.pad(codes, (0, len(codes) % 2))
    offset = absmax.mean()
    nested_codes, nested_absmax = _quantise_scales(absmax - offset)
    state = {
        "quant_type": "nf4",
        "blocksize": BLOCK,
        "dtype": dtype_name,
        "shape": list(weight_NK.shape),
        "nested_blocksize": NESTED_BLOCK,
        "nested_dtype": "float32",
        "nested_offset": float(offset),
    }
    return {
        "": (codes[0::2] << 4 | codes[1::2])[:, None],
        "absmax": nested_codes,
        "quant_map": torch.tensor(LEVELS),
        "nested_absmax": nested_absmax,
        "nested_quant_map": dynamic_levels(),
        STATE: torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8),
    }


def nf4_from_tensors(tensors: Mapping[str, Tensor], shape: tuple[int, int], *, item: str) -> Nf4Weight:
    """A weight of `shape` [N, K] from the tensors of a file; CheckpointError where they do not fit."""
    state = _state(tensors, item)
    block = _size(state, "blocksize", item)
    count = prod(shape)
    if state.get("quant_type") != "nf4" or state.get("shape") != list(shape):
        seen = f"{state.get('quant_type')!r} {state.get('shape')!r}"[:80]
        raise CheckpointError(f"{item}: quantisation state", seen, f"'nf4' {list(shape)}")
    for name, length in (("", -(-count // 2)), ("quant_map", len(LEVELS))):
        if name not in tensors or tensors[name].numel() != length:
            raise CheckpointError(item, f"no {name or 'codes'} of {length} values", "whole nf4 weights")
    expect(item, tensors[""].flatten(), "codes", (-(-count // 2),), torch.uint8)
    absmax = _scales(tensors, -(-count // block), state, item)
    return Nf4Weight(tensors[""].flatten(), absmax, tensors["quant_map"].float(), shape, block)


def _state(tensors: Mapping[str, Tensor], item: str) -> dict[str, Any]:
    stored = tensors.get(STATE)
    if stored is None or stored.dtype != torch.uint8 or stored.numel() > STATE_BYTES:
        raise CheckpointError(item, "no quantisation state of nf4", f"a tensor {STATE}")
    try:
        state = json.loads(bytes(stored.flatten().tolist()))
    except ValueError:
        state = None
    if not isinstance(state, dict):
        raise CheckpointError(f"{item}: quantisation state", "no JSON object", "what bitsandbytes writes")
    return state


def _size(state: Mapping[str, Any], name: str, item: str) -> int:
    value = state.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CheckpointError(f"{item}: {name}", repr(value)[:80], "a whole number above 0")
    return value


def _scales(tensors: Mapping[str, Tensor], count: int, state: Mapping[str, Any], item: str) -> Tensor:
    """absmax in float32; without double quantisation the file has it so."""
    stored = tensors.get("absmax")
    if stored is None or stored.shape != (count,):
        raise CheckpointError(f"{item}.absmax", _shape(stored), f"[{count}]")
    if stored.dtype == torch.float32:
        return stored
    expect(item, stored, "absmax", (count,), torch.uint8)
    nested_block, offset = _size(state, "nested_blocksize", item), state.get("nested_offset")
    absmax, levels = (tensors.get(name) for name in NESTED)
    if absmax is None or levels is None or not isinstance(offset, (int, float)):
        raise CheckpointError(item, "8-bit scales without theirs", "nested_absmax, nested_quant_map, nested_offset")
    expect(item, absmax, "nested_absmax", (-(-count // nested_block),), torch.float32)
    expect(item, levels, "nested_quant_map", (256,), torch.float32)
    return levels[stored.int()] * absmax[torch.arange(count) // nested_block] + offset


def _shape(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else str(list(tensor.shape))


def _quantise_scales(values: Tensor) -> tuple[Tensor, Tensor]:
    runs = torch.nn.functional.pad(values, (0, -len(values) % NESTED_BLOCK)).view(-1, NESTED_BLOCK)
    absmax = runs.abs().amax(1)
    codes = _nearest(runs / absmax.where(absmax > 0, 1.0)[:, None], dynamic_levels())
    return codes.flatten()[: len(values)], absmax


def _nearest(values: Tensor, levels: Tensor) -> Tensor:
    """Number of the level next to each value."""
    return torch.bucketize(values, (levels[:-1] + levels[1:]) / 2).to(torch.uint8)
