"""The engine on the embedded checkpoint: requests at once, the loop's own cost, memory over 2,000 requests.

Answers a second for 1, 4, 16 and 32 requests with different pictures, together and one by one, and by transformers'
batched `generate` on the same weights and the same prompts, alternating in one run. `python -m benchmarks.engine`

With `--model FOLDER` another checkpoint, as the 2B shape in int4 of benchmarks/cpu_peers.py, without transformers.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from anyres.chat import GenerationOptions, ImagePart, Message, TextPart
from anyres.engine.engine import LocalChatModel
from anyres.engine.heap import give_back
from anyres.engine.load import load
from anyres.engine.options import EngineOptions, Turn
from anyres.engine.scheduler import Limits
from tests.oracle import original_inputs, original_of

ANSWER_TOKENS = 32
OPTIONS = GenerationOptions(max_tokens=ANSWER_TOKENS, temperature=0.0, stop_loops=False)
OPTIONS_LONG = GenerationOptions(max_tokens=500, temperature=0.0, stop_loops=False)
TURN = Turn()


def conversation(number: int, *, words: str = "Read the text.") -> list[Message]:
    """A picture of its own: nothing is cached but the template."""
    pixels = np.random.default_rng(number).integers(0, 256, (56, 280, 3), dtype=np.uint8)
    return [Message("user", (ImagePart(pixels), TextPart(words)))]


def new_model(folder: Path | None = None, **options: object) -> LocalChatModel:
    dtype = "float32" if folder is None else None
    model = load(folder, device="cpu", dtype=dtype, cache=False, engine=EngineOptions(**options))
    endless = model.defaults.__class__(frozenset(), model.defaults.options, model.defaults.do_sample)
    return LocalChatModel(model.model, model.processor, defaults=endless, engine=EngineOptions(**options))


def seconds(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    call()
    return clock() - started


def throughput(counts: list[int], rounds: int, folder: Path | None, clock: Callable[[], float]) -> None:
    """Every answer has 32 tokens; medians of the rounds."""
    model = new_model(folder, prefix_bytes=0)
    numbers = iter(range(10**9))
    ways: dict[str, Callable[[list[list[Message]]], object]] = {
        "together": lambda asked: model.chat_batch(asked, options=OPTIONS),
        "one by one": lambda asked: [model.chat(one, options=OPTIONS) for one in asked],
    }
    if folder is None:
        original = original_of(model.model)
        ways["transformers"] = lambda asked: by_transformers(model, original, asked)
    print(f"| requests | {' | '.join(ways)} | {' | '.join(f'together/{way}' for way in list(ways)[1:])} |")
    print("|---" * (2 * len(ways)) + "|")
    for count in counts:
        took: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            asked = [conversation(next(numbers)) for _ in range(count)]
            for way, call in ways.items():
                took[way].append(seconds(partial(call, asked), clock))
                model.vision_cache.clear()
        rate = {way: count * ANSWER_TOKENS / statistics.median(times) for way, times in took.items()}
        cells = " | ".join(f"{rate[way]:,.0f} tokens/s" for way in took)
        ratios = " | ".join(f"{rate['together'] / rate[way]:.1f}" for way in list(ways)[1:])
        print(f"| {count} | {cells} | {ratios} |", flush=True)


def by_transformers(model: LocalChatModel, original: torch.nn.Module, asked: list[list[Message]]) -> None:
    """Preparing is ours in all three ways; a batch of left-padded rows."""
    prompts = [model.processor.prepare(one) for one in asked]
    with torch.no_grad():
        original.generate(
            **original_inputs(prompts, pad_id=model.config.bos_token_id),
            do_sample=False,
            min_new_tokens=ANSWER_TOKENS,
            max_new_tokens=ANSWER_TOKENS,
            pad_token_id=model.config.bos_token_id,
        )


def overhead(counts: list[int], clock: Callable[[], float]) -> None:
    """Microseconds of a decoding step outside the model: the pass itself is taken away."""
    print("| answering | a step | of it outside the pass |")
    print("|---|---|---|")
    for count in counts:
        model = new_model(limits=Limits(running=64))
        model._runner.forward = timed = Timed(model._runner.forward, clock)
        core = model._loop.engine
        tickets = [model._ticket(conversation(number), OPTIONS_LONG, TURN) for number in range(count)]
        for ticket in tickets:
            core.prepare(ticket)
            core.add(ticket)
        while any(len(ticket.sequence.answer_ids) < 2 for ticket in tickets):
            core.step()
        timed.seconds.clear()
        steps = [seconds(core.step, clock) for _ in range(100)]
        outside = [whole - inside for whole, inside in zip(steps, timed.seconds, strict=True)]
        print(f"| {count} | {1e6 * statistics.median(steps):,.0f} us | {1e6 * statistics.median(outside):,.0f} us |")


class Timed:
    """A function, and how long each call of it took."""

    def __init__(self, call: Callable[..., object], clock: Callable[[], float]) -> None:
        self.call = call
        self.clock = clock
        self.seconds: list[float] = []

    def __call__(self, *arguments: object) -> object:
        started = self.clock()
        returned = self.call(*arguments)
        self.seconds.append(self.clock() - started)
        return returned


def memory(requests: int) -> None:
    """Resident megabytes after every fifth of the requests: pictures of their own, 16 at once.

    And what is left of them once glibc has given back what is free: it keeps some for a while.
    """
    model = new_model(prefix_bytes=8 * 2**20)
    sizes, held, fifth = [], [], requests // 5
    for start in range(0, requests, 16):
        model.chat_batch([conversation(start + i) for i in range(16)], options=GenerationOptions(max_tokens=8))
        sizes.append(resident_mb())
        if (start + 16) // fifth > start // fifth:
            give_back()
            held.append(round(resident_mb()))
    picked = [sizes[len(sizes) * i // 5 - 1] for i in range(1, 6)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"resident MB after each fifth of {requests} requests: {[round(one) for one in picked]}; peak {peak:.0f}")
    print(f"given back what is free: {held}; of it visual tokens: {model.vision_cache.stats.bytes / 2**20:.0f}")


def resident_mb() -> float:
    with open("/proc/self/status") as file:  # noqa: PTH123
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["throughput", "overhead", "memory"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 4, 16, 32])
    parser.add_argument("--model", type=Path)
    parser.add_argument(
        "--shared", action="store_true", help="counts processor time, for a machine that others use too"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.only in (None, "throughput"):
        throughput(
            arguments.counts,
            arguments.rounds,
            arguments.model,
            time.process_time if arguments.shared else time.perf_counter,
        )
    if arguments.only in (None, "overhead"):
        overhead(arguments.counts, time.thread_time if arguments.shared else time.perf_counter)
    if arguments.only in (None, "memory"):
        memory(arguments.requests)


if __name__ == "__main__":
    main()
