"""Packed attention and rotary positions against their definitions."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from anyres.config import TextConfig
from anyres.model import layers
from anyres.model.language import mrope_tables
from anyres.model.layers import packed_attention, rotary_frequencies, rotate
from anyres.model.vision import patch_coordinates


def plain_attention(q_THC: Tensor, k_TKC: Tensor, v_TKC: Tensor, lengths: list[int], *, causal: bool) -> Tensor:
    """One query, one head at a time, as in a textbook."""
    out_THC = torch.zeros_like(q_THC)
    group = q_THC.shape[1] // k_TKC.shape[1]
    start = 0
    for length in lengths:
        for i in range(length):
            seen = slice(start, start + i + 1 if causal else start + length)
            for head in range(q_THC.shape[1]):
                scores = k_TKC[seen, head // group] @ q_THC[start + i, head] / math.sqrt(q_THC.shape[2])
                out_THC[start + i, head] = scores.softmax(0) @ v_TKC[seen, head // group]
        start += length
    return out_THC


def random_heads(total: int, kv_heads: int, group: int, *, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, `group` heads of queries for each of the others."""
    generator = torch.Generator().manual_seed(seed)
    q_THC, k_TKC, v_TKC = (
        torch.randn(total, heads, 4, generator=generator, dtype=torch.float64)
        for heads in (kv_heads * group, kv_heads, kv_heads)
    )
    return q_THC, k_TKC, v_TKC


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    kv_heads=st.integers(1, 3),
    group=st.integers(1, 3),
    causal=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_packed_attention_is_attention_in_each_sequence(
    lengths: list[int], kv_heads: int, group: int, causal: bool, seed: int
) -> None:
    q_THC, k_TKC, v_TKC = random_heads(sum(lengths), kv_heads, group, seed=seed)
    expected = plain_attention(q_THC, k_TKC, v_TKC, lengths, causal=causal)
    torch.testing.assert_close(packed_attention(q_THC, k_TKC, v_TKC, lengths, causal=causal), expected)


def varlen_attn(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> Tensor:
    """What torch documents of the function of this name, which computes on a GPU only."""
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert torch.equal(cu_seq_q, cu_seq_k)
    lengths = cu_seq_q.diff().tolist()
    assert (cu_seq_q[0], cu_seq_q[-1], max(lengths)) == (0, len(query), max_q)
    assert max_q == max_k
    assert enable_gqa or query.shape[1] == key.shape[1]
    assert window_size in ((-1, -1), (-1, 0))
    return plain_attention(query, key, value, lengths, causal=window_size == (-1, 0))


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    kv_heads=st.integers(1, 2),
    group=st.integers(1, 3),
    causal=st.booleans(),
)
def test_one_call_on_a_gpu_is_told_the_same(lengths: list[int], kv_heads: int, group: int, causal: bool) -> None:
    """A function with torch's contract stands where torch's own would: which tokens belong together is tested here."""
    q_THC, k_TKC, v_TKC = random_heads(sum(lengths), kv_heads, group, seed=0)
    expected = packed_attention(q_THC, k_TKC, v_TKC, lengths, causal=causal)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(layers, "_fits_one_call", lambda q, k, v: True)
        patched.setattr("torch.nn.attention.varlen.varlen_attn", varlen_attn)
        seen = packed_attention(q_THC, k_TKC, v_TKC, lengths, causal=causal)
    torch.testing.assert_close(seen, expected)


@pytest.mark.parametrize("causal", [True, False])
def test_torch_takes_the_one_call(causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On torch's device without data: that its function has these arguments, and what it gives."""
    monkeypatch.setattr(layers, "_fits_one_call", lambda q, k, v: True)
    q_THC = torch.empty(8, 4, 80, dtype=torch.bfloat16, device="meta")
    k_TKC, v_TKC = (torch.empty(8, 2, 80, dtype=torch.bfloat16, device="meta") for _ in range(2))
    out_THC = packed_attention(q_THC, k_TKC, v_TKC, [3, 5], causal=causal)
    assert (out_THC.shape, out_THC.dtype) == (q_THC.shape, q_THC.dtype)


def test_one_call_is_for_gpus_and_16_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    layers._has_one_call.cache_clear()
    for capability, has in (((7, 5), False), ((8, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, seen=capability: seen)
        assert layers._has_one_call(torch.device("cuda", capability[0])) is has
    layers._has_one_call.cache_clear()
    assert not layers._fits_one_call(*[torch.empty(8, 4, 80, dtype=torch.bfloat16)] * 3)


@pytest.mark.gpu
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("width", [80, 128])
def test_one_call_on_a_gpu(causal: bool, width: int) -> None:
    lengths = [1, 70, 3, 129]
    q_THC = torch.randn(sum(lengths), 4, width, device="cuda", dtype=torch.bfloat16)
    k_TKC, v_TKC = (torch.randn(sum(lengths), 2, width, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    assert layers._fits_one_call(q_THC, k_TKC, v_TKC)
    seen = packed_attention(q_THC, k_TKC, v_TKC, lengths, causal=causal)
    expected = packed_attention(q_THC.float(), k_TKC.float(), v_TKC.float(), lengths, causal=causal)
    torch.testing.assert_close(seen.float(), expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("length", [5, 257])
def test_gradients_are_those_of_the_fused_call(causal: bool, length: int) -> None:
    """Short sequences go through a plain product when they are trained on a CPU, longer ones do not."""
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(2 * length, 3, 4, generator=generator, dtype=torch.float64) for _ in range(3)]

    def gradients(lengths: list[int] | None) -> tuple[Tensor, ...]:
        q, k, v = (x.clone().requires_grad_() for x in given)
        if lengths:
            out = packed_attention(q, k, v, lengths, causal=causal)
        else:
            batched = (x.unflatten(0, (2, length)).transpose(1, 2) for x in (q, k, v))
            out = F.scaled_dot_product_attention(*batched, is_causal=causal).transpose(1, 2).flatten(0, 1)
        return (out, *torch.autograd.grad(out.square().sum(), (q, k, v)))

    for ours, fused in zip(gradients([length, length]), gradients(None), strict=True):
        torch.testing.assert_close(ours, fused)


@given(seed=st.integers(0, 1000), shift=st.floats(-50, 50))
def test_rotation_keeps_lengths_and_makes_products_relative(seed: int, shift: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    q_THC, k_THC = (torch.randn(1, 1, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    frequencies = rotary_frequencies(8, 100.0, torch.device("cpu")).double()

    def turned(x_THC: Tensor, position: float) -> Tensor:
        angles = (position * frequencies).repeat(2)[None]
        return rotate(x_THC, angles.cos(), angles.sin())

    assert torch.isclose(turned(q_THC, shift).norm(), q_THC.norm())
    here = (turned(q_THC, 7.0) * turned(k_THC, 3.0)).sum()
    there = (turned(q_THC, 7.0 + shift) * turned(k_THC, 3.0 + shift)).sum()
    assert torch.isclose(here, there, atol=1e-9)


def test_frequencies_fall_from_one_geometrically() -> None:
    frequencies = rotary_frequencies(128, 1e6, torch.device("cpu"))
    assert frequencies.dtype == torch.float32
    assert frequencies[0] == 1
    torch.testing.assert_close(frequencies[1:] / frequencies[:-1], torch.full((63,), 1e6 ** (-2 / 128)))


@pytest.mark.parametrize(("axis", "channels"), [(0, range(16)), (1, range(16, 40)), (2, range(40, 64))])
def test_each_axis_turns_its_own_chunk(axis: int, channels: range) -> None:
    """Section 16, 24, 24 of a 128-wide head: the published sizes."""
    positions_3T = torch.zeros(3, 1, dtype=torch.long)
    positions_3T[axis] = 5
    cos_TC, sin_TC = mrope_tables(positions_3T, TextConfig())
    moved = [channel for channel in range(128) if sin_TC[0, channel] != 0]
    assert moved == [*channels, *(channel + 64 for channel in channels)]
    angles = 5 * rotary_frequencies(128, 1e6, torch.device("cpu"))[list(channels)]
    torch.testing.assert_close(cos_TC[0, list(channels)], angles.cos())
    torch.testing.assert_close(sin_TC[0, [channel + 64 for channel in channels]], angles.sin())


@given(t=st.integers(1, 3), rows=st.integers(1, 4), columns=st.integers(1, 4), merge=st.integers(1, 3))
def test_patches_come_block_by_block(t: int, rows: int, columns: int, merge: int) -> None:
    coordinates = patch_coordinates((t, rows * merge, columns * merge), merge).tolist()
    expected = [
        [row * merge + inner_row, column * merge + inner_column]
        for _ in range(t)
        for row in range(rows)
        for column in range(columns)
        for inner_row in range(merge)
        for inner_column in range(merge)
    ]
    assert coordinates == expected
