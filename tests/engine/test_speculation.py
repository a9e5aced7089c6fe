"""Guesses, right and wrong ones at every place, change nothing about an answer: its ids, pieces, logprobs or end."""

import random
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.chat import Answer, Piece
from anyres.engine.blocks import BlockManager
from anyres.engine.lookup import PromptLookup, common_length
from anyres.engine.options import EngineOptions
from anyres.engine.pace import Bet, Costs, Pace
from anyres.engine.sampler import SamplingOptions
from anyres.engine.scheduler import Job, Limits, Plan, Scheduler, Span
from anyres.errors import NumericsError
from anyres.kernels.library import best_isa
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput
from tests.engine.runs import SMALL_STEPS, Asked, ask, finish, new_engine, sequence_of
from tests.engine.test_scheduler import SIZE, Simulation, requests
from tests.engine.test_scheduler import Asked as Simulated
from tests.oracle import picture, prompt, tiny_config, tiny_model

NATIVE = [True, False] if best_isa() is not None else [False]
NO_GUESSES = EngineOptions(guesses=0)
WAYS = (EngineOptions(), EngineOptions(block_size=5, guesses=11), EngineOptions(SMALL_STEPS))
DRAWS = {
    "greedy": SamplingOptions(0.0),
    "drawn": SamplingOptions(temperature=1.0, top_p=0.95, seed=3),
    "penalties": SamplingOptions(
        0.0, repetition_penalty=1.3, presence_penalty=0.5, frequency_penalty=0.2, logit_bias=((7, 3.0),)
    ),
    "drawn with penalties": SamplingOptions(temperature=0.8, frequency_penalty=0.7, seed=9),
    "logprobs": SamplingOptions(0.0, logprobs=4),
}


@pytest.fixture(scope="module")
def model() -> Qwen2VL:
    return tiny_model(tiny_config())


def prompts(model: Qwen2VL) -> list[ModelInput]:
    """Pictures and clips, whose positions differ on the three axes, and words."""
    config = model.config
    wide, tall = picture(config, (1, 4, 12), seed=1), picture(config, (1, 14, 2), seed=2)
    clip = picture(config, (5, 4, 2), seed=3, kind="video")
    layouts = [[3, wide, 9], [20], [2, clip, 2, tall, 5], [15], [1, tall, 30], [4, wide, 3]]
    return [prompt(config, layout, seed=i) for i, layout in enumerate(layouts)]


class Oracle:
    """Stands in for the lookup: knows the answers, and lies every now and then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, truth: float = 0.8, seed: int = 0) -> None:
        self.answers: list[list[int]] = []
        self.truth, self.random = truth, random.Random(seed)
        self.proposed = 0
        monkeypatch.setattr(PromptLookup, "propose", lambda lookup, most: self.propose(lookup, most))
        monkeypatch.setattr(Costs, "knows", lambda costs, tokens: True)
        monkeypatch.setattr(Costs, "of", lambda costs, tokens: 1.0)
        monkeypatch.setattr(Pace, "bet", lambda pace, kind, most, situation: Bet(most, 1.0))

    def propose(self, lookup: PromptLookup, most: int) -> list[int]:
        text = lookup._ids
        for answer in self.answers:
            for said in range(min(len(answer), len(text)), 0, -1):
                if text[-said:] == answer[:said]:
                    return self.lie(answer[said : said + self.random.randint(0, most)], most)
        return self.lie([], most)

    def lie(self, coming: list[int], most: int) -> list[int]:
        length = self.random.randint(0, most)
        coming = (coming + [self.random.randrange(256) for _ in range(most)])[:length]
        self.proposed += length
        return [one if self.random.random() < self.truth else self.random.randrange(256) for one in coming]


def answers(model: Qwen2VL, options: EngineOptions, *, native: bool, draws: SamplingOptions) -> list[Asked]:
    """All prompts together, with answers of 1 to 40 ids; every third does not speculate."""
    engine = new_engine(model, options, native=native)
    asked = []
    for i, one in enumerate(prompts(model)):
        sequence = sequence_of(one, options=draws, tokens=40 - 13 * i % 40, ends=range(0, 256, 50))
        sequence.speculate = i % 3 != 2
        asked.append(ask(engine, sequence))
    finish(engine)
    assert engine._blocks.available == engine._blocks.blocks
    return asked


def told(one: Asked) -> tuple[object, ...]:
    assert isinstance(one.end, Answer), one.end
    pieces = [(event.text, event.logprobs) for event in one.events if isinstance(event, Piece)]
    return one.ids, pieces, one.end.text, one.end.finish_reason, one.end.logprobs, one.end.usage.completion_tokens


@pytest.mark.parametrize("native", NATIVE)
@pytest.mark.parametrize("draws", DRAWS)
def test_guesses_change_nothing(model: Qwen2VL, draws: str, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In ids, in the pieces they come in, and with the native attention in every bit of the logprobs."""
    plain = [replace(options, guesses=0) for options in WAYS]
    expected = [answers(model, options, native=native, draws=DRAWS[draws]) for options in plain]
    assert sum(len(one.ids) for one in expected[0]) > 40
    oracle = Oracle(monkeypatch)
    oracle.answers = [one.ids for one in expected[0]]
    for options, those in zip(WAYS, expected, strict=True):
        found = answers(model, options, native=native, draws=DRAWS[draws])
        assert [one.ids for one in found] == [one.ids for one in those]
        if native or draws != "logprobs":
            assert [told(one) for one in found] == [told(one) for one in those]
    assert oracle.proposed > 60


@pytest.mark.parametrize(("heads", "kv_heads", "tied"), [(2, 1, True), (4, 4, False), (6, 2, True)])
def test_other_models(heads: int, kv_heads: int, tied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(tiny_config(heads=heads, kv_heads=kv_heads, tied=tied), seed=heads)
    expected = [one.ids for one in answers(model, NO_GUESSES, native=True, draws=DRAWS["greedy"])]
    oracle = Oracle(monkeypatch)
    oracle.answers = expected
    assert [one.ids for one in answers(model, EngineOptions(), native=True, draws=DRAWS["greedy"])] == expected


@pytest.mark.parametrize("kv_dtype", ["int8", "bfloat16"])
def test_other_caches(model: Qwen2VL, kv_dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, guessing = EngineOptions(kv_dtype=kv_dtype, guesses=0), EngineOptions(kv_dtype=kv_dtype)
    expected = [one.ids for one in answers(model, plain, native=NATIVE[0], draws=DRAWS["greedy"])]
    oracle = Oracle(monkeypatch)
    oracle.answers = expected
    assert [one.ids for one in answers(model, guessing, native=NATIVE[0], draws=DRAWS["greedy"])] == expected


def test_right_guesses_save_passes(model: Qwen2VL, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 ids: one from the prompt, then 39 in passes of 8; the last pass guesses no more than the answer may hold."""
    (one, *_) = prompts(model)
    engine = new_engine(model, NO_GUESSES)
    plain = ask(engine, sequence_of(one, tokens=40))
    assert finish(engine) == 40
    oracle = Oracle(monkeypatch, truth=1.0)
    oracle.answers = [plain.ids]
    monkeypatch.setattr(oracle, "lie", lambda coming, most: coming)
    monkeypatch.setattr(oracle.random, "randint", lambda low, high: high)
    engine = new_engine(model)
    asked = ask(engine, sequence_of(one, tokens=40))
    assert finish(engine) == 1 + 5
    assert asked.ids == plain.ids
    assert (engine.stats.guesses, engine.stats.right_guesses) == (34, 34)
    assert engine.stats.answer_tokens == 40


def test_little_memory(model: Qwen2VL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has to stop now and then, never for a guess; all blocks come back."""
    options = EngineOptions(Limits(running=5, step_tokens=13), kv_bytes=16 * 12_288)
    assert len(options.blocks(model.config.text, model.dtype)) == 2
    expected = [one.ids for one in answers(model, NO_GUESSES, native=NATIVE[0], draws=DRAWS["drawn"])]
    oracle = Oracle(monkeypatch)
    oracle.answers = expected
    assert [one.ids for one in answers(model, options, native=NATIVE[0], draws=DRAWS["drawn"])] == expected


def test_what_was_rejected_is_not_found_by_the_next_prompt(model: Qwen2VL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that an answer filled are used again for the next turn, and hold what was said, not what was guessed."""
    first = prompts(model)[1]
    engine = new_engine(model, NO_GUESSES)
    said = ask(engine, sequence_of(first, tokens=60)).ids
    finish(engine)
    both = torch.cat([first.token_ids_T, torch.tensor(said)])
    second = prompt(model.config, [len(both) + 5], seed=9)
    second.token_ids_T[: len(both)] = both
    engine = new_engine(model, NO_GUESSES)
    expected = ask(engine, sequence_of(second)).ids
    finish(engine)
    oracle = Oracle(monkeypatch, truth=0.5)
    oracle.answers = [said]
    engine = new_engine(model)
    for one, ids in ((first, said), (second, expected)):
        asked = ask(engine, sequence_of(one, tokens=60 if one is first else 24))
        finish(engine)
        assert asked.ids == ids
    assert engine.stats.reused_tokens >= 64


def test_a_guess_that_breaks_the_numbers_breaks_nothing_else(model: Qwen2VL, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id whose embedding is NaN is guessed, and would never have been drawn."""
    spoilt = 201
    (one, *_) = prompts(model)
    engine = new_engine(model, NO_GUESSES)
    expected = ask(engine, sequence_of(one, banned=[spoilt])).ids
    finish(engine)
    broken = tiny_model(tiny_config())
    with torch.no_grad():
        broken.model.embed_tokens.weight[spoilt] = torch.nan
    Oracle(monkeypatch)
    monkeypatch.setattr(PromptLookup, "propose", lambda lookup, most: [5, spoilt, 5][:most])
    engine = new_engine(broken)
    asked, other = (ask(engine, sequence_of(one, banned=[spoilt])) for _ in range(2))
    finish(engine)
    assert asked.ids == other.ids == expected
    assert not any(isinstance(event, NumericsError) for event in asked.events)
    assert engine._blocks.available == engine._blocks.blocks


def test_no_guesses_beside_prompts_or_where_not_wanted(model: Qwen2VL, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = Oracle(monkeypatch)
    engine = new_engine(model, EngineOptions(SMALL_STEPS))
    silent = sequence_of(prompts(model)[0], tokens=9)
    silent.speculate = False
    ask(engine, silent)
    finish(engine)
    assert oracle.proposed == 0
    ask(engine, sequence_of(prompts(model)[1], tokens=50))
    while engine.stats.answer_tokens < 12:
        engine.step()
    ask(engine, sequence_of(prompt(model.config, [80], seed=5), tokens=1))
    engine.step()
    before = oracle.proposed
    while engine.stats.running > 1:
        engine.step()
    assert oracle.proposed == before
    finish(engine)
    assert oracle.proposed > before


class Guessing(Simulation):
    """Answers are guessed ahead, rightly and wrongly, as the draws of a test say."""

    def __init__(self, data: st.DataObject, blocks: int, limits: Limits) -> None:
        super().__init__(blocks, limits)
        self.data = data
        self.right: dict[Job, int] = {}
        self.guessed = 0
        self.advance = self.scheduler.advance
        self.scheduler.advance = self.settle

    def step(self) -> Plan:
        for job in self.scheduler.running:
            room = job.limit - job.tokens - 1
            job.guessed = self.data.draw(st.integers(0, min(6, room))) if job.said and room > 0 else 0
        return super().step()

    def write(self, asked: Simulated, start: int, stop: int) -> None:
        job = asked.job
        super().write(asked, start, stop - job.guessed)
        self.right[job] = self.data.draw(st.integers(0, job.guessed))
        for place in range(stop - job.guessed, stop):
            block = job.table[place // SIZE]
            assert not self.manager.is_shared(block)
            ids = asked.whole if place < job.tokens + self.right[job] else [-99] * stop
            self.cache.setdefault(block, [None] * SIZE)[place % SIZE] = ids[place]

    def check_seen(self, asked: Simulated, start: int, stop: int) -> None:
        super().check_seen(asked, start, stop - asked.job.guessed)

    def settle(self, span: Span) -> None:
        if not span.job.guessed:
            self.advance(span)
            return
        self.guessed += span.job.guessed
        self.live[span.job].said += self.right[span.job]
        self.scheduler.settle(span.job, self.right[span.job])
        assert len(span.job.table) == self.scheduler.blocks_for(span.job.tokens)
        assert span.job.computed == span.job.tokens


@settings(max_examples=80, deadline=None)
@given(
    data=st.data(),
    blocks=st.integers(13, 40),
    limits=st.builds(Limits, running=st.integers(3, 8), step_tokens=st.integers(1, 30)),
)
def test_random_schedules_with_guesses(data: st.DataObject, blocks: int, limits: Limits) -> None:
    """No block is lost or written by two, what was wrong is never read, and everybody ends."""
    simulation = Guessing(data, blocks, limits)
    coming = data.draw(st.lists(requests(), min_size=1, max_size=6))
    for one in coming:
        simulation.add(one)
        for _ in range(data.draw(st.integers(0, 3))):
            simulation.step()
    simulation.run()
    assert len(simulation.ended) == sum(one.width for one in coming)
    assert simulation.manager.available == blocks


def test_nobody_is_stopped_for_a_guess() -> None:
    manager = BlockManager(5)
    scheduler = Scheduler(manager, block_size=SIZE)
    jobs = [Job(SIZE, 4 * SIZE, partial(_named, number)) for number in range(2)]
    for job in jobs:
        scheduler.add(job)
    for span in scheduler.plan().spans:
        scheduler.advance(span)
        scheduler.extend(span.job)
        span.job.guessed = SIZE
    plan = scheduler.plan()
    assert (plan.stopped, manager.available) == ((), 0)
    assert [(span.start, span.stop) for span in plan.spans] == [(SIZE, 2 * SIZE + 1), (SIZE, SIZE + 1)]
    assert [job.guessed for job in jobs] == [SIZE, 0]


def _named(number: int, i: int) -> bytes:
    return bytes([number, i])


def test_common_length() -> None:
    assert common_length([], [1]) == 0
    assert common_length([1, 2], [1, 2, 3]) == 2
    assert common_length([1, 2, 3], [1, 9, 3]) == 1


@given(st.lists(st.integers(0, 1)), st.lists(st.integers(0, 1)))
def test_common_length_is_that_of_the_longest_common_beginning(one: list[int], other: list[int]) -> None:
    length = common_length(one, other)
    assert one[:length] == other[:length]
    assert length == min(len(one), len(other)) or one[length] != other[length]
