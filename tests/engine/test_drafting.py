"""When a draft model pays: simulated machines, models and answers, whose time is added up with and without drafts."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.config import Qwen2VLConfig, TextConfig
from anyres.engine.draft import LEVEL, Follower, reading_work
from anyres.engine.drafting import MOST_CAUTION, Drafting
from anyres.engine.pace import SHARE, Costs, Rate
from anyres.engine.scheduler import Job, Plan, Span
from anyres.engine.speculation import Speculation

PASS_S = 0.1  # of the larger model
PROMPT = 200  # tokens
WORDS = 100_000
LARGE = TextConfig(
    hidden_size=3584,
    intermediate_size=18944,
    num_hidden_layers=28,
    num_attention_heads=28,
    num_key_value_heads=4,
    vocab_size=152_064,
)
MODEL: Any = SimpleNamespace(config=Qwen2VLConfig(text=LARGE))  # 7B
SMALL: Any = SimpleNamespace(config=Qwen2VLConfig())  # 2B
FORETOLD = 0.2  # of the larger model's time, by their sizes


@dataclass
class Machine:
    """The draft takes `pass_part` of what the larger one takes for a pass, and `read_part` to read a prompt.

    A row more costs `slope` of a pass.
    """

    pass_part: float = 0.25
    read_part: float = 0.25
    slope: float = 0.03
    read_s: float = 1.0  # of the larger model, for a prompt

    def seconds(self, tokens: int) -> float:
        return PASS_S * (1 + self.slope * (tokens - 1))


class Saying:
    """As much of an answer in the making as speculation looks at; it will say `script`."""

    def __init__(self, script: Sequence[int]) -> None:
        self.script = list(script)
        self.answer_ids = [self.script[0]]
        self.max_tokens = len(self.script)
        self.prompt = SimpleNamespace(token_ids_T=torch.arange(WORDS, WORDS + PROMPT), visuals=(), rope_delta=0)
        self.sampler = SimpleNamespace(banned_V=torch.zeros(8, dtype=torch.bool))

    def agreeing(self, token_ids: Sequence[int]) -> int:
        return len(token_ids)


@dataclass
class FakeDraft:
    """Right with a `chance` for each id."""

    machine: Machine
    chance: float
    draws: random.Random
    costs: Costs = field(default_factory=Costs)
    reading: Rate = field(default_factory=Rate)
    config: Qwen2VLConfig = field(default_factory=Qwen2VLConfig)
    read: int = 0  # prompts
    guesses: int = 0
    tries: int = 0

    def can_follow(self, sequence: Saying) -> bool:
        return True

    def is_level(self, follower: Follower) -> bool:
        return follower.tokens - follower.places <= LEVEL

    def unread(self, follower: Follower) -> float:
        return reading_work(SMALL, follower.tokens - follower.places, 0)

    def read_on(self, follower: Follower) -> float:
        unread = follower.tokens - follower.places
        seconds = self.machine.read_part * self.machine.read_s * unread / PROMPT
        self.reading.note(self.unread(follower), seconds)
        self.read += follower.read == 0
        follower.read, follower.said = PROMPT, follower.sequence.answer_ids[:-1]
        return seconds

    def guess(self, followers: Sequence[Follower], counts: Sequence[int], *, least: float) -> float:
        self.tries += 1
        for follower, count in zip(followers, counts, strict=True):
            said = len(follower.sequence.answer_ids)
            coming: list[int] = follower.sequence.script[said : said + count]  # type: ignore[attr-defined]
            follower.guesses = [one if self.draws.random() < self.chance else -1 for one in coming]
            follower.said = list(follower.sequence.answer_ids)
            for _ in range(count):
                self.costs.note(1, self.machine.pass_part * PASS_S)
            self.guesses += count
        return max(counts) * self.machine.pass_part * PASS_S

    def release(self, follower: Follower) -> None:
        follower.read, follower.said = 0, []


class Simulation:
    """Answers one after the other, each with a prompt of its own."""

    def __init__(self, machine: Machine, chance: float, seed: int = 0) -> None:
        self.machine, self.draws = machine, random.Random(seed)
        self.draft = FakeDraft(machine, chance, self.draws)
        draft: Any = self.draft
        self.speculation = Speculation(drafting=partial(Drafting, draft, target=MODEL))
        self.plain_s = self.total_s = 0.0

    def answer(self, ids: int) -> float:
        """Returns how much faster it was."""
        before = self.plain_s, self.total_s
        self.plain_s += self.machine.read_s + PASS_S * (ids - 1)
        self.total_s += self.machine.read_s
        job = Job(PROMPT, PROMPT + ids, name_of=str.encode)  # type: ignore[arg-type]
        self.speculation.pass_by(Plan(spans=(Span(job, 0, PROMPT),)), self.machine.read_s)
        saying: Any = Saying([self.draws.randrange(WORDS) for _ in range(ids)])
        guesser = self.speculation.guesser(saying, lambda sequence: Follower(sequence, job, {}))
        while len(saying.answer_ids) < ids:
            self.step(saying, guesser)
        self.speculation.release(guesser, ended=True)
        return (self.plain_s - before[0]) / (self.total_s - before[1])

    def step(self, saying: Any, guesser: Any) -> None:
        self.total_s += self.speculation.guess([guesser], [saying], answers=1, tokens=1)
        guesser.begin(len(guesser.guesses))
        said, tokens = len(saying.answer_ids), 1 + len(guesser.guesses)
        right = guesser.check(saying.script[said : said + len(guesser.guesses)])
        seconds = self.machine.seconds(tokens)
        saying.answer_ids += saying.script[said : said + right + 1]
        self.total_s += seconds
        self.speculation.settle([guesser], answers=1, tokens=tokens, seconds=seconds)


@settings(deadline=None, max_examples=60)
@given(
    st.builds(Machine, st.floats(0.02, 1.2), st.floats(0.02, 1.2), st.floats(0.0, 1.0), st.floats(0.1, 20.0)),
    st.floats(0.0, 1.0),
    st.lists(st.integers(2, 300), min_size=1, max_size=12),
    st.integers(0, 2**32),
)
def test_never_slower_by_more_than_a_fiftieth(machine: Machine, chance: float, lengths: list[int], seed: int) -> None:
    """In all, and a few passes once for measuring, and as much as reading was foretold too short."""
    simulation = Simulation(machine, chance, seed)
    for ids in lengths:
        simulation.answer(ids)
    misjudged_s = max(0.0, machine.read_part - FORETOLD) * machine.read_s
    assert simulation.total_s <= (1 + SHARE) * simulation.plain_s + 5 * PASS_S + misjudged_s


def test_right_drafts_pay() -> None:
    """A quarter of the size, right 9 times in 10: the first answer pays for the reading, the others begin with it."""
    simulation = Simulation(Machine(), 0.9)
    gains = [simulation.answer(400) for _ in range(12)]
    assert gains[0] > 0.97
    assert min(gains[6:]) > 1.5
    assert simulation.draft.read >= 8


def test_a_small_draft_pays_more() -> None:
    gains = []
    for part in (0.5, 0.2, 0.05):
        simulation = Simulation(Machine(pass_part=part, read_part=part), 0.95)
        gains.append([simulation.answer(400) for _ in range(10)][-1])
    assert gains == sorted(gains)
    assert gains[-1] > 3


def test_it_is_given_up_where_it_never_pays() -> None:
    simulation = Simulation(Machine(), 0.0)
    for _ in range(300):
        simulation.answer(100)
    drafting = simulation.speculation.drafting
    assert drafting is not None
    assert drafting.caution == MOST_CAUTION
    assert 0 < simulation.draft.read < 40
    assert simulation.total_s < 1.015 * simulation.plain_s


def test_it_comes_back_when_it_pays_again() -> None:
    simulation = Simulation(Machine(read_part=0.05), 0.0)
    for _ in range(60):
        simulation.answer(100)
    simulation.draft.chance = 0.95
    gains = [simulation.answer(300) for _ in range(60)]
    assert gains[-1] > 1.5


def test_short_answers_are_not_read_for() -> None:
    """A draft that reads as long as the larger one cannot pay in ten words."""
    simulation = Simulation(Machine(read_part=1.0), 1.0)
    for _ in range(200):
        simulation.answer(10)
    assert simulation.draft.read <= 1, "once, because it was taken for faster than it is"
    assert simulation.draft.guesses == 0
    assert simulation.total_s < 1.005 * simulation.plain_s


def test_a_draft_as_slow_as_the_larger_one_is_left_alone() -> None:
    simulation = Simulation(Machine(pass_part=1.1), 1.0)
    for _ in range(30):
        simulation.answer(200)
    assert simulation.draft.guesses < 60
    assert simulation.total_s < 1.02 * simulation.plain_s


def test_more_is_guessed_the_more_it_is_right() -> None:
    depths = []
    for chance in (0.5, 0.8, 1.0):
        simulation = Simulation(Machine(pass_part=0.1, read_part=0.01), chance)
        for _ in range(6):
            simulation.answer(300)
        depths.append(simulation.draft.guesses / simulation.draft.tries)
    assert depths == sorted(depths)
