"""GPTQ, AWQ and nf4: what AutoGPTQ, AutoAWQ and bitsandbytes wrote, held against what they compute with it."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from anyres.errors import CheckpointError
from anyres.kernels.reference import exact_linear
from anyres.model.language import CausalAttention
from anyres.model.qwen2vl import Qwen2VL
from anyres.quant.linear import Nf4Linear, QuantizedLinear
from anyres.quant.load import load_checkpoint
from anyres.quant.nf4 import dynamic_levels, quantise_nf4
from tests.oracle import picture, prompt, relative_error, tiny_model
from tests.quant.small import SECTIONS, case_tensors, layer_goldens, layers_config, write_case

LAYERS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")


def opened(folder: Path) -> Qwen2VL:
    return load_checkpoint(folder, device=torch.device("cpu"), dtype=torch.float32, compute=exact_linear)


@torch.no_grad()
def logits_of(model: Qwen2VL) -> Tensor:
    read = prompt(model.config, [5, picture(model.config, (1, 4, 4)), 7])
    (visual,) = read.visuals
    embeds_TD = model.embed(read.token_ids_T, model.encode(visual.patches(), [visual.grid_thw]))
    return model.head(model(embeds_TD, read.positions_3T, CausalAttention([len(embeds_TD)])))


@pytest.mark.parametrize("case", SECTIONS)
def test_the_weights_are_bit_for_bit_those_the_official_tool_computes_with(case: str, tmp_path: Path) -> None:
    model = opened(write_case(case, tmp_path / "model"))
    for name in LAYERS:
        layer = model.get_submodule(f"model.layers.0.{name}")
        assert isinstance(layer, Nf4Linear if case == "nf4" else QuantizedLinear)
        kind, _, digest = str(layer_goldens()[f"{case}/model.layers.0.{name}.sha256"]).partition(":")
        values = layer.weight_values().to(getattr(torch, kind.removeprefix("torch."))).contiguous()
        assert hashlib.sha256(values.numpy().tobytes()).hexdigest() == digest


@pytest.mark.parametrize("case", SECTIONS)
def test_the_logits_are_those_of_transformers_with_the_official_weights(case: str, tmp_path: Path) -> None:
    expected = torch.from_numpy(layer_goldens()[f"{case}/logits"])
    model = opened(write_case(case, tmp_path / "model"))
    error = relative_error(logits_of(model), expected)
    assert error < (1e-5 if case == "nf4" else 1e-3)  # official GPTQ and AWQ round their weights to float16
    assert relative_error(logits_of(tiny_model(layers_config())), expected) > 10 * error


def test_desc_act_really_permutes_the_inputs(tmp_path: Path) -> None:
    layer = opened(write_case("gptq4_order", tmp_path / "model")).get_submodule("model.layers.0.mlp.up_proj")
    assert isinstance(layer, QuantizedLinear)
    assert layer.order_K is not None
    assert sorted(layer.order_K.tolist()) == list(range(128))
    assert layer.order_K.tolist() != list(range(128))


def test_nf4_writes_the_very_bytes_that_bitsandbytes_writes() -> None:
    """The 8-bit scales may be one level off where a scale lies half-way: the mean is summed in another order."""
    tensors = case_tensors("nf4")
    weights = tiny_model(layers_config()).state_dict()
    for name in ("model.layers.0.mlp.up_proj", "model.layers.0.self_attn.k_proj"):
        ours = quantise_nf4(weights[f"{name}.weight"])
        assert torch.equal(ours[""], tensors[f"{name}.weight"])
        assert torch.equal(ours["quant_map"], tensors[f"{name}.weight.quant_map"])
        assert (ours["absmax"].int() - tensors[f"{name}.weight.absmax"].int()).abs().max() <= 1
        assert torch.allclose(ours["nested_absmax"], tensors[f"{name}.weight.nested_absmax"])


def test_the_levels_of_scales_are_those_of_bitsandbytes() -> None:
    theirs = case_tensors("nf4")["model.layers.0.mlp.up_proj.weight.nested_quant_map"]
    assert torch.equal(dynamic_levels()[1:], theirs[1:])
    assert theirs[0] == -1  # its code for CPUs moves the lowest level in place, its others do not
    assert float(dynamic_levels()[0]) == pytest.approx(-0.99296875)


@pytest.mark.parametrize(
    ("case", "section", "words"),
    [
        ("gptq4", {"bits": 3}, "bits: 3; allowed: 4 or 8"),
        ("gptq4", {"bits": "4"}, "bits: '4'; allowed: 4 or 8"),
        ("gptq4", {"group_size": 100}, "group_size: 100"),
        ("gptq4", {"group_size": 0}, "group_size: 0"),
        ("gptq4", {"group_size": 128}, "self_attn.q_proj.qzeros: int32 .2, 16.; allowed: int32 .1, 16."),
        ("gptq4", {"group_size": 48}, "groups of 48"),
        ("gptq4", {"checkpoint_format": "marlin"}, "checkpoint_format: 'marlin'"),
        ("gptq4", {"bits": 8}, "qweight"),
        ("awq", {"version": "gemv"}, "version: 'gemv'; allowed: gemm"),
        ("awq", {"bits": 8}, "bits: 8; allowed: 4"),
        ("awq", {"group_size": 32}, "qzeros"),
        ("awq", {"group_size": True}, "group_size: True"),
        ("nf4", {"bnb_4bit_quant_type": "fp4"}, "bnb_4bit_quant_type: 'fp4'; allowed: nf4"),
        ("gptq4", {"quant_method": "exl3"}, "quant_method: 'exl3'; allowed: anyres, gptq, awq, bitsandbytes"),
        ("gptq4", {"quant_method": None}, "quant_method: None"),
    ],
)
def test_a_layout_that_is_not_ours_to_read_is_named(case: str, section: dict, words: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=words):
        opened(write_case(case, tmp_path / "model", **section))
