"""The embedded checkpoint with guesses, through the public names: what it says about pictures stays the same."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from PIL import Image, ImageDraw

from anyres.chat import GenerationOptions, ImagePart, Message, TextPart
from anyres.constraints import JsonSchema
from anyres.engine.engine import LocalChatModel
from anyres.engine.load import load
from anyres.engine.options import EngineOptions
from anyres.engine.pace import Bet, Costs, Pace
from tests.engine.runs import same_pieces

QUESTIONS = (
    "Read the text.",
    "What does it say? Repeat it twice.",
    "Describe the picture.",
    "How many words are there?",
    "Repeat: one two three one two three one two three",
)
GREEDY = GenerationOptions(max_tokens=40, temperature=0.0, stop_loops=False)
WORDS = "north lamp river 1204 blue paper total 77.50 garden street".split()  # noqa: SIM905
SCHEMA = {
    "type": "object",
    "properties": {
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"word": {"enum": ["lamp", "river"]}, "count": {"type": "integer", "maximum": 99}},
                "required": ["word", "count"],
                "additionalProperties": False,
            },
            "maxItems": 4,
        }
    },
    "required": ["rows"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def plain() -> LocalChatModel:
    return load(device="cpu", dtype="float32", cache=False, engine=EngineOptions(guesses=0))


def endless(model: LocalChatModel) -> LocalChatModel:
    """Never ends by itself: its own answers have five tokens or so."""
    defaults = replace(model.defaults, eos_token_ids=frozenset())
    return LocalChatModel(model.model, model.processor, defaults=defaults, engine=model._loop.engine.options)


@pytest.fixture
def guessing(plain: LocalChatModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalChatModel]:
    """Guesses whatever the lookup finds, whether it pays or not."""
    monkeypatch.setattr(Costs, "knows", lambda costs, tokens: True)
    monkeypatch.setattr(Costs, "of", lambda costs, tokens: 1.0)
    monkeypatch.setattr(Pace, "bet", lambda pace, kind, most, situation: Bet(most, 1.0))
    return LocalChatModel(plain.model, plain.processor, defaults=plain.defaults, engine=EngineOptions())


def conversations(count: int) -> list[list[Message]]:
    """Words on pictures of many sizes, and questions about them."""
    draws = random.Random(count)
    found = []
    for number in range(count):
        size = (28 * draws.randint(2, 9), 28 * draws.randint(1, 5))
        picture = Image.new("RGB", size, (draws.randint(150, 255),) * 3)
        pen = ImageDraw.Draw(picture)
        for line in range(draws.randint(1, 4)):
            pen.text((4, 4 + 14 * line), " ".join(draws.sample(WORDS, 3)), fill=(0, 0, draws.randint(0, 90)))
        found.append([Message("user", (ImagePart(picture), TextPart(QUESTIONS[number % len(QUESTIONS)])))])
    return found


@pytest.mark.parametrize("count", [60, pytest.param(500, marks=pytest.mark.slow)])
def test_prompts_with_pictures(plain: LocalChatModel, guessing: LocalChatModel, count: int) -> None:
    """Token for token, alone and together."""
    asked, plain, guessing = conversations(count), endless(plain), endless(guessing)
    expected = plain.chat_batch(asked, options=GREEDY)
    found = guessing.chat_batch(asked[: count // 2], options=GREEDY)
    found += [guessing.chat(one, options=GREEDY) for one in asked[count // 2 :]]
    assert [answer.text for answer in found] == [answer.text for answer in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one.finish_reason, one.usage.completion_tokens) == (other.finish_reason, other.usage.completion_tokens)
    assert 4 * count < guessing.stats.right_guesses < guessing.stats.guesses


def test_constraints_and_stop_strings(plain: LocalChatModel, guessing: LocalChatModel) -> None:
    """A grammar beside guesses, a stop string and an end inside a run of right ones, streamed."""
    schema = JsonSchema(SCHEMA)
    ways = [
        GenerationOptions(max_tokens=120, temperature=0.0, constraint=schema),
        GenerationOptions(max_tokens=120, temperature=1.0, seed=4, constraint=schema, logprobs=2),
        GenerationOptions(max_tokens=40, temperature=0.0, stop=("three o", "e t")),
        GenerationOptions(max_tokens=80, temperature=0.0, stop=("three o", "e t"), ignore_eos=True, stop_loops=False),
        *(GenerationOptions(max_tokens=count, temperature=0.0) for count in (1, 2, 5, 11)),
    ]
    for messages in conversations(10)[4:10:5]:
        for options in ways:
            one, other = (model.stream_chat(messages, options=options) for model in (plain, guessing))
            assert same_pieces(one, other)
            assert one.answer is not None
            assert other.answer is not None
            assert one.answer.text == other.answer.text
            assert one.answer.finish_reason == other.answer.finish_reason
            if options.constraint is not None and one.answer.finish_reason == "stop":
                json.loads(one.answer.text)
    assert 0 < guessing.stats.right_guesses < guessing.stats.guesses


def test_it_is_left_out_where_it_is_not_wanted(guessing: LocalChatModel) -> None:
    options = GenerationOptions(max_tokens=20, temperature=0.0, speculate=False)
    guessing.chat(conversations(5)[4], options=options)
    assert guessing.stats.guesses == 0
