"""Linear layers of packed weights on a GPU, in Triton, which torch's CUDA builds bring with them.

The codes are read in the order in which they are on disk: a tile of 16 rows lies in one piece, so nothing is repacked,
and no dequantised weight is written to memory. Activations are not rounded: the plain twin is `reference.exact_linear`,
and results are not those of the CPU's kernels bit for bit. The codes of one token are multiplied in float32 as they
come; for several they become bfloat16 or float16, as x is, for the matrix units. Sums are float32 in both. No GPU has
run this yet: tests/kernels/test_cuda.py says what was looked at instead.
"""

import functools
import logging
import math
from subprocess import CalledProcessError
from typing import NamedTuple

import torch
from torch import Tensor

from anyres.kernels.packed import PackedWeight, pack
from anyres.kernels.reference import exact_linear

__all__ = ["is_usable", "linear"]

logger = logging.getLogger(__name__)

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
ONE_STEPS = 32
"""Steps that a program for one token reads at a time: 2 KiB of codes."""
MEMORY_BOUND = 32
"""Most tokens of a product that takes as long as its codes are read."""
PROGRAMS_A_PROCESSOR = 4
"""As many are wanted then at least, so that the reads of one hide behind those of others; with more tokens, one.
Columns are split to get there."""
PROCESSORS = 132
"""Of an H100 or H200, taken where there is no GPU to ask."""
SPLIT_VALUES = 1024
LEAST_CAPABILITY = (8, 0)


class _Shape(NamedTuple):
    """What one program computes, and how many parts a row's columns are split into."""

    tokens: int
    tiles: int
    steps: int
    splits: int
    split_steps: int
    warps: int


@functools.cache
def is_usable(device: torch.device) -> bool:
    """Whether Triton is here and can compile for this device: tried once, with one line in the log where it cannot.

    It needs a C compiler when it runs, and a GPU of compute capability 8 or later.
    """
    try:
        _try(device)
    except (ImportError, OSError, RuntimeError, CalledProcessError) as error:
        logger.warning(
            "no Triton kernels on %s: %s; weights are dequantised anew at each use, which is slow",
            device,
            str(error).partition("\n")[0] or type(error).__name__,
        )
        return False
    return True


def linear(
    x_TK: Tensor, packed: PackedWeight, bias_N: Tensor | None = None, *, out_dtype: torch.dtype | None = None
) -> Tensor:
    """y_TN = x_TK w_NK^T + bias_N in the dtype of x_TK or `out_dtype`, activations as they are, sums in float32.

    Where x needs a gradient or is float64, `exact_linear` computes it. Rows of x may lie apart. The same product gives
    the same bits each time, but a token by itself others than among several: its weights are not rounded.
    """
    if x_TK.requires_grad or x_TK.dtype not in DTYPES:
        return exact_linear(x_TK, packed, bias_N, out_dtype=out_dtype)
    assert x_TK.dim() == 2, x_TK.shape
    assert x_TK.shape[1] == packed.columns, (x_TK.shape, packed.columns)
    y_TN = x_TK.new_empty(len(x_TK), packed.rows, dtype=out_dtype or x_TK.dtype)
    if len(x_TK):
        with torch.cuda.device_of(x_TK):
            _multiply(x_TK if x_TK.stride(1) == 1 else x_TK.contiguous(), packed, bias_N, y_TN)
    return y_TN


def _try(device: torch.device) -> None:
    """Raises where a product of one by one fails."""
    from anyres.kernels.triton_linear import TritonError

    if device.type == "cuda" and (seen := torch.cuda.get_device_capability(device)) < LEAST_CAPABILITY:
        raise RuntimeError(f"compute capability {seen[0]}.{seen[1]}, at least {LEAST_CAPABILITY[0]} is needed")
    one_NG = torch.ones(1, 1, device=device)
    packed = pack(one_NG.to(torch.uint8), one_NG, one_NG, bits=4)
    try:
        linear(one_NG, packed)
    except TritonError as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


def _multiply(x_TK: Tensor, packed: PackedWeight, bias_N: Tensor | None, y_TN: Tensor) -> None:
    from anyres.kernels import triton_linear

    tokens, (tiles, steps) = len(x_TK), packed.codes.shape[:2]
    shape = _shape_of(tokens, packed, x_TK.dtype, _processors(x_TK.device))
    split = shape.splits > 1
    sums = y_TN.new_empty(shape.splits, *y_TN.shape, dtype=torch.float32) if split else y_TN
    # A pointer is asked for where there is no bias, too; it is not read.
    bias = packed.scales if bias_N is None else bias_N
    read = (x_TK, packed.codes.view(torch.int32), packed.scales, packed.minimums, bias, sums)
    sizes = (packed.rows, packed.columns, packed.groups, steps, shape.split_steps)
    fixed = {
        "HELD": _held(packed),
        "GROUP": packed.group,
        "BIASED": bias_N is not None and not split,
        "STEPS": shape.steps,
        "num_warps": shape.warps,
    }
    if tokens == 1:
        triton_linear.one_token[tiles, shape.splits](*read, *sizes, **fixed)
    else:
        grid = (math.ceil(tiles / shape.tiles), math.ceil(tokens / shape.tokens), shape.splits)
        fixed |= {"TOKENS": shape.tokens, "TILES": shape.tiles, "WIDEN": triton_linear.INTERPRETED}
        triton_linear.many_tokens[grid](*read, tokens, *sizes, x_TK.stride(0), **fixed)
    if split:
        triton_linear.add_splits[(math.ceil(y_TN.numel() / SPLIT_VALUES),)](
            *(sums, bias, y_TN, y_TN.numel(), packed.rows, shape.splits),
            BIASED=bias_N is not None,
            VALUES=SPLIT_VALUES,
        )


def _shape_of(tokens: int, packed: PackedWeight, dtype: torch.dtype, processors: int) -> _Shape:
    """Blocks that Triton compiles into few instructions a code and without spilling registers: test_cuda.py looks."""
    block, held = max(16, _power_of_two(tokens)), _held(packed)
    if tokens == 1:
        each = _Shape(1, 1, ONE_STEPS, 1, 1, 2)
    elif dtype == torch.float32:  # no matrix units, and operands of twice the room
        each = _Shape(min(32, block), 4, 32 // held, 1, 1, 4)
    elif block < 128:
        each = _Shape(block, 4, 64 // held, 1, 1, 2 if block <= 32 else 4)
    else:
        each = _Shape(128, 8, 64 // held, 1, 1, 8)
    tiles, steps = packed.codes.shape[:2]
    programs = math.ceil(tiles / each.tiles) * math.ceil(tokens / each.tokens)
    wanted = processors * (PROGRAMS_A_PROCESSOR if tokens <= MEMORY_BOUND else 1)
    splits = min(math.ceil(wanted / programs), math.ceil(steps / each.steps))
    split_steps = math.ceil(steps / splits / each.steps) * each.steps
    return each._replace(splits=math.ceil(steps / split_steps), split_steps=split_steps)


def _held(packed: PackedWeight) -> int:
    """Codes in four bytes."""
    return 8 if packed.bits == 4 else 4


def _power_of_two(count: int) -> int:
    """The next one.

    >>> [_power_of_two(count) for count in (1, 2, 3, 64, 65)]
    [1, 2, 4, 64, 128]
    """
    return 1 << (count - 1).bit_length()


def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else PROCESSORS
