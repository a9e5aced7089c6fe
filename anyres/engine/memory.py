"""What to keep weights in, and how large pictures may be, so that all fits into the memory a user grants."""

import re
from dataclasses import dataclass
from typing import Literal

import torch

from anyres.config import Qwen2VLConfig
from anyres.engine.estimate import PROGRAM_BYTES, count_work, text_parameters, vision_parameters
from anyres.errors import OptionError
from anyres.processing.image import DEFAULT_MAX_PIXELS

__all__ = ["FORMATS", "Format", "MemoryPlan", "parse_memory", "plan_memory"]

Format = Literal["float32", "bfloat16", "int8", "int4"]
FORMATS: tuple[Format, ...] = ("float32", "bfloat16", "int8", "int4")
WIDE_BYTES, NARROW_BYTES = 8.5 / 8, 4.5 / 8  # a weight in 8 and 4 bits, with its share of a scale and a minimum
TOKEN_PIXELS = 28 * 28
SMALLEST_TOKENS = 64  # of a picture; less shows nothing
PROMPT_TOKENS = 512  # of text, beside one picture
SPARE = 0.9  # of what is granted; the estimate is no promise
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True)
class MemoryPlan:
    """`format` None: the weights stay in what they are. `bytes` is the estimate of all that will be used, of which
    `weight_bytes` are the weights; `granted` is what may be used.
    """

    format: Format | None
    max_pixels: int
    bytes: int
    weight_bytes: int
    granted: int

    def __str__(self) -> str:
        kept = "as they are" if self.format is None else f"in {self.format}"
        tokens = self.max_pixels // TOKEN_PIXELS
        return f"weights {kept}, pictures up to {tokens} visual tokens: about {self.bytes / 1e9:.1f} GB in all"


def parse_memory(memory: str | int) -> int:
    """Bytes of "8GB", "512 MiB" or a number. Raises OptionError.

    >>> parse_memory("8GB"), parse_memory("1.5 GiB")
    (8000000000, 1610612736)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]I?B)?\s*", str(memory).upper())
    value = round(float(match[1]) * UNITS[match[2] or ""]) if match and len(str(memory)) < 32 else 0
    if value < 1:
        raise OptionError("memory", repr(memory)[:80], "a size like 8GB or 512MiB")
    return value


def plan_memory(config: Qwen2VLConfig, memory: int, *, stored_bytes: int | None = None) -> MemoryPlan:
    """The widest weights that fit with pictures of the default size; then int4 with smaller ones.

    `stored_bytes` are those of weights that are quantised already and stay as they are. Raises OptionError where
    nothing fits.

    >>> str(plan_memory(Qwen2VLConfig(), 8 * 10**9))
    'weights in bfloat16, pictures up to 1280 visual tokens: about 5.6 GB in all'
    """
    formats: list[Format | None] = [None] if stored_bytes is not None else list(FORMATS)
    full = DEFAULT_MAX_PIXELS // TOKEN_PIXELS
    tries = [(kept, full) for kept in formats]
    tokens = full
    while tokens > SMALLEST_TOKENS:
        tokens = max(SMALLEST_TOKENS, tokens * 3 // 4)
        tries.append((formats[-1], tokens))
    for kept, tokens in tries:
        weights = stored_bytes or 0 if kept is None else _weights(config, kept)
        needed = weights + _besides(config, kept, tokens)
        if needed <= SPARE * memory:
            return MemoryPlan(kept, tokens * TOKEN_PIXELS, needed, weights, memory)
    raise OptionError("memory", f"{memory / 1e9:.1f} GB", f"at least {needed / SPARE / 1e9:.1f} GB for this checkpoint")


def _besides(config: Qwen2VLConfig, kept: Format | None, tokens: int) -> int:
    """Bytes of the cache, of what is computed with, and of the program."""
    dtype = torch.bfloat16 if kept == "bfloat16" else torch.float32
    grid = (1, 2 * config.vision.spatial_merge_size, tokens * config.vision.spatial_merge_size // 2)
    work = count_work(config, [grid], tokens + PROMPT_TOKENS, dtype=dtype)
    return work.cache_bytes + work.working_bytes + PROGRAM_BYTES


def _weights(config: Qwen2VLConfig, kept: Format) -> int:
    vision, text = vision_parameters(config.vision), text_parameters(config.text)
    if kept in ("float32", "bfloat16"):
        return (vision + text) * (4 if kept == "float32" else 2)
    tables = (1 if config.text.tie_word_embeddings else 2) * config.text.vocab_size * config.text.hidden_size
    decoder = (text - tables) * (WIDE_BYTES if kept == "int8" else NARROW_BYTES)
    return round(decoder + (vision + tables) * WIDE_BYTES)
