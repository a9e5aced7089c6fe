"""config.json and preprocessor_config.json against transformers, and every way they can be wrong."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import Qwen2VLConfig as OracleConfig
from transformers import Qwen2VLImageProcessor

from anyres.config import ImageProcessorConfig, Qwen2VLConfig, TextConfig, VisionConfig
from anyres.errors import CheckpointError

# The keys of Qwen2-VL-2B-Instruct's config.json that say something about sizes (qwen2-vl.md section 12).
PUBLISHED_2B: dict[str, Any] = {
    "model_type": "qwen2_vl",
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "vision_start_token_id": 151652,
    "image_token_id": 151655,
    "video_token_id": 151656,
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vision_config": {
        "depth": 32,
        "embed_dim": 1280,
        "mlp_ratio": 4,
        "num_heads": 16,
        "in_chans": 3,
        "hidden_size": 1536,
    },
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
}


def changed(path: str, value: object) -> dict[str, Any]:
    """The published file with one key (or `section.key`) changed."""
    raw: dict[str, Any] = json.loads(json.dumps(PUBLISHED_2B))
    section, _, key = path.rpartition(".")
    (raw[section] if section else raw)[key] = value
    return raw


def test_published_file_is_read() -> None:
    config = Qwen2VLConfig.from_dict(PUBLISHED_2B)
    assert config.vision == VisionConfig()
    assert config.text == TextConfig(tie_word_embeddings=True)
    assert (config.text.head_dim, config.vision.head_dim, config.vision.patch_values) == (128, 80, 1176)


@pytest.mark.parametrize("tied", [True, False])
def test_what_transformers_saves_is_read(tmp_path: Path, tied: bool) -> None:
    oracle = OracleConfig(
        vocab_size=200,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
        rope_theta=12_345.0,
        rope_scaling={"type": "mrope", "mrope_section": [2, 3, 3]},
        vision_config={"depth": 2, "embed_dim": 32, "num_heads": 2, "hidden_size": 64},
        image_token_id=190,
        video_token_id=191,
        vision_start_token_id=192,
    )
    oracle.save_pretrained(tmp_path)
    config = Qwen2VLConfig.from_folder(tmp_path)
    assert config.text.tie_word_embeddings is tied
    assert (config.text.rope_theta, config.text.mrope_section) == (12_345.0, (2, 3, 3))
    assert (config.vision.depth, config.vision.embed_dim, config.text.num_hidden_layers) == (2, 32, 3)


def test_transformers_reads_what_we_write() -> None:
    ours = Qwen2VLConfig.from_dict(PUBLISHED_2B)
    oracle = OracleConfig(**ours.to_dict())
    text = oracle.get_text_config()
    for name in (
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_key_value_heads",
        "rms_norm_eps",
        "rope_theta",
    ):
        assert getattr(text, name) == getattr(ours.text, name), name
    for name in ("depth", "embed_dim", "num_heads", "hidden_size", "patch_size"):
        assert getattr(oracle.vision_config, name) == getattr(ours.vision, name), name
    assert oracle.image_token_id == ours.image_token_id


def test_nested_form_is_the_same() -> None:
    text_keys = set(asdict(TextConfig())) - {"mrope_section"}
    nested = {key: value for key, value in PUBLISHED_2B.items() if key not in text_keys}
    nested["text_config"] = {key: value for key, value in PUBLISHED_2B.items() if key in text_keys}
    assert Qwen2VLConfig.from_dict(nested) == Qwen2VLConfig.from_dict(PUBLISHED_2B)


@given(st.integers(1, 8), st.integers(1, 4), st.sampled_from([(1, 1, 2), (2, 3, 3), (4, 6, 6)]), st.booleans())
def test_written_then_read_is_the_same(layers: int, groups: int, section: tuple[int, int, int], tied: bool) -> None:
    head = 2 * sum(section)
    text = TextConfig(
        hidden_size=head * groups * 2,
        num_attention_heads=groups * 2,
        num_key_value_heads=groups,
        num_hidden_layers=layers,
        mrope_section=section,
        tie_word_embeddings=tied,
    )
    config = Qwen2VLConfig(vision=VisionConfig(hidden_size=text.hidden_size, depth=layers), text=text)
    assert Qwen2VLConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


WRONG = [
    ("model_type", "llama", "model_type"),
    ("hidden_size", 0, "whole number above 0"),
    ("hidden_size", -1536, "whole number above 0"),
    ("hidden_size", 1536.5, "whole number above 0"),
    ("hidden_size", "1536", "whole number above 0"),
    ("hidden_size", None, "whole number above 0"),
    ("num_hidden_layers", True, "whole number above 0"),
    ("hidden_size", 1537, "a multiple of 12"),
    ("num_key_value_heads", 5, "a divisor of 12"),
    ("rms_norm_eps", float("nan"), "a number above 0"),
    ("rope_theta", 0.0, "a number above 0"),
    ("rope_theta", "big", "a number above 0"),
    ("tie_word_embeddings", "yes", "true or false"),
    ("rope_scaling", {"mrope_section": [16, 24]}, "three positive integers"),
    ("rope_scaling", {"mrope_section": [16, 24, 25]}, "a sum of 64"),
    ("rope_scaling", {"mrope_section": 64}, "three positive integers"),
    ("rope_scaling", "mrope", "a JSON object"),
    ("vision_config", [1], "a JSON object"),
    ("vision_config.embed_dim", 1281, "a multiple of 4"),
    ("vision_config.num_heads", 0, "whole number above 0"),
    ("vision_config.hidden_size", 8192, "as in the decoder"),
    ("image_token_id", 151936, "an id below 151936"),
    ("video_token_id", -1, "an id below 151936"),
]


@pytest.mark.parametrize(("path", "value", "told"), WRONG, ids=[f"{path}={value}" for path, value, _ in WRONG])
def test_wrong_sizes_are_told(path: str, value: object, told: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        Qwen2VLConfig.from_dict(changed(path, value), item="some/config.json")
    assert "some/config.json" in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize("content", [None, "", "{", "[]", "3", "\0"])
def test_unreadable_files_are_told(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        Qwen2VLConfig.from_folder(tmp_path)


def test_binary_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00junk")
    with pytest.raises(CheckpointError, match="not readable as JSON"):
        Qwen2VLConfig.from_folder(tmp_path)


def test_preprocessor_file_of_transformers_is_read(tmp_path: Path) -> None:
    Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=28 * 28 * 1280).save_pretrained(tmp_path)
    config = ImageProcessorConfig.from_folder(tmp_path)
    assert (config.min_pixels, config.max_pixels, config.factor) == (3136, 1_003_520, 28)


def test_transformers_reads_our_preprocessor_file(tmp_path: Path) -> None:
    ours = ImageProcessorConfig(min_pixels=28 * 28, max_pixels=99 * 28 * 28, video_max_pixels=7840)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(ours.to_dict()))
    oracle = Qwen2VLImageProcessor.from_pretrained(tmp_path)
    assert (oracle.min_pixels, oracle.max_pixels, oracle.patch_size) == (ours.min_pixels, ours.max_pixels, 14)
    assert tuple(oracle.image_mean) == ours.image_mean
    assert ImageProcessorConfig.from_folder(tmp_path) == ours


def test_without_a_file_the_published_limits_hold(tmp_path: Path) -> None:
    assert ImageProcessorConfig.from_folder(tmp_path) == ImageProcessorConfig(min_pixels=3136, max_pixels=12_845_056)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"min_pixels": 0}, "min_pixels"),
        ({"max_pixels": "many"}, "max_pixels"),
        ({"min_pixels": 9000, "max_pixels": 8000}, "at most max_pixels, 8000"),
        ({"image_mean": [0.5, 0.5]}, "three numbers"),
        ({"image_std": 0.5}, "three numbers"),
        ({"patch_size": -14}, "patch_size"),
        ({"size": 3}, "a JSON object"),
        ({"video_max_pixels": -1}, "video_max_pixels"),
    ],
)
def test_wrong_preprocessor_files_are_told(tmp_path: Path, raw: dict[str, Any], told: str) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match=told):
        ImageProcessorConfig.from_folder(tmp_path)
