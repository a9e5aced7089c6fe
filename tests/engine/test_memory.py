"""What is chosen for the memory that a user grants."""

import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.chat import GenerationOptions
from anyres.config import Qwen2VLConfig, TextConfig, VisionConfig
from anyres.engine.load import load
from anyres.engine.memory import FORMATS, parse_memory, plan_memory
from anyres.errors import OptionError
from anyres.processing.image import DEFAULT_MAX_PIXELS
from anyres.quant.linear import QuantizedLinear
from tests.engine.conftest import write_checkpoint

SMALL = Qwen2VLConfig(text=TextConfig(tie_word_embeddings=True))
LARGE = Qwen2VLConfig(
    vision=VisionConfig(hidden_size=3584),
    text=TextConfig(
        hidden_size=3584,
        intermediate_size=18944,
        num_attention_heads=28,
        num_key_value_heads=4,
        vocab_size=152064,
    ),
)


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GB", 8 * 10**9), ("8 gb", 8 * 10**9), ("1.5GiB", 3 * 2**29), ("512MiB", 2**29), (12345, 12345), ("7", 7)],
)
def test_sizes_are_read(text: str | int, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-8GB", "8TB", "eight", "0GB", 0, -1, "8GB8", "9" * 99])
def test_what_is_no_size_is_named(text: str | int) -> None:
    with pytest.raises(OptionError, match="allowed: a size like 8GB or 512MiB"):
        parse_memory(text)


@pytest.mark.parametrize(
    ("config", "gigabytes", "expected"),
    [
        (SMALL, 16, "float32"),
        (SMALL, 8, "bfloat16"),
        (SMALL, 4, "int8"),
        (LARGE, 64, "float32"),
        (LARGE, 24, "bfloat16"),
        (LARGE, 12, "int8"),
        (LARGE, 8, "int4"),
    ],
)
def test_the_widest_weights_that_fit_are_taken(config: Qwen2VLConfig, gigabytes: int, expected: str) -> None:
    plan = plan_memory(config, gigabytes * 10**9)
    assert plan.format == expected
    assert plan.max_pixels == DEFAULT_MAX_PIXELS


def test_pictures_shrink_before_it_is_given_up() -> None:
    least = next(size for size in range(10**9, 10**10, 10**7) if fits(size))
    plan = plan_memory(SMALL, least)
    assert plan.format == "int4"
    assert plan.max_pixels < DEFAULT_MAX_PIXELS
    with pytest.raises(OptionError, match=r"memory: \d\.\d GB; allowed: at least \d\.\d GB"):
        plan_memory(SMALL, least - 10**7)


def fits(size: int) -> bool:
    try:
        plan_memory(SMALL, size)
    except OptionError:
        return False
    return True


@settings(deadline=None)
@given(first=st.integers(3 * 10**9, 40 * 10**9), more=st.integers(0, 10**10))
def test_more_memory_never_chooses_less(first: int, more: int) -> None:
    small, large = plan_memory(SMALL, first), plan_memory(SMALL, first + more)
    assert small.format is not None
    assert large.format is not None
    assert FORMATS.index(large.format) <= FORMATS.index(small.format)
    assert large.max_pixels >= small.max_pixels
    assert small.bytes <= first


def test_load_says_what_it_chose(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_checkpoint(tmp_path)
    with caplog.at_level(logging.WARNING):
        model = load(folder, device="cpu", memory="8GB")
    assert "weights in float32, pictures up to 1280 visual tokens" in caplog.text
    assert model.processor.default_max_pixels == DEFAULT_MAX_PIXELS


def test_dense_weights_are_packed_as_they_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyres.engine.memory.FORMATS", ("int4",))
    model = load(write_checkpoint(tmp_path), device="cpu", memory="8GB")
    assert isinstance(model.model.model.layers[0].mlp.up_proj, QuantizedLinear)
    assert model.model.model.layers[0].mlp.up_proj.packed.bits == 4
    assert model.ask(None, "Hello", options=GenerationOptions(max_tokens=3, temperature=0.0)).text is not None


def test_too_little_memory_is_told(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"memory: 0.0 GB; allowed: at least"):
        load(write_checkpoint(tmp_path), device="cpu", memory="10MB")
