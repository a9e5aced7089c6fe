"""Whole answers against `generate()` of transformers 4.57.6, token for token, on random tiny checkpoints."""

from collections.abc import Sequence as Run

import pytest
import torch

from anyres.engine.options import EngineOptions
from anyres.engine.request import silent_ids
from anyres.engine.sampler import SamplingOptions
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput
from tests.engine.runs import SMALL_STEPS, ask, finish, new_engine, sequence_of
from tests.oracle import (
    IM_END,
    SPECIAL_IDS,
    VOCAB_SIZE,
    byte_tokenizer,
    original_inputs,
    original_of,
    picture,
    prompt,
    tiny_config,
    tiny_model,
)

ENDS = frozenset({IM_END, SPECIAL_IDS["<|endoftext|>"], 65, 66})  # two letters as well, or random models never end
BANNED = sorted((silent_ids(byte_tokenizer()) | set(range(256 + len(SPECIAL_IDS), VOCAB_SIZE))) - ENDS)


def our_answers(
    model: Qwen2VL, prompts: Run[ModelInput], options: SamplingOptions, tokens: int, *, native: bool = True
) -> list[list[int]]:
    """All together, their prompts and pictures in pieces."""
    engine = new_engine(model, EngineOptions(SMALL_STEPS), native=native)
    asked = [ask(engine, sequence_of(one, options=options, tokens=tokens, ends=ENDS, banned=BANNED)) for one in prompts]
    finish(engine)
    return [one.ids for one in asked]


def their_answers(model: Qwen2VL, prompts: Run[ModelInput], tokens: int, **options: float) -> list[list[int]]:
    inputs = original_inputs(prompts)
    original = original_of(model)
    # The output starts with the prompt. What follows the first end is padding.
    with torch.no_grad():
        ids_BT = original.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=tokens,
            suppress_tokens=BANNED,
            eos_token_id=sorted(ENDS),
            pad_token_id=SPECIAL_IDS["<|endoftext|>"],
            **options,
        )
    answers = []
    for row in ids_BT[:, inputs["input_ids"].shape[1] :].tolist():
        end = next((i + 1 for i, token_id in enumerate(row) if token_id in ENDS), len(row))
        answers.append(row[:end])
    return answers


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def model(request: pytest.FixtureRequest) -> Qwen2VL:
    return tiny_model(tiny_config(tied=request.param), seed=5 if request.param else 8)


def conversations(model: Qwen2VL) -> list[ModelInput]:
    config = model.config
    image, tall = picture(config, (1, 4, 6), seed=1), picture(config, (1, 14, 2), seed=2)
    clip = picture(config, (8, 2, 4), seed=3, kind="video")
    return [
        prompt(config, [4, image, 12], seed=1),
        prompt(config, [23], seed=2),
        prompt(config, [4, clip, 9], seed=3),
        prompt(config, [2, image, 3, tall, clip, 6], seed=4),
    ]


@pytest.mark.parametrize("penalty", [1.0, 1.05, 1.5])
def test_greedy_answers(model: Qwen2VL, penalty: float) -> None:
    options = SamplingOptions(temperature=0.0, repetition_penalty=penalty)
    for one in conversations(model):
        assert our_answers(model, [one], options, 24) == their_answers(model, [one], 24, repetition_penalty=penalty)


def test_a_ragged_batch_of_answers(model: Qwen2VL) -> None:
    prompts = conversations(model)
    options = SamplingOptions(temperature=0.0, repetition_penalty=1.3)
    alone = [our_answers(model, [one], options, 24)[0] for one in prompts]
    assert our_answers(model, prompts, options, 24) == alone
    assert their_answers(model, [prompts[0], prompts[3]], 24, repetition_penalty=1.3) == [alone[0], alone[3]]


def test_the_answers_are_worth_comparing(model: Qwen2VL) -> None:
    """They differ from prompt to prompt, hold many different tokens, and some end by themselves."""
    answers = our_answers(model, conversations(model), SamplingOptions(0.0, repetition_penalty=1.5), 200)
    assert len({tuple(answer) for answer in answers}) == len(answers)
    assert max(len(set(answer)) for answer in answers) > 20
    assert min(len(answer) for answer in answers) < 200
