"""What a prompt will cost on this machine: counted from the checkpoint's sizes, divided by a speed measured here.

The counts are those of the published architecture: every Linear is 2 operations a weight and row, attention is
4 * width operations for each pair of tokens that see each other. The result is an estimate, good to a factor of two.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from anyres.config import Qwen2VLConfig, TextConfig, VisionConfig
from anyres.model_input import Grid

__all__ = [
    "Estimate",
    "Speed",
    "Work",
    "count_work",
    "estimate",
    "measure_speed",
    "text_parameters",
    "vision_parameters",
]

PIXEL_BYTES = 4  # patches are float32
ANSWER_TOKENS = 256  # places of the KV cache counted for the answer
MATMUL_SIDE = 512
MATVEC_ROWS = 16_384  # 64 MB in float32: more than caches hold
LAYER_CALLS = 20  # operations a layer starts, each of which costs `call_s` however small it is


@dataclass(frozen=True)
class Work:
    """Floating-point operations and bytes of one prompt. `decode_bytes` are read for each token of the answer."""

    vision_flops: float
    prefill_flops: float
    decode_bytes: int
    weight_bytes: int
    cache_bytes: int
    working_bytes: int
    layers: int

    @property
    def memory_bytes(self) -> int:
        return self.weight_bytes + self.cache_bytes + self.working_bytes


@dataclass(frozen=True)
class Speed:
    """Of a large matrix product, of reading weights once, and of starting an operation."""

    flops_per_s: float
    bytes_per_s: float
    call_s: float


@dataclass(frozen=True)
class Estimate:
    """About how much memory a prompt needs in all, and how long its parts take."""

    memory_bytes: int
    encode_s: float
    prefill_s: float
    token_s: float


def count_work(config: Qwen2VLConfig, grids: Sequence[Grid], prompt_tokens: int, *, dtype: torch.dtype) -> Work:
    """`grids` are the (t, h, w) of pictures and clips; `prompt_tokens` counts text and visual tokens together.

    >>> work = count_work(Qwen2VLConfig(), [(1, 32, 32)], 300, dtype=torch.float32)
    >>> f"{work.vision_flops / 1e12:.1f} TFLOP, {work.weight_bytes / 1e9:.1f} GB"
    '1.5 TFLOP, 9.8 GB'
    """
    vision, text = config.vision, config.text
    patches = sum(t * h * w for t, h, w in grids)
    cache_width = 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim
    cache_bytes = cache_width * (prompt_tokens + ANSWER_TOKENS) * dtype.itemsize
    working = max(
        patches * (vision.patch_values * PIXEL_BYTES + _vision_row(vision) * dtype.itemsize),
        prompt_tokens * _text_row(text) * dtype.itemsize,
    )
    weights = vision_parameters(vision) + text_parameters(text)
    return Work(
        vision_flops=_vision_flops(vision, grids),
        prefill_flops=_prefill_flops(text, prompt_tokens),
        decode_bytes=_decode_weights(text) * dtype.itemsize + cache_width * prompt_tokens * dtype.itemsize,
        weight_bytes=weights * dtype.itemsize,
        cache_bytes=cache_bytes,
        working_bytes=working,
        layers=text.num_hidden_layers,
    )


def estimate(work: Work, speed: Speed) -> Estimate:
    """Work divided by speed."""
    starting_s = work.layers * LAYER_CALLS * speed.call_s
    return Estimate(
        memory_bytes=work.memory_bytes,
        encode_s=work.vision_flops / speed.flops_per_s,
        prefill_s=work.prefill_flops / speed.flops_per_s + starting_s,
        token_s=work.decode_bytes / speed.bytes_per_s + starting_s,
    )


def measure_speed(
    *, device: torch.device, dtype: torch.dtype, seconds: float = 0.2, clock: Callable[[], float] = time.perf_counter
) -> Speed:
    """Multiplies matrices for about `seconds` on the device, and a matrix by a vector, which reads each weight once."""
    square = torch.ones(MATMUL_SIDE, MATMUL_SIDE, device=device, dtype=dtype)
    tall = torch.ones(MATVEC_ROWS, 2 * MATMUL_SIDE, device=device, dtype=dtype)
    row, few = tall[:1], square[:2, :2]
    flops = 2 * MATMUL_SIDE**3 / _seconds_of(lambda: square @ square, seconds / 2, clock)
    read = tall.numel() * tall.element_size() / _seconds_of(lambda: row @ tall.T, seconds / 4, clock)
    return Speed(flops, read, _seconds_of(lambda: few + few, seconds / 4, clock, repeats=20))


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


def _vision_flops(config: VisionConfig, grids: Sequence[Grid]) -> float:
    """Attention is inside each frame pair only."""
    patches = sum(t * h * w for t, h, w in grids)
    merged = config.embed_dim * config.merge_area
    linear = 2 * patches * (config.patch_values * config.embed_dim + config.depth * _vision_block_weights(config))
    merger = 2 * patches // config.merge_area * (merged * merged + merged * config.hidden_size)
    pairs_seen = sum(t * (h * w) ** 2 for t, h, w in grids)
    return float(linear + merger + config.depth * 4 * config.embed_dim * pairs_seen)


def _prefill_flops(config: TextConfig, tokens: int) -> float:
    """Each token sees those before it, half of all pairs; the head runs for the last token alone."""
    linear = 2 * tokens * config.num_hidden_layers * _text_layer_weights(config)
    attention = config.num_hidden_layers * 4 * config.hidden_size * tokens * tokens / 2
    return linear + attention + 2 * config.hidden_size * config.vocab_size


def _decode_weights(config: TextConfig) -> int:
    return config.num_hidden_layers * _text_layer_weights(config) + config.hidden_size * config.vocab_size


def _vision_row(config: VisionConfig) -> int:
    """Values alive for a patch at the widest place: the MLP with its input, or q, k, v in float32."""
    return 3 * config.embed_dim + 2 * int(config.embed_dim * config.mlp_ratio)


def _text_row(config: TextConfig) -> int:
    return 3 * config.hidden_size + 3 * config.intermediate_size


def _seconds_of(
    step: Callable[[], torch.Tensor], seconds: float, clock: Callable[[], float], *, repeats: int = 1
) -> float:
    """Best seconds of one step within the time given; reading a value waits for the device."""
    step()[0, 0].item()
    best, stop = float("inf"), clock() + seconds
    while best == float("inf") or clock() < stop:
        started = clock()
        for _ in range(repeats):
            result = step()
        result[0, 0].item()
        best = min(best, (clock() - started) / repeats)
    return best
