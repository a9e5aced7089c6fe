"""The knobs against transformers' own processors, and the draw against its probabilities."""

import math
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from anyres.engine.sampler import (
    Sampler,
    SamplingOptions,
    choose_batch,
    draw,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalise_counts,
    penalise_seen,
    unpack_mask,
)
from anyres.errors import OptionError

NO_PROMPT = torch.zeros(0, dtype=torch.long)


@st.composite
def logits(draw_value: st.DrawFn) -> Tensor:
    """Smooth ones, and coarse ones with many ties."""
    size, seed, spread = (
        draw_value(st.integers(2, 300)),
        draw_value(st.integers(0, 10**6)),
        draw_value(st.floats(0.1, 20)),
    )
    logits_V = torch.randn(size, generator=torch.Generator().manual_seed(seed)) * spread
    return logits_V.round() if draw_value(st.booleans()) else logits_V


def theirs(processor: object, logits_V: Tensor, ids: list[int] | None = None) -> Tensor:
    return processor(torch.tensor([ids or []], dtype=torch.long), logits_V[None].clone())[0]


def of(value: float) -> Tensor:
    """A knob of one row."""
    return torch.tensor([value], dtype=torch.float64)


def nothing_banned(size: int) -> Tensor:
    return torch.zeros(size, dtype=torch.bool)


@settings(deadline=None)
@given(logits_V=logits(), k=st.integers(1, 400))
def test_top_k(logits_V: Tensor, k: int) -> None:
    assert torch.equal(keep_top_k(logits_V[None], torch.tensor([k]))[0], theirs(TopKLogitsWarper(k), logits_V))


@settings(deadline=None)
@given(logits_V=logits(), p=st.floats(0, 1))
def test_top_p(logits_V: Tensor, p: float) -> None:
    """Which of equal logits is left out is theirs' to choose (their sort is unstable); ours leaves out the first."""
    kept_V, expected_V = keep_top_p(logits_V[None], of(p))[0], theirs(TopPLogitsWarper(p), logits_V)
    assert torch.equal(kept_V.sort().values, expected_V.sort().values)
    assert kept_V.isfinite().eq(expected_V.isfinite()).all() or len(logits_V.unique()) < len(logits_V)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    spread=st.sampled_from([0.3, 2.0, 8.0]),
    digits=st.sampled_from([1, 6]),
    p=st.sampled_from([0.0, 0.2, 0.9, 0.99, 0.99999]),
)
def test_top_p_of_a_large_vocabulary(seed: int, spread: float, digits: int, p: float) -> None:
    """Looks at the likeliest tokens first; flat logits and ties need all of them."""
    logits_BV = torch.randn(2, 6000, generator=torch.Generator().manual_seed(seed)).mul(spread).round(decimals=digits)
    kept_BV = keep_top_p(logits_BV, of(p).expand(2))
    for kept_V, logits_V in zip(kept_BV, logits_BV, strict=True):
        expected_V = theirs(TopPLogitsWarper(p), logits_V)
        assert torch.equal(kept_V.sort().values, expected_V.sort().values)


@settings(deadline=None)
@given(logits_V=logits(), p=st.floats(0, 1))
def test_min_p(logits_V: Tensor, p: float) -> None:
    assert torch.equal(keep_min_p(logits_V[None], of(p))[0], theirs(MinPLogitsWarper(p), logits_V))


@settings(deadline=None)
@given(logits_V=logits(), penalty=st.floats(0.1, 5), data=st.data())
def test_repetition_penalty(logits_V: Tensor, penalty: float, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, len(logits_V) - 1), min_size=1))
    expected = theirs(RepetitionPenaltyLogitsProcessor(penalty), logits_V, ids)
    assert torch.equal(penalise_seen(logits_V[ids], torch.full((len(ids),), penalty)), expected[ids])


@given(counts=st.lists(st.integers(0, 9), min_size=1), presence=st.floats(-2, 2), frequency=st.floats(-2, 2))
def test_presence_and_frequency_are_openais_formula(counts: list[int], presence: float, frequency: float) -> None:
    zeros_V = torch.zeros(len(counts))
    penalised_V = penalise_counts(
        zeros_V, torch.tensor(counts).float(), presence_N=zeros_V + presence, frequency_N=zeros_V + frequency
    )
    expected = [-count * frequency - (count > 0) * presence for count in counts]
    torch.testing.assert_close(penalised_V, torch.tensor(expected, dtype=torch.float32))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    temperature=st.floats(0.05, 3),
    top_k=st.sampled_from([0, 2, 5, 20, 60]),
    top_p=st.floats(0.05, 1),
    min_p=st.floats(0, 0.5),
    penalty=st.floats(0.5, 2),
)
def test_all_knobs_together_in_their_order(
    seed: int, temperature: float, top_k: int, top_p: float, min_p: float, penalty: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits_V, prompt_ids = 3 * torch.randn(50, generator=generator), torch.randint(0, 50, (9,), generator=generator)
    steps = [RepetitionPenaltyLogitsProcessor(penalty), SuppressTokensLogitsProcessor([3, 4])]
    steps += [TemperatureLogitsWarper(temperature)] + ([TopKLogitsWarper(top_k)] if top_k else [])
    steps += ([TopPLogitsWarper(top_p)] if top_p < 1 else []) + [MinPLogitsWarper(min_p)]
    expected_V = LogitsProcessorList(steps)(prompt_ids[None], logits_V[None].clone())[0]
    banned_V = nothing_banned(50)
    banned_V[[3, 4]] = True
    options = SamplingOptions(temperature, top_k, top_p, min_p, penalty)
    with patch("anyres.engine.sampler.draw", return_value=torch.tensor([7])) as drawn:
        assert Sampler(options, prompt_ids, banned_V).choose(logits_V).token_id == 7
    assert torch.equal(drawn.call_args.args[0][0], expected_V)


def test_draws_come_as_often_as_they_should() -> None:
    probabilities_V = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05])
    generator = torch.Generator().manual_seed(0)
    ids = draw(probabilities_V.log().expand(2000, -1), [generator] * 2000)
    shares_V = ids.bincount(minlength=5) / 2000
    # Four standard deviations of a share over 2,000 draws.
    assert ((shares_V - probabilities_V).abs() <= 4 * (probabilities_V * (1 - probabilities_V) / 2000).sqrt()).all()


@pytest.mark.parametrize("options", [SamplingOptions(temperature=0.0), SamplingOptions(top_k=1), SamplingOptions(1e-9)])
def test_greedy_takes_the_first_of_the_highest(options: SamplingOptions) -> None:
    sampler = Sampler(options, NO_PROMPT, nothing_banned(4))
    assert sampler.choose(torch.tensor([1.0, 5.0, 5.0, 2.0])).token_id == 1


@given(logits_V=logits(), seed=st.integers(0, 10**6))
@settings(deadline=None)
def test_draw_never_takes_what_was_ruled_out(logits_V: Tensor, seed: int) -> None:
    kept_BV = keep_top_k(logits_V.expand(5, -1), torch.full((5,), 2))
    chosen_B = draw(kept_BV, [torch.Generator().manual_seed(seed + number) for number in range(5)])
    assert (kept_BV.gather(-1, chosen_B[:, None]) > -math.inf).all()


def test_draw_at_the_ends_of_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    logits_BV = torch.tensor([[-math.inf, 0.0, 0.0, -math.inf]])
    for uniform, expected in ((0.0, 1), (0.4999, 1), (0.5001, 2), (1.0, 2)):
        monkeypatch.setattr(torch, "rand", lambda *_, value=uniform, **__: value)
        assert draw(logits_BV, [torch.Generator()]).tolist() == [expected]


def test_the_seed_decides_and_nothing_else() -> None:
    logits_V = torch.randn(1000, generator=torch.Generator().manual_seed(0))

    def ids(seed: int | None) -> list[int]:
        sampler = Sampler(SamplingOptions(seed=seed), NO_PROMPT, nothing_banned(1000))
        return [sampler.choose(logits_V).token_id for _ in range(8)]

    torch.manual_seed(1)
    first = ids(5)
    torch.manual_seed(2)
    assert ids(5) == first
    assert ids(6) != first
    assert ids(None) != ids(None)
    assert len(set(first)) > 1


def test_negative_seeds_are_seeds() -> None:
    Sampler(SamplingOptions(seed=-(2**63)), NO_PROMPT, nothing_banned(4)).choose(torch.zeros(4))


def test_penalties_cover_what_was_drawn() -> None:
    """Repetition: prompt and answer. Presence: the answer alone."""
    logits_V = torch.tensor([4.0, 3.9, 3.8, 3.7])
    repeat = Sampler(SamplingOptions(0.0, repetition_penalty=1.5), torch.tensor([1]), nothing_banned(4))
    assert [repeat.choose(logits_V).token_id for _ in range(4)] == [0, 2, 3, 0]
    presence = Sampler(SamplingOptions(0.0, presence_penalty=1.0), torch.tensor([1]), nothing_banned(4))
    assert [presence.choose(logits_V).token_id for _ in range(5)] == [0, 1, 2, 3, 0]
    frequency = Sampler(SamplingOptions(0.0, frequency_penalty=0.15), NO_PROMPT, nothing_banned(4))
    assert [frequency.choose(logits_V).token_id for _ in range(5)] == [0, 1, 0, 2, 1]


def test_banned_ids_are_never_drawn() -> None:
    banned_V = torch.tensor([True, False, True])
    for seed in range(20):
        options = SamplingOptions(seed=seed)
        assert Sampler(options, NO_PROMPT, banned_V).choose(torch.tensor([9.0, 0.0, 9.0])).token_id == 1


@settings(deadline=None)
@given(logits_V=logits(), count=st.integers(0, 20), temperature=st.sampled_from([0.0, 0.3, 2.0]))
def test_logprobs_are_those_of_the_model(logits_V: Tensor, count: int, temperature: float) -> None:
    options = SamplingOptions(temperature, top_p=0.9, repetition_penalty=1.3, seed=0, logprobs=count)
    choice = Sampler(options, torch.tensor([0]), nothing_banned(len(logits_V))).choose(logits_V)
    expected_V = torch.log_softmax(logits_V, -1)
    assert choice.logprob == float(expected_V[choice.token_id])
    assert len(choice.top) == min(count, len(logits_V))
    assert [logprob for _, logprob in choice.top] == expected_V.sort(descending=True).values[:count].tolist()
    assert all(expected_V[token_id] == logprob for token_id, logprob in choice.top)


def test_no_logprobs_unless_asked_for() -> None:
    choice = Sampler(SamplingOptions(0.0), NO_PROMPT, nothing_banned(3)).choose(torch.zeros(3))
    assert (choice.logprob, choice.top) == (None, ())


@st.composite
def sampling_options(draw_value: st.DrawFn) -> SamplingOptions:
    return SamplingOptions(
        temperature=draw_value(st.sampled_from([0.0, 0.3, 1.0, 2.0])),
        top_k=draw_value(st.sampled_from([0, 1, 3, 50])),
        top_p=draw_value(st.sampled_from([0.0, 0.5, 0.9, 1.0])),
        min_p=draw_value(st.sampled_from([0.0, 0.1])),
        repetition_penalty=draw_value(st.sampled_from([0.8, 1.0, 1.3])),
        presence_penalty=draw_value(st.sampled_from([0.0, 0.5])),
        frequency_penalty=draw_value(st.sampled_from([0.0, -0.5])),
        seed=draw_value(st.integers(0, 99)),
        logprobs=draw_value(st.sampled_from([None, 0, 3, 20])),
        logit_bias=draw_value(st.sampled_from([(), ((0, 2.5),), ((1, -100.0), (5, 1.0))])),
    )


def packed(allowed_V: Tensor) -> Tensor:
    """The int32 words of a mask, made bit by bit."""
    words = [0] * -(-len(allowed_V) // 32)
    for number in allowed_V.nonzero()[:, 0].tolist():
        words[number // 32] |= 1 << number % 32
    return torch.tensor([word - 2**32 if word >= 2**31 else word for word in words], dtype=torch.int32)


@settings(deadline=None)
@given(rows=st.lists(sampling_options(), min_size=1, max_size=7), seed=st.integers(0, 10**6), size=st.integers(6, 130))
def test_a_batch_is_its_requests_one_by_one(rows: list[SamplingOptions], seed: int, size: int) -> None:
    """Tokens and logprobs to the last bit, over several steps, with masks, ties and different bans."""
    generator = torch.Generator().manual_seed(seed)
    prompts = [torch.randint(0, size, (int(length),), generator=generator) for length in range(len(rows))]
    banned = [torch.rand(size, generator=generator) < 0.2 for _ in rows] if seed % 2 else [nothing_banned(size)] * 7
    together = [Sampler(*one) for one in zip(rows, prompts, banned, strict=False)]
    alone = [Sampler(*one) for one in zip(rows, prompts, banned, strict=False)]
    for _ in range(4):
        logits_BV = (torch.randn(len(rows), size, generator=generator) * 3).round(decimals=seed % 3)
        allowed = [(torch.rand(size, generator=generator) < 0.5) | ~one for one in banned[: len(rows)]]
        masks = [packed(one) if number % 2 else None for number, one in enumerate(allowed)]
        expected = [one.choose(*row) for one, row in zip(alone, zip(logits_BV, masks, strict=True), strict=True)]
        assert choose_batch(logits_BV, together, masks) == expected


@given(bits=st.lists(st.booleans(), min_size=1, max_size=200))
def test_masks_are_unpacked_bit_by_bit(bits: list[bool]) -> None:
    words = packed(torch.tensor(bits))
    assert unpack_mask(words[None], len(bits)).tolist() == [bits]


def test_a_mask_leaves_only_what_it_allows() -> None:
    allowed_V = torch.zeros(100, dtype=torch.bool)
    allowed_V[[31, 63, 99]] = True
    logits_V = torch.zeros(100).index_fill(0, torch.tensor([5]), 50.0)
    options = [SamplingOptions(seed=seed) for seed in range(30)]
    samplers = [Sampler(one, NO_PROMPT, nothing_banned(100)) for one in options]
    choices = choose_batch(logits_V.expand(30, -1), samplers, [packed(allowed_V)] * 30)
    assert {choice.token_id for choice in choices} == {31, 63, 99}


def test_a_bias_is_added_before_the_penalties() -> None:
    """OpenAI's meaning: -100 rules out, 100 forces; what is banned stays banned."""
    logits_V = torch.tensor([4.0, 3.0, 2.0, 9.0])
    banned_V = torch.tensor([False, False, False, True])

    def first(*biases: tuple[int, float], penalty: float = 1.0) -> int:
        options = SamplingOptions(0.0, repetition_penalty=penalty, logit_bias=biases)
        return Sampler(options, torch.tensor([2]), banned_V).choose(logits_V).token_id

    assert [first(), first((2, 100.0)), first((0, -100.0)), first((3, 100.0))] == [0, 2, 1, 0]
    assert first((2, 3.0)) == 2
    assert first((2, 3.0), penalty=2.0) == 0


@pytest.mark.parametrize("token_id", [4, 2**31, 2**63, -1])
def test_a_bias_outside_the_vocabulary_is_refused(token_id: int) -> None:
    with pytest.raises(OptionError, match="logit_bias: token id"):
        Sampler(SamplingOptions(logit_bias=((token_id, 1.0),)), NO_PROMPT, nothing_banned(4))


def test_ids_that_were_forced_count_as_seen() -> None:
    sampler = Sampler(SamplingOptions(0.0, presence_penalty=1.0), NO_PROMPT, nothing_banned(3))
    sampler.saw(2)
    assert sampler.choose(torch.tensor([1.5, 1.0, 2.0])).token_id == 0
