"""How much faster answers are with a draft model, beside and without prompt lookup; and that none is slower.

    python -m benchmarks.drafts [--layers 32] [--agreeing 0.9 0.7 0.5 0] [--tokens 240] [--repeats 5] [--shared]

No published weights are at hand, so the pair is made: the draft is the embedded checkpoint, and what it drafts for is
the same model with layers between its own that add nothing, so that a pass takes as much longer as there are layers.
Left alone the two agree always. As in benchmarks/speculation.py what is drawn is replaced by the ids of a text, and
here what the draft guesses is too, right with the chance of `--agreeing` for each id: all passes of both models are
real, with prompts, caches and checks, and how often two models agree is the one thing that is put in.

Plain, lookup, draft and both in turn, each in an engine of its own that is kept, from the first answer on, so that
what the draft reads for nothing is in the figures. `--shared` counts the thread's processor time.
"""

import argparse
import random
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor

from anyres.chat import ImagePart, Message, TextPart
from anyres.engine.checkpoint import choose_paged_attention
from anyres.engine.core import Engine
from anyres.engine.draft import Draft, Follower
from anyres.engine.engine import LocalChatModel
from anyres.engine.load import load
from anyres.engine.lookup import PromptLookup
from anyres.engine.options import EngineOptions
from anyres.engine.pairing import draft_model
from anyres.engine.runner import Runner
from anyres.engine.ticket import Ticket
from anyres.model.qwen2vl import Qwen2VL
from benchmarks.speculation import Clock, Scripted, scripted, texts

WAYS = ("plain", "lookup", "draft", "both")
KINDS = ("copying, a word in 20 changed", "JSON records", "table, as from OCR", "words without order", "random letters")
PICTURE = (224, 112)  # pixels; 32 visual tokens


class Spent(NamedTuple):
    """Seconds, from the end of the prompt on and in all."""

    decode_s: float
    all_s: float


@torch.no_grad()
def deepened(small: Qwen2VL, layers: int) -> Qwen2VL:
    """Computes the same: the layers between those of `small` add zeros."""
    model = Qwen2VL(replace(small.config, text=replace(small.config.text, num_hidden_layers=layers)), dtype=small.dtype)
    given, every = small.state_dict(), layers // small.config.text.num_hidden_layers
    for name, weight in model.state_dict().items():
        at = name.split(".")
        if at[:2] == ["model", "layers"]:
            source = ".".join(["model", "layers", str(min(int(at[2]) // every, len(small.model.layers) - 1)), *at[3:]])
            weight.copy_(given[source])
            if int(at[2]) % every and at[-2] in ("o_proj", "down_proj"):
                weight.zero_()
        else:
            weight.copy_(given[name])
    return model.eval()


def new_engine(large: Qwen2VL, small: Qwen2VL, way: str, clock: Clock) -> Engine:
    options = EngineOptions(guesses=0 if way == "plain" else 7, prefix_bytes=0)
    draft = draft_model(small, None, options) if way in ("draft", "both") else None
    attention = choose_paged_attention(large, options)
    return Engine(Runner(large), options, paged_attention=attention, draft=draft, clock=clock)


def answer_once(model: LocalChatModel, engine: Engine, text: tuple[str, str], tokens: int, seed: int) -> Spent:
    pixels = torch.randint(0, 256, (*PICTURE[::-1], 3), generator=torch.Generator().manual_seed(seed))
    picture = ImagePart(pixels.to(torch.uint8).numpy())
    prompt = model.processor.prepare([Message("user", (picture, TextPart(text[0])))])
    sequence = scripted(model, prompt, model.processor.tokenizer.encode_text(text[1])[:tokens])
    ticket = Ticket(sequence)
    engine.prepare(ticket)
    engine.add(ticket)
    while engine.step():
        pass
    assert list(sequence.answer_ids) == list(sequence.script)
    timings = sequence.timings
    return Spent(timings.decode_s, timings.decode_s + timings.prefill_s + timings.encode_s)


class Agreeing:
    """Stands in for what a draft chooses, and lets it choose all the same."""

    def __init__(self, chance: float) -> None:
        self.chance, self.draws, self.choose = chance, random.Random(1), Draft._choose

    def __call__(self, draft: Draft, follower: Follower, logits_V: Tensor) -> None:
        self.choose(draft, follower, logits_V)
        sequence = follower.sequence
        assert isinstance(sequence, Scripted)
        place = len(sequence.answer_ids) + len(follower.guesses) - 1
        right = self.draws.random() < self.chance and place < len(sequence.script)
        follower.guesses[-1] = sequence.script[place] if right else 1
        follower.sure = self.chance ** len(follower.guesses)


def measure(
    model: LocalChatModel, small: Qwen2VL, name: str, chance: float, *, tokens: int, repeats: int, clock: Clock
) -> str:
    engines = {way: new_engine(model.model, small, way, clock) for way in WAYS}
    spent: dict[str, list[Spent]] = {way: [] for way in WAYS}
    agreeing = Agreeing(chance)
    for repeat in range(repeats):
        for way in WAYS if repeat % 2 else WAYS[::-1]:
            with ExitStack() as patched:
                patched.enter_context(patch.object(Draft, "_choose", lambda *given: agreeing(*given)))
                if way == "draft":
                    patched.enter_context(patch.object(PromptLookup, "propose", _nothing))
                spent[way].append(answer_once(model, engines[way], texts(repeat)[name], tokens, repeat))
    return _line(name, chance, spent, engines)


def _nothing(lookup: PromptLookup, most: int) -> list[int]:
    del lookup, most
    return []


def _line(name: str, chance: float, spent: dict[str, list[Spent]], engines: dict[str, Engine]) -> str:
    plain = [one.decode_s for one in spent["plain"]]
    ratios = [statistics.median(p / one.decode_s for p, one in zip(plain, spent[way], strict=True)) for way in WAYS[1:]]
    in_all = [sum(one.all_s for one in spent["plain"]) / sum(one.all_s for one in spent[way]) for way in WAYS[1:]]
    stats = engines["draft"].stats
    right = f"{stats.right_guesses}/{stats.guesses}"
    figures = " | ".join(f"{one:.2f}" for one in (*ratios, *in_all))
    return f"| {name} | {chance:g} | {figures} | {right} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--agreeing", type=float, nargs="+", default=[0.9, 0.7, 0.5, 0.0])
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    parser.add_argument("--tokens", type=int, default=240)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--shared", action="store_true")
    arguments = parser.parse_args()
    clock = time.thread_time if arguments.shared else time.perf_counter
    small = load(device="cpu", dtype="float32", cache=False)
    large = deepened(small.model, arguments.layers)
    model = LocalChatModel(large, small.processor, defaults=small.defaults)
    _check_agreement(model, small)
    threads = torch.get_num_threads()
    print(f"{arguments.layers} layers and {len(small.model.model.layers)}, float32, {threads} threads")
    print(f"answers of {arguments.tokens} ids, {arguments.repeats} of each\n")
    print("| text | agreeing | lookup | draft | both | lookup, in all | draft, in all | both, in all | right |")
    print("|---" * 9 + "|")
    for name in arguments.kinds:
        for chance in arguments.agreeing:
            sizes = {"tokens": arguments.tokens, "repeats": arguments.repeats}
            print(measure(model, small.model, name, chance, **sizes, clock=clock), flush=True)


def _check_agreement(large: LocalChatModel, small: LocalChatModel) -> None:
    """That the larger one says what the smaller does."""
    asked: Sequence[Message] = [Message("user", "Repeat: one two three")]
    assert large.chat(asked).text == small.chat(asked).text


if __name__ == "__main__":
    main()
