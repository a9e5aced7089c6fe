"""The plain twins: against float64 arithmetic on the dequantised weight."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.kernels.packed import dequantize, pack
from anyres.kernels.reference import exact_linear, linear, quantize_activations
from tests.kernels.weights import random_parts


@settings(max_examples=60, deadline=None)
@given(
    tokens=st.integers(0, 5),
    columns=st.integers(1, 100),
    group=st.sampled_from([8, 16, 64]),
    power=st.integers(-90, 120),
)
def test_rounding_is_within_half_a_step(tokens: int, columns: int, group: int, power: int) -> None:
    x_TK = torch.randn(tokens, columns) * 2.0**power
    codes_TGS, scales_TG = quantize_activations(x_TK, group)
    assert codes_TGS.shape == (tokens, math.ceil(columns / group), group)
    assert torch.equal(codes_TGS, codes_TGS.round())
    again_TK = (codes_TGS.double() * scales_TG.double()[..., None]).flatten(1)[:, :columns]
    step_TK = scales_TG.double().repeat_interleave(group, dim=1)[:, :columns]
    assert bool(((again_TK - x_TK.double()).abs() <= step_TK * 0.50001).all())
    assert bool((codes_TGS.abs().amax(-1) <= 127).all())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_broken_group_is_nan_and_its_neighbour_is_not(value: float) -> None:
    x_TK = torch.ones(2, 16)
    x_TK[0, 3] = value
    codes_TGS, scales_TG = quantize_activations(x_TK, 8)
    assert scales_TG.isnan().tolist() == [[True, False], [False, False]]
    assert bool(codes_TGS.isfinite().all())


@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-38, 2.0**-101])
def test_groups_of_next_to_nothing_are_zeros(value: float) -> None:
    codes_TGS, scales_TG = quantize_activations(torch.full((1, 8), value), 8)
    assert not codes_TGS.any()
    assert scales_TG.item() == 0


def test_the_largest_floats_are_rounded_like_any() -> None:
    largest = torch.finfo(torch.float32).max
    codes_TGS, scales_TG = quantize_activations(torch.tensor([[largest, -largest, 0, 0]]), 4)
    assert codes_TGS.flatten().tolist() == [127, -127, 0, 0]
    assert scales_TG.item() == pytest.approx(largest / 127)


@settings(max_examples=60, deadline=None)
@given(
    tokens=st.integers(0, 4),
    rows=st.integers(1, 40),
    groups=st.integers(1, 4),
    group=st.sampled_from([8, 16, 32, 64]),
    bits=st.integers(4, 8),
    biased=st.booleans(),
)
def test_linear_is_the_product_of_the_rounded_activations(
    tokens: int, rows: int, groups: int, group: int, bits: int, biased: bool
) -> None:
    packed = pack(*random_parts(rows, groups * group, groups, bits), bits=bits)
    x_TK, bias_N = torch.randn(tokens, groups * group), torch.randn(rows)
    rounded = quantize_activations(x_TK, packed.group)
    rounded_TK = (rounded.codes_TGS.double() * rounded.scales_TG.double()[..., None]).flatten(1)
    expected_TN = rounded_TK @ dequantize(packed).double().T + bias_N.double() * biased
    y_TN = linear(x_TK, packed, bias_N if biased else None)
    torch.testing.assert_close(y_TN.double(), expected_TN, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_whole_numbers_come_out_exactly(bits: int) -> None:
    """Scales of 1 and activations that are whole 127ths of their largest: nothing is rounded anywhere."""
    codes_NK, scales_NG, minimums_NG = random_parts(33, 256, 4, bits)
    packed = pack(codes_NK, torch.ones_like(scales_NG), minimums_NG.round() - 3, bits=bits)
    x_TK = torch.randint(-127, 128, (5, 256)).float()
    x_TK[:, ::64] = 127
    assert torch.equal(linear(x_TK, packed).double(), x_TK.double() @ dequantize(packed).double().T)


def test_rounding_activations_to_int8_costs_less_than_one_percent() -> None:
    packed = pack(*random_parts(64, 512, 8, 4), bits=4)
    x_TK = torch.randn(16, 512)
    exact_TN, y_TN = x_TK @ dequantize(packed).T, linear(x_TK, packed)
    assert ((y_TN - exact_TN).norm() / exact_TN.norm()).item() < 0.01


@settings(max_examples=40, deadline=None)
@given(tokens=st.integers(0, 4), rows=st.integers(1, 70), bits=st.integers(4, 8))
def test_exact_linear_is_torchs_own_on_the_dequantised_weight(tokens: int, rows: int, bits: int) -> None:
    packed = pack(*random_parts(rows, 64, 2, bits), bits=bits)
    x_TK, bias_N = torch.randn(tokens, 64), torch.randn(rows)
    expected_TN = torch.nn.functional.linear(x_TK, dequantize(packed), bias_N)
    torch.testing.assert_close(exact_linear(x_TK, packed, bias_N), expected_TN)


def test_exact_linear_in_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(*random_parts(70, 64, 2, 4), bits=4)
    x_TK = torch.randn(3, 64)
    whole_TN = exact_linear(x_TK, packed)
    monkeypatch.setattr("anyres.kernels.reference.BLOCK_BYTES", 4 * 16 * 64)
    torch.testing.assert_close(exact_linear(x_TK, packed), whole_TN)
    assert whole_TN.shape == (3, 70)


@pytest.mark.parametrize("function", [linear, exact_linear])
def test_dtypes(function: object) -> None:
    packed = pack(*random_parts(16, 64, 1, 8), bits=8)
    x_TK = torch.randn(2, 64, dtype=torch.bfloat16)
    assert callable(function)
    assert function(x_TK, packed).dtype == torch.bfloat16
    assert function(x_TK, packed, out_dtype=torch.float32).dtype == torch.float32


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_broken_token_is_nan_and_its_neighbour_is_not(value: float) -> None:
    packed = pack(*random_parts(16, 64, 1, 8), bits=8)
    x_TK = torch.ones(2, 64)
    x_TK[1, 63] = value
    assert linear(x_TK, packed).isnan().all(dim=1).tolist() == [False, True]
