"""Shape of the embedded checkpoint, version 1: the real architecture at 19 million parameters, 38 MB in bfloat16."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import torch

from anyres.config import ImageProcessorConfig, Qwen2VLConfig, TextConfig, VisionConfig
from anyres.errors import CheckpointError
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import load_model
from anyres.processing.tokenizer import Tokenizer
from recipes.tiny.train import initialise
from recipes.tiny.vocabulary import default_ranks_file, with_token_ids, write_settings, write_tokenizer

__all__ = ["MAX_PIXELS", "SCALES", "Scale", "image_config", "model_config", "new_model", "write_start"]

RANKS = 8192
CONTEXT = 4096
VISUAL_TOKEN_AREA = 28 * 28
MAX_PIXELS = 1100 * VISUAL_TOKEN_AREA
"""Of a picture in training, and the checkpoint's own limit."""
MAX_FRAME_PIXELS = 160 * VISUAL_TOKEN_AREA
HEAD = 64
SECTION = (8, 12, 12)
"""Frequencies of t, h and w: shared out as the 16, 24, 24 of the published heads of 128."""
# M-RoPE gives columns the slowest frequencies, theta^(-20/32) to theta^(-31/32) with heads of 64. At 20 a column turns
# them by 0.055 to 0.154 rad: more than the 0.003 rad at 10,000, which left neighbours alike, and the slowest turns once
# in 114 places, against 59 at the 10 of version 0, whose answers were a line long.
ROPE_THETA = 20.0
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "added_tokens.json")


class Scale(NamedTuple):
    """Widths (multiples of 64, the width of a head) and depths of both halves."""

    vision_width: int
    vision_depth: int
    width: int
    mlp: int
    depth: int
    kv_heads: int


SCALES = {"version-1": Scale(256, 6, 384, 1024, 6, 2), "smoke": Scale(64, 2, 128, 256, 3, 1)}
"""Version 1, of whose 19.0 M parameters the vision encoder has 5.0, the merger 1.4, the decoder 9.5 and the table of
tokens 3.2; and one that only shows that all parts fit together."""


def model_config(tokenizer: Tokenizer, scale: Scale) -> Qwen2VLConfig:
    """The configuration of a scale with this vocabulary; tied head."""
    return with_token_ids(
        tokenizer,
        vision=VisionConfig(
            depth=scale.vision_depth,
            embed_dim=scale.vision_width,
            num_heads=scale.vision_width // HEAD,
            hidden_size=scale.width,
        ),
        text=TextConfig(
            hidden_size=scale.width,
            intermediate_size=scale.mlp,
            num_hidden_layers=scale.depth,
            num_attention_heads=scale.width // HEAD,
            num_key_value_heads=scale.kv_heads,
            vocab_size=tokenizer.vocab_size,
            max_position_embeddings=CONTEXT,
            rope_theta=ROPE_THETA,
            mrope_section=SECTION,
            tie_word_embeddings=True,
        ),
    )


def image_config() -> ImageProcessorConfig:
    """Pixel limits of the pictures it is trained on: 4 to 1,100 visual tokens, 4 to 160 a frame of a clip."""
    return ImageProcessorConfig(
        min_pixels=4 * VISUAL_TOKEN_AREA,
        max_pixels=MAX_PIXELS,
        video_min_pixels=4 * VISUAL_TOKEN_AREA,
        video_max_pixels=MAX_FRAME_PIXELS,
    )


def write_start(folder: Path, scale: Scale, *, tokenizer: Path | None = None) -> None:
    """The folder a run starts from: all of a checkpoint but its weights; kept as it is where it is there.

    The vocabulary is that of the folder `tokenizer`, else the first RANKS ranks of Qwen's, out of dashscope.
    """
    if (folder / "config.json").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer is None:
        write_tokenizer(folder, default_ranks_file(), size=RANKS)
    else:
        for name in TOKENIZER_FILES:
            shutil.copyfile(tokenizer / name, folder / name)
    words = Tokenizer.from_folder(folder)
    write_settings(folder, words, image_config())
    config = json.dumps(model_config(words, scale).to_dict(), indent=2)
    (folder / "config.json").write_text(config + "\n", encoding="utf-8")


def new_model(folder: Path, *, weights: Path | None = None, seed: int = 0) -> Qwen2VL:
    """The model of the folder in float32: fresh weights, those of a checkpoint, or those of a `training_state.pt`."""
    torch.manual_seed(seed)
    model = Qwen2VL(Qwen2VLConfig.from_folder(folder))
    initialise(model)
    if weights is None:
        return model
    given = torch.load(weights, weights_only=True)["model"] if weights.is_file() else load_model(weights).state_dict()
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if {name: tensor.shape for name, tensor in given.items()} != shapes:
        raise CheckpointError(str(weights), "a model of another shape", f"that of {folder / 'config.json'}")
    model.load_state_dict(given)
    return model
