"""Quantised layers in the place of dense ones, and what happens when one of them fails."""

import logging

import pytest
import torch
from torch import Tensor, nn

from anyres.engine.runner import Runner
from anyres.errors import NumericsError
from anyres.kernels.packed import PackedWeight
from anyres.kernels.reference import exact_linear
from anyres.model.qwen2vl import Qwen2VL
from anyres.quant.affine import Affine, unpack_int32
from anyres.quant.fit import fit
from anyres.quant.linear import (
    Nf4Linear,
    QuantizedLinear,
    QuantizedTable,
    WideLinear,
    WideTable,
    packed_of,
    swap_linears,
    widen,
)
from anyres.quant.nf4 import nf4_from_tensors, quantise_nf4
from tests.oracle import picture, tiny_config, tiny_model


def weight(rows: int, columns: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows))


def broken(
    x_TK: Tensor, packed: PackedWeight, bias_N: Tensor | None = None, *, out_dtype: torch.dtype | None = None
) -> Tensor:
    """A kernel that fails."""
    return exact_linear(x_TK, packed, bias_N, out_dtype=out_dtype) * torch.nan


def test_a_layer_multiplies_with_its_rounded_weights() -> None:
    fitted, bias_N, x_TK = fit(weight(20, 72), bits=4, group=64), torch.randn(20), torch.randn(3, 72)
    layer = QuantizedLinear(packed_of(fitted), bias_N, compute=exact_linear)
    assert torch.allclose(layer(x_TK), x_TK @ fitted.values().T + bias_N, atol=1e-5)
    assert torch.equal(layer.weight_values(), fitted.values())
    assert "72 -> 20, 4 bits" in repr(layer)


def test_permuted_columns_meet_their_inputs() -> None:
    fitted, order_K, x_TK = fit(weight(8, 64), bits=8, group=32), torch.randperm(64), torch.randn(2, 64)
    layer = QuantizedLinear(packed_of(fitted), compute=exact_linear, order_K=order_K)
    assert torch.allclose(layer(x_TK), x_TK @ fitted._replace(order_K=order_K).values().T, atol=1e-5)
    assert torch.equal(layer.weight_values(), fitted._replace(order_K=order_K).values())


def test_a_table_gives_rows_and_logits() -> None:
    fitted = fit(weight(50, 64), bits=8, group=64)
    table = QuantizedTable(packed_of(fitted), compute=exact_linear, dtype=torch.bfloat16)
    rows = table(torch.tensor([3, 49, 0]))
    assert torch.equal(rows, fitted.values()[[3, 49, 0]].bfloat16())
    hidden = torch.randn(2, 64)
    assert torch.allclose(table.logits(hidden), hidden @ fitted.values().T, atol=1e-5)


def test_nf4_multiplies_in_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    w, x_TK, bias_N = weight(24, 40), torch.randn(3, 40), torch.randn(24)
    stored = nf4_from_tensors(quantise_nf4(w), (24, 40), item="layer")
    layer = Nf4Linear(stored, bias_N)
    expected = x_TK @ stored.values().T + bias_N
    assert torch.allclose(layer(x_TK), expected, atol=1e-5)
    monkeypatch.setattr("anyres.quant.linear.NF4_BLOCK_VALUES", 7 * 40)
    assert torch.allclose(layer(x_TK), expected, atol=1e-5)
    assert (stored.values() - w).abs().max() < 0.2 * w.abs().max()


def test_int32_are_unpacked_from_their_lowest_bits() -> None:
    packed = torch.tensor([[0x76543210, -1]], dtype=torch.int32)
    assert unpack_int32(packed, 4).tolist() == [[list(range(8)), [15] * 8]]
    assert unpack_int32(packed, 8).tolist() == [[[0x10, 0x32, 0x54, 0x76], [255] * 4]]


def test_affine_values_of_a_last_short_group() -> None:
    whole = Affine(torch.tensor([[1, 2, 3]]), torch.tensor([[1.0, 10.0]]), torch.tensor([[0.0, 5.0]]), 4, 2)
    assert whole.values().tolist() == [[1.0, 2.0, 35.0]]


def quantised_model(compute=exact_linear, *, only: str = "") -> Qwen2VL:
    model = tiny_model(tiny_config())
    layers: dict[str, nn.Module] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear) and name.startswith(only):
            packed = packed_of(fit(layer.weight, bits=8, group=32))
            layers[name] = QuantizedLinear(packed, layer.bias, compute=compute)
    table = packed_of(fit(model.model.embed_tokens.weight, bits=8, group=32))
    layers["model.embed_tokens"] = QuantizedTable(table, compute=compute, dtype=torch.float32)
    return swap_linears(model, layers)


def test_a_layer_that_fails_becomes_float32_and_the_answer_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    model = quantised_model(broken, only="visual.blocks.1.mlp.fc1")
    visual = picture(model.config, (1, 4, 4))
    with caplog.at_level(logging.WARNING):
        (made,) = Runner(model).encode([visual])
    assert torch.isfinite(made).all()
    assert "visual.blocks.1.mlp.fc1: NaN or infinite values in float32; this layer runs with float32" in caplog.text
    assert isinstance(model.get_submodule("visual.blocks.1.mlp.fc1"), WideLinear)
    plain = quantised_model(only="visual.blocks.1.mlp.fc1")
    assert torch.allclose(made, plain.encode(visual.patches(), [visual.grid_thw]), atol=1e-4)


def test_every_layer_that_fails_is_widened(caplog: pytest.LogCaptureFixture) -> None:
    model = quantised_model(broken, only="visual.blocks")
    with caplog.at_level(logging.WARNING):
        Runner(model).encode([picture(model.config, (1, 4, 4))])
    assert len(caplog.records) == 8


def test_a_dense_layer_that_fails_is_named_as_before() -> None:
    model = tiny_model(tiny_config())
    model.visual.blocks[0].mlp.fc1.weight.data[0, 0] = torch.nan
    with pytest.raises(NumericsError, match=r"visual.blocks.0.mlp.fc1"):
        Runner(model).encode([picture(model.config, (1, 4, 4))])


def test_a_table_is_widened_for_the_head() -> None:
    model = quantised_model(broken)
    expected = exact_linear(torch.ones(1, 64), model.model.embed_tokens.packed)
    assert not widen(model, "model.norm")
    assert widen(model, "model.embed_tokens")
    table = model.model.embed_tokens
    assert isinstance(table, WideTable)
    assert torch.allclose(table.logits(torch.ones(1, 64)), expected, atol=1e-4)
    assert table(torch.tensor([1, 2])).shape == (2, 64)
