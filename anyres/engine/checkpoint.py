"""Opens whatever `resolve` has found: a folder of dense or quantised weights, or llama.cpp's files."""

import logging
from pathlib import Path
from typing import NamedTuple

import torch

from anyres.engine.device import choose_dtype
from anyres.kernels.cpu import linear
from anyres.kernels.reference import exact_linear
from anyres.model.qwen2vl import Qwen2VL
from anyres.processing.processor import Processor
from anyres.quant.card import read_card, warning_of
from anyres.quant.gguf_model import load_gguf
from anyres.quant.linear import Compute
from anyres.quant.load import load_checkpoint, quantization_config

__all__ = ["Opened", "choose_compute", "open_checkpoint"]

logger = logging.getLogger(__name__)


class Opened(NamedTuple):
    """A model and what prepares its prompts."""

    model: Qwen2VL
    processor: Processor


def open_checkpoint(path: Path, *, device: torch.device, dtype: str | torch.dtype | None = None) -> Opened:
    """`dtype=None` is float32 for quantised weights on a CPU, else the fastest here. A quantised folder without a card,
    or with a bad one, is opened with a warning in the log.

    Raises CheckpointError for what cannot be opened.
    """
    if path.is_file():
        opened = load_gguf(path, device=device, dtype=_dtype(dtype, device), compute=choose_compute(device))
        return Opened(opened.model, Processor(opened.tokenizer, opened.image_config, opened.model.config))
    raw = quantization_config(path)
    chosen = choose_dtype(dtype, device) if raw is None else _dtype(dtype, device)
    model = load_checkpoint(path, device=device, dtype=chosen, compute=choose_compute(device))
    if raw is not None and (warning := warning_of(read_card(path), path.name)):
        logger.warning("%s", warning)
    return Opened(model, Processor.from_folder(path))


def choose_compute(device: torch.device) -> Compute:
    """The native kernels on a CPU; elsewhere weights are dequantised as they are used."""
    return linear if device.type == "cpu" else exact_linear


def _dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """Of the activations of a quantised model."""
    return torch.float32 if dtype is None and device.type == "cpu" else choose_dtype(dtype, device)
