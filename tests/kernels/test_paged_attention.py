"""Attention in float32, packed and over a cache in blocks, beside its plain twin and torch's own."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from anyres.errors import OptionError
from anyres.kernels import cpu, reference
from anyres.kernels.cpu import Isa
from anyres.model.layers import packed_attention
from tests.kernels.everywhere import the_same

built = pytest.mark.skipif(cpu.library() is None, reason="the kernels are not built")


class Cache:
    """Random sequences in blocks that lie in any order, with some blocks of NaN that belong to nobody."""

    def __init__(
        self,
        starts: list[int],
        counts: list[int],
        *,
        heads: int,
        kv_heads: int,
        width: int,
        size: int,
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        needed = [-(-(start + count) // size) for start, count in zip(starts, counts, strict=True)]
        order = torch.randperm(sum(needed) + 2, generator=generator).int()
        self.tables = torch.full((len(starts), max(needed, default=0) + 1), -1, dtype=torch.int32)
        for row, ids in zip(self.tables, order[: sum(needed)].split(needed), strict=True):
            row[: len(ids)] = ids
        self.starts, self.counts = (torch.tensor(x, dtype=torch.int32) for x in (starts, counts))
        self.q_THC = torch.randn(sum(counts), heads, width, generator=generator)
        shape = (len(order), kv_heads, size, width)
        self.scales: dict[str, Tensor] = {}
        if dtype == torch.int8:
            self.keys, self.values = (
                torch.randint(-127, 128, shape, generator=generator).to(torch.int8) for _ in range(2)
            )
            self.scales = {
                name: torch.rand(shape[:3], generator=generator) / 50 for name in ("key_scales_NKS", "value_scales_NKS")
            }
        else:
            self.keys, self.values = (torch.randn(shape, generator=generator).to(dtype) for _ in range(2))
            for unused in order[sum(needed) :].tolist():
                self.keys[unused] = self.values[unused] = math.nan
        self.parts = (self.keys, self.values, self.tables, self.starts, self.counts)

    def expected(self) -> Tensor:
        return reference.paged_attention(self.q_THC, *self.parts, **self.scales)

    def everywhere(self) -> Tensor:
        """The result of all instruction sets and 1 to 3 threads, which is one and the same."""
        return the_same(lambda isa, n: cpu.paged_attention(self.q_THC, *self.parts, **self.scales, isa=isa, threads=n))


def random_heads(tokens: int, heads: int, kv_heads: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(tokens + width)
    return (
        torch.randn(tokens, heads, width, generator=generator) * 2,
        torch.randn(tokens, kv_heads, width, generator=generator) * 2 + 1,
        torch.randn(tokens, kv_heads, width, generator=generator),
    )


def exactly(q_THC: Tensor, k_TKC: Tensor, v_TKC: Tensor, lengths: list[int], *, causal: bool) -> Tensor:
    """The float32 result of all instruction sets and 1 to 3 threads."""
    return the_same(lambda isa, n: cpu.exact_attention(q_THC, k_TKC, v_TKC, lengths, causal=causal, isa=isa, threads=n))


@built
@settings(max_examples=40, deadline=None)
@given(
    spans=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 40)), min_size=0, max_size=4),
    kv_heads=st.integers(1, 3),
    group=st.integers(1, 7),
    width=st.sampled_from([1, 4, 16, 20, 32, 80, 127, 128]),
    size=st.sampled_from([1, 5, 16, 32]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.int8]),
    seed=st.integers(0, 99),
)
def test_paged_attention_is_its_plain_twin(
    spans: list[tuple[int, int]], kv_heads: int, group: int, width: int, size: int, dtype: torch.dtype, seed: int
) -> None:
    starts, counts = [start for start, _ in spans], [count for _, count in spans]
    cache = Cache(
        starts, counts, heads=kv_heads * group, kv_heads=kv_heads, width=width, size=size, dtype=dtype, seed=seed
    )
    torch.testing.assert_close(cache.everywhere(), cache.expected(), rtol=1e-5, atol=1e-5)


@built
@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 150), min_size=1, max_size=3),
    kv_heads=st.integers(1, 2),
    group=st.integers(1, 3),
    width=st.sampled_from([4, 20, 32, 80, 128]),
    causal=st.booleans(),
)
def test_exact_attention_is_torchs(lengths: list[int], kv_heads: int, group: int, width: int, causal: bool) -> None:
    heads = random_heads(sum(lengths), kv_heads * group, kv_heads, width)
    expected_THC = packed_attention(*(x.double() for x in heads), lengths, causal=causal).float()
    torch.testing.assert_close(exactly(*heads, lengths, causal=causal), expected_THC, rtol=1e-4, atol=3e-5)


@built
def test_a_query_gets_the_same_bits_alone_in_a_chunk_and_in_a_whole_prompt() -> None:
    whole = Cache([0], [70], heads=6, kv_heads=2, width=32, size=16)
    expected_THC = whole.everywhere()
    packed = [
        x[whole.tables[0, :5].long()].transpose(1, 2).flatten(0, 1)[:70].contiguous()
        for x in (whole.keys, whole.values)
    ]
    assert torch.equal(exactly(whole.q_THC, packed[0], packed[1], [70], causal=True), expected_THC)
    for start, count in ((69, 1), (30, 1), (0, 33), (33, 37)):
        part = (torch.tensor([start], dtype=torch.int32), torch.tensor([count], dtype=torch.int32))
        seen_THC = cpu.paged_attention(whole.q_THC[start : start + count], *whole.parts[:3], *part)
        assert torch.equal(seen_THC, expected_THC[start : start + count])


@built
def test_sequences_do_not_see_each_other() -> None:
    both = Cache([17, 40], [3, 1], heads=4, kv_heads=2, width=16, size=16)
    alone = cpu.paged_attention(both.q_THC[3:], both.keys, both.values, *(x[1:] for x in both.parts[2:]))
    assert torch.equal(both.everywhere()[3:], alone)


@built
def test_nothing_past_the_last_place_is_read() -> None:
    """The rest of the last block is NaN: memory that no token has been written to."""
    cache = Cache([20], [3], heads=4, kv_heads=2, width=48, size=16)
    expected_THC = cache.everywhere()
    for blocks in (cache.keys, cache.values):
        blocks[int(cache.tables[0, 1]), :, 23 - 16 :] = math.nan
    assert torch.equal(cache.everywhere(), expected_THC)


@built
@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e12, 1e30])
def test_very_small_and_very_large_values(size: float) -> None:
    for scaled in range(3):
        q_THC, k_TKC, v_TKC = (x * (size if i == scaled else 1) for i, x in enumerate(random_heads(50, 4, 2, 32)))
        expected_THC = packed_attention(q_THC.double(), k_TKC.double(), v_TKC.double(), [50], causal=True).float()
        seen_THC = exactly(q_THC, k_TKC, v_TKC, [50], causal=True)
        torch.testing.assert_close(seen_THC, expected_THC, rtol=1e-4, atol=1e-5 * max(1.0, float(v_TKC.abs().max())))


@built
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_what_is_not_finite_is_seen_in_its_sequence_and_head_only(value: float, part: int) -> None:
    heads = random_heads(120, 2, 2, 32)
    heads[part][100, 1, 7] = value
    heads[1 - min(part, 1)][..., 7] = 1.0  # an infinite score is not made one that nobody looks at
    broken_TH = (~exactly(*heads, [50, 70], causal=False).isfinite()).any(dim=-1)
    assert not broken_TH[:50].any()
    assert not broken_TH[:, 0].any()
    assert bool(broken_TH[100, 1])


@built
def test_scores_far_apart_leave_one_key() -> None:
    q_THC, k_TKC, v_TKC = random_heads(90, 2, 2, 32)
    k_TKC *= 1e5
    scores = torch.einsum("thc,shc->ths", q_THC, k_TKC)
    expected_THC = v_TKC.transpose(0, 1)[torch.arange(2), scores.argmax(-1)]
    torch.testing.assert_close(exactly(q_THC, k_TKC, v_TKC, [90], causal=False), expected_THC, rtol=0.2, atol=0.2)


@built
def test_memory_of_any_alignment() -> None:
    """Floats that start at any multiple of 4 bytes, codes at any byte."""
    cache = Cache([9], [20], heads=4, kv_heads=2, width=32, size=16)
    expected_THC = cache.everywhere()
    for offset in (1, 3):
        moved = [torch.empty(x.numel() + 16)[offset:][: x.numel()].view(x.shape).copy_(x) for x in cache.parts[:2]]
        assert torch.equal(cpu.paged_attention(cache.q_THC, *moved, *cache.parts[2:]), expected_THC)
    codes = Cache([9], [20], heads=4, kv_heads=2, width=33, size=5, dtype=torch.int8)
    expected_THC = codes.everywhere()
    moved = [torch.empty(x.numel() + 3, dtype=torch.int8)[3:].view(x.shape).copy_(x) for x in codes.parts[:2]]
    assert torch.equal(cpu.paged_attention(codes.q_THC, *moved, *codes.parts[2:], **codes.scales), expected_THC)


@built
def test_queries_of_a_fused_projection_are_read_in_place() -> None:
    cache = Cache([9], [20], heads=4, kv_heads=2, width=32, size=16)
    fused_TXC = torch.cat((cache.q_THC, torch.full((20, 3, 32), math.nan)), dim=1)
    assert torch.equal(cpu.paged_attention(fused_TXC[:, :4], *cache.parts), cache.everywhere())


@built
def test_bfloat16_queries_give_the_rounded_result() -> None:
    cache = Cache([9, 0], [20, 4], heads=4, kv_heads=2, width=80, size=16, dtype=torch.bfloat16)
    cache.q_THC = cache.q_THC.bfloat16()
    seen_THC = cache.everywhere()
    cache.q_THC = cache.q_THC.float()
    assert torch.equal(seen_THC, cache.everywhere().bfloat16())


@built
@pytest.mark.parametrize("broken", ["negative", "too high", "too short", "too many"])
def test_tables_that_lead_out_of_the_cache_are_refused(broken: str) -> None:
    cache = Cache([20], [3], heads=4, kv_heads=2, width=16, size=16)
    if broken == "negative":
        cache.tables[0, 1] = -1
    elif broken == "too high":
        cache.tables[0, 0] = len(cache.keys)
    elif broken == "too short":
        cache.starts += 40
    else:
        cache.counts += 1
    with pytest.raises(AssertionError, match="do not fit 3 queries"):
        cpu.paged_attention(cache.q_THC, *cache.parts)


@built
def test_what_it_cannot_do_is_named() -> None:
    wide = Cache([0], [3], heads=1, kv_heads=1, width=132, size=16)
    with pytest.raises(OptionError, match="132 wide"):
        cpu.paged_attention(wide.q_THC, *wide.parts)
    half = Cache([0], [3], heads=1, kv_heads=1, width=16, size=16, dtype=torch.float16)
    with pytest.raises(OptionError, match="float16"):
        cpu.paged_attention(half.q_THC, *half.parts)
    missing = next(isa for isa in Isa if isa not in cpu.instruction_sets())
    with pytest.raises(OptionError, match=missing.name):
        cpu.exact_attention(*random_heads(3, 1, 1, 16), [3], causal=False, isa=missing)


def test_the_twin_of_one_long_block_is_torchs_attention() -> None:
    q_THC, k_TKC, v_TKC = random_heads(30, 6, 2, 16)
    blocks = [x.transpose(0, 1)[None].contiguous() for x in (k_TKC, v_TKC)]
    tables, starts, counts = (torch.tensor(x, dtype=torch.int32) for x in ([[0]], [0], [30]))
    seen_THC = reference.paged_attention(q_THC, *blocks, tables, starts, counts)
    torch.testing.assert_close(seen_THC, packed_attention(q_THC, k_TKC, v_TKC, [30], causal=True))
