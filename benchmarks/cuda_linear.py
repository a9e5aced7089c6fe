"""How fast the Triton kernels are on a GPU, on the shapes of Qwen2-VL 2B and 7B. Not run on one yet.

    python -m benchmarks.cuda_linear [--only NAME] [--tokens 1 4 16 128 900]
    TRITON_INTERPRET=1 python -m benchmarks.cuda_linear --dry-run    (on a CPU, small shapes: only that it runs)

Beside ours in the same run: torch's product of a bfloat16 weight, a weight dequantised at each use, and how fast this
GPU's memory is copied. Every figure is the median of several runs, before each of which the caches are overwritten.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from anyres.kernels import cuda
from anyres.kernels.packed import PackedWeight
from anyres.kernels.reference import exact_linear
from benchmarks.kernels import SHAPES, random_weight

SMALL = {"small": (272, 384), "small, few rows": (48, 1024)}
OVERWRITTEN_BYTES = 2**30
"""More than any cache; it takes so long that the next launches wait in the queue, and their cost is not seen."""


class Stopwatch:
    """Seconds on the GPU; on a CPU, for a dry run, of the clock."""

    def __init__(self, device: torch.device) -> None:
        self._gpu = device.type == "cuda"
        self._overwritten = torch.empty(OVERWRITTEN_BYTES if self._gpu else 0, dtype=torch.uint8, device=device)

    def median_s(self, function: Callable[[], object], *, runs: int) -> float:
        function()
        once_s = self._gpu_s if self._gpu else self._cpu_s
        return statistics.median(once_s(function) for _ in range(runs))

    def _gpu_s(self, function: Callable[[], object]) -> float:
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._overwritten.zero_()
        before.record()
        function()
        after.record()
        after.synchronize()
        return before.elapsed_time(after) / 1000

    def _cpu_s(self, function: Callable[[], object]) -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start


def measure_copy(watch: Stopwatch, device: torch.device, *, runs: int) -> None:
    """Bytes read and bytes written."""
    source = torch.zeros(2**30 if device.type == "cuda" else 2**20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = watch.median_s(lambda: target.copy_(source), runs=runs)
    print(f"memory: {2 * source.nbytes / seconds / 1e9:.0f} GB/s copied")


def measure(
    watch: Stopwatch, name: str, size: tuple[int, int], device: torch.device, counts: list[int], runs: int
) -> None:
    rows, columns = size
    dense_NK = torch.randn(rows, columns, device=device).bfloat16()
    inputs = [torch.randn(tokens, columns, device=device).bfloat16() for tokens in counts]
    row(
        watch,
        f"{name} {rows}x{columns} | torch bfloat16",
        dense_NK.nbytes,
        [lambda x=x: F.linear(x, dense_NK) for x in inputs],
        inputs,
        rows,
        runs,
    )
    for bits, group in ((4, 64), (8, 128)):
        packed = moved(random_weight(rows, columns, bits, group), device)
        for title, product in (("ours", cuda.linear), ("dequantised at each use", exact_linear)):
            calls = [lambda x=x, p=product, w=packed: p(x, w) for x in inputs]
            row(
                watch, f"{name} {rows}x{columns} | int{bits} g{group} {title}", packed.nbytes, calls, inputs, rows, runs
            )


def row(
    watch: Stopwatch,
    title: str,
    weight_bytes: int,
    calls: list[Callable[[], object]],
    inputs: list[torch.Tensor],
    rows: int,
    runs: int,
) -> None:
    """Microseconds, and what was read or computed in them."""
    figures = []
    for call, x_TK in zip(calls, inputs, strict=True):
        seconds = watch.median_s(call, runs=runs)
        rate = (
            f"{weight_bytes / seconds / 1e9:.0f} GB/s"
            if len(x_TK) <= cuda.MEMORY_BOUND
            else f"{2 * x_TK.numel() * rows / seconds / 1e12:.1f} TOP/s"
        )
        figures.append(f"{1e6 * seconds:.0f} us, {rate}")
    print(f"| {title} | {' | '.join(figures)} |", flush=True)


def moved(packed: PackedWeight, device: torch.device) -> PackedWeight:
    parts = (x.to(device) for x in (packed.codes, packed.scales, packed.minimums))
    return PackedWeight(packed.bits, packed.group, packed.rows, packed.columns, *parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="shapes whose name holds this: 2B, 7B, ViT, gate")
    parser.add_argument("--tokens", type=int, nargs="+", default=[1, 4, 16, 128, 900])
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--dry-run", action="store_true", help="on a CPU, with small shapes")
    arguments = parser.parse_args()
    if not arguments.dry_run and not torch.cuda.is_available():
        parser.error("there is no CUDA device")
    device = torch.device("cpu" if arguments.dry_run else "cuda")
    if not cuda.is_usable(device):
        parser.error("there is no Triton that computes here; on a CPU it takes TRITON_INTERPRET=1")
    watch, runs = Stopwatch(device), 1 if arguments.dry_run else arguments.runs
    torch.manual_seed(0)
    print("a dry run" if arguments.dry_run else torch.cuda.get_device_name(device))
    print(", ".join(f"{tokens} tokens" for tokens in arguments.tokens))
    measure_copy(watch, device, runs=runs)
    for name, size in (SMALL if arguments.dry_run else SHAPES).items():
        if arguments.only in name:
            measure(watch, name, size, device, arguments.tokens, runs)


if __name__ == "__main__":
    main()
