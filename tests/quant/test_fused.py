"""Fused layers beside the ones they stand for."""

import pytest
import torch
from torch import Tensor, nn

from anyres.kernels.cpu import best_isa, linear
from anyres.model.language import CausalAttention, DecoderLayer
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.vision import VisionBlock
from anyres.quant.fused import MLP_TOKENS, FusedDecoderLayer, FusedVisionBlock, fuse
from anyres.quant.linear import QuantizedLinear, widen
from anyres.quant.quantise import quantise_in_memory
from tests.oracle import tiny_config

built = pytest.mark.skipif(best_isa() is None, reason="the kernels are not built")
GRIDS = [(1, 8, 12), (2, 4, 4)]
PATCHES = 128


def quantised_model(*, seed: int = 0) -> Qwen2VL:
    model = Qwen2VL(tiny_config()).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        weight.data = centre + torch.randn(weight.shape, generator=generator) * 0.1
    return quantise_in_memory(model, "int4", compute=linear)


def embeddings(model: Qwen2VL, tokens: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    embeds_TD = torch.randn(tokens, model.config.text.hidden_size, generator=generator)
    return embeds_TD, torch.arange(tokens).expand(3, -1)


def pixels(model: Qwen2VL) -> Tensor:
    return torch.randn(PATCHES, model.config.vision.patch_values, generator=torch.Generator().manual_seed(1))


def relative_error(seen: Tensor, expected: Tensor) -> float:
    return ((seen.double() - expected.double()).norm() / expected.double().norm()).item()


@built
@pytest.mark.parametrize("tokens", [1, 30, 2 * MLP_TOKENS + 5])
@torch.no_grad()
def test_the_decoder_is_the_same(tokens: int) -> None:
    """Values between two of 127 steps may be rounded either way: that is what may differ."""
    model = quantised_model()
    embeds_TD, positions_3T = embeddings(model, tokens)
    expected_TD = model(embeds_TD, positions_3T, CausalAttention([tokens]))
    fuse(model)
    assert all(isinstance(layer, FusedDecoderLayer) for layer in model.model.layers)
    assert relative_error(model(embeds_TD, positions_3T, CausalAttention([tokens])), expected_TD) < 5e-3


@built
@torch.no_grad()
def test_the_vision_encoder_is_the_same() -> None:
    model = quantised_model()
    expected_MD = model.encode(pixels(model), GRIDS)
    fuse(model)
    assert all(isinstance(block, FusedVisionBlock) for block in model.visual.blocks)
    assert relative_error(model.encode(pixels(model), GRIDS), expected_MD) < 2e-2  # attention in 8 bits


@built
def test_a_dense_vision_encoder_attends_natively_in_float32_and_still_trains() -> None:
    model = Qwen2VL(tiny_config()).eval()
    expected_MD = model.encode(pixels(model), GRIDS)
    fuse(model)
    with torch.no_grad():
        torch.testing.assert_close(model.encode(pixels(model), GRIDS), expected_MD, rtol=1e-4, atol=1e-5)
    trained_MD = model.encode(pixels(model), GRIDS)
    trained_MD.sum().backward()
    assert torch.equal(trained_MD, expected_MD)
    grad = model.get_parameter("visual.blocks.0.attn.qkv.weight").grad
    assert grad is not None
    assert bool(grad.any())


@built
@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_dense_vision_encoder_in_half_precision(dtype: torch.dtype) -> None:
    model = Qwen2VL(tiny_config()).eval().to(dtype)
    expected_MD = model.encode(pixels(model), GRIDS)
    seen_MD = fuse(model).encode(pixels(model), GRIDS)
    assert seen_MD.dtype == dtype
    assert relative_error(seen_MD, expected_MD) < 2e-2


@built
def test_the_state_is_the_same() -> None:
    model = quantised_model()
    before = {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}
    assert {name: tensor.data_ptr() for name, tensor in fuse(model).state_dict().items()} == before


@built
@torch.no_grad()
def test_a_watched_or_widened_layer_runs_product_by_product() -> None:
    model = fuse(quantised_model())
    embeds_TD, positions_3T = embeddings(model, 9)
    fused_TD = model(embeds_TD, positions_3T, CausalAttention([9]))
    seen: list[str] = []
    layer = model.get_submodule("model.layers.1.mlp.up_proj")
    hook = layer.register_forward_hook(lambda *_: seen.append("up"))
    watched_TD = model(embeds_TD, positions_3T, CausalAttention([9]))
    hook.remove()
    assert seen == ["up"]
    assert relative_error(watched_TD, fused_TD) < 5e-3
    assert widen(model, "model.layers.1.mlp.up_proj")
    widened_TD = model(embeds_TD, positions_3T, CausalAttention([9]))
    assert 0 < relative_error(widened_TD, watched_TD) < 5e-2


@built
@torch.no_grad()
def test_a_layer_that_was_exchanged_is_the_one_used() -> None:
    model = fuse(quantised_model())
    other = quantised_model(seed=1)
    embeds_TD, positions_3T = embeddings(model, 9)
    model(embeds_TD, positions_3T, CausalAttention([9]))
    for name in ("self_attn.q_proj", "mlp.down_proj"):
        parent, _, child = f"model.layers.0.{name}".rpartition(".")
        setattr(model.get_submodule(parent), child, other.get_submodule(f"model.layers.0.{name}"))
    seen_TD = model(embeds_TD, positions_3T, CausalAttention([9]))
    plain = DecoderLayer.forward
    expected_TD = embeds_TD
    tables = torch.zeros(9, model.config.text.head_dim)
    for layer in model.model.layers:
        assert isinstance(layer, FusedDecoderLayer)
        fused_TD = layer(expected_TD, tables + 1, tables, CausalAttention([9]))
        expected_TD = plain(layer, expected_TD, tables + 1, tables, CausalAttention([9]))
        assert relative_error(fused_TD, expected_TD) < 5e-3
    assert seen_TD.shape == expected_TD.shape


@built
@torch.no_grad()
def test_a_model_in_bfloat16_is_fused_too() -> None:
    model = quantised_model()
    for layer in model.modules():
        if not isinstance(layer, QuantizedLinear):
            for weight in layer.parameters(recurse=False):
                weight.data = weight.data.bfloat16()
    embeds_TD, positions_3T = embeddings(model, 20)
    embeds_TD = embeds_TD.bfloat16()
    expected_TD = model(embeds_TD, positions_3T, CausalAttention([20]))
    seen_TD = fuse(model)(embeds_TD, positions_3T, CausalAttention([20]))
    assert seen_TD.dtype == torch.bfloat16
    assert relative_error(seen_TD, expected_TD) < 2e-2


def test_dense_layers_stay_as_they_are() -> None:
    model = Qwen2VL(tiny_config())
    fuse(model)
    assert all(type(layer) is DecoderLayer for layer in model.model.layers)
    assert all(type(block) is VisionBlock for block in model.visual.blocks)


def test_without_kernels_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyres.quant.fused.best_isa", lambda: None)
    model = quantised_model()
    kinds: list[type[nn.Module]] = [type(layer) for layer in fuse(model).modules()]
    assert FusedDecoderLayer not in kinds
    assert FusedVisionBlock not in kinds
