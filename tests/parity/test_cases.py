"""The formulas: the same on every machine, and of the kind the checks need."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anyres.model.qwen2vl import Qwen2VL
from anyres.parity import cases
from anyres.parity.cases import (
    CONVERSATIONS,
    MODELS,
    PICTURES,
    PROMPTS,
    formula_config,
    formula_ids,
    formula_numbers,
    formula_picture,
    formula_pixels,
    formula_weights,
    sampled,
)
from anyres.processing.template import ROLES

NUMBERS = "0232bf22394cdc4a"  # start of the SHA-256 of the first thousand numbers of seed 12345


def test_numbers_never_change() -> None:
    words = formula_numbers(12345, 1000)
    assert words.dtype == np.float32
    assert hashlib.sha256(words.tobytes()).hexdigest()[:16] == NUMBERS
    assert words.min() >= -1
    assert words.max() < 1
    assert abs(float(words.mean())) < 0.1


@given(st.integers(0, 2**32), st.integers(1, 50), st.integers(1, 50))
def test_a_longer_run_begins_like_a_shorter_one(seed: int, short: int, more: int) -> None:
    assert formula_numbers(seed, short + more)[:short].tolist() == formula_numbers(seed, short).tolist()


@pytest.mark.parametrize("case", PICTURES, ids=lambda case: f"{case.mode} {case.width}x{case.height}")
def test_pictures_are_of_their_mode_and_not_dull(case: cases.FormulaPicture) -> None:
    picture = formula_picture(case)
    assert picture.mode == case.mode
    assert picture.size == (case.width, case.height)
    assert len(set(np.asarray(picture.convert("RGB")).reshape(-1, 3)[:, 0].tolist())) >= 2
    assert picture.tobytes() == formula_picture(case).tobytes()


@pytest.mark.parametrize("name", MODELS)
def test_weights_fill_the_model(name: str) -> None:
    config = formula_config(name)
    model = Qwen2VL(config)
    weights = formula_weights({key: value.shape for key, value in model.state_dict().items()})
    model.load_state_dict(weights)
    assert ("lm_head.weight" in weights) == (name == "untied")
    assert all(weight.unique().numel() > weight.numel() // 2 for weight in weights.values())
    assert config.text.num_key_value_heads < config.text.num_attention_heads


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_ids_fit_their_layout(name: str, prompt: str) -> None:
    config, layout = formula_config(name), PROMPTS[prompt]
    runs = formula_ids(layout, config)
    assert max(max(run) for run in runs) < config.text.vocab_size
    for number, (span, run) in enumerate(zip(layout, runs, strict=True)):
        if isinstance(span, int):
            assert len(run) == span
        else:
            assert runs[number - 1][-1] == config.vision_start_token_id
            assert set(run) == {config.image_token_id if span[0] == 1 else config.video_token_id}


def test_items_of_a_prompt_differ() -> None:
    first, second = (formula_pixels(number, (1, 2, 2), 8) for number in (1, 2))
    assert first.shape == (4, 8)
    assert not torch.equal(first, second)


def test_prompts_and_conversations_cover_what_they_should() -> None:
    assert {type(span) for layout in PROMPTS.values() for span in layout} == {int, tuple}
    assert any(isinstance(span, tuple) and span[0] > 1 for layout in PROMPTS.values() for span in layout)
    assert len(CONVERSATIONS) >= 25
    assert {turn["role"] for conversation in CONVERSATIONS for turn in conversation} <= set(ROLES)


@given(st.integers(256, 5000))
def test_samples_reach_both_ends(count: int) -> None:
    found = sampled(np.arange(count))
    assert (found[0], found[-1], len(found)) == (0, count - 1, 256)
    assert (np.diff(found) >= 1).all()
