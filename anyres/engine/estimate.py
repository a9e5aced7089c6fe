"""What a prompt will cost on this machine: its operations, counted from the checkpoint's sizes, and their seconds.

The counts are those of the published architecture: every Linear is 2 operations a weight and row, attention is
4 * width operations for each pair of tokens that see each other. anyres/engine/speed.py measures what they take.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from anyres.config import Qwen2VLConfig, TextConfig, VisionConfig
from anyres.model_input import Grid

__all__ = [
    "PROGRAM_BYTES",
    "Estimate",
    "Pace",
    "Speed",
    "Work",
    "count_work",
    "estimate",
    "text_parameters",
    "vision_parameters",
]

PIXEL_BYTES = 4  # patches are float32
ANSWER_TOKENS = 256  # places of the KV cache counted for the answer
PROGRAM_BYTES = 450_000_000  # Python and torch: 381 MB after one answer of `tiny`, and some room


@dataclass(frozen=True)
class Work:
    """Operations and bytes of one prompt. Of the operations `*_attention_flops` are those between tokens.

    `read_bytes` are read for each token of the answer besides the layers' weights: the head and the KV cache.
    """

    vision_flops: float
    vision_attention_flops: float
    prefill_flops: float
    prefill_attention_flops: float
    read_bytes: int
    weight_bytes: int
    cache_bytes: int
    working_bytes: int

    @property
    def memory_bytes(self) -> int:
        return self.weight_bytes + self.cache_bytes + self.working_bytes


@dataclass(frozen=True)
class Pace:
    """Of all layers of the vision encoder, or of the decoder: seconds that a pass takes however small it is, and
    operations a second of Linears and of attention.

    >>> Pace(start_s=1.0, flops_per_s=10.0, attention_flops_per_s=5.0).seconds(40.0, 20.0)
    7.0
    """

    start_s: float
    flops_per_s: float
    attention_flops_per_s: float

    def seconds(self, flops: float, attention_flops: float) -> float:
        """Of one pass with so many operations, of which some are attention; 0 for none at all."""
        if not flops:
            return 0.0
        linear_s = (flops - attention_flops) / self.flops_per_s
        return self.start_s + linear_s + attention_flops / self.attention_flops_per_s


@dataclass(frozen=True)
class Speed:
    """`token_s`: one token through all layers, without head and cache, which are read with `bytes_per_s`."""

    vision: Pace
    text: Pace
    token_s: float
    bytes_per_s: float


@dataclass(frozen=True)
class Estimate:
    """About how much memory a prompt needs in all, and how long its parts take."""

    memory_bytes: int
    encode_s: float
    prefill_s: float
    token_s: float


def count_work(
    config: Qwen2VLConfig,
    grids: Sequence[Grid],
    prompt_tokens: int,
    *,
    dtype: torch.dtype,
    weight_bytes: int | None = None,
) -> Work:
    """`grids` are the (t, h, w) of pictures and clips; `prompt_tokens` counts text and visual tokens together.

    `weight_bytes` are those of quantised weights; else all are kept in `dtype`.

    >>> work = count_work(Qwen2VLConfig(), [(1, 32, 32)], 300, dtype=torch.float32)
    >>> f"{work.vision_flops / 1e12:.1f} TFLOP, {work.weight_bytes / 1e9:.1f} GB"
    '1.5 TFLOP, 9.8 GB'
    """
    vision, text = config.vision, config.text
    patches = sum(t * h * w for t, h, w in grids)
    cache_width = 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim
    working = max(
        patches * (vision.patch_values * PIXEL_BYTES + _vision_row(vision) * dtype.itemsize),
        prompt_tokens * _text_row(text) * dtype.itemsize,
    )
    weights = vision_parameters(vision) + text_parameters(text)
    dense_bytes = weights * dtype.itemsize
    kept = dense_bytes if weight_bytes is None else weight_bytes
    head_bytes = text.hidden_size * text.vocab_size * kept // weights
    vision_attention, text_attention = _vision_attention(vision, grids), _text_attention(text, prompt_tokens)
    return Work(
        vision_flops=_vision_linear(vision, patches) + vision_attention,
        vision_attention_flops=vision_attention,
        prefill_flops=_text_linear(text, prompt_tokens) + text_attention,
        prefill_attention_flops=text_attention,
        read_bytes=head_bytes + cache_width * prompt_tokens * dtype.itemsize,
        weight_bytes=kept,
        cache_bytes=cache_width * (prompt_tokens + ANSWER_TOKENS) * dtype.itemsize,
        working_bytes=working,
    )


def estimate(work: Work, speed: Speed) -> Estimate:
    """Work divided by speed."""
    return Estimate(
        memory_bytes=work.memory_bytes + PROGRAM_BYTES,
        encode_s=speed.vision.seconds(work.vision_flops, work.vision_attention_flops),
        prefill_s=speed.text.seconds(work.prefill_flops, work.prefill_attention_flops),
        token_s=speed.token_s + work.read_bytes / speed.bytes_per_s,
    )


def vision_parameters(config: VisionConfig) -> int:
    """Values of the vision encoder and merger.

    >>> vision_parameters(VisionConfig())
    665271296
    """
    width, hidden, merged = (
        config.embed_dim,
        int(config.embed_dim * config.mlp_ratio),
        config.embed_dim * config.merge_area,
    )
    norms, biases = 4 * width, 3 * width + width + hidden + width
    block = _vision_block_weights(config) + norms + biases
    merger = 2 * width + merged * merged + merged + merged * config.hidden_size + config.hidden_size
    return config.patch_values * width + config.depth * block + merger


def text_parameters(config: TextConfig) -> int:
    """Values of the decoder, its embedding and its head.

    >>> text_parameters(TextConfig(tie_word_embeddings=True))
    1543714304
    """
    kv_width = config.num_key_value_heads * config.head_dim
    layer = _text_layer_weights(config) + config.hidden_size + 2 * kv_width + 2 * config.hidden_size
    tables = (1 if config.tie_word_embeddings else 2) * config.vocab_size * config.hidden_size
    return tables + config.num_hidden_layers * layer + config.hidden_size


def _vision_block_weights(config: VisionConfig) -> int:
    return config.embed_dim**2 * 4 + 2 * config.embed_dim * int(config.embed_dim * config.mlp_ratio)


def _text_layer_weights(config: TextConfig) -> int:
    width, kv_width = config.hidden_size, config.num_key_value_heads * config.head_dim
    return 2 * width * width + 2 * width * kv_width + 3 * width * config.intermediate_size


def _vision_linear(config: VisionConfig, patches: int) -> float:
    merged = config.embed_dim * config.merge_area
    layers = config.patch_values * config.embed_dim + config.depth * _vision_block_weights(config)
    merger = patches // config.merge_area * (merged * merged + merged * config.hidden_size)
    return 2.0 * (patches * layers + merger)


def _vision_attention(config: VisionConfig, grids: Sequence[Grid]) -> float:
    """Inside each frame pair only."""
    return float(config.depth * 4 * config.embed_dim * sum(t * (h * w) ** 2 for t, h, w in grids))


def _text_linear(config: TextConfig, tokens: int) -> float:
    """The head runs for the last token alone."""
    head = config.hidden_size * config.vocab_size
    return 2.0 * (tokens * config.num_hidden_layers * _text_layer_weights(config) + head)


def _text_attention(config: TextConfig, tokens: int) -> float:
    """Each token sees those before it, half of all pairs."""
    return config.num_hidden_layers * 4 * config.hidden_size * tokens * tokens / 2


def _vision_row(config: VisionConfig) -> int:
    """Values alive for a patch at the widest place: the MLP with its input, or q, k, v in float32."""
    return 3 * config.embed_dim + 2 * int(config.embed_dim * config.mlp_ratio)


def _text_row(config: TextConfig) -> int:
    return 3 * config.hidden_size + 3 * config.intermediate_size
