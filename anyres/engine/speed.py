"""How fast this machine runs a model of given sizes: measured on a few layers with random weights, remembered on disk.

A probe takes a second or two. What it found holds as long as processor, threads, versions and the model's sizes stay
the same. A small product of matrices, run then and now, tells how busy the machine is: where it is busier now, all
takes longer by as much; where it was busier then, the probe runs again.
"""

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from anyres.config import Qwen2VLConfig
from anyres.disk_cache import DiskCache
from anyres.engine.estimate import Pace, Speed, Work, count_work, text_parameters, vision_parameters
from anyres.model.language import CausalAttention
from anyres.model.layers import packed_attention
from anyres.model.qwen2vl import Qwen2VL
from anyres.quant.linear import Compute
from anyres.quant.quantise import quantise_in_memory

__all__ = ["Kept", "kept_of", "known_speed", "measure_speed", "slowed"]

Kept = Literal["int4", "int8"] | None
"""What weights are kept in, where that is not the dtype."""

KIND, FORMAT = "speed", 1
PROBE_BYTES = 256 * 2**20  # of the layers that are run, twice: more than caches hold, and soon made
VOCABULARY = 512  # of the probe, whose head hardly counts
SMALL_GRID, LARGE_GRID = (1, 4, 4), (1, 32, 32)
SMALL_PROMPT, LARGE_PROMPT = 8, 512
LONG = 2048  # tokens of the attention that is measured by itself
READ_ROWS, READ_COLUMNS = 16_384, 1024  # 64 MB in float32: more than caches hold
REFERENCE_SIDE = 384
BUSIER = 1.3  # times slower than before; less is noise
TIMES, SECONDS = 5, 0.2  # each step runs so many times, or fewer where that takes longer

Clock = Callable[[], float]
Step = Callable[[], Tensor]


def known_speed(
    config: Qwen2VLConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    kept: Kept = None,
    compute: Compute,
    cache: DiskCache | None = None,
    clock: Clock = time.perf_counter,
) -> Speed:
    """The speed measured before, for a machine as busy as it is now; measured again where that does not hold."""
    key = _key(config, device, dtype, kept)
    now_s = _reference(device, clock)
    data = None if cache is None else cache.get(KIND, key)
    if data is not None:
        raw = json.loads(bytes(data))
        busier = now_s / raw["reference_s"]
        if busier > 1 / BUSIER:
            speed = Speed(Pace(**raw["vision"]), Pace(**raw["text"]), raw["token_s"], raw["bytes_per_s"])
            return slowed(speed, busier) if busier > BUSIER else speed
    speed = measure_speed(config, device=device, dtype=dtype, kept=kept, compute=compute, clock=clock)
    if cache is not None:
        cache.put(KIND, key, [json.dumps(asdict(speed) | {"reference_s": now_s}).encode()])
    return speed


def slowed(speed: Speed, times: float) -> Speed:
    """Everything takes so many times as long.

    >>> slowed(Speed(Pace(1, 4, 2), Pace(1, 4, 2), 3, 8), 2).text
    Pace(start_s=2, flops_per_s=2.0, attention_flops_per_s=1.0)
    """

    def pace(one: Pace) -> Pace:
        return Pace(one.start_s * times, one.flops_per_s / times, one.attention_flops_per_s / times)

    return Speed(pace(speed.vision), pace(speed.text), speed.token_s * times, speed.bytes_per_s / times)


def kept_of(quantization: Mapping[str, Any] | None) -> Kept:
    """What a checkpoint's quantization_config comes to; all formats of 4 bits are taken for int4.

    >>> kept_of(None), kept_of({"quant_method": "gptq", "bits": 8}), kept_of({"quant_method": "awq", "bits": 4})
    (None, 'int8', 'int4')
    """
    if quantization is None:
        return None
    bits = quantization.get("bits")
    parts = bits.values() if isinstance(bits, Mapping) else [bits]
    return "int8" if all(part == 8 for part in parts) else "int4"


@torch.no_grad()
def measure_speed(
    config: Qwen2VLConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    kept: Kept = None,
    compute: Compute,
    clock: Clock = time.perf_counter,
) -> Speed:
    """Runs a few layers of these sizes with random weights, and attention and reading by themselves."""
    probe = _probe(config, device, dtype, kept, compute)
    vision_layers = config.vision.depth / probe.config.vision.depth
    text_layers = config.text.num_hidden_layers / probe.config.text.num_hidden_layers

    def counted(grid: tuple[int, int, int] | None, tokens: int) -> Work:
        return count_work(probe.config, [grid] if grid else [], tokens, dtype=dtype)

    def sees(grid: tuple[int, int, int]) -> float:
        pixels_PX = torch.zeros(grid[1] * grid[2], config.vision.patch_values, device=device)
        return _best(lambda: probe.encode(pixels_PX, [grid]), clock)

    def reads(tokens: int) -> float:
        embeds_TD = torch.zeros(tokens, config.text.hidden_size, device=device, dtype=dtype)
        positions_3T = torch.arange(tokens, device=device).expand(3, -1)
        return _best(lambda: probe(embeds_TD, positions_3T, CausalAttention([tokens])), clock)

    small, large = counted(SMALL_GRID, 0), counted(LARGE_GRID, 0)
    vision = _pace(
        (small.vision_flops, small.vision_attention_flops, sees(SMALL_GRID)),
        (large.vision_flops, large.vision_attention_flops, sees(LARGE_GRID)),
        _attention_rate(config.vision.num_heads, config.vision.head_dim, probe, False, clock),
        vision_layers,
    )
    small, large = counted(None, SMALL_PROMPT), counted(None, LARGE_PROMPT)
    text = _pace(
        (small.prefill_flops, small.prefill_attention_flops, reads(SMALL_PROMPT)),
        (large.prefill_flops, large.prefill_attention_flops, reads(LARGE_PROMPT)),
        _attention_rate(config.text.num_attention_heads, config.text.head_dim, probe, True, clock),
        text_layers,
    )
    return Speed(vision, text, token_s=reads(1) * text_layers, bytes_per_s=_reading_rate(device, dtype, clock))


def _probe(config: Qwen2VLConfig, device: torch.device, dtype: torch.dtype, kept: Kept, compute: Compute) -> Qwen2VL:
    """As many layers as PROBE_BYTES hold, with a small vocabulary."""
    depth = _layers(vision_parameters(config.vision), config.vision.depth, dtype)
    layers = _layers(text_parameters(replace(config.text, vocab_size=0)), config.text.num_hidden_layers, dtype)
    vision = replace(config.vision, depth=depth)
    text = replace(config.text, num_hidden_layers=layers, vocab_size=VOCABULARY)
    with torch.random.fork_rng(devices=[]):
        model = Qwen2VL(replace(config, vision=vision, text=text), device=device, dtype=dtype).eval()
    return model if kept is None else quantise_in_memory(model, kept, compute=compute)


def _layers(parameters: int, layers: int, dtype: torch.dtype) -> int:
    return max(1, min(layers, PROBE_BYTES * layers // (parameters * dtype.itemsize)))


def _pace(
    small: tuple[float, float, float], large: tuple[float, float, float], attention_rate: float, layers: float
) -> Pace:
    """The line through two passes, each (operations, those of attention, seconds), for `layers` times as many layers.

    >>> _pace((10.0, 0.0, 2.0), (40.0, 10.0, 6.0), 10.0, 3.0)  # a second of the larger one is attention
    Pace(start_s=1.5, flops_per_s=6.666666666666667, attention_flops_per_s=10.0)
    """
    (small_linear, small_s), (large_linear, large_s) = (
        (flops - attention, max(seconds - attention / attention_rate, seconds / 10))
        for flops, attention, seconds in (small, large)
    )
    fastest = large_linear / large_s
    rate = (large_linear - small_linear) / (large_s - small_s) if large_s > small_s else fastest
    start_s = max(0.0, small_s - small_linear / rate)
    return Pace(start_s * layers, large_linear / max(large_s - start_s, large_s / 10), attention_rate)


def _attention_rate(heads: int, width: int, probe: Qwen2VL, causal: bool, clock: Clock) -> float:
    """Operations a second, counted as `count_work` does: 4 a pair and value, of causal ones half."""
    x_THC = torch.ones(LONG, heads, width, device=probe.device, dtype=probe.dtype)
    seconds = _best(lambda: packed_attention(x_THC, x_THC, x_THC, [LONG], causal=causal), clock)
    return 4 * heads * width * LONG * LONG / (2 if causal else 1) / seconds


def _reference(device: torch.device, clock: Clock) -> float:
    """Seconds of a product that takes about a millisecond."""
    square = torch.ones(REFERENCE_SIDE, REFERENCE_SIDE, device=device)
    return _best(lambda: square @ square, clock)


def _reading_rate(device: torch.device, dtype: torch.dtype, clock: Clock) -> float:
    """Bytes a second of a matrix that is multiplied by a vector."""
    tall = torch.ones(READ_ROWS, READ_COLUMNS, device=device, dtype=dtype)
    return tall.nbytes / _best(lambda: tall[:1] @ tall.T, clock)


def _best(step: Step, clock: Clock) -> float:
    """Seconds of the fastest run; the first one does not count, and reading a value waits for the device."""
    step().flatten()[0].item()
    best, stop = float("inf"), clock() + SECONDS
    for _ in range(TIMES):
        started = clock()
        step().flatten()[0].item()
        ended = clock()
        best = min(best, ended - started)
        if ended > stop:
            break
    return max(best, 1e-9)


def _key(config: Qwen2VLConfig, device: torch.device, dtype: torch.dtype, kept: Kept) -> bytes:
    words = json.dumps([FORMAT, repr(config), str(device.type), _machine(device), str(dtype), kept])
    return hashlib.sha256(words.encode()).digest()


def _machine(device: torch.device) -> list[Any]:
    """What the speed depends on besides the model."""
    if device.type == "cuda":
        return [torch.__version__, torch.cuda.get_device_name(device)]
    capability = torch.backends.cpu.get_cpu_capability()
    return [torch.__version__, _processor(), os.cpu_count(), torch.get_num_threads(), capability]


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line
    return f"{platform.machine()} {platform.processor()}"
