"""Writes quant_layers.npz: layers of a small model as AutoGPTQ, AutoAWQ and bitsandbytes write them, and its logits.

Run it in an environment of its own that has torch, transformers==4.57.6, bitsandbytes==0.49.2, auto-gptq==0.7.1
(`pip install --no-deps`), accelerate, psutil and the unpacked source of autoawq==0.2.9, from the project's root:
`PYTHONPATH=.:tests:AUTOAWQ_SOURCE python tests/goldens/make_quant_layers.py`.
The packages are imported without their __init__, which wants CUDA or packages that no layer needs.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn

for name in ("auto_gptq", "awq"):
    stub = ModuleType(name)
    stub.__spec__ = importlib.util.find_spec(name)
    stub.__path__ = list(stub.__spec__.submodule_search_locations)
    sys.modules[name] = stub

# ruff: noqa: E402
from auto_gptq.nn_modules.qlinear.qlinear_cuda import QuantLinear as GptqLinear
from auto_gptq.quantization.gptq import GPTQ
from auto_gptq.quantization.quantizer import Quantizer
from awq.modules.linear.gemm import WQLinear_GEMM
from awq.utils.packing_utils import dequantize_gemm
from bitsandbytes import functional as bnb

from oracle import original_inputs, original_of, picture, prompt, tiny_config, tiny_model

torch.cuda.synchronize = lambda: None  # AutoGPTQ waits for a GPU, wherever it runs
GPTQ_CASES = {"gptq4": (4, 64, True, False), "gptq8": (8, 128, True, False), "gptq4_order": (4, 32, False, True)}
AWQ_GROUP = 64
Made = dict[str, np.ndarray]


def model_config():
    """Of one layer, widths of which are multiples of 128; tests/quant/small.py has the same."""
    config = tiny_config(heads=8, kv_heads=4, layers=1)
    return replace(config, text=replace(config.text, intermediate_size=128))


def gptq(linear: nn.Linear, bits: int, group: int, sym: bool, order: bool) -> tuple[Made, torch.Tensor]:
    """GPTQ with random inputs; the tensors of the file and the weights [N, K] it computes with, float16."""
    torch.manual_seed(linear.in_features + linear.out_features)
    half = nn.Linear(linear.in_features, linear.out_features, bias=False)
    half.weight.data = linear.weight.data.clone()
    solver = GPTQ(half)
    solver.quantizer = Quantizer()
    solver.quantizer.configure(bits, perchannel=True, sym=sym, mse=False)
    solver.add_batch(torch.randn(1, 64, linear.in_features) * torch.rand(linear.in_features) * 3, None)
    scale, zero, g_idx = solver.fasterquant(percdamp=0.01, group_size=group, actorder=order, static_groups=False)
    layer = GptqLinear(bits, group, linear.in_features, linear.out_features, False)
    layer.pack(half.half(), scale, zero, g_idx.int())
    weights = layer(torch.eye(linear.in_features, dtype=torch.float16)).T
    tensors = {key: getattr(layer, key).cpu().numpy() for key in ("qweight", "qzeros", "scales", "g_idx")}
    return tensors, weights


def awq(linear: nn.Linear) -> tuple[Made, torch.Tensor]:
    runs = linear.weight.data.reshape(-1, AWQ_GROUP)
    low, high = runs.amin(1, keepdim=True), runs.amax(1, keepdim=True)
    scales = ((high - low).clamp(min=1e-5) / 15).half().float()
    zeros = (-torch.round(low / scales)).clamp_(0, 15)
    rounded = (torch.clamp(torch.round(runs / scales) + zeros, 0, 15) - zeros) * scales
    half = nn.Linear(linear.in_features, linear.out_features, bias=False).half()
    half.weight.data = rounded.reshape_as(linear.weight).half()
    shape = (linear.out_features, -1)
    layer = WQLinear_GEMM.from_linear(
        half, 4, AWQ_GROUP, scales=scales.view(shape).T.contiguous(), zeros=zeros.view(shape).T.contiguous()
    )
    weights = dequantize_gemm(layer.qweight, layer.qzeros, layer.scales, 4, AWQ_GROUP).T
    return {key: getattr(layer, key).cpu().numpy() for key in ("qweight", "qzeros", "scales")}, weights


def nf4(linear: nn.Linear) -> tuple[Made, torch.Tensor]:
    packed, state = bnb.quantize_4bit(linear.weight.data, quant_type="nf4", compress_statistics=True, blocksize=64)
    tensors = {"weight": packed} | {f"weight.{key}": value for key, value in state.as_dict(packed=True).items()}
    return {key: value.cpu().numpy() for key, value in tensors.items()}, bnb.dequantize_4bit(packed, state)


def one_case(case: str, quantise: Callable[[nn.Linear], tuple[Made, torch.Tensor]]) -> Made:
    """All linear layers of the decoder, and the logits of the whole model with them."""
    ours = tiny_model(model_config())
    made: Made = {}
    for name, layer in ours.model.layers.named_modules(prefix="model.layers"):
        if isinstance(layer, nn.Linear):
            tensors, weights = quantise(layer)
            made |= {f"{case}/{name}.{key}": value for key, value in tensors.items()}
            digest = hashlib.sha256(weights.detach().contiguous().numpy().tobytes()).hexdigest()
            made[f"{case}/{name}.sha256"] = np.array(f"{weights.dtype}:{digest}")
            layer.weight.data = weights.detach().float()
    read = prompt(ours.config, [5, picture(ours.config, (1, 4, 4)), 7])
    with torch.no_grad():
        logits = original_of(ours)(**original_inputs([read])).logits[0]
    return made | {f"{case}/logits": logits.numpy()}


def main() -> None:
    made: Made = {}
    for case, settings in GPTQ_CASES.items():
        made |= one_case(case, lambda layer, settings=settings: gptq(layer, *settings))
    made |= one_case("awq", awq)
    made |= one_case("nf4", nf4)
    np.savez_compressed(Path(__file__).with_name("quant_layers.npz"), **made)


if __name__ == "__main__":
    main()
