"""A draft model, whatever it guesses, changes nothing about an answer; and it reads what the larger model reads."""

from dataclasses import replace

import pytest
import torch

from anyres.chat import Answer, Piece
from anyres.engine.core import Engine
from anyres.engine.draft import Draft, Follower
from anyres.engine.drafting import DRAFT, Drafting
from anyres.engine.kv_cache import KVCache
from anyres.engine.options import EngineOptions
from anyres.engine.pace import NO_BET, Bet, Costs, Pace, Situation
from anyres.engine.request import Sequence as Answering
from anyres.engine.runner import Feed, Passed, Runner
from anyres.engine.sampler import Choice, SamplingOptions
from anyres.engine.scheduler import Limits
from anyres.engine.ticket import Ticket
from anyres.engine.vision_cache import VisionCache
from anyres.kernels.library import best_isa
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput
from tests.engine.runs import SMALL_STEPS, Asked, ask, finish, new_engine, one_by_one, sequence_of
from tests.oracle import IM_END, original_inputs, original_of, picture, prompt, tiny_config, tiny_model

NATIVE = [True, False] if best_isa() is not None else [False]
NO_GUESSES = EngineOptions(guesses=0)
PIECES = Limits(running=5, step_tokens=13, step_patches=40, busy_step_tokens=13, busy_step_patches=40)
WAYS = ((EngineOptions(), 0.004), (EngineOptions(PIECES, block_size=5, guesses=11), 0.05))  # and the draft's noise
DRAWS = {
    "greedy": SamplingOptions(0.0),
    "drawn": SamplingOptions(temperature=1.0, top_p=0.95, seed=3),
    "penalties": SamplingOptions(
        0.0, repetition_penalty=1.3, presence_penalty=0.5, frequency_penalty=0.2, logit_bias=((7, 3.0),)
    ),
    "logprobs": SamplingOptions(0.0, logprobs=4),
}


@pytest.fixture(scope="module")
def model() -> Qwen2VL:
    return tiny_model(tiny_config())


@pytest.fixture(scope="module")
def near(model: Qwen2VL) -> Qwen2VL:
    """A draft that is right every now and then, with other visual tokens and a vocabulary padded further."""
    return near_to(model)


def near_to(model: Qwen2VL, *, noise: float = 0.004, padding: int = 16) -> Qwen2VL:
    config = replace(model.config, text=replace(model.config.text, vocab_size=model.config.text.vocab_size + padding))
    draft, generator = tiny_model(config, seed=1), torch.Generator().manual_seed(5)
    given, taken = model.state_dict(), draft.state_dict()
    for name, weight in taken.items():
        near = given[name] + noise * given[name].std() * torch.randn(given[name].shape, generator=generator)
        weight[: len(near)] = near[: len(weight)]
    return draft


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts as soon and as much as can be, whether that pays or not."""
    monkeypatch.setattr(Costs, "knows", lambda costs, tokens: True)
    monkeypatch.setattr(Costs, "of", lambda costs, tokens: 1.0)
    monkeypatch.setattr(Drafting, "_pays", lambda drafting, drafted, sequence, situation: True)
    monkeypatch.setattr(Drafting, "_pass_s", lambda drafting, tokens: 0.0)
    monkeypatch.setattr(Pace, "bet", only_drafts)


def only_drafts(pace: Pace, kind: str, most: int, situation: Situation) -> Bet:
    return Bet(most, 1.0) if kind == DRAFT else NO_BET


def prompts(model: Qwen2VL) -> list[ModelInput]:
    """Pictures and clips, whose positions differ on the three axes, and words."""
    config = model.config
    wide, tall = picture(config, (1, 4, 12), seed=1), picture(config, (1, 14, 2), seed=2)
    clip = picture(config, (5, 4, 2), seed=3, kind="video")
    layouts = [[3, wide, 9], [20], [2, clip, 2, tall, 5], [45], [1, tall, 30], [4, wide, 3]]
    return [prompt(config, layout, seed=i) for i, layout in enumerate(layouts)]


def draft_of(engine: Engine) -> Draft:
    assert engine._draft is not None
    return engine._draft


def answers(
    model: Qwen2VL,
    options: EngineOptions,
    *,
    draft: Qwen2VL | None = None,
    native: bool = NATIVE[0],
    draws: SamplingOptions = DRAWS["greedy"],
) -> tuple[list[Asked], Engine]:
    """All prompts together, with answers of 1 to 40 ids; every third does not speculate."""
    engine = new_engine(model, options, native=native, draft=draft)
    asked = []
    for i, one in enumerate(prompts(model)):
        sequence = sequence_of(one, options=draws, tokens=40 - 13 * i % 40, ends=range(0, 256, 50))
        sequence.speculate = i % 3 != 2
        asked.append(ask(engine, sequence))
    finish(engine)
    assert engine._blocks.available == engine._blocks.blocks
    if draft is not None:
        assert draft_of(engine)._blocks.available == engine._blocks.blocks
        assert not draft_of(engine)._visuals._whole
    return asked, engine


def told(one: Asked) -> tuple[object, ...]:
    assert isinstance(one.end, Answer), one.end
    pieces = [(event.text, event.logprobs) for event in one.events if isinstance(event, Piece)]
    return one.ids, pieces, one.end.text, one.end.finish_reason, one.end.logprobs, one.end.usage.completion_tokens


@pytest.mark.parametrize(("draws", "native"), [*((draws, NATIVE[0]) for draws in DRAWS), ("greedy", False)])
def test_a_draft_changes_nothing(model: Qwen2VL, draws: str, native: bool) -> None:
    """In ids, in the pieces they come in, and with the native attention in every bit of the logprobs."""
    right = guesses = 0
    for options, noise in WAYS:
        expected, _ = answers(model, replace(options, guesses=0), native=native, draws=DRAWS[draws])
        draft = near_to(model, noise=noise)
        found, engine = answers(model, options, draft=draft, native=native, draws=DRAWS[draws])
        assert [one.ids for one in found] == [one.ids for one in expected]
        if native or draws != "logprobs":
            assert [told(one) for one in found] == [told(one) for one in expected]
        right, guesses = right + engine.stats.right_guesses, guesses + engine.stats.guesses
    assert 0 < right < guesses - 10


@pytest.mark.parametrize("sizes", [{"heads": 2, "kv_heads": 1, "tied": True, "layers": 1}, {"heads": 6, "layers": 2}])
def test_a_draft_of_another_shape(model: Qwen2VL, sizes: dict[str, int]) -> None:
    """Which knows nothing of what the larger one would say."""
    draft = tiny_model(tiny_config(**sizes), seed=8)  # type: ignore[arg-type]
    expected, _ = answers(model, NO_GUESSES)
    found, engine = answers(model, EngineOptions(), draft=draft)
    assert [one.ids for one in found] == [one.ids for one in expected]
    assert engine.stats.guesses > 50


@pytest.mark.parametrize("grid", [None, (1, 4, 12), (1, 14, 2), (5, 4, 2)])
@pytest.mark.parametrize("options", [EngineOptions(), EngineOptions(SMALL_STEPS, block_size=5)])
def test_a_draft_of_itself_is_always_right(
    model: Qwen2VL, options: EngineOptions, grid: tuple[int, int, int] | None
) -> None:
    """So it saw the same pictures at the same places, wherever a piece of the prompt ended."""
    seen = [] if grid is None else [picture(model.config, grid, seed=1, kind="video" if grid[0] > 1 else "image")]
    one = prompt(model.config, [3, *seen, 37], seed=2)
    plain = ask(engine := new_engine(model, NO_GUESSES), sequence_of(one, tokens=80))
    finish(engine)
    engine = new_engine(model, options, draft=model)
    asked = ask(engine, sequence_of(one, tokens=80))
    steps = finish(engine)
    assert asked.ids == plain.ids
    assert engine.stats.right_guesses == engine.stats.guesses >= 40
    assert steps < 45 if options.limits.step_tokens > 100 else steps < 80


def test_the_next_turn_finds_what_the_draft_has_read(model: Qwen2VL, near: Qwen2VL) -> None:
    """Blocks hold what was said, not what was guessed: a draft of itself stays right on top of them."""
    wide = picture(model.config, (1, 4, 12), seed=1)
    first = prompt(model.config, [3, wide, 30], seed=4)
    engine = new_engine(model, draft=model)
    draft = draft_of(engine)
    said = ask(engine, sequence_of(first, tokens=60, options=SamplingOptions(temperature=1.5, seed=2))).ids
    finish(engine)
    assert engine.stats.right_guesses < engine.stats.guesses, "what was drawn was not what is likeliest"
    before = engine.stats
    both = prompt(model.config, [3, wide, 30 + len(said) + 5], seed=4)
    both.token_ids_T[:-5] = torch.cat([first.token_ids_T, torch.tensor(said)])
    read = counted(draft)
    asked = ask(engine, sequence_of(both, tokens=30))
    finish(engine)
    guesses, right = (getattr(engine.stats, one) - getattr(before, one) for one in ("guesses", "right_guesses"))
    assert right == guesses > 15
    assert sum(read) < 70, "most of the prompt was there"
    plain = ask(engine := new_engine(model, NO_GUESSES), sequence_of(both, tokens=30))
    finish(engine)
    assert asked.ids == plain.ids


def test_wrong_guesses_leave_nothing_behind(model: Qwen2VL, monkeypatch: pytest.MonkeyPatch) -> None:
    """A draft of itself, beside an answer that is drawn: each time its first guess is what is likeliest there."""
    likeliest: list[int] = []
    first: dict[int, int] = {}
    accept, guess = Answering.accept, Draft.guess

    def accepted(sequence: Answering, choice: Choice) -> Piece | None:
        likeliest.append(int(choice.top[0][0]))
        return accept(sequence, choice)

    def guessed(draft: Draft, followers: list[Follower], counts: list[int], *, least: float = 0.0) -> float:
        spent_s = guess(draft, followers, counts, least=least)
        first.update({len(one.sequence.answer_ids): one.guesses[0] for one in followers if one.guesses})
        return spent_s

    monkeypatch.setattr(Answering, "accept", accepted)
    monkeypatch.setattr(Draft, "guess", guessed)
    one = prompt(model.config, [3, picture(model.config, (1, 4, 12), seed=1), 30], seed=4)
    engine = new_engine(model, draft=model)
    ask(engine, sequence_of(one, tokens=60, options=SamplingOptions(temperature=1.5, seed=2, logprobs=1)))
    finish(engine)
    assert engine.stats.guesses - engine.stats.right_guesses > 20
    assert len(first) > 20
    assert first == {place: likeliest[place] for place in first}


def counted(draft: Draft) -> list[int]:
    """How many tokens each pass of the draft reads from now on."""
    read: list[int] = []
    forward = draft._runner.forward

    def count(cache: object, feeds: list[Feed]) -> object:
        read.append(sum(map(len, feeds)))
        return forward(cache, feeds)  # type: ignore[arg-type]

    draft._runner.forward = count  # type: ignore[method-assign, assignment]
    return read


def test_a_picture_is_seen_once_for_all(model: Qwen2VL) -> None:
    """Its visual tokens are kept, apart from those of the larger model."""
    caches = VisionCache(), VisionCache()
    wide = picture(model.config, (1, 4, 12), seed=1)
    draft = near_to(model, noise=0.05)
    engine = new_engine(
        model, EngineOptions(prefix_bytes=0), vision_cache=caches[0], draft=draft, draft_vision_cache=caches[1]
    )
    for seed in range(3):
        ask(engine, sequence_of(prompt(model.config, [3, wide, 20], seed=seed)))
        finish(engine)
    assert [cache.stats.misses for cache in caches] == [1, 1]
    ours, theirs = (cache.get(wide.content_key) for cache in caches)
    assert ours is not None
    assert theirs is not None
    assert not torch.equal(ours, theirs)


def test_pictures_that_came_encoded_are_not_drafted_for(model: Qwen2VL) -> None:
    """What made their visual tokens was the larger model's encoder; the draft has no pixels."""
    wide = picture(model.config, (1, 4, 12), seed=1)
    (visual_MD,) = Runner(model).encode([wide])
    seen = replace(wide, pixels_PX=None, visual_MD=visual_MD)
    engine = new_engine(model, draft=model)
    ask(engine, sequence_of(prompt(model.config, [3, seen, 20])))
    finish(engine)
    assert engine.stats.guesses == 0
    ask(engine, sequence_of(prompt(model.config, [3, wide, 20])))
    finish(engine)
    assert engine.stats.guesses > 0


def test_a_context_that_is_too_short_for_the_draft(model: Qwen2VL) -> None:
    draft = tiny_model(tiny_config(context=64))
    engine = new_engine(model, draft=draft)
    for tokens, drafted in ((40, False), (30, True)):
        ask(engine, sequence_of(prompt(model.config, [30]), tokens=tokens))
        finish(engine)
        assert (engine.stats.guesses > 0) == drafted


@pytest.mark.parametrize("spoilt", ["model.layers.1.mlp.down_proj.weight", "visual.merger.ln_q.weight"])
def test_a_draft_that_breaks_breaks_nothing_else(model: Qwen2VL, spoilt: str, caplog: pytest.LogCaptureFixture) -> None:
    """NaN while it reads or guesses: the answers are those without it, and its blocks are free and clean."""
    draft = near_to(model)
    with torch.no_grad():
        draft.state_dict()[spoilt][0] = torch.nan
    expected, _ = answers(model, NO_GUESSES)
    found, engine = answers(model, EngineOptions(), draft=draft)
    assert [one.ids for one in found] == [one.ids for one in expected]
    assert "draft model cannot follow" in caplog.text
    for pool in (*draft_of(engine)._cache.store.keys_NKSC, *draft_of(engine)._cache.store.values_NKSC):  # type: ignore[attr-defined]
        assert pool.isfinite().all()


def test_a_draft_that_runs_out_of_memory_breaks_nothing_else(
    model: Qwen2VL, near: Qwen2VL, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = answers(model, NO_GUESSES)
    forward = Runner.forward

    def fails(runner: Runner, cache: KVCache, feeds: list[Feed]) -> Passed:
        if runner.model is near:
            raise MemoryError
        return forward(runner, cache, feeds)

    monkeypatch.setattr(Runner, "forward", fails)
    found, engine = answers(model, EngineOptions(), draft=near)
    assert [one.ids for one in found] == [one.ids for one in expected]
    assert engine.stats.guesses == 0


def test_memory_of_both_is_counted(model: Qwen2VL, near: Qwen2VL) -> None:
    """Places in both caches come out of one budget: half as many where the draft is as large."""
    options = EngineOptions(kv_bytes=4_000_000)
    alone, _ = options.blocks(model.config.text, model.dtype)
    engine = new_engine(model, options, draft=near)
    assert engine._blocks.blocks == draft_of(engine)._blocks.blocks == alone // 2
    assert new_engine(model, options)._blocks.blocks == alone
    ask(engine, sequence_of(prompts(model)[3], tokens=40))
    finish(engine)
    assert engine.stats.held_bytes == engine._cache.store.bytes + draft_of(engine).bytes
    assert draft_of(engine).bytes > 0


@pytest.mark.parametrize("draws", ["greedy", "drawn"])
def test_little_memory(model: Qwen2VL, near: Qwen2VL, draws: str) -> None:
    """Somebody has to stop now and then, and begins again, with the draft as well."""
    wide = picture(model.config, (1, 4, 12), seed=1)
    asked = [prompt(model.config, layout, seed=i) for i, layout in enumerate(([20], [3, wide, 9], [18], [22]))]
    alone = one_by_one(model, [sequence_of(one, options=DRAWS[draws], tokens=60) for one in asked])
    each = 2 * 16 * 2 * 3 * 2 * 16 * 4
    options = EngineOptions(Limits(running=5, step_tokens=13, busy_step_tokens=13), kv_bytes=7 * each)
    engine = new_engine(model, options, draft=near)
    together = [ask(engine, sequence_of(one, options=DRAWS[draws], tokens=60)) for one in asked]
    finish(engine)
    assert [one.ids for one in together] == alone
    assert engine._blocks.blocks == 7
    assert engine.stats.preempted > 0
    assert engine.stats.guesses > 20
    assert draft_of(engine)._blocks.available == engine._blocks.available == 7


def test_whoever_leaves_frees_the_drafts_blocks(model: Qwen2VL, near: Qwen2VL) -> None:
    engine = new_engine(model, EngineOptions(prefix_bytes=0), draft=near)
    asked = [ask(engine, sequence_of(one, tokens=200)) for one in prompts(model)[:3]]
    while draft_of(engine)._blocks.available > engine._blocks.blocks - 9:
        engine.step()
    for one in asked:
        engine.drop(one.ticket)
    assert draft_of(engine)._blocks.available == engine._blocks.blocks


def test_several_answers_to_one_prompt(model: Qwen2VL, near: Qwen2VL) -> None:
    found = []
    for draft in (None, near):
        engine = new_engine(model, NO_GUESSES if draft is None else None, draft=draft)
        asked = Asked(sequence_of(prompts(model)[0], options=SamplingOptions(temperature=0.9, seed=1), tokens=30))
        others = [sequence_of(prompts(model)[0], options=SamplingOptions(temperature=0.9, seed=i)) for i in (2, 3)]
        asked.ticket.siblings = tuple(Ticket(one) for one in others)
        engine.prepare(asked.ticket)
        engine.add(asked.ticket)
        finish(engine)
        found.append([asked.ids, *(one.answer_ids for one in others)])
        assert (engine.stats.guesses > 0) == (draft is not None)
    assert found[0] == found[1]


def test_guesses_end_with_the_answer(model: Qwen2VL) -> None:
    """Behind an id that ends it nothing is guessed, and none that no answer may hold."""
    (one, *_) = prompts(model)
    engine = new_engine(model, NO_GUESSES)
    said = ask(engine, sequence_of(one, tokens=12)).ids
    finish(engine)
    end = said[6]
    engine = new_engine(model, draft=model)
    asked = ask(engine, sequence_of(one, tokens=60, ends=[end]))
    finish(engine)
    assert asked.ids == said[: said.index(end) + 1]
    assert engine.stats.guesses <= len(asked.ids)
    engine = new_engine(model, draft=model)
    barred = ask(engine, sequence_of(one, tokens=12, banned=[end]))
    finish(engine)
    assert end not in barred.ids
    assert engine.stats.right_guesses == engine.stats.guesses > 0


def test_transformers_with_an_assistant_says_the_same(model: Qwen2VL, near: Qwen2VL) -> None:
    """Their assisted generation, with our draft's weights as their assistant."""
    draft = near_to(model, padding=0)
    for one in prompts(model)[1:4:2]:
        inputs = original_inputs([one])
        with torch.no_grad():
            ids_1T = original_of(model).generate(
                **inputs,
                assistant_model=original_of(draft),
                do_sample=False,
                max_new_tokens=24,
                suppress_tokens=[IM_END],
            )
        engine = new_engine(model, draft=draft)
        asked = ask(engine, sequence_of(one, tokens=24, banned=[IM_END]))
        finish(engine)
        assert asked.ids == ids_1T[0, len(one.token_ids_T) :].tolist()
        assert engine.stats.guesses > 0
