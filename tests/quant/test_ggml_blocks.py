"""ggml's blocks against arithmetic written out one value at a time, as ggml-quants.c has it."""

import struct

import numpy as np
import pytest
import torch

from anyres.quant.ggml_blocks import affine, dense
from anyres.quant.gguf import BLOCKS

BY_NAME = {block.name: block for block in BLOCKS.values()}


def random_blocks(name: str, rows: int, seed: int) -> np.ndarray:
    """Any bits, but scales that are numbers."""
    generator = np.random.default_rng(seed)
    block = BY_NAME[name]
    raw = generator.integers(0, 256, (rows, block.bytes), dtype=np.uint8)
    places = {"Q4_0": [0], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208]}[name]
    for place in places:
        raw[:, place : place + 2] = generator.normal(0, 0.1, (rows, 1)).astype(np.float16).view(np.uint8)
    return raw


def half(raw: np.ndarray, place: int) -> float:
    return struct.unpack("<e", raw[place : place + 2].tobytes())[0]


def slow_q4_0(raw: np.ndarray) -> list[float]:
    d = half(raw, 0)
    return [d * ((raw[2 + i] & 15) - 8.0) for i in range(16)] + [d * ((raw[2 + i] >> 4) - 8.0) for i in range(16)]


def slow_q8_0(raw: np.ndarray) -> list[float]:
    return [half(raw, 0) * float(raw[2 + i].astype(np.int8)) for i in range(32)]


def slow_q4_k(raw: np.ndarray) -> list[float]:
    d, dmin, packed, values = half(raw, 0), half(raw, 2), [int(one) for one in raw[4:16]], []
    for group in range(8):
        if group < 4:
            scale, least = packed[group] & 63, packed[group + 4] & 63
        else:
            scale = (packed[group + 4] & 15) | (packed[group - 4] >> 6) << 4
            least = (packed[group + 4] >> 4) | (packed[group] >> 6) << 4
        for i in range(32):
            byte = int(raw[16 + 32 * (group // 2) + i])
            values.append(d * scale * (byte >> 4 if group % 2 else byte & 15) - dmin * least)
    return values


def slow_q6_k(raw: np.ndarray) -> list[float]:
    d, values = half(raw, 208), [0.0] * 256
    for n in (0, 1):
        low, high, scales = raw[64 * n :], raw[128 + 32 * n :], raw[192 + 8 * n :].astype(np.int8)
        for i in range(32):
            bits = int(high[i])
            codes = (
                (int(low[i]) & 15) | (bits & 3) << 4,
                (int(low[i + 32]) & 15) | (bits >> 2 & 3) << 4,
                int(low[i]) >> 4 | (bits >> 4 & 3) << 4,
                int(low[i + 32]) >> 4 | (bits >> 6 & 3) << 4,
            )
            for quarter, code in enumerate(codes):
                scale = float(scales[2 * quarter + i // 16])
                values[128 * n + 32 * quarter + i] = d * scale * (code - 32)
    return values


SLOW = {"Q4_0": slow_q4_0, "Q8_0": slow_q8_0, "Q4_K": slow_q4_k, "Q6_K": slow_q6_k}


@pytest.mark.parametrize("name", SLOW)
def test_values_are_bit_for_bit_those_of_the_definition(name: str) -> None:
    raw = random_blocks(name, 6, seed=5)
    expected = torch.tensor([SLOW[name](one) for one in raw], dtype=torch.float64).float().view(3, -1)
    parts = affine(raw.reshape(-1), BY_NAME[name], 3)
    assert parts is not None
    assert torch.equal(parts.values(), expected)
    assert torch.equal(dense(raw.reshape(-1), BY_NAME[name], (3, expected.shape[1])), expected)


@pytest.mark.parametrize(
    ("name", "bits", "group"), [("Q4_0", 4, 32), ("Q8_0", 8, 32), ("Q4_K", 4, 32), ("Q6_K", 6, 16)]
)
def test_codes_fit_their_bits(name: str, bits: int, group: int) -> None:
    parts = affine(random_blocks(name, 4, seed=1).reshape(-1), BY_NAME[name], 2)
    assert parts is not None
    assert (parts.bits, parts.group) == (bits, group)
    assert int(parts.codes_NK.max()) < 2**bits


@pytest.mark.parametrize(("name", "kind"), [("F32", np.float32), ("F16", np.float16)])
def test_plain_numbers_are_taken_as_they_lie(name: str, kind: type) -> None:
    values = np.arange(6, dtype=kind).reshape(2, 3)
    raw = values.reshape(-1).view(np.uint8)
    assert affine(raw, BY_NAME[name], 2) is None
    assert torch.equal(dense(raw, BY_NAME[name], (2, 3)), torch.from_numpy(values))


def test_bfloat16_is_the_upper_half_of_a_float() -> None:
    values = torch.tensor([[1.5, -2.0]]).bfloat16()
    raw = values.view(torch.uint8).numpy().reshape(-1)
    assert torch.equal(dense(raw, BY_NAME["BF16"], (1, 2)), values)
