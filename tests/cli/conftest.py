"""A random checkpoint on disk with the vocabulary of the embedded one, and a way to call the command line."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from anyres.cli.app import app
from anyres.config import Qwen2VLConfig, TextConfig, VisionConfig
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import save_model
from anyres.processing.tokenizer import Tokenizer
from recipes.tiny.scale import SCALES, image_config, model_config
from recipes.tiny.vocabulary import default_ranks_file, write_tokenizer

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "random"
    write_tokenizer(folder, default_ranks_file(), size=2048)
    (folder / "preprocessor_config.json").write_text(json.dumps(image_config().to_dict()))
    torch.manual_seed(3)
    save_model(Qwen2VL(small_config(Tokenizer.from_folder(folder))), folder)
    return folder


def small_config(tokenizer: Tokenizer) -> Qwen2VLConfig:
    vision = VisionConfig(depth=2, embed_dim=32, num_heads=2, mlp_ratio=2, hidden_size=64)
    text = TextConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=tokenizer.vocab_size,
        max_position_embeddings=1024,
        mrope_section=(2, 3, 3),
        tie_word_embeddings=True,
    )
    return replace(model_config(tokenizer, SCALES["smoke"]), vision=vision, text=text, torch_dtype="float32")


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, cache_folder: Path) -> Run:
    """Calls the app; nothing outside this process is started, and no terminal is there."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("ANYRES_CACHE", str(cache_folder))

    def call(*arguments: str | Path, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(app, [str(one) for one in arguments], input=stdin, prog_name="anyres")

    return call


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90x60 pixels, PNG."""
    path = tmp_path_factory.mktemp("pictures") / "photo.png"
    Image.linear_gradient("L").resize((90, 60)).convert("RGB").save(path)
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames of 64x48, 0.1 s each; GIF, which needs no PyAV."""
    path = tmp_path_factory.mktemp("clips") / "clip.gif"
    frames = [Image.new("L", (64, 48), 30 * number) for number in range(8)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    return path


def encoded(picture: Image.Image, container: str = "PNG") -> bytes:
    file = io.BytesIO()
    picture.save(file, container)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes that claims any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 40)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
