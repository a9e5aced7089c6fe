"""Prompts through the engine, step by step and without a thread, on random tiny models."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence

import pytest
import torch

from anyres.chat import Answer, Piece, Usage
from anyres.engine.checkpoint import choose_paged_attention
from anyres.engine.core import Engine
from anyres.engine.detokenizer import Detokenizer
from anyres.engine.draft import DraftModel
from anyres.engine.options import EngineOptions, Turn
from anyres.engine.request import Sequence as Answering
from anyres.engine.runner import Progress, Runner
from anyres.engine.sampler import Sampler, SamplingOptions
from anyres.engine.scheduler import Limits
from anyres.engine.ticket import Event, Ticket
from anyres.engine.vision_cache import VisionCache
from anyres.kernels.library import best_isa
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput
from tests.oracle import VOCAB_SIZE, byte_tokenizer

GREEDY = SamplingOptions(0.0)
SMALL_STEPS = Limits(running=5, step_tokens=13, step_patches=40, busy_step_tokens=3, busy_step_patches=8)


def sequence_of(
    one: ModelInput,
    *,
    options: SamplingOptions = GREEDY,
    tokens: int = 24,
    ends: Collection[int] = (),
    banned: Sequence[int] = (),
) -> Answering:
    banned_V = torch.zeros(VOCAB_SIZE, dtype=torch.bool)
    banned_V[list(banned)] = True
    tokenizer = byte_tokenizer()
    return Answering(
        one,
        usage=Usage(),
        sampler=Sampler(options, one.token_ids_T, banned_V),
        detokenizer=Detokenizer(tokenizer.token_bytes),
        tokenizer=tokenizer,
        max_tokens=tokens,
        eos_token_ids=frozenset(ends),
    )


class Asked:
    """A ticket that remembers what it was sent."""

    def __init__(self, sequence: Answering, *, turn: Turn | None = None, reports: bool = False) -> None:
        self.events: list[Event] = []
        self.ticket = Ticket(sequence, turn or Turn(), send=self.events.append, reports=reports)

    @property
    def ids(self) -> list[int]:
        return self.ticket.sequence.answer_ids

    @property
    def end(self) -> Answer | Exception | None:
        return next((event for event in self.events if isinstance(event, Answer | Exception)), None)

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Piece))

    @property
    def progress(self) -> list[Progress]:
        return [event for event in self.events if isinstance(event, Progress)]


def new_engine(
    model: Qwen2VL,
    options: EngineOptions | None = None,
    *,
    native: bool = True,
    vision_cache: VisionCache | None = None,
    draft: Qwen2VL | None = None,
    draft_vision_cache: VisionCache | None = None,
) -> Engine:
    options = options or EngineOptions()
    attention = choose_paged_attention(model, options) if native else None
    small = None
    if draft is not None:
        small_attention = choose_paged_attention(draft, options) if native else None
        small = DraftModel(Runner(draft), draft_vision_cache, small_attention)
    return Engine(Runner(model), options, vision_cache=vision_cache, paged_attention=attention, draft=small)


def ask(engine: Engine, sequence: Answering, *, turn: Turn | None = None, reports: bool = False) -> Asked:
    asked = Asked(sequence, turn=turn, reports=reports)
    engine.prepare(asked.ticket)
    engine.add(asked.ticket)
    return asked


def finish(engine: Engine, *, steps: int = 5000) -> int:
    for number in range(steps):
        if not engine.step():
            return number + 1
    raise AssertionError("never ends")


def one_by_one(model: Qwen2VL, sequences: Sequence[Answering], *, native: bool = True) -> list[list[int]]:
    """Each in an engine of its own: nothing cached, nothing beside it."""
    for sequence in sequences:
        engine = new_engine(model, native=native)
        ask(engine, sequence)
        finish(engine)
    return [sequence.answer_ids for sequence in sequences]


def until(done: Callable[[], bool], *, seconds: float = 60.0) -> bool:
    """Waits for another thread."""
    ends = time.monotonic() + seconds
    while not done() and time.monotonic() < ends:
        time.sleep(0.01)
    return done()


def same_pieces(found: Iterable[Piece], expected: Iterable[Piece]) -> bool:
    """Whether the same text comes in the same pieces, with the same logprobs. Without native kernels they may differ by
    rounding: of passes of several tokens, torch's own attention rounds otherwise than of one."""
    if best_isa() is not None:
        return list(found) == list(expected)
    ours, theirs = list(found), list(expected)
    numbers = [[number for piece in one for number in numbers_of(piece)] for one in (ours, theirs)]
    words = [[(piece.text, words_of(piece)) for piece in one] for one in (ours, theirs)]
    return words[0] == words[1] and numbers[0] == pytest.approx(numbers[1], abs=1e-4)


def numbers_of(piece: Piece) -> list[float]:
    return [number for one in piece.logprobs for number in (one.logprob, *(value for _, value in one.top))]


def words_of(piece: Piece) -> list[tuple[str, ...]]:
    return [(one.text, *(text for text, _ in one.top)) for one in piece.logprobs]
