"""The embedded checkpoint with a draft model, through the public names: what it says about pictures stays the same."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from anyres.chat import GenerationOptions, Message, TextPart, VideoPart
from anyres.constraints import JsonSchema
from anyres.engine.drafting import DRAFT, Drafting
from anyres.engine.engine import LocalChatModel
from anyres.engine.load import load
from anyres.engine.options import EngineOptions
from anyres.engine.pace import NO_BET, Bet, Costs, Pace, Situation
from tests.engine.draft_pairs import padded
from tests.engine.runs import same_pieces
from tests.engine.test_speculation_embedded import GREEDY, SCHEMA, conversations, endless

CLIPS = Path(__file__).parents[2] / "examples" / "clips"


@pytest.fixture(scope="module")
def plain() -> LocalChatModel:
    return load(device="cpu", dtype="float32", cache=False, engine=EngineOptions(guesses=0))


@pytest.fixture
def drafted(plain: LocalChatModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalChatModel]:
    """With a noisy copy of itself, whose guesses are always taken, whether they pay or not."""
    monkeypatch.setattr(Costs, "knows", lambda costs, tokens: True)
    monkeypatch.setattr(Costs, "of", lambda costs, tokens: 1.0)
    monkeypatch.setattr(Drafting, "_pays", lambda drafting, drafted, sequence, situation: True)
    monkeypatch.setattr(Drafting, "_pass_s", lambda drafting, tokens: 0.0)
    monkeypatch.setattr(Pace, "bet", _drafts)
    draft = padded(plain.model, noise=0.1, rows=50)
    return LocalChatModel(plain.model, plain.processor, defaults=plain.defaults, engine=EngineOptions(), draft=draft)


def _drafts(pace: Pace, kind: str, most: int, situation: Situation) -> Bet:
    return Bet(most, 1.0) if kind == DRAFT else NO_BET


def with_draft(model: LocalChatModel, draft: LocalChatModel) -> LocalChatModel:
    small = draft._loop.engine._draft
    assert small is not None
    return LocalChatModel(
        model.model, model.processor, defaults=model.defaults, engine=EngineOptions(), draft=small._runner.model
    )


@pytest.mark.parametrize("count", [24, pytest.param(500, marks=pytest.mark.slow)])
def test_prompts_with_pictures(plain: LocalChatModel, drafted: LocalChatModel, count: int) -> None:
    """Token for token, alone and together."""
    asked, plain = conversations(count), endless(plain)
    drafted = with_draft(plain, drafted)
    expected = plain.chat_batch(asked, options=GREEDY)
    found = drafted.chat_batch(asked[: count // 2], options=GREEDY)
    found += [drafted.chat(one, options=GREEDY) for one in asked[count // 2 :]]
    assert [answer.text for answer in found] == [answer.text for answer in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one.finish_reason, one.usage.completion_tokens) == (other.finish_reason, other.usage.completion_tokens)
    assert 2 * count < drafted.stats.right_guesses < drafted.stats.guesses


def test_clips(plain: LocalChatModel, drafted: LocalChatModel) -> None:
    """Decoded in a thread of their own, and read by both."""
    plain = endless(plain)
    drafted = with_draft(plain, drafted)
    for path in sorted(CLIPS.glob("*.mkv"))[:2]:
        asked = [Message("user", (VideoPart(path, nframes=6, max_pixels=28 * 28 * 12), TextPart("What happens?")))]
        expected = plain.chat(asked, options=GREEDY)
        assert drafted.chat(asked, options=GREEDY).text == expected.text
    assert drafted.stats.right_guesses > 0


def test_constraints_and_stop_strings(plain: LocalChatModel, drafted: LocalChatModel) -> None:
    """The draft is held to the same grammar, so that what it guesses may stand there."""
    schema = JsonSchema(SCHEMA)
    ways = [
        GenerationOptions(max_tokens=120, temperature=0.0, constraint=schema),
        GenerationOptions(max_tokens=60, temperature=1.0, seed=4, constraint=schema, logprobs=2),
        GenerationOptions(max_tokens=40, temperature=0.0, stop=("three o", "e t")),
        GenerationOptions(max_tokens=40, temperature=0.0, repetition_penalty=1.2, frequency_penalty=0.3),
        *(GenerationOptions(max_tokens=count, temperature=0.0) for count in (1, 2, 11)),
    ]
    (messages,) = conversations(10)[4:5]
    for options in ways:
        one, other = (model.stream_chat(messages, options=options) for model in (plain, drafted))
        assert same_pieces(one, other)
        assert one.answer is not None
        assert other.answer is not None
        assert (one.answer.text, one.answer.finish_reason) == (other.answer.text, other.answer.finish_reason)
        if options.constraint is not None and one.answer.finish_reason == "stop":
            json.loads(one.answer.text)
    assert drafted.stats.right_guesses > 0


def test_it_is_left_out_where_it_is_not_wanted(drafted: LocalChatModel) -> None:
    options = GenerationOptions(max_tokens=20, temperature=0.0, speculate=False)
    drafted.chat(conversations(5)[4], options=options)
    assert drafted.stats.guesses == 0
