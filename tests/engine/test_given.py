"""Prompts that come ready-made: what does not fit the model is named at the door, and nobody else feels it."""

import asyncio
from dataclasses import replace

import pytest
import torch

from anyres.chat import Answer, GenerationOptions, Message
from anyres.engine.engine import LocalChatModel
from anyres.engine.given import check_prompt
from anyres.errors import OptionError
from anyres.model_input import ModelInput
from tests.oracle import VOCAB_SIZE, picture, prompt

SHORT = GenerationOptions(max_tokens=6, temperature=0.0)


def with_id(model: LocalChatModel, token_id: int) -> ModelInput:
    one = prompt(model.config, [9, picture(model.config, (1, 4, 4)), 5])
    one.token_ids_T[3] = token_id
    return one


async def said(model: LocalChatModel, one: ModelInput) -> Answer:
    stream = model.astream(one, options=SHORT)
    async for _ in stream:
        pass
    assert stream.answer is not None
    return stream.answer


@pytest.mark.parametrize("token_id", [-1, VOCAB_SIZE, VOCAB_SIZE + 1, 2**31, 2**62, -(2**63)])
def test_ids_outside_the_vocabulary(engine: LocalChatModel, token_id: int) -> None:
    """Refused beside a request that says what it says alone; and by `embed`."""
    assert engine.config.text.vocab_size == VOCAB_SIZE
    alone = engine.chat([Message("user", "hello")], options=SHORT)

    async def both() -> list[Answer | BaseException]:
        good = engine.achat([Message("user", "hello")], options=SHORT)
        return await asyncio.gather(said(engine, with_id(engine, token_id)), good, return_exceptions=True)

    bad, good = asyncio.run(both())
    assert isinstance(bad, OptionError)
    assert str(bad) == f"prompt: token id {token_id} at place 3; allowed: 0 to {VOCAB_SIZE - 1}"
    assert isinstance(good, Answer)
    assert good.text == alone.text
    with pytest.raises(OptionError, match=f"token id {token_id} at place 3"):
        engine.embed(with_id(engine, token_id))


def test_the_last_id_is_one(engine: LocalChatModel) -> None:
    for token_id in (0, VOCAB_SIZE - 1):
        assert asyncio.run(said(engine, with_id(engine, token_id))).usage.completion_tokens > 0


def test_positions_and_pictures_that_do_not_belong_to_the_ids(engine: LocalChatModel) -> None:
    config = engine.config
    seen, clip = picture(config, (1, 4, 4)), picture(config, (2, 4, 4), kind="video")
    one = prompt(config, [9, seen, 5])
    wrong = {
        "18 token ids, positions 3x20": replace(one, token_ids_T=one.token_ids_T[:-2]),
        "20 token ids, positions 3x19": replace(one, positions_3T=one.positions_3T[:, 1:]),
        "0 token ids": ModelInput(torch.zeros(0, dtype=torch.long), torch.zeros(3, 0, dtype=torch.long), 0),
        "4 places of pictures and clips; allowed: 0": replace(one, visuals=()),
        "4 places of pictures and clips; allowed: 8": replace(one, visuals=(seen, seen)),
        "4 places of pictures and clips; allowed: 12": replace(one, visuals=(seen, clip)),
    }
    for words, given in wrong.items():
        with pytest.raises(OptionError, match=f"prompt: {words}"):
            check_prompt(given, config, str)
    both = prompt(config, [2, seen, 1, clip])
    check_prompt(both, config, str)
    with pytest.raises(OptionError, match="12 places"):
        check_prompt(replace(both, visuals=both.visuals[::-1]), config, str)
