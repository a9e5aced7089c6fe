"""ggml's blocks of quantised values as codes, scales and minimums: w = scale * code + minimum, without any loss.

Layouts: ggml-common.h. Every value comes out the same, bit for bit, as ggml's own dequantisation in float32: a scale
has at most 18 significant bits and a code 6, or 11 and 8, so their product is exact.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anyres.quant.affine import Affine
from anyres.quant.gguf import Block

__all__ = ["affine", "dense"]

Bytes = NDArray[np.uint8]

Q4_0_ZERO = 8
Q8_0_ZERO = 128  # codes are stored signed
Q6_K_ZERO = 32


def affine(raw: Bytes, block: Block, rows: int) -> Affine | None:
    """None for types that are plain numbers."""
    split = SPLIT.get(block.name)
    if split is None:
        return None
    codes, scales, minimums, bits = split(raw.reshape(-1, block.bytes))
    parts = [torch.from_numpy(np.ascontiguousarray(part).reshape(rows, -1)) for part in (codes, scales, minimums)]
    return Affine(parts[0], parts[1], parts[2], bits, codes.size // scales.size)


def dense(raw: Bytes, block: Block, shape: tuple[int, ...]) -> Tensor:
    """Values of F32, F16 and BF16 as they are, in the file's own bytes; of the others in float32."""
    whole = torch.from_numpy(raw)
    if block.name in PLAIN:
        return whole.view(PLAIN[block.name]).view(shape)
    parts = affine(raw, block, shape[0] if len(shape) > 1 else 1)
    assert parts is not None, "a type is plain or has a split"
    return parts.values().view(shape)


PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

_Split = tuple[Bytes, NDArray[np.float32], NDArray[np.float32], int]


def _half(raw: Bytes) -> NDArray[np.float32]:
    """float16 values of the bytes, [blocks, 1]."""
    return np.ascontiguousarray(raw).view(np.float16).astype(np.float32)


def _q4_0(blocks: Bytes) -> _Split:
    """32 values: a float16 scale, then bytes whose low halves are values 0..15 and high halves 16..31."""
    scale = _half(blocks[:, :2])
    packed = blocks[:, 2:]
    return np.concatenate((packed & 15, packed >> 4), axis=1), scale, -Q4_0_ZERO * scale, 4


def _q8_0(blocks: Bytes) -> _Split:
    """32 values: a float16 scale and signed bytes."""
    scale = _half(blocks[:, :2])
    return blocks[:, 2:] ^ np.uint8(Q8_0_ZERO), scale, -Q8_0_ZERO * scale, 8


def _q4_k(blocks: Bytes) -> _Split:
    """256 values in 8 groups: float16 d and dmin, 6-bit scales and minimums in 12 bytes, halves of 128 bytes."""
    d, dmin = _half(blocks[:, 0:2]), _half(blocks[:, 2:4])
    low, high, rest = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scales = np.concatenate((low & 63, (rest & 15) | (low >> 6 << 4)), axis=1)
    minimums = np.concatenate((high & 63, (rest >> 4) | (high >> 6 << 4)), axis=1)
    packed = blocks[:, 16:].reshape(-1, 4, 1, 32)
    codes = np.concatenate((packed & 15, packed >> 4), axis=2).reshape(-1, 256)
    return codes, d * scales.astype(np.float32), -(dmin * minimums.astype(np.float32)), 4


def _q6_k(blocks: Bytes) -> _Split:
    """256 values in 16 groups: 4 low bits in 128 bytes, 2 high bits in 64, signed 8-bit scales, a float16 d."""
    low, high = blocks[:, :128].reshape(-1, 2, 2, 32), blocks[:, 128:192].reshape(-1, 2, 1, 32)
    lows = np.concatenate((low & 15, low >> 4), axis=2)  # [blocks, 2, 4, 32]
    highs = np.concatenate([high >> shift & 3 for shift in (0, 2, 4, 6)], axis=2)
    codes = (lows | highs << 4).reshape(-1, 256)
    scale = _half(blocks[:, 208:210]) * blocks[:, 192:208].view(np.int8).astype(np.float32)
    return codes, scale, -Q6_K_ZERO * scale, 6


SPLIT: dict[str, Callable[[Bytes], _Split]] = {"Q4_0": _q4_0, "Q8_0": _q8_0, "Q4_K": _q4_k, "Q6_K": _q6_k}
