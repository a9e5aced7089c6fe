"""Shape of the embedded checkpoint, version 1: the real architecture at 16 million parameters, 32 MB in bfloat16."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from anyres.config import ImageProcessorConfig, Qwen2VLConfig, TextConfig, VisionConfig
from anyres.errors import CheckpointError
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import load_model
from anyres.processing.tokenizer import Tokenizer
from recipes.tiny.vocabulary import default_ranks_file, with_token_ids, write_settings, write_tokenizer

__all__ = ["MAX_PIXELS", "SCALES", "Scale", "image_config", "model_config", "new_model", "write_start"]

RANKS = 2048
"""Print is spelled letter by letter and questions are of few words; a table of more would be a large part of it all."""
CONTEXT = 4096
VISUAL_TOKEN_AREA = 28 * 28
MAX_PIXELS = 1100 * VISUAL_TOKEN_AREA
"""Of a picture in training, and the checkpoint's own limit."""
MAX_FRAME_PIXELS = 160 * VISUAL_TOKEN_AREA
HEAD, VISION_HEAD = 64, 32
SECTION = (4, 6, 22)
"""Frequencies of t, h and w; the slowest, those of w, turn by 0.012 rad a place. Columns of a picture have the slower
ones, and with a base of 10,000 neighbours could not be told apart. All tokens of text stand at the same place of all
axes, so that theirs count along text whichever axis has them."""
ROPE_THETA = 100.0
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "added_tokens.json")


class Scale(NamedTuple):
    """Widths (multiples of 32 and 64, the widths of their heads) and depths of both halves."""

    vision_width: int
    vision_depth: int
    width: int
    mlp: int
    depth: int
    kv_heads: int


SCALES = {"version-1": Scale(192, 10, 384, 1024, 6, 2), "smoke": Scale(64, 2, 128, 256, 3, 1)}
"""Version 1, of whose 15.8 M parameters the vision encoder has 4.7, the merger 0.9, the decoder 9.4 and the table of
tokens 0.8; and one that only shows that all parts fit together."""


def model_config(tokenizer: Tokenizer, scale: Scale) -> Qwen2VLConfig:
    """The configuration of a scale with this vocabulary; tied head."""
    return with_token_ids(
        tokenizer,
        vision=VisionConfig(
            depth=scale.vision_depth,
            embed_dim=scale.vision_width,
            num_heads=scale.vision_width // VISION_HEAD,
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


def initialise(model: Qwen2VL) -> None:
    """Normal weights by fan-in, zero biases; branches start at zero so that the residual stream starts clean."""
    for name, p in model.named_parameters():
        if p.dim() < 2:
            nn.init.constant_(p, 0.0 if name.endswith("bias") else 1.0)
        elif name.endswith(("embed_tokens.weight", "merger.mlp.2.weight")):
            nn.init.normal_(p, std=0.02)
        elif name.endswith(("attn.proj.weight", "fc2.weight", "o_proj.weight", "down_proj.weight")):
            nn.init.zeros_(p)
        else:
            nn.init.normal_(p, std=0.7 * p.shape[1] ** -0.5)


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
