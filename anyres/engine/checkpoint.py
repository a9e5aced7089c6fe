"""Opens whatever `resolve` has found: a folder of dense or quantised weights, or llama.cpp's files."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from anyres.config import Qwen2VLConfig
from anyres.engine.device import choose_dtype
from anyres.engine.memory import Format, parse_memory, plan_memory
from anyres.kernels.cpu import linear
from anyres.kernels.reference import exact_linear
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import stored_dtype
from anyres.processing.processor import Processor
from anyres.quant.card import read_card, warning_of
from anyres.quant.gguf_model import load_gguf
from anyres.quant.linear import Compute
from anyres.quant.load import load_checkpoint, quantization_config
from anyres.quant.quantise import quantise_in_memory

__all__ = ["Opened", "choose_compute", "open_checkpoint"]

logger = logging.getLogger(__name__)


class Opened(NamedTuple):
    """A model and what prepares its prompts."""

    model: Qwen2VL
    processor: Processor


def open_checkpoint(
    path: Path,
    *,
    device: torch.device,
    dtype: str | torch.dtype | None = None,
    memory: str | int | None = None,
) -> Opened:
    """`dtype=None` is float32 for quantised weights on a CPU, else the fastest here. A quantised folder without a card,
    or with a bad one, is opened with a warning in the log.

    `memory` is what `load` says. Raises CheckpointError for what cannot be opened, OptionError for what does not fit.
    """
    if memory is not None:
        return _within(path, parse_memory(memory), device, dtype)
    if path.is_file():
        opened = load_gguf(path, device=device, dtype=_dtype(dtype, device), compute=choose_compute(device))
        return Opened(opened.model, Processor(opened.tokenizer, opened.image_config, opened.model.config))
    raw = quantization_config(path)
    chosen = choose_dtype(dtype, device) if raw is None else _dtype(dtype, device)
    model = load_checkpoint(path, device=device, dtype=chosen, compute=choose_compute(device))
    if raw is not None and (warning := warning_of(read_card(path), path.name)):
        logger.warning("%s", warning)
    return Opened(model, Processor.from_folder(path))


def _within(path: Path, memory: int, device: torch.device, dtype: str | torch.dtype | None) -> Opened:
    """In no more than `memory` bytes, as far as can be foretold."""
    dense = path.is_dir() and quantization_config(path) is None
    if dense:
        plan = plan_memory(Qwen2VLConfig.from_folder(path), memory)
        opened = _dense_as(path, plan.format, device, dtype)
    else:
        opened = open_checkpoint(path, device=device, dtype=dtype)
        stored = sum(one.nbytes for one in opened.model.state_dict().values())
        plan = plan_memory(opened.model.config, memory, stored_bytes=stored)
    logger.warning("%s: %s", path.name, plan)
    return Opened(opened.model, replace(opened.processor, default_max_pixels=plan.max_pixels))


def _dense_as(path: Path, kept: Format | None, device: torch.device, dtype: str | torch.dtype | None) -> Opened:
    if kept != "int8" and kept != "int4":
        return open_checkpoint(path, device=device, dtype=kept if dtype is None else dtype)
    model = load_checkpoint(path, device=device, dtype=stored_dtype(path), compute=choose_compute(device))
    quantise_in_memory(model, kept, compute=choose_compute(device))
    return Opened(model, Processor.from_folder(path))


def choose_compute(device: torch.device) -> Compute:
    """The native kernels on a CPU; elsewhere weights are dequantised as they are used."""
    return linear if device.type == "cpu" else exact_linear


def _dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """Of the activations of a quantised model."""
    return torch.float32 if dtype is None and device.type == "cpu" else choose_dtype(dtype, device)
