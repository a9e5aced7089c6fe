"""The small models that the golden files were made of, and folders in the layouts of GPTQ, AWQ and bitsandbytes."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from anyres.config import Qwen2VLConfig
from anyres.model.weights import save_model
from tests.oracle import tiny_config, tiny_model

GOLDENS = Path(__file__).parents[1] / "goldens"
SECTIONS: dict[str, dict[str, Any]] = {
    "gptq4": {"quant_method": "gptq", "bits": 4, "group_size": 64, "sym": True, "desc_act": False},
    "gptq8": {"quant_method": "gptq", "bits": 8, "group_size": 128, "sym": True, "desc_act": False},
    "gptq4_order": {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": False, "desc_act": True},
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True, "version": "gemm"},
    "nf4": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
}


def layers_config() -> Qwen2VLConfig:
    """As in goldens/make_quant_layers.py."""
    config = tiny_config(heads=8, kv_heads=4, layers=1)
    return replace(config, text=replace(config.text, intermediate_size=128))


def gguf_config() -> Qwen2VLConfig:
    """As in goldens/make_quant_gguf.py."""
    config = tiny_config(heads=4, layers=1)
    text = replace(config.text, hidden_size=256, intermediate_size=256, mrope_section=(8, 12, 12))
    vision = replace(config.vision, depth=3, embed_dim=16, hidden_size=256)
    return replace(config, text=text, vision=vision)


@cache
def layer_goldens() -> dict[str, np.ndarray]:
    with np.load(GOLDENS / "quant_layers.npz") as stored:
        return dict(stored)


def case_tensors(case: str) -> dict[str, Tensor]:
    """The tensors of a file as the official tool wrote them, by name."""
    return {
        name.removeprefix(f"{case}/"): torch.from_numpy(value)
        for name, value in layer_goldens().items()
        if name.startswith(f"{case}/model.") and not name.endswith(".sha256")
    }


def write_case(case: str, folder: Path, **section: object) -> Path:
    """A checkpoint whose decoder is quantised as the case says; `section` overrides its quantization_config."""
    save_model(tiny_model(layers_config()), folder)
    tensors, quantised = load_file(folder / "model.safetensors"), case_tensors(case)
    layers = {name.partition("_proj")[0] + "_proj" for name in quantised}
    kept = {name: one for name, one in tensors.items() if name.removesuffix(".weight") not in layers}
    save_file(kept | quantised, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = SECTIONS[case] | section
    (folder / "config.json").write_text(json.dumps(config))
    return folder
