"""Triton's products against float64 arithmetic on the dequantised weight. Run by test_cuda.py in a process of its own:
under Triton's interpreter, which has to be asked for before Triton is imported, or on a GPU."""

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from anyres.kernels import cuda
from anyres.kernels.packed import PackedWeight, pack, unpack
from anyres.kernels.reference import exact_linear
from anyres.model.language import CausalAttention
from anyres.quant.linear import QuantizedLinear, QuantizedTable
from tests.kernels.weights import random_parts
from tests.oracle import picture
from tests.quant.test_linear import quantised_model

DEVICE = torch.device("cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MANY = 5


def moved(packed: PackedWeight) -> PackedWeight:
    parts = (x.to(DEVICE) for x in (packed.codes, packed.scales, packed.minimums))
    return PackedWeight(packed.bits, packed.group, packed.rows, packed.columns, *parts)


def weight(
    rows: int, columns: int, *, bits: int = 4, group: int = 64, dtype: torch.dtype = torch.float16
) -> PackedWeight:
    codes_NK, scales_NG, minimums_NG = random_parts(rows, columns, -(-columns // group), bits)
    return moved(pack(codes_NK, scales_NG.to(dtype), minimums_NG.to(dtype), bits=bits, group=group))


def inputs(tokens: int, columns: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(tokens, columns, generator=torch.Generator().manual_seed(1)).to(DEVICE, dtype)


def assert_is_product(y_TN: Tensor, x_TK: Tensor, packed: PackedWeight, bias_N: Tensor | None = None) -> None:
    """Within what rounding can do: weights and result once to the kind of x, products and sums to float32."""
    codes_NK, scales_NG, minimums_NG = (x.double() for x in unpack(packed))
    group_K = torch.arange(packed.columns, device=DEVICE) // packed.group
    scaled_NK, minimums_NK = codes_NK * scales_NG[:, group_K], minimums_NG[:, group_K]
    w_NK, x64_TK = scaled_NK + minimums_NK, x_TK.double()
    bias = torch.zeros(packed.rows, device=DEVICE).double() if bias_N is None else bias_N.double()
    expected_TN = x64_TK @ w_NK.T + bias
    kind = max(torch.finfo(x_TK.dtype).eps, torch.finfo(y_TN.dtype).eps)
    sums = (packed.columns + 8) * torch.finfo(torch.float32).eps
    largest_TN = x64_TK.abs() @ (scaled_NK.abs() + minimums_NK.abs()).T + bias.abs()
    allowed_TN = kind * (x64_TK.abs() @ w_NK.abs().T + expected_TN.abs()) + sums * largest_TN + 2.0**-24
    assert y_TN.shape == expected_TN.shape
    assert bool(((y_TN.double() - expected_TN).abs() <= allowed_TN).all())


@settings(max_examples=25, deadline=None)
@given(
    tokens=st.one_of(st.just(1), st.integers(2, 70)),
    rows=st.integers(1, 150),
    columns=st.integers(1, 520),
    group=st.sampled_from([8, 24, 64, 128]),
    bits=st.integers(4, 8),
    dtype=st.sampled_from(DTYPES),
    kept=st.sampled_from([torch.float16, torch.float32]),
    biased=st.booleans(),
    processors=st.sampled_from([1, 132]),
)
def test_products_of_all_sizes(
    tokens: int,
    rows: int,
    columns: int,
    group: int,
    bits: int,
    dtype: torch.dtype,
    kept: torch.dtype,
    biased: bool,
    processors: int,
) -> None:
    packed = weight(rows, columns, bits=bits, group=group, dtype=kept)
    x_TK = inputs(tokens, columns, dtype)
    bias_N = torch.randn(rows, device=DEVICE).to(dtype) if biased else None
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cuda, "_processors", lambda device: processors)
        y_TN = cuda.linear(x_TK, packed, bias_N)
    assert y_TN.dtype == dtype
    assert_is_product(y_TN, x_TK, packed, bias_N)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tokens", [2, 17, 33, 65, 130])
def test_every_block_of_tokens(tokens: int, dtype: torch.dtype) -> None:
    packed, x_TK = weight(70, 136), inputs(tokens, 136, dtype)
    assert_is_product(cuda.linear(x_TK, packed), x_TK, packed)


@pytest.mark.parametrize("tokens", [1, MANY])
@pytest.mark.parametrize("bits", [4, 8])
def test_groups_of_a_whole_row(tokens: int, bits: int) -> None:
    packed = moved(pack(*random_parts(17, 301, 1, bits), bits=bits))
    x_TK = inputs(tokens, 301)
    assert_is_product(cuda.linear(x_TK, packed), x_TK, packed)


@settings(max_examples=20, deadline=None)
@given(
    tokens=st.sampled_from([1, MANY]),
    power=st.integers(-110, 110),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    codes=st.sampled_from([0, 15, None]),
)
def test_extreme_values(tokens: int, power: int, dtype: torch.dtype, codes: int | None) -> None:
    """Nothing between x and y is larger than the result: it overflows only where the result does."""
    codes_NK, scales_NG, minimums_NG = random_parts(18, 72, 9, 4)
    codes_NK = codes_NK if codes is None else torch.full_like(codes_NK, codes)
    packed = moved(pack(codes_NK, scales_NG, minimums_NG, bits=4))
    x_TK = (inputs(tokens, 72) * 2.0**power).to(dtype)
    scaled_TN = cuda.linear(x_TK, packed).double() * 2.0**-power
    assert_is_product(scaled_TN.to(dtype), (x_TK.double() * 2.0**-power).to(dtype), packed)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # NumPy's, beneath the interpreter: inf * 0
@pytest.mark.parametrize("tokens", [1, 3, MANY, 40])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_broken_token_spoils_no_other(tokens: int, value: float) -> None:
    packed, x_TK = weight(20, 100), inputs(tokens, 100)
    whole_TN = cuda.linear(x_TK, packed)
    x_TK[-1, 99] = value
    y_TN = cuda.linear(x_TK, packed)
    assert torch.equal(y_TN[:-1], whole_TN[:-1])
    assert not bool(y_TN[-1].isfinite().any())


def test_no_tokens() -> None:
    packed = weight(20, 100)
    assert cuda.linear(inputs(0, 100), packed).shape == (0, 20)
    assert cuda.linear(inputs(0, 100), packed, out_dtype=torch.float16).dtype == torch.float16


@pytest.mark.parametrize("tokens", [2, MANY])
def test_rows_that_lie_apart(tokens: int) -> None:
    packed, wide_TX = weight(20, 100), inputs(tokens, 230)
    apart_TK, across_TK = wide_TX[:, 7:107], inputs(100, tokens).T
    for x_TK in (apart_TK, across_TK):
        assert torch.equal(cuda.linear(x_TK, packed), cuda.linear(x_TK.contiguous(), packed))


@pytest.mark.parametrize("tokens", [1, MANY])
def test_split_columns(tokens: int) -> None:
    """As many parts as there are, of which the last is short; the same bits each time."""
    packed, x_TK = weight(20, 920, bits=5, group=40), inputs(tokens, 920)
    shape = cuda._shape_of(tokens, packed, x_TK.dtype, 132)
    assert shape.splits > 2
    assert packed.codes.shape[1] % shape.split_steps
    bias_N = torch.randn(20, device=DEVICE)
    y_TN = cuda.linear(x_TK, packed, bias_N)
    assert_is_product(y_TN, x_TK, packed, bias_N)
    assert torch.equal(cuda.linear(x_TK, packed, bias_N), y_TN)


@pytest.mark.parametrize("tokens", [1, MANY])
def test_layers_with_permuted_columns(tokens: int) -> None:
    packed, order_K = weight(20, 100), torch.randperm(100).to(DEVICE)
    x_TK, bias_N = inputs(tokens, 100), torch.randn(20, device=DEVICE)
    ours, plain = (
        QuantizedLinear(packed, bias_N, compute=compute, order_K=order_K) for compute in (cuda.linear, exact_linear)
    )
    torch.testing.assert_close(ours(x_TK), plain(x_TK))


def test_logits_are_float32() -> None:
    packed, hidden_ND = weight(50, 100, bits=8), inputs(3, 100, torch.bfloat16)
    table = QuantizedTable(packed, compute=cuda.linear, dtype=torch.bfloat16)
    logits_NV = table.logits(hidden_ND)
    assert logits_NV.dtype == torch.float32
    assert_is_product(logits_NV, hidden_ND, packed)


@torch.inference_mode()
def test_a_whole_model() -> None:
    """Every layer of the vision encoder and the decoder, and the tied head."""
    results = []
    for compute in (exact_linear, cuda.linear):
        model = quantised_model(compute).to(DEVICE)
        visual, ids_T = picture(model.config, (1, 4, 4)), torch.arange(7, device=DEVICE)
        visual_MD = model.encode(visual.patches().to(DEVICE), [visual.grid_thw])
        hidden_TD = model.model(model.model.embed_tokens(ids_T), ids_T.repeat(3, 1), CausalAttention([7]))
        results.append((visual_MD, model.model.embed_tokens.logits(hidden_TD)))
    for expected, seen in zip(*results, strict=True):
        torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-4)


def test_what_triton_does_not_compute() -> None:
    packed = weight(20, 100)
    x_TK = inputs(2, 100).requires_grad_()
    cuda.linear(x_TK, packed).sum().backward()
    assert x_TK.grad is not None
    assert torch.equal(cuda.linear(x_TK.detach().double(), packed), exact_linear(x_TK.detach().double(), packed))


def test_a_product_is_tried_before_it_is_used() -> None:
    assert cuda.is_usable(DEVICE)
