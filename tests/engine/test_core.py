"""The engine on random tiny models: who shares a step, a cache or a picture with whom changes no answer."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from anyres.chat import Answer
from anyres.engine.core import Engine
from anyres.engine.options import EngineOptions, Turn
from anyres.engine.request import Sequence
from anyres.engine.runner import Passed, Progress, Runner
from anyres.engine.sampler import SamplingOptions
from anyres.engine.scheduler import Limits
from anyres.engine.vision_cache import VisionCache
from anyres.errors import DeadlineError, NumericsError
from anyres.kernels.library import best_isa
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput, VisualInput
from tests.engine.runs import SMALL_STEPS, Asked, ask, finish, new_engine, one_by_one, sequence_of
from tests.oracle import picture, prompt, tiny_config, tiny_model

NATIVE = [True, False] if best_isa() is not None else [False]
TIGHT = EngineOptions(SMALL_STEPS, block_size=4, kv_bytes=96 * 768)  # 96 places: somebody has to be stopped
OPTIONS = {
    "as it comes": EngineOptions(),
    "nothing kept": EngineOptions(prefix_bytes=0),
    "in small pieces": EngineOptions(SMALL_STEPS),
    "in small pieces, nothing kept": EngineOptions(SMALL_STEPS, prefix_bytes=0),
    "in blocks of 5": EngineOptions(SMALL_STEPS, block_size=5),
    "little memory": TIGHT,
}


@pytest.fixture(scope="module")
def model() -> Qwen2VL:
    return tiny_model(tiny_config())


def thirty_two(model: Qwen2VL) -> list[ModelInput]:
    """Pictures and clips of five sizes, some in several prompts, behind beginnings that several share."""
    config = model.config
    images = [picture(config, grid, seed=i) for i, grid in enumerate(((1, 4, 6), (1, 6, 4), (1, 14, 2), (1, 2, 2)))]
    clips = [picture(config, (9, 2, 4), seed=7, kind="video"), picture(config, (4, 4, 4), seed=8, kind="video")]
    prompts = []
    for i in range(32):
        seen = [images[i % 4], clips[i % 2]][: 1 + i % 2] if i % 5 else []
        parts: list[int | VisualInput] = [3 + 14 * (i % 3), *seen, 1 + i % 7]
        prompts.append(prompt(config, parts, seed=i % 6))
    return prompts


def sequences(model: Qwen2VL, **knobs: object) -> list[Sequence]:
    """Answers of 1 to 20 tokens."""
    return [sequence_of(one, tokens=1 + 7 * i % 20, **knobs) for i, one in enumerate(thirty_two(model))]


@pytest.fixture(scope="module")
def alone(model: Qwen2VL) -> dict[bool, list[list[int]]]:
    return {native: one_by_one(model, sequences(model), native=native) for native in NATIVE}


@pytest.mark.parametrize("native", NATIVE)
@pytest.mark.parametrize("way", OPTIONS)
def test_32_together_answer_as_one_by_one(
    model: Qwen2VL, alone: dict[bool, list[list[int]]], way: str, native: bool
) -> None:
    """Twice: the second time with what the first left in the caches."""
    engine = new_engine(model, OPTIONS[way], native=native, vision_cache=VisionCache())
    for _ in range(2):
        asked = [ask(engine, sequence) for sequence in sequences(model)]
        finish(engine)
        assert [one.ids for one in asked] == alone[native]
        assert all(isinstance(one.end, Answer) for one in asked)
    assert (engine.stats.preempted > 0) == (way == "little memory")
    assert (engine.stats.reused_tokens > 1000) == ("nothing kept" not in way and way != "little memory")
    assert engine.stats.running == engine.stats.waiting == 0


@pytest.mark.skipif(best_isa() is None, reason="no native kernels here")
@pytest.mark.parametrize("kv_dtype", [None, "int8", "bfloat16"])
def test_logits_are_the_same_bits_whoever_shares_the_pass(
    model: Qwen2VL, kv_dtype: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the native attention and padded products, for a cache of any kind: not only tokens, but every bit."""
    kept: dict[Sequence, list[Tensor]] = {}
    accept = Sequence.accept

    def watched(self: Sequence, choice: object) -> object:
        kept.setdefault(self, []).append(torch.tensor(choice.top))
        return accept(self, choice)

    monkeypatch.setattr(Sequence, "accept", watched)
    found = []
    every = SamplingOptions(0.0, logprobs=20)
    for together, way in ((False, OPTIONS["as it comes"]), (True, TIGHT), (True, OPTIONS["in blocks of 5"])):
        engine = new_engine(model, dataclasses.replace(way, kv_dtype=kv_dtype))
        asked = []
        for sequence in sequences(model, options=every)[::2]:
            engine = engine if together else new_engine(model, dataclasses.replace(way, kv_dtype=kv_dtype))
            asked.append(ask(engine, sequence))
            if not together:
                finish(engine)
        finish(engine)
        found.append([torch.stack(kept[one.ticket.sequence]) for one in asked])
    for one, two, three in zip(*found, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)


def test_drawn_answers_do_not_depend_on_their_neighbours(model: Qwen2VL) -> None:
    drawn = SamplingOptions(temperature=1.0, top_p=0.9, seed=5)
    expected = one_by_one(model, sequences(model, options=drawn)[:12])
    engine = new_engine(model, OPTIONS["in small pieces"])
    asked = [ask(engine, sequence) for sequence in sequences(model, options=drawn)[:12]]
    finish(engine)
    assert [one.ids for one in asked] == expected
    assert len({tuple(ids) for ids in expected if ids}) == 12


def test_8_bits_of_cache_change_answers_little(model: Qwen2VL, alone: dict[bool, list[list[int]]]) -> None:
    """First tokens of random models, whose logits are closer together than those of real ones."""
    engine = new_engine(model, EngineOptions(kv_dtype="int8"))
    asked = [ask(engine, sequence) for sequence in sequences(model)]
    finish(engine)
    same = sum(one.ids[0] == ids[0] for one, ids in zip(asked, alone[NATIVE[0]], strict=True))
    assert same >= 28


def tokens_run(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each pass of the decoder is given from now on."""
    sizes: list[int] = []
    forward = Runner.forward

    def counted(self: Runner, cache: object, feeds: list) -> Passed:
        sizes.append(sum(map(len, feeds)))
        return forward(self, cache, feeds)

    monkeypatch.setattr(Runner, "forward", counted)
    return sizes


def patches_run(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes: list[int] = []
    encode = Runner.encode_parts

    def counted(self: Runner, parts: list) -> list[Tensor]:
        sizes.append(sum(map(len, parts)))
        return encode(self, parts)

    monkeypatch.setattr(Runner, "encode_parts", counted)
    return sizes


def test_nothing_is_computed_twice(model: Qwen2VL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten ask the same of one picture at once, then others ask something else about it."""
    tokens, patches = tokens_run(monkeypatch), patches_run(monkeypatch)
    image = picture(model.config, (1, 8, 10))
    engine = new_engine(model, vision_cache=VisionCache())
    asked = [ask(engine, sequence_of(prompt(model.config, [6, image, 5]), tokens=1)) for _ in range(10)]
    finish(engine)
    assert sum(patches) == 80
    assert sum(tokens) == 33 + 9 * 1, "33 tokens fill two blocks of 16, and one is left"
    assert [one.end.usage.cached_tokens for one in asked] == [0] + 9 * [32]
    asks_else = prompt(model.config, [6, image, 17])
    asks_else.token_ids_T[29] += 1
    other = ask(engine, sequence_of(asks_else, tokens=1))
    finish(engine)
    assert other.end.usage.cached_tokens == 16, "the second block holds the end of the picture and other words"
    assert other.end.usage.cached_visual_tokens == 20 - (16 - 7)
    elsewhere = ask(engine, sequence_of(prompt(model.config, [7, image, 5], seed=1), tokens=1))
    finish(engine)
    assert (elsewhere.end.usage.cached_tokens, elsewhere.end.usage.cached_visual_tokens) == (0, 20)
    assert sum(patches) == 80


def test_the_next_turn_reads_only_what_is_new(model: Qwen2VL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its prompt holds the last one and its answer."""
    engine = new_engine(model)
    first = ask(engine, sequence_of(one := prompt(model.config, [20, picture(model.config, (1, 4, 4)), 9]), tokens=30))
    finish(engine)
    told = torch.tensor(first.ids)
    length = len(one.token_ids_T)
    positions = torch.cat([one.positions_3T, (torch.arange(30) + length + one.rope_delta).expand(3, -1)], dim=1)
    longer = ModelInput(torch.cat([one.token_ids_T, told]), positions, one.rope_delta, one.visuals)
    tokens = tokens_run(monkeypatch)
    second = ask(engine, sequence_of(longer, tokens=1))
    finish(engine)
    assert second.end.usage.cached_tokens == (length + 30 - 1) // 16 * 16
    assert sum(tokens) == length + 30 - second.end.usage.cached_tokens
    assert second.ids == one_by_one(model, [sequence_of(longer, tokens=1)])[0]


def test_salted_requests_share_nothing(model: Qwen2VL) -> None:
    engine = new_engine(model)
    one = prompt(model.config, [40])
    for salt, cached in ((b"a", 0), (b"b", 0), (b"", 0), (b"a", 32)):
        asked = ask(engine, sequence_of(one, tokens=1), turn=Turn(salt=salt))
        finish(engine)
        assert asked.end.usage.cached_tokens == cached


@pytest.mark.parametrize("native", NATIVE)
def test_several_answers_to_one_prompt(model: Qwen2VL, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is that of a request of its own with the same seed; the prompt is read once."""
    one = prompt(model.config, [7, picture(model.config, (1, 4, 4)), 6])
    options = [SamplingOptions(temperature=1.0, seed=seed) for seed in range(4)]
    expected = one_by_one(model, [sequence_of(one, options=each) for each in options], native=native)
    tokens = tokens_run(monkeypatch)
    engine = new_engine(model, native=native)
    first, *others = (Asked(sequence_of(one, options=each)) for each in options)
    first.ticket.siblings = tuple(other.ticket for other in others)
    engine.prepare(first.ticket)
    engine.add(first.ticket)
    finish(engine)
    assert [asked.ids for asked in (first, *others)] == expected
    assert len({tuple(ids) for ids in expected}) == 4
    assert sum(tokens) == len(one.token_ids_T) + 4 * 23
    assert {asked.end.timings.prefill_s > 0 for asked in others} == {True}


def test_an_abort_frees_blocks_at_once(model: Qwen2VL) -> None:
    engine = new_engine(model, EngineOptions(SMALL_STEPS, prefix_bytes=0))
    expected = one_by_one(model, [sequence_of(prompt(model.config, [30], seed=9))])[0]
    asked = [ask(engine, sequence) for sequence in sequences(model)]
    stays = ask(engine, sequence_of(prompt(model.config, [30], seed=9)))
    for one in asked:  # while waiting, being encoded, read, answered
        engine.step()
        engine.drop(one.ticket)
        assert one.ticket.job not in engine._scheduler.running
        engine.drop(one.ticket)  # twice does no harm
    assert not any(one.end for one in asked if len(one.ids) < one.ticket.sequence.max_tokens)
    finish(engine)
    assert stays.ids == expected
    assert engine._blocks.available == engine._blocks.blocks


def spoilt_picture(model: Qwen2VL) -> VisualInput:
    visual_MD = torch.zeros(4, model.config.text.hidden_size)
    visual_MD[1, 1] = torch.nan
    return VisualInput("spoilt", "image", (1, 4, 4), (56, 56), (56, 56), visual_MD=visual_MD)


def raised_by(asked: Asked) -> Exception:
    assert isinstance(asked.end, Exception)
    return asked.end


@pytest.mark.parametrize("native", NATIVE)
@pytest.mark.parametrize("kv_dtype", [None, "int8"])
def test_a_nan_ends_its_own_request(model: Qwen2VL, native: bool, kv_dtype: str | None) -> None:
    """And the blocks it wrote spoil nobody who gets them next."""
    options = EngineOptions(SMALL_STEPS, kv_dtype=kv_dtype, kv_bytes=20 * 12_288)
    good = [sequence_of(one, tokens=9) for one in thirty_two(model)[:8]]
    engine = new_engine(model, options, native=native)
    expected = [ask(engine, sequence) for sequence in good]
    finish(engine)
    engine = new_engine(model, options, native=native)
    asked = []
    for i, one in enumerate(thirty_two(model)[:8]):
        bad = ask(engine, sequence_of(prompt(model.config, [i, spoilt_picture(model), 30], seed=50 + i)))
        asked.append(ask(engine, sequence_of(one, tokens=9)))
        assert bad.end is None
    finish(engine)
    assert [one.ids for one in asked] == [one.ids for one in expected]
    assert isinstance(raised_by(bad), NumericsError)
    assert engine._blocks.available == engine._blocks.blocks


def test_a_picture_that_fails_takes_only_its_own_requests(model: Qwen2VL) -> None:
    config = model.config
    good, bad = picture(config, (1, 4, 4), seed=1), picture(config, (1, 4, 6), seed=2)
    bad.pixels_PX[3, 3] = torch.nan
    engine = new_engine(model, vision_cache=(cache := VisionCache()))
    fine = [ask(engine, sequence_of(prompt(config, [3, good, 5], seed=i))) for i in range(2)]
    wrong = [ask(engine, sequence_of(prompt(config, [3, good, 2, bad, 5], seed=i))) for i in range(2)]
    finish(engine)
    assert all(isinstance(one.end, Answer) for one in fine)
    assert {raised_by(one).item for one in wrong} == {"visual.patch_embed"}
    assert all(isinstance(one.end, NumericsError) for one in wrong)
    assert cache.get(bad.content_key) is None
    assert [one.ids for one in fine] == one_by_one(
        model, [sequence_of(prompt(config, [3, good, 5], seed=i)) for i in range(2)]
    )


class Unlucky(Sequence):
    """Fails at its third token, as a grammar that has grown too large, or a detokenizer that is wrong."""

    def accept(self, choice: object) -> object:
        if len(self.answer_ids) == 2:
            raise LookupError("no such token")
        return super().accept(choice)


def test_a_failure_behind_the_model_ends_its_own_request(model: Qwen2VL) -> None:
    engine = new_engine(model)
    one = prompt(model.config, [12])
    unlucky = sequence_of(one)
    unlucky.__class__ = Unlucky
    bad, good = ask(engine, unlucky), ask(engine, sequence_of(one))
    finish(engine)
    assert isinstance(raised_by(bad), LookupError)
    assert isinstance(good.end, Answer)
    assert good.ids == one_by_one(model, [sequence_of(one)])[0]


def failing_beside(monkeypatch: pytest.MonkeyPatch, wrong: Callable[[list], bool]) -> None:
    forward = Runner.forward

    def fails(self: Runner, cache: object, feeds: list) -> Passed:
        if wrong(feeds):
            raise MemoryError("scratch memory")
        return forward(self, cache, feeds)

    monkeypatch.setattr(Runner, "forward", fails)


def test_a_pass_that_fails_as_a_whole_is_run_one_by_one(model: Qwen2VL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the request that fails by itself ends with the error."""
    prompts = [prompt(model.config, [10 + i], seed=i) for i in range(4)]
    expected = one_by_one(model, [sequence_of(one) for one in prompts])
    failing_beside(monkeypatch, lambda feeds: any(len(feed) == 12 for feed in feeds))
    engine = new_engine(model)
    asked = [ask(engine, sequence_of(one)) for one in prompts]
    finish(engine)
    assert isinstance(raised_by(asked[2]), MemoryError)
    assert [asked[i].ids for i in (0, 1, 3)] == [expected[i] for i in (0, 1, 3)]


def test_too_much_together_is_run_one_by_one(model: Qwen2VL, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = [prompt(model.config, [10 + i], seed=i) for i in range(4)]
    expected = one_by_one(model, [sequence_of(one) for one in prompts])
    failing_beside(monkeypatch, lambda feeds: len(feeds) > 1)
    engine = new_engine(model)
    asked = [ask(engine, sequence_of(one)) for one in prompts]
    finish(engine)
    assert [one.ids for one in asked] == expected


def test_siblings_fail_with_the_prompt_they_share(model: Qwen2VL) -> None:
    engine = new_engine(model)
    one = prompt(model.config, [4, spoilt_picture(model), 3])
    first, second = Asked(sequence_of(one)), Asked(sequence_of(one))
    first.ticket.siblings = (second.ticket,)
    engine.prepare(first.ticket)
    engine.add(first.ticket)
    finish(engine)
    assert isinstance(first.end, NumericsError)
    assert isinstance(second.end, NumericsError)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_deadlines(model: Qwen2VL) -> None:
    """Of one that waits, one that is being read, and one that answers; who has none goes on."""
    clock = Clock()
    engine = Engine(Runner(model), EngineOptions(Limits(running=3, step_tokens=9, busy_step_tokens=9)), clock=clock)
    turns = [Turn(), Turn(timeout_s=5.0), Turn(timeout_s=2.5), Turn(timeout_s=3.5)]
    lengths = [5, 3, 200, 4]
    asked = [
        ask(engine, sequence_of(prompt(model.config, [length], seed=length)), turn=turn)
        for length, turn in zip(lengths, turns, strict=True)
    ]
    for _ in range(8):
        engine.step()
        clock.now += 1.0
    errors = [raised_by(one) for one in asked[1:]]
    assert all(isinstance(error, DeadlineError) for error in errors)
    assert [str(error) for error in errors] == [
        "request: 6.0 s; allowed: 5 s",
        "request: 3.0 s; allowed: 2.5 s",
        "request: 4.0 s; allowed: 3.5 s",
    ]
    assert len(asked[1].ids) == 6
    assert not asked[2].ids
    finish(engine)
    assert isinstance(asked[0].end, Answer)
    assert engine._blocks.available == engine._blocks.blocks


def test_what_matters_more_goes_first(model: Qwen2VL) -> None:
    """It takes the place of one that runs, which loses no word by it."""
    engine = new_engine(model, EngineOptions(Limits(running=1)))
    expected = one_by_one(model, [sequence_of(prompt(model.config, [9]))])[0]
    low = ask(engine, sequence_of(prompt(model.config, [9])), turn=Turn(priority=1))
    for _ in range(5):
        engine.step()
    high = ask(engine, sequence_of(prompt(model.config, [8], seed=2), tokens=2))
    engine.step()
    engine.step()
    assert (len(low.ids), len(high.ids)) == (5, 2)
    finish(engine)
    assert low.ids == expected
    assert low.text == low.end.text
    assert engine.stats.preempted == 1


def test_progress(model: Qwen2VL) -> None:
    """Of a clip in three parts and a picture that is known, then of the prompt."""
    config = model.config
    clip, image = picture(config, (9, 2, 4), seed=3, kind="video"), picture(config, (1, 4, 4), seed=4)
    engine = new_engine(
        model, EngineOptions(Limits(step_patches=24, step_tokens=30)), vision_cache=(cache := VisionCache())
    )
    cache.put(image.content_key, torch.zeros(4, config.text.hidden_size))
    asked = ask(engine, sequence_of(prompt(config, [2, image, clip, 9]), tokens=3), reports=True)
    finish(engine)
    assert asked.progress == [
        Progress("encode", 1, 1, 0, 18),
        Progress("encode", 1, 1, 6, 18),
        Progress("prefill", 1, 1, 0, 37),
        Progress("prefill", 1, 1, 9, 37),
        Progress("encode", 1, 1, 12, 18),
        Progress("encode", 1, 1, 18, 18),
        Progress("prefill", 1, 1, 37, 37),
    ]


def test_a_listener_that_is_gone_costs_nothing_more(model: Qwen2VL) -> None:
    """Its event loop was closed: the request ends by itself."""
    engine = new_engine(model)
    asked = ask(engine, sequence_of(prompt(model.config, [9])))

    def closed(event: object) -> None:
        del event
        raise RuntimeError("Event loop is closed")

    asked.ticket.send = closed
    other = ask(engine, sequence_of(prompt(model.config, [5])))
    finish(engine)
    assert len(asked.ids) < 3
    assert isinstance(other.end, Answer)


def test_stats(model: Qwen2VL) -> None:
    engine = new_engine(model, EngineOptions(Limits(running=2)))
    for i in range(3):
        ask(engine, sequence_of(prompt(model.config, [20], seed=i), tokens=4))
    engine.step()
    assert (engine.stats.running, engine.stats.waiting, engine.requests) == (2, 1, 3)
    finish(engine)
    stats = engine.stats
    assert (stats.running, stats.waiting, stats.prompt_tokens, stats.answer_tokens) == (0, 0, 60, 12)
    assert stats.held_bytes == 64 * 12_288
    assert stats.idle_blocks == 3
    engine.clear()
    assert engine.stats.idle_blocks == 0


@pytest.mark.slow
def test_nothing_grows_over_2000_requests(model: Qwen2VL) -> None:
    """Blocks, tickets and visual tokens: after each round all is as it was."""
    engine = new_engine(model, TIGHT, vision_cache=VisionCache(max_bytes=100_000))
    held = set()
    for round_ in range(63):
        for i, one in enumerate(thirty_two(model)):
            asked = ask(engine, sequence_of(one, tokens=1 + (i + round_) % 9))
            if (i + round_) % 11 == 0:
                engine.step()
                engine.drop(asked.ticket)
        finish(engine)
        held.add(engine.stats.held_bytes)
        assert engine._blocks.available == engine._blocks.blocks
        assert not engine._tickets
        assert not engine._visuals._whole
        assert not engine._scheduler._reading
    assert len(held) == 1
