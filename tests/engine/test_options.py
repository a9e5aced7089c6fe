"""What an engine may do and keep."""

from typing import Any

import pytest
import torch

from anyres.config import TextConfig
from anyres.engine.options import EngineOptions, Turn
from anyres.engine.scheduler import Limits
from anyres.errors import OptionError
from tests.oracle import tiny_config


@pytest.mark.parametrize(
    ("knobs", "item"),
    [
        ({"kv_bytes": 0}, "kv_bytes"),
        ({"prefix_bytes": -1}, "prefix_bytes"),
        ({"prefix_bytes": 1.5}, "prefix_bytes"),
        ({"block_size": True}, "block_size"),
        ({"waiting": 0}, "waiting"),
        ({"kv_dtype": "int4"}, "kv_dtype"),
        ({"guesses": -1}, "guesses"),
        ({"guess_share": 0}, "guess_share"),
        ({"guess_share": 1.5}, "guess_share"),
        ({"guess_share": "1"}, "guess_share"),
        ({"limits": Limits(running=0)}, "running"),
        ({"limits": Limits(busy_step_patches=-5)}, "busy_step_patches"),
    ],
)
def test_bad_options_are_refused(knobs: dict[str, Any], item: str) -> None:
    with pytest.raises(OptionError) as caught:
        EngineOptions(**knobs)
    assert caught.value.item == item


@pytest.mark.parametrize(
    ("knobs", "item"),
    [
        ({"priority": 101}, "priority"),
        ({"priority": -101}, "priority"),
        ({"priority": 0.5}, "priority"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
        ({"timeout_s": "1"}, "timeout_s"),
    ],
)
def test_bad_turns_are_refused(knobs: dict[str, Any], item: str) -> None:
    with pytest.raises(OptionError) as caught:
        Turn(**knobs)
    assert caught.value.item == item


def test_one_context_always_fits_unless_bytes_are_said() -> None:
    """The 2B size in float32 has 56 KiB a token: 2 GiB hold 37,449 tokens, more than its context of 32,768."""
    text = TextConfig()
    blocks, idle = EngineOptions().blocks(text, torch.float32)
    assert (blocks, idle) == (2**31 // (16 * 57_344), 2**29 // (16 * 57_344))
    wide = EngineOptions().blocks(TextConfig(max_position_embeddings=10**6), torch.float32)
    assert wide[0] == 62_500
    assert EngineOptions(kv_bytes=1).blocks(text, torch.float32) == (1, 1)
    assert EngineOptions(prefix_bytes=0).blocks(text, torch.float32)[1] == 0


def test_8_bits_hold_more() -> None:
    text = tiny_config().text
    plain, _ = EngineOptions(kv_bytes=10**7).blocks(text, torch.float32)
    small, _ = EngineOptions(kv_bytes=10**7, kv_dtype="int8").blocks(text, torch.float32)
    assert 3 < small / plain <= 4
    assert EngineOptions(kv_dtype="bfloat16").stored_dtype(torch.float32) == torch.bfloat16
    assert EngineOptions().stored_dtype(torch.float16) == torch.float16


def test_a_draft_has_its_part_of_the_memory() -> None:
    """28 KiB a token of the 2B in bfloat16 and 56 of the 7B: a third of what one of 28 KiB has alone."""
    small = TextConfig()
    large = TextConfig(
        hidden_size=3584, intermediate_size=18_944, num_attention_heads=28, num_key_value_heads=4, num_hidden_layers=28
    )
    options, narrow = EngineOptions(kv_bytes=16 * 84 * 1024 * 100, prefix_bytes=16 * 84 * 1024 * 7), torch.bfloat16
    assert options.blocks(large, narrow, beside=(small, narrow)) == (100, 7)
    assert options.blocks(large, narrow) == (150, 10)
