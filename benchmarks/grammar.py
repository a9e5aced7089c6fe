"""What constraints cost: a token, a new grammar, hostile ones, and the memory of many; what choosing a token costs.

`OMP_NUM_THREADS=1 python benchmarks/grammar.py`. CPU times hold on a machine that is busy; the others are wall time.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

import anyres
from anyres.constraints import Boxes, Constraint, JsonObject, JsonSchema, Regex
from anyres.engine.grammar import GrammarCompiler
from anyres.engine.loops import LoopDetector
from anyres.engine.sampler import Sampler, SamplingOptions, choose_batch
from anyres.errors import ConstraintError
from anyres.processing.tokenizer import Tokenizer

sys.path.insert(0, str(Path(__file__).parents[1]))
from recipes.tiny.vocabulary import default_ranks_file, write_tokenizer
from tests.engine.random_constraints import random_regex, random_schema
from tests.engine.test_grammar_trial import HOSTILE

RECEIPT = {
    "type": "object",
    "properties": {
        "shop": {"type": "string", "maxLength": 40},
        "date": {"type": "string", "format": "date"},
        "items": {
            "type": "array",
            "maxItems": 5,
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": 30}, "price": {"type": "number"}},
                "required": ["name", "price"],
                "additionalProperties": False,
            },
        },
        "total": {"type": "number"},
    },
    "required": ["shop", "date", "items", "total"],
    "additionalProperties": False,
}
CONSTRAINTS: dict[str, Constraint] = {
    "JSON schema of a receipt": JsonSchema(RECEIPT),
    "any JSON object": JsonObject(),
    "regex": Regex(r"[A-Z]{1,3}-[A-Z]{1,2} [0-9]{1,4}|\w+( \w+){3,30}"),
    "boxes": Boxes(named=True, least=3),
}
ANSWERS, LONGEST = 12, 150
MANY = 2000
BATCH = 32


def cpu_ms(step: Callable[[], object], repeats: int = 5) -> float:
    """The median CPU time of a call, threads of this process included."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        step()
        times.append(1e3 * (time.process_time() - started))
    return statistics.median(times)


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / 2**20


def per_token(compiler: GrammarCompiler, tokenizer: Tokenizer, size: int) -> None:
    spelled = [tokenizer.token_bytes(one) for one in range(size)]
    liking_V = 4.0 * torch.tensor(
        [bool(set(b'"}]') & set(token)) or one > size - 400 for one, token in enumerate(spelled)]
    )
    noise_SV = torch.randn(16, size, generator=torch.Generator().manual_seed(0)) + liking_V
    sampler = Sampler(SamplingOptions(0.0), torch.zeros(0, dtype=torch.long), torch.zeros(size, dtype=torch.bool))
    for name, constraint in CONSTRAINTS.items():
        grammar_s, tokens, forced_tokens, worst_s = 0.0, 0, 0, 0.0
        for seed in range(ANSWERS):
            matcher, count = compiler.matcher(constraint), 0
            while not matcher.done and count < LONGEST:
                mask = matcher.mask()
                logits_BV = noise_SV[(seed * 7 + count) % 16][None]
                token_id = choose_batch(logits_BV, [sampler], [mask])[0].token_id
                started = time.process_time()
                matcher.accept(token_id)
                forced = matcher.forced()
                matcher.accept(*forced)
                if not matcher.done:
                    matcher.mask()
                spent_s = time.process_time() - started
                grammar_s, worst_s = grammar_s + spent_s, max(worst_s, spent_s)
                count += 1 + len(forced)
                forced_tokens += len(forced)
            tokens += count
        share = 100 * forced_tokens / tokens
        print(f"| {size:,} | {name} | {1e6 * grammar_s / tokens:.0f} us | {1e3 * worst_s:.1f} ms | {share:.0f} % |")


def choosing(size: int) -> None:
    logits_BV = torch.randn(BATCH, size, generator=torch.Generator().manual_seed(0))
    banned_V, prompt_T = torch.zeros(size, dtype=torch.bool), torch.arange(min(size, 1000))
    mask = torch.full((-(-size // 32),), -1, dtype=torch.int32)
    kinds = {
        "greedy": SamplingOptions(0.0),
        "greedy, mask": SamplingOptions(0.0),
        "greedy, repetition penalty": SamplingOptions(0.0, repetition_penalty=1.05),
        "temperature": SamplingOptions(0.7, seed=1),
        "temperature, top_k 50, top_p 0.9": SamplingOptions(0.7, top_k=50, top_p=0.9, seed=1),
        "temperature, min_p": SamplingOptions(0.7, min_p=0.05, seed=1),
        "greedy, 5 logprobs": SamplingOptions(0.0, logprobs=5),
    }
    for name, options in kinds.items():
        samplers = [Sampler(options, prompt_T, banned_V) for _ in range(BATCH)]
        masks = [mask if "mask" in name else None] * BATCH
        together = cpu_ms(lambda samplers=samplers, masks=masks: choose_batch(logits_BV, samplers, masks))
        alone = cpu_ms(
            lambda samplers=samplers, masks=masks: [
                one.choose(row_V, mask) for one, row_V, mask in zip(samplers, logits_BV, masks, strict=True)
            ]
        )
        print(f"| {size:,} | {name} | {together:.1f} ms | {alone:.1f} ms |")


def compiling(compiler: GrammarCompiler, size: int) -> None:
    for name, make in (("random schemas", lambda seed: JsonSchema(random_schema(seed))), ("random patterns", pattern)):
        times = []
        for seed in range(1000, 1100):
            started = time.perf_counter()
            compiler.matcher(make(seed))
            times.append(1e3 * (time.perf_counter() - started))
        times.sort()
        print(f"| {size:,} | {name}, 100 | {times[50]:.1f} ms | {times[98]:.1f} ms |")


def pattern(seed: int) -> Constraint:
    return Regex(random_regex(seed))


def hostile(compiler: GrammarCompiler) -> None:
    for name, constraint in HOSTILE.items():
        started = time.perf_counter()
        try:
            compiler.matcher(constraint)
            seen = "served"
        except ConstraintError as error:
            seen = f"refused: {error.seen[:60]}"
        print(f"| {name} | {time.perf_counter() - started:.2f} s | {seen} |")


def many(compiler: GrammarCompiler) -> None:
    before = resident_mb()
    for number in range(MANY):
        compiler.matcher(JsonSchema({**RECEIPT, "title": str(number)}))
    held, known = compiler.held_bytes / 2**20, len(compiler)
    print(f"{MANY} schemas: {resident_mb() - before:.0f} MB more, {known} kept, taken for {held:.0f} MB")


def detector() -> None:
    reader, line = LoopDetector(), [f"| row {number} | {number * 7919 % 1000} | yes |\n" for number in range(1500)]
    started = time.process_time()
    for one in line:
        for place in range(0, len(one), 4):
            reader.push(one[place : place + 4])
    pushes = sum(-(-len(one) // 4) for one in line)
    print(f"loop detector: {1e6 * (time.process_time() - started) / pushes:.1f} us a token")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        write_tokenizer(Path(scratch), default_ranks_file())
        vocabularies = {2062: Path(anyres.__file__).parent / "checkpoints" / "tiny", 151_936: Path(scratch)}
        for size, folder in vocabularies.items():
            tokenizer = Tokenizer.from_folder(folder)
            compiler = GrammarCompiler(tokenizer, vocab_size=size, eos_token_ids=[tokenizer.special_id("<|im_end|>")])
            started, busy = time.perf_counter(), time.process_time()
            compiler.matcher(JsonObject())
            spent = f"{time.perf_counter() - started:.2f} s, {time.process_time() - busy:.2f} of CPU time"
            print(f"vocabulary {size:,}: ready after {spent}", flush=True)
            per_token(compiler, tokenizer, size)
            compiling(compiler, size)
            choosing(size)
            if size == max(vocabularies):
                hostile(compiler)
                many(compiler)
            compiler.close()
    detector()


if __name__ == "__main__":
    main()
