"""Several products of one input with what comes before them, and rotary positions, beside their plain twins."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from anyres.errors import OptionError
from anyres.kernels import cpu, reference
from anyres.kernels.cpu import Before, BeforeKind, Products
from anyres.kernels.packed import PackedWeight, pack
from anyres.model.layers import rotate
from tests.kernels.everywhere import relative_error, the_same
from tests.kernels.weights import random_parts

built = pytest.mark.skipif(cpu.library() is None, reason="the kernels are not built")
EPS = 1e-6


def weight(rows: int, columns: int, bits: int, *, seed: int = 0) -> PackedWeight:
    return pack(*random_parts(rows, columns, -(-columns // 64), bits, seed=seed), bits=bits, group=64)


def before_of(kind: BeforeKind | None, columns: int) -> Before | None:
    generator = torch.Generator().manual_seed(columns)
    weight_K, bias_K = torch.rand(columns, generator=generator) + 0.5, torch.randn(columns, generator=generator)
    norm = kind in (BeforeKind.RMS_NORM, BeforeKind.LAYER_NORM)
    return None if kind is None else Before(kind, weight_K, bias_K, EPS) if norm else Before(kind)


def prepared(x_TX: Tensor, before: Before | None) -> Tensor:
    """What the plain twins make of the input."""
    if before is None:
        return x_TX
    if before.kind == BeforeKind.SWIGLU:
        return reference.swiglu(x_TX)
    if before.kind == BeforeKind.QUICK_GELU:
        return reference.quick_gelu(x_TX)
    assert before.weight_K is not None
    if before.kind == BeforeKind.RMS_NORM:
        return reference.rms_norm(x_TX, before.weight_K, before.eps)
    assert before.bias_K is not None
    return reference.layer_norm(x_TX, before.weight_K, before.bias_K, before.eps)


def everywhere(products: Products, x_TX: Tensor, added_TN: Tensor | None = None) -> Tensor:
    """The result of all instruction sets and 1 to 3 threads, which is one and the same."""
    return the_same(lambda isa, threads: products(x_TX, added_TN, isa=isa, threads=threads))


@built
@settings(max_examples=40, deadline=None)
@given(
    tokens=st.integers(1, 14),
    rows=st.lists(st.integers(1, 90), min_size=1, max_size=4),
    groups=st.integers(1, 4),
    bits=st.integers(4, 8),
    kind=st.sampled_from([None, *BeforeKind]),
    biased=st.booleans(),
    adds=st.booleans(),
)
def test_products_are_their_plain_twins(
    tokens: int, rows: list[int], groups: int, bits: int, kind: BeforeKind | None, biased: bool, adds: bool
) -> None:
    """A value that lies between two steps may be rounded either way, so the error is a part of one of 127 steps."""
    columns = 64 * groups
    parts = [
        (weight(n, columns, bits, seed=i), torch.randn(n) if biased and i != 1 else None) for i, n in enumerate(rows)
    ]
    before = before_of(kind, columns)
    x_TX = torch.randn(tokens, columns * (2 if kind == BeforeKind.SWIGLU else 1)) * 3
    added_TN = torch.randn(tokens, sum(rows)) if adds else None
    expected_TN = torch.cat(
        [reference.linear(prepared(x_TX, before), packed, bias_N) for packed, bias_N in parts], dim=1
    )
    if added_TN is not None:
        expected_TN = expected_TN + added_TN
    assert relative_error(everywhere(Products(parts, before=before), x_TX, added_TN), expected_TN) < 3e-3


@built
@pytest.mark.parametrize("bits", [4, 5, 8])
def test_one_token_reads_its_weights_in_longer_pieces(bits: int) -> None:
    """Pieces of several panels, of which some begin in one weight and end in the next."""
    rows, columns = (64 * 30 + 5, 7, 700, 64 * 21), 72
    parts = [(weight(n, columns, bits, seed=n), torch.randn(n)) for n in rows]
    x_TK = torch.randn(1, columns)
    expected_TN = torch.cat([reference.linear(x_TK, *part) for part in parts], dim=1)
    assert torch.equal(everywhere(Products(parts), x_TK), expected_TN)


@built
@pytest.mark.parametrize("kind", list(BeforeKind))
def test_a_gate_or_norm_beside_torchs_own(kind: BeforeKind) -> None:
    """Codes of 8 bits that stand for the identity give back what was rounded: within half a step of torch's value."""
    identity = pack(torch.eye(64, dtype=torch.uint8), torch.ones(64, 1), torch.zeros(64, 1), bits=8)
    before = before_of(kind, 64)
    x_TX = torch.randn(20, 128 if kind == BeforeKind.SWIGLU else 64) * 4
    expected_TK = prepared(x_TX, before)
    step_T1 = expected_TK.abs().amax(1, keepdim=True) / 127
    seen_TK = everywhere(Products([(identity, None)], before=before), x_TX)
    assert bool(((seen_TK - expected_TK).abs() <= step_T1 * 0.5001).all())


@built
@pytest.mark.parametrize("tokens", [1, 700])
def test_one_call_is_as_many_calls(tokens: int) -> None:
    parts = [(weight(n, 2048, 4, seed=n), torch.randn(n)) for n in (48, 16, 17)]
    x_TK = torch.randn(tokens, 2048)
    seen_TN = everywhere(Products(parts), x_TK)
    assert torch.equal(seen_TN, torch.cat([cpu.linear(x_TK, packed, bias_N) for packed, bias_N in parts], dim=1))


@built
@pytest.mark.parametrize("size", [1e-30, 1e-10, 1e10, 1e18])
@pytest.mark.parametrize("kind", [BeforeKind.QUICK_GELU, BeforeKind.SWIGLU, BeforeKind.RMS_NORM])
def test_very_small_and_very_large_values(kind: BeforeKind, size: float) -> None:
    packed, before = weight(20, 64, 8), before_of(kind, 64)
    x_TX = torch.randn(4, 128 if kind == BeforeKind.SWIGLU else 64) * size
    expected_TN = reference.linear(prepared(x_TX, before), packed)
    seen_TN = everywhere(Products([(packed, None)], before=before), x_TX)
    torch.testing.assert_close(seen_TN, expected_TN, rtol=2e-2, atol=2e-2 * float(expected_TN.abs().max()))


@built
@pytest.mark.parametrize("kind", list(BeforeKind))
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_broken_token_is_nan_and_its_neighbour_is_not(kind: BeforeKind, value: float) -> None:
    x_TX = torch.randn(2, 128 if kind == BeforeKind.SWIGLU else 64)
    x_TX[1, 63] = value
    seen_TN = everywhere(Products([(weight(16, 64, 8), None)], before=before_of(kind, 64)), x_TX)
    assert seen_TN.isnan().all(dim=1).tolist() == [False, True]


@built
def test_bfloat16_in_and_out() -> None:
    products = Products([(weight(40, 128, 4), torch.randn(40))], before=before_of(BeforeKind.RMS_NORM, 128))
    x_TK, added_TN = torch.randn(5, 128).bfloat16(), torch.randn(5, 40).bfloat16()
    expected_TN = everywhere(products, x_TK.float(), added_TN.float()).bfloat16()
    assert torch.equal(everywhere(products, x_TK, added_TN), expected_TN)


@built
def test_rows_that_lie_apart() -> None:
    products = Products([(weight(40, 128, 4), None)], before=Before(BeforeKind.QUICK_GELU))
    x_TX, added_TX = torch.randn(5, 200), torch.randn(5, 60)
    expected_TN = everywhere(products, x_TX[:, 7:135].contiguous(), added_TX[:, 3:43].contiguous())
    assert torch.equal(everywhere(products, x_TX[:, 7:135], added_TX[:, 3:43]), expected_TN)


@built
def test_weights_of_different_groups() -> None:
    """As files of llama.cpp have them: groups of 32 beside groups of 16."""
    parts = [
        (pack(*random_parts(rows, 128, groups, 4), bits=4), torch.randn(rows)) for rows, groups in ((20, 4), (33, 8))
    ]
    x_TK, added_TN = torch.randn(5, 128), torch.randn(5, 53)
    expected_TN = torch.cat([cpu.linear(x_TK, packed, bias_N) for packed, bias_N in parts], dim=1) + added_TN
    assert torch.equal(everywhere(Products(parts), x_TK, added_TN), expected_TN)


@built
def test_weights_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(OptionError, match=r"columns \[64, 128\]"):
        Products([(weight(16, 64, 4), None), (weight(16, 128, 4), None)])
    with pytest.raises(OptionError, match="1 to 4"):
        Products([(weight(16, 64, 4), None)] * 5)


@built
@settings(max_examples=30, deadline=None)
@given(
    tokens=st.integers(0, 20),
    heads=st.integers(1, 4),
    more=st.integers(0, 9),
    width=st.sampled_from([2, 8, 20, 80, 128]),
    half=st.booleans(),
)
def test_rotary_positions_are_the_models_bit_for_bit(
    tokens: int, heads: int, more: int, width: int, half: bool
) -> None:
    x_TX = torch.randn(tokens, heads * width + more).to(torch.bfloat16 if half else torch.float32)
    angles_TC = torch.randn(tokens, width) * 10
    cos_TC, sin_TC = angles_TC.cos(), angles_TC.sin()
    turned_THC = rotate(x_TX[:, : heads * width].float().unflatten(1, (heads, width)), cos_TC, sin_TC)
    expected_TX = torch.cat((turned_THC.flatten(1).to(x_TX.dtype), x_TX[:, heads * width :]), dim=1)
    for isa in cpu.instruction_sets():
        for threads in (1, 3):
            seen_TX = x_TX.clone()
            cpu.rotate_(seen_TX, cos_TC, sin_TC, heads=heads, isa=isa, threads=threads)
            assert torch.equal(seen_TX, expected_TX)
