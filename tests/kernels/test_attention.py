"""Attention in 8 bits beside its plain twin, and beside torch's own."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from anyres.errors import OptionError
from anyres.kernels import cpu, reference
from anyres.kernels.cpu import Isa
from anyres.model.layers import packed_attention
from tests.kernels.everywhere import relative_error, the_same

built = pytest.mark.skipif(cpu.library() is None, reason="the kernels are not built")


def random_heads(tokens: int, heads: int, kv_heads: int, width: int, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    q_THC = torch.randn(tokens, heads, width, generator=generator) * 2
    k_TKC = torch.randn(tokens, kv_heads, width, generator=generator) * 2 + 3
    return q_THC, k_TKC, torch.randn(tokens, kv_heads, width, generator=generator)


def everywhere(q_THC: Tensor, k_TKC: Tensor, v_TKC: Tensor, lengths: list[int], *, causal: bool) -> Tensor:
    """The result of all instruction sets and 1 to 3 threads, which is one and the same."""
    return the_same(lambda isa, n: cpu.attention(q_THC, k_TKC, v_TKC, lengths, causal=causal, isa=isa, threads=n))


@built
@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 150), min_size=1, max_size=3),
    kv_heads=st.integers(1, 2),
    group=st.integers(1, 3),
    width=st.sampled_from([4, 8, 20, 32, 80, 128]),
    causal=st.booleans(),
    seed=st.integers(0, 99),
)
def test_attention_is_its_plain_twin(
    lengths: list[int], kv_heads: int, group: int, width: int, causal: bool, seed: int
) -> None:
    """A weight that lies between two steps may be rounded either way: 1/127 of one weight in 64."""
    heads = random_heads(sum(lengths), kv_heads * group, kv_heads, width, seed=seed)
    expected_THC = reference.attention(*heads, lengths, causal=causal)
    assert relative_error(everywhere(*heads, lengths, causal=causal), expected_THC) < 2e-3


@built
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("width", [80, 128])
def test_attention_is_torchs_within_its_rounding(width: int, causal: bool) -> None:
    heads = random_heads(300, 4, 2, width)
    lengths = [200, 1, 99]
    seen_THC = everywhere(*heads, lengths, causal=causal)
    assert relative_error(seen_THC, packed_attention(*heads, lengths, causal=causal)) < 0.03


@built
def test_keys_with_a_large_channel_in_common_cost_nothing() -> None:
    """The mean key is taken off: channels that are always large, which these models have, take no bits away."""
    q_THC, k_TKC, v_TKC = random_heads(200, 2, 2, 64)
    expected_THC = packed_attention(q_THC, k_TKC, v_TKC, [200], causal=False)
    k_TKC[..., 5] += 100
    assert relative_error(everywhere(q_THC, k_TKC, v_TKC, [200], causal=False), expected_THC) < 0.03


@built
def test_one_token_sees_itself() -> None:
    q_THC, k_TKC, v_TKC = random_heads(3, 2, 1, 16)
    seen_THC = everywhere(q_THC, k_TKC, v_TKC, [1, 1, 1], causal=True)
    torch.testing.assert_close(seen_THC, v_TKC.expand(-1, 2, -1), rtol=1e-5, atol=1e-6)


@built
def test_nothing_to_attend_to() -> None:
    heads = random_heads(0, 2, 1, 16)
    assert everywhere(*heads, [], causal=False).shape == (0, 2, 16)


@built
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_what_is_not_finite_stays_in_its_sequence_and_is_seen_there(value: float, part: int) -> None:
    heads = random_heads(160, 2, 2, 32)
    heads[part][100, 1, 7] = value
    broken_TH = (~everywhere(*heads, [90, 70], causal=False).isfinite()).any(dim=-1)
    assert not broken_TH[:90].any()
    assert not broken_TH[:, 0].any()
    assert bool(broken_TH[100, 1])


@built
@pytest.mark.parametrize("size", [1e-25, 1e-12, 1e12])
def test_very_small_and_very_large_values(size: float) -> None:
    q_THC, k_TKC, v_TKC = random_heads(70, 2, 2, 32)
    for heads in ((q_THC * size, k_TKC, v_TKC), (q_THC, k_TKC * size, v_TKC), (q_THC, k_TKC, v_TKC * size)):
        seen_THC = everywhere(*heads, [70], causal=False)
        expected_THC = reference.attention(*heads, [70], causal=False)
        assert relative_error(seen_THC, expected_THC) < 2e-3


@built
def test_slices_of_a_fused_projection_are_read_in_place() -> None:
    qkv_T3HC = torch.randn(90, 3, 4, 80)
    slices = qkv_T3HC.unbind(1)
    whole = tuple(x.contiguous() for x in slices)
    assert torch.equal(everywhere(*slices, [90], causal=False), everywhere(*whole, [90], causal=False))
    turned = tuple(x.permute(1, 0, 2).contiguous().permute(1, 0, 2) for x in whole)
    assert torch.equal(everywhere(*turned, [90], causal=False), everywhere(*whole, [90], causal=False))


@built
@pytest.mark.parametrize("causal", [False, True])
def test_bfloat16_is_the_rounded_float32(causal: bool) -> None:
    heads = tuple(x.bfloat16() for x in random_heads(90, 4, 2, 80))
    seen_THC = everywhere(*heads, [90], causal=causal)
    expected_THC = everywhere(*(x.float() for x in heads), [90], causal=causal)
    assert torch.equal(seen_THC, expected_THC.bfloat16())


@built
def test_what_it_cannot_do_is_named() -> None:
    with pytest.raises(OptionError, match="132 wide"):
        cpu.attention(*random_heads(3, 1, 1, 132), [3], causal=False)
    with pytest.raises(OptionError, match="float64"):
        cpu.attention(*(x.double() for x in random_heads(3, 1, 1, 16)), [3], causal=False)
    missing = next(isa for isa in Isa if isa not in cpu.instruction_sets())
    with pytest.raises(OptionError, match=missing.name):
        cpu.attention(*random_heads(3, 1, 1, 16), [3], causal=False, isa=missing)


def test_the_twin_is_attention() -> None:
    q_THC, k_TKC, v_TKC = random_heads(80, 2, 2, 64)
    exact_HTC = F.scaled_dot_product_attention(*(x.transpose(0, 1)[None] for x in (q_THC, k_TKC, v_TKC)))[0]
    assert (
        relative_error(reference.attention(q_THC, k_TKC, v_TKC, [80], causal=False), exact_HTC.transpose(0, 1)) < 0.03
    )
