"""How fast the native kernels are, and how far from the machine's limits, on the shapes of Qwen2-VL 2B and 7B.

    python benchmarks/kernels.py [--only NAME] [--threads 1 2] [--stream] [--shared]

Beside ours in the same run: torch's float32 and bfloat16 product, its own int4 product, its attention, and the speed at
which memory can be read and copied. Every figure is the median of several runs.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from anyres.kernels import cpu
from anyres.kernels.cpu import Isa
from anyres.kernels.packed import PackedWeight, pack

SHAPES = {  # rows x columns
    "2B LM q, o": (1536, 1536),
    "2B LM k, v": (256, 1536),
    "2B LM gate, up": (8960, 1536),
    "2B LM down": (1536, 8960),
    "2B LM head": (151936, 1536),
    "7B LM q, o": (3584, 3584),
    "7B LM k, v": (512, 3584),
    "7B LM gate, up": (18944, 3584),
    "7B LM down": (3584, 18944),
    "7B LM head": (152064, 3584),
    "ViT qkv": (3840, 1280),
    "ViT fc1": (5120, 1280),
    "ViT fc2": (1280, 5120),
}
TOKENS = (1, 16, 128, 900)
FASTER_THAN_MEMORY = 2e9
"""Operations after which a product is repeated only twice: it takes long enough to be measured."""


class Stopwatch:
    """Wall time, or on a shared machine the CPU time of the calling thread, which is all of it where there is one."""

    def __init__(self, *, shared: bool) -> None:
        self._clock = time.thread_time if shared else time.perf_counter

    def median_s(self, function: Callable[[], object], operations: float) -> float:
        function()
        times = []
        for _ in range(3 if operations > FASTER_THAN_MEMORY else 9):
            start = self._clock()
            function()
            times.append(self._clock() - start)
        return statistics.median(times)


def random_weight(rows: int, columns: int, bits: int, group: int) -> PackedWeight:
    codes_NK = torch.randint(0, 2**bits, (rows, columns), dtype=torch.uint8)
    scales_NG = (torch.rand(rows, columns // group) / 2**bits).half()
    return pack(codes_NK, scales_NG, -scales_NG * 2 ** (bits - 1), bits=bits)


def measure_memory(watch: Stopwatch) -> None:
    """Reading: a sum of 512 MB of int64, twice as much as any cache holds. Copying: bytes read and bytes written."""
    source = torch.zeros(2**26, dtype=torch.int64)
    target = torch.empty_like(source)
    read_s = watch.median_s(source.sum, FASTER_THAN_MEMORY)
    copy_s = watch.median_s(lambda: target.copy_(source), FASTER_THAN_MEMORY)
    print(f"memory: {source.nbytes / read_s / 1e9:.1f} GB/s read, {2 * source.nbytes / copy_s / 1e9:.1f} GB/s copied")


def measure_linear(watch: Stopwatch, names: tuple[str, ...], isas: tuple[Isa, ...], threads: int) -> None:
    for name in names:
        rows, columns = SHAPES[name]
        for bits, group in ((4, 64), (7, 64), (8, 128)):
            packed = random_weight(rows, columns, bits, group)
            for isa in isas:
                figures = [linear_figures(watch, packed, isa, tokens, threads) for tokens in TOKENS]
                print(
                    f"| {name} {rows}x{columns} | int{bits} g{group} {isa.name} | {' | '.join(figures)} |", flush=True
                )
        if rows * columns < 10**8:
            for dtype in (torch.float32, torch.bfloat16):
                figures = [torch_figures(watch, rows, columns, dtype, tokens) for tokens in TOKENS]
                print(f"| {name} {rows}x{columns} | torch {dtype} | {' | '.join(figures)} |", flush=True)


def linear_figures(watch: Stopwatch, packed: PackedWeight, isa: Isa, tokens: int, threads: int) -> str:
    x_TK = torch.randn(tokens, packed.columns)
    operations = 2 * tokens * packed.rows * packed.columns
    seconds = watch.median_s(lambda: cpu.linear(x_TK, packed, isa=isa, threads=threads), operations)
    return in_words(packed.nbytes, operations, seconds, tokens)


def measure_stream(watch: Stopwatch, isas: tuple[Isa, ...], threads: int) -> None:
    """One token through many layers, which no cache holds: as in decoding, each weight comes from memory."""
    for bits in (4, 8):
        layers = [
            (random_weight(*SHAPES[f"2B LM {name}"], bits, 64), torch.randn(1, SHAPES[f"2B LM {name}"][1]))
            for name in ("gate, up", "gate, up", "down") * (12 if bits == 4 else 6)
        ]
        for isa in isas:
            run = lambda i=isa, each=layers: [cpu.linear(x, one, isa=i, threads=threads) for one, x in each]  # noqa: E731
            seconds = watch.median_s(run, 0)
            read = sum(packed.nbytes for packed, _ in layers) / seconds / 1e9
            print(f"| 2B MLPs, one token through all | int{bits} g64 {isa.name} | {read:.1f} GB/s |", flush=True)


def torch_figures(watch: Stopwatch, rows: int, columns: int, dtype: torch.dtype, tokens: int) -> str:
    x_TK, w_NK = torch.randn(tokens, columns, dtype=dtype), torch.randn(rows, columns, dtype=dtype)
    operations = 2 * tokens * rows * columns
    seconds = watch.median_s(lambda: F.linear(x_TK, w_NK), operations)
    return in_words(w_NK.nbytes, operations, seconds, tokens)


def in_words(weight_bytes: int, operations: float, seconds: float, tokens: int) -> str:
    """One token is a matter of memory, many of arithmetic."""
    return f"{weight_bytes / seconds / 1e9:.1f} GB/s" if tokens == 1 else f"{operations / seconds / 1e9:.0f} GOP/s"


def measure_torch_int4(watch: Stopwatch, threads: int) -> None:
    """torch's own: int4 weights in groups of 64, activations in bfloat16."""
    rows, columns = SHAPES["2B LM gate, up"]
    packed = torch._convert_weight_to_int4pack_for_cpu(torch.randint(0, 16, (rows, columns), dtype=torch.int32), 1)
    scales = torch.ones(columns // 64, rows, 2, dtype=torch.bfloat16)
    figures = []
    for tokens in TOKENS:
        x_TK, operations = torch.randn(tokens, columns, dtype=torch.bfloat16), 2 * tokens * rows * columns
        seconds = watch.median_s(lambda x=x_TK: torch._weight_int4pack_mm_for_cpu(x, packed, 64, scales), operations)
        figures.append(in_words(rows * columns * 9 // 16, operations, seconds, tokens))
    print(
        f"| 2B LM gate, up {rows}x{columns} | torch int4 g64, {threads} threads | {' | '.join(figures)} |", flush=True
    )


def measure_attention(watch: Stopwatch, isas: tuple[Isa, ...], threads: int) -> None:
    shapes = (("ViT slice of 1024", 16, 16, 80, 1024, False), ("ViT slice of 3552", 16, 16, 80, 3552, False))
    for name, heads, kv_heads, width, length, causal in (*shapes, ("2B prefill of 921", 12, 2, 128, 921, True)):
        q, k, v = (torch.randn(length, h, width) for h in (heads, kv_heads, kv_heads))
        operations = 4 * heads * length * length * width / (2 if causal else 1)
        k_all, v_all = (x.repeat_interleave(heads // kv_heads, dim=1) for x in (k, v))
        batch = [x.transpose(0, 1)[None] for x in (q, k_all, v_all)]
        plain = lambda b=batch, c=causal: F.scaled_dot_product_attention(*b, is_causal=c)  # noqa: E731
        figures = [f"torch float32 {operations / watch.median_s(plain, operations) / 1e9:.0f}"]
        for isa in isas:
            for title, native in (("8 bits", cpu.attention), ("float32", cpu.exact_attention)):
                run = lambda f=native, i=isa, h=(q, k, v), n=length, c=causal: f(  # noqa: E731
                    *h, [n], causal=c, isa=i, threads=threads
                )
                figures.append(f"{isa.name} {title} {operations / watch.median_s(run, operations) / 1e9:.0f}")
        print(f"| {name} | {' | '.join(figures)} | GOP/s |", flush=True)


def measure_decode(watch: Stopwatch, isas: tuple[Isa, ...], threads: int) -> None:
    """One layer's attention of one token of the 2B shape over a cache in blocks of 16, in microseconds."""
    for length in (900, 4000):
        blocks = length // 16 + 1
        tables = torch.randperm(blocks, dtype=torch.int32)[None]
        starts, counts = torch.tensor([length - 1], dtype=torch.int32), torch.tensor([1], dtype=torch.int32)
        q_THC = torch.randn(1, 12, 128)
        for dtype in (torch.float32, torch.bfloat16):
            keys, values = (torch.randn(blocks, 2, 16, 128, dtype=dtype) for _ in range(2))
            figures = []
            for isa in isas:
                run = partial(
                    cpu.paged_attention, q_THC, keys, values, tables, starts, counts, isa=isa, threads=threads
                )
                figures.append(f"{isa.name} {1e6 * watch.median_s(run, 0):.0f}")
            print(f"| one token over {length} places, {dtype} | {' | '.join(figures)} | us |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="shapes whose name holds this: 2B, 7B, ViT, gate")
    parser.add_argument("--stream", action="store_true", help="only what one token reads from memory")
    parser.add_argument("--shared", action="store_true", help="CPU time instead of wall time; one thread only")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    if arguments.shared and arguments.threads != [1]:
        parser.error("--shared needs --threads 1: the CPU time of helpers is not counted")
    watch = Stopwatch(shared=arguments.shared)
    names = tuple(name for name in SHAPES if arguments.only in name)
    isas = tuple(isa for isa in cpu.instruction_sets() if isa != Isa.SCALAR)
    torch.manual_seed(0)
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        print(f"\n{threads} threads; {', '.join(f'{tokens} tokens' for tokens in TOKENS)}")
        measure_memory(watch)
        measure_stream(watch, isas, threads)
        if arguments.stream:
            continue
        measure_torch_int4(watch, threads)
        measure_linear(watch, names, isas, threads)
        measure_attention(watch, isas, threads)
        measure_decode(watch, isas, threads)


if __name__ == "__main__":
    main()
