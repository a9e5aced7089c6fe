"""How much faster answers are with guesses, on texts that repeat themselves; and that others are not slower.

    python -m benchmarks.speculation [--model tiny] [--tokens 240] [--repeats 5] [--shared]

The ids an answer draws are replaced by those of a text, as though the model had said it: passes, draws and guesses are
real, and guesses are right as often as for a model that says just this. So random weights of any size can be measured.
With and without guesses in turn in the same run; medians of seconds spent decoding. `--shared` counts those of the
thread's processor time: for a machine with other work, and OMP_NUM_THREADS=1.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from unittest.mock import patch

import torch

from anyres.chat import GenerationOptions, Message, Piece, Usage
from anyres.engine.checkpoint import choose_paged_attention
from anyres.engine.core import Engine
from anyres.engine.detokenizer import Detokenizer
from anyres.engine.engine import LocalChatModel
from anyres.engine.load import load
from anyres.engine.options import EngineOptions, EngineStats
from anyres.engine.pace import Bet, Costs, Pace, Situation
from anyres.engine.request import Sequence as Answering
from anyres.engine.runner import Runner
from anyres.engine.sampler import Choice, Sampler
from anyres.engine.ticket import Ticket
from anyres.model_input import ModelInput

WORDS = """
invoice total amount paper copies boxes delivery street number account payment order customer service monthly printing
blue folder window report garden river morning station letter machine signal yellow market summer bridge
"""
ANSWERS = 240
Clock = Callable[[], float]


class Scripted(Answering):
    """Says a given text, whatever is drawn."""

    script: Sequence[int] = ()

    def accept(self, choice: Choice) -> Piece | None:
        return super().accept(choice._replace(token_id=self.script[len(self.answer_ids)]))


def texts(seed: int) -> dict[str, tuple[str, str]]:
    """Prompt and answer by what is done."""
    draws = random.Random(seed)

    def words(count: int) -> str:
        return " ".join(draws.choice(WORDS.split()) for _ in range(count))

    def money() -> str:
        return f"{draws.randint(1, 999)}.{draws.randint(0, 99):02}"

    passage = words(150)
    changed = " ".join(word if draws.random() < 0.95 else word.upper() for word in passage.split())
    rows = [(words(2), draws.randint(1, 40), money()) for _ in range(40)]
    json = ", ".join(f'{{"name": "{name}", "quantity": {count}, "price": {price}}}' for name, count, price in rows)
    table = "\n".join(
        f"| {number} | {name} | {count} | {price} EUR |" for number, (name, count, price) in enumerate(rows)
    )
    letters = "".join(chr(draws.randint(33, 126)) for _ in range(4000))
    return {
        "copying": (f"Repeat this: {passage}", passage),
        "copying, a word in 20 changed": (f"Correct this: {passage}", changed),
        "JSON records": ("List what is on the page as JSON.", f"[{json}]"),
        "table, as from OCR": ("Read the table.", table),
        "words without order": ("Say something.", words(400)),
        "random letters": ("Say something.", letters),
    }


def answer_once(model: LocalChatModel, engine: Engine, text: tuple[str, str], tokens: int) -> float:
    """Seconds of decoding an id."""
    prompt = model.processor.prepare([Message("user", text[0])])
    sequence = scripted(model, prompt, model.processor.tokenizer.encode_text(text[1])[:tokens])
    ticket = Ticket(sequence)
    engine.prepare(ticket)
    engine.add(ticket)
    while engine.step():
        pass
    assert list(sequence.answer_ids) == list(sequence.script)
    return sequence.timings.decode_s / (len(sequence.script) - 1)


def scripted(model: LocalChatModel, prompt: ModelInput, script: Sequence[int]) -> Scripted:
    tokenizer, greedy = model.processor.tokenizer, model.defaults.resolve(GenerationOptions(temperature=0.0))
    banned_V = torch.arange(model.config.text.vocab_size) >= tokenizer.vocab_size
    sequence = Scripted(
        prompt,
        usage=Usage(),
        sampler=Sampler(greedy, prompt.token_ids_T, banned_V),
        detokenizer=Detokenizer(tokenizer.token_bytes),
        tokenizer=tokenizer,
        max_tokens=len(script),
        eos_token_ids=frozenset(),
    )
    sequence.script = script
    return sequence


def new_engine(model: LocalChatModel, guesses: int, clock: Clock) -> Engine:
    options = EngineOptions(guesses=guesses, prefix_bytes=0)
    attention = choose_paged_attention(model.model, options)
    return Engine(Runner(model.model), options, paged_attention=attention, clock=clock)


def measure(model: LocalChatModel, name: str, *, tokens: int, repeats: int, clock: Clock) -> str:
    """A line of the table. The engine is kept, so what passes cost is known from the first repeat on."""
    engines = [new_engine(model, 0, clock), new_engine(model, 7, clock)]
    seconds: list[list[float]] = [[], []]
    for repeat in range(repeats + 1):
        for engine, found in zip(engines, seconds, strict=True):
            found.append(answer_once(model, engine, texts(repeat)[name], tokens))
    first = seconds[0][0] / seconds[1][0]
    plain_s, guessing_s = (statistics.median(found[1:]) for found in seconds)
    stats: EngineStats = engines[1].stats
    share = stats.guesses / stats.answer_tokens
    right = stats.right_guesses / max(1, stats.guesses)
    figures = f"{1 / plain_s:.1f} | {1 / guessing_s:.1f} | **{plain_s / guessing_s:.2f}** | {first:.2f}"
    return f"| {name} | {figures} | {share:.2f} | {right:.0%} |"


def pass_costs(model: LocalChatModel, clock: Clock, *, repeats: int = 15) -> str:
    """Milliseconds of a pass over 1 to 8 ids, by answers of which so many are guessed all the time."""
    found = []
    for guesses in (0, 1, 3, 7):
        engine = new_engine(model, guesses, clock)
        with patch.object(Pace, "bet", _all), patch.object(Costs, "knows", _yes):
            count = repeats * (1 + guesses) + 1
            answer_once(model, engine, ("one two three", " one two three" * count), count)
        found.append(f"{1000 * engine._speculation.costs.of(1 + guesses):.1f}")
    return "milliseconds of a pass over 1, 2, 4 and 8 ids: " + ", ".join(found)


def _all(pace: Pace, kind: str, most: int, situation: Situation) -> Bet:
    del pace, kind, situation
    return Bet(most, 0.0)


def _yes(costs: Costs, tokens: int) -> bool:
    del costs, tokens
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--memory")
    parser.add_argument("--dtype")
    parser.add_argument("--tokens", type=int, default=ANSWERS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--shared", action="store_true")
    arguments = parser.parse_args()
    clock = time.thread_time if arguments.shared else time.perf_counter
    model = load(arguments.model, device="cpu", dtype=arguments.dtype, memory=arguments.memory)
    print(f"{model.name}, {model.dtype}, {torch.get_num_threads()} threads, answers of {arguments.tokens} ids\n")
    print("| text | plain ids/s | guessing ids/s | ratio | ratio of the first answer | guesses an id | right |")
    print("|---" * 7 + "|")
    for name in texts(0):
        print(measure(model, name, tokens=arguments.tokens, repeats=arguments.repeats, clock=clock), flush=True)
    print(f"\n{pass_costs(model, clock)}")


if __name__ == "__main__":
    main()
