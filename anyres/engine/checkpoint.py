"""Opens whatever `resolve` has found: a folder of dense or quantised weights, or llama.cpp's files."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from anyres.config import Qwen2VLConfig
from anyres.engine.device import choose_dtype
from anyres.engine.kv_cache import PagedAttention
from anyres.engine.memory import Format, MemoryPlan, parse_memory, plan_memory
from anyres.engine.options import EngineOptions
from anyres.kernels import cuda
from anyres.kernels.attention import WIDEST_HEAD, paged_attention
from anyres.kernels.cpu import linear
from anyres.kernels.library import best_isa
from anyres.kernels.reference import exact_linear
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import stored_dtype, weight_files
from anyres.processing.processor import Processor
from anyres.quant.card import read_card, warning_of
from anyres.quant.fused import fuse
from anyres.quant.gguf_model import load_gguf
from anyres.quant.linear import Compute
from anyres.quant.load import load_checkpoint, quantization_config
from anyres.quant.quantise import quantise_in_memory

__all__ = ["Opened", "choose_compute", "choose_paged_attention", "open_checkpoint", "plan_folder"]

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
        return _within(path, memory, device, dtype)
    if path.is_file():
        opened = load_gguf(path, device=device, dtype=_dtype(dtype, device), compute=choose_compute(device))
        return Opened(fuse(opened.model), Processor(opened.tokenizer, opened.image_config, opened.model.config))
    raw = quantization_config(path)
    chosen = choose_dtype(dtype, device) if raw is None else _dtype(dtype, device)
    model = load_checkpoint(path, device=device, dtype=chosen, compute=choose_compute(device))
    if raw is not None and (warning := warning_of(read_card(path), path.name)):
        logger.warning("%s", warning)
    return Opened(fuse(model), Processor.from_folder(path))


def plan_folder(folder: Path, memory: str | int) -> MemoryPlan:
    """What fits into `memory`, from config.json and the sizes of the files. Raises as `open_checkpoint`."""
    granted, config = parse_memory(memory), Qwen2VLConfig.from_folder(folder)
    if quantization_config(folder) is None:
        return plan_memory(config, granted)
    return plan_memory(config, granted, stored_bytes=sum(one.stat().st_size for one in weight_files(folder)))


def _within(path: Path, memory: str | int, device: torch.device, dtype: str | torch.dtype | None) -> Opened:
    """In no more than `memory`, as far as can be foretold."""
    if path.is_dir():
        plan = plan_folder(path, memory)
        opened = _dense_as(path, plan.format, device, dtype)
    else:
        granted = parse_memory(memory)
        opened = open_checkpoint(path, device=device, dtype=dtype)
        stored = sum(one.nbytes for one in opened.model.state_dict().values())
        plan = plan_memory(opened.model.config, granted, stored_bytes=stored)
    logger.warning("%s: %s", path.name, plan)
    return Opened(opened.model, replace(opened.processor, default_max_pixels=plan.max_pixels))


def _dense_as(path: Path, kept: Format | None, device: torch.device, dtype: str | torch.dtype | None) -> Opened:
    if kept != "int8" and kept != "int4":
        return open_checkpoint(path, device=device, dtype=kept if dtype is None else dtype)
    model = load_checkpoint(path, device=device, dtype=stored_dtype(path), compute=choose_compute(device))
    quantise_in_memory(model, kept, compute=choose_compute(device))
    return Opened(fuse(model), Processor.from_folder(path))


def choose_compute(device: torch.device) -> Compute:
    """The native kernels on a CPU, Triton's on a GPU; elsewhere weights are dequantised as they are used."""
    if device.type == "cpu":
        return linear
    return cuda.linear if device.type == "cuda" and cuda.is_usable(device) else exact_linear


def choose_paged_attention(model: Qwen2VL, options: EngineOptions) -> PagedAttention | None:
    """The native one where this machine has it for these numbers; None: torch's."""
    config, kept = model.config.text, options.stored_dtype(model.dtype)
    fits = config.head_dim <= WIDEST_HEAD and model.dtype in (torch.float32, torch.bfloat16) and kept != torch.float16
    native = model.device.type == "cpu" and best_isa() is not None
    return paged_attention if fits and native else None


def _dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """Of the activations of a quantised model."""
    return torch.float32 if dtype is None and device.type == "cpu" else choose_dtype(dtype, device)
