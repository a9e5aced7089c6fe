"""Constraints through the whole engine: the embedded checkpoint answers in the form it is told to."""

import json
import re
from collections.abc import Iterator

import pytest
from jsonschema import Draft202012Validator

import anyres
from anyres.chat import GenerationOptions, Message
from anyres.constraints import Boxes, Choices, JsonSchema, Regex, Tool, ToolCalls
from anyres.engine.engine import LocalChatModel
from anyres.engine.load import load
from anyres.errors import ConstraintError
from anyres.grounding import parse_grounding

SHORT = {
    "type": "object",
    "properties": {"answer": {"type": "string", "maxLength": 12}, "sure": {"type": "boolean"}},
    "required": ["answer", "sure"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def model() -> Iterator[LocalChatModel]:
    made = load(device="cpu", dtype="float32")
    yield made
    close = getattr(made, "close", None)
    if close is not None:
        close()


def asked(model: LocalChatModel, question: str, **options: object) -> anyres.Answer:
    return model.ask(None, question, options=GenerationOptions(temperature=0.0, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("question", ["What colour is the sky?", "List three fruits.", "你好"])
def test_an_answer_obeys_its_schema(model: LocalChatModel, question: str) -> None:
    answer = asked(model, question, constraint=JsonSchema(SHORT), max_tokens=120)
    assert answer.finish_reason == "stop"
    assert list(Draft202012Validator(SHORT).iter_errors(json.loads(answer.text))) == []


def test_sampled_answers_obey_too_and_differ(model: LocalChatModel) -> None:
    texts = set()
    for seed in range(4):
        options = GenerationOptions(temperature=1.5, seed=seed, constraint=Regex("[a-z]{4,8}"))
        texts.add(model.ask(None, "Say a word.", options=options).text)
    assert all(re.fullmatch("[a-z]{4,8}", text) for text in texts)
    assert len(texts) > 1


def test_choices_and_boxes(model: LocalChatModel) -> None:
    assert asked(model, "Is it day?", constraint=Choices(("yes", "no"))).text in ("yes", "no")
    found = parse_grounding(asked(model, "Find the cat.", constraint=Boxes(least=2, most=2)).text)
    assert len(found.boxes) == 2


def test_a_required_call_is_whole(model: LocalChatModel) -> None:
    tool = Tool(
        "save",
        {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False},
    )
    answer = asked(model, "Save it.", constraint=ToolCalls((tool,), "save"), max_tokens=100)
    call = re.fullmatch(r"<tool_call>\n(.*)\n</tool_call>", answer.text, re.DOTALL)
    assert call is not None
    assert json.loads(call[1])["name"] == "save"
    assert json.loads(call[1])["arguments"]["n"] in (1, 2)


def test_what_max_tokens_cuts_is_told(model: LocalChatModel) -> None:
    answer = asked(model, "Hello", constraint=JsonSchema({"type": "string", "minLength": 500}), max_tokens=9)
    assert answer.finish_reason == "length"
    assert answer.usage.completion_tokens == 9


def test_forced_tokens_are_the_ones_that_would_be_drawn(model: LocalChatModel) -> None:
    """With logprobs nothing is forced ahead, as only the model can give them."""
    plain = asked(model, "Hello", constraint=JsonSchema(SHORT))
    stepped = asked(model, "Hello", constraint=JsonSchema(SHORT), logprobs=0)
    assert plain.text == stepped.text
    assert stepped.logprobs is not None
    assert len(stepped.logprobs) == stepped.usage.completion_tokens == plain.usage.completion_tokens


def test_a_batch_of_different_forms_is_its_answers_one_by_one(model: LocalChatModel) -> None:
    conversations = [[Message("user", word)] for word in ("one", "two", "three")]
    options = GenerationOptions(temperature=0.0, constraint=JsonSchema(SHORT), max_tokens=120)
    together = [answer.text for answer in model.chat_batch(conversations, options=options)]
    assert together == [model.chat(one, options=options).text for one in conversations]


def test_what_cannot_be_obeyed_ends_before_it_begins(model: LocalChatModel) -> None:
    with pytest.raises(ConstraintError, match="keyword 'not'"):
        asked(model, "Hello", constraint=JsonSchema({"not": {}}))
    assert asked(model, "Hello", max_tokens=3).usage.completion_tokens in (1, 2, 3)


def test_loops_end_and_may_be_let_go_on(model: LocalChatModel) -> None:
    """A bias that lets nothing but one word be said."""
    word = model.processor.tokenizer.encode_text(" the")
    assert len(word) == 1
    options = {"logit_bias": {word[0]: 100.0}, "max_tokens": 300}
    ended = asked(model, "Hello", **options)
    assert ended.finish_reason == "repetition"
    assert ended.text.split() == ["the"] * len(ended.text.split())
    assert ended.usage.completion_tokens < 150
    longer = asked(model, "Hello", **options, stop_loops=False)
    assert (longer.finish_reason, longer.usage.completion_tokens) == ("length", 300)
