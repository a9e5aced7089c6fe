"""A tiny random checkpoint as a folder, and the engine on it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from anyres.engine.engine import LocalChatModel
from anyres.engine.load import load
from anyres.model.weights import save_model
from anyres.processing.tokenizer import byte_alphabet, tokenizer_spec
from tests.oracle import SPECIAL_IDS, tiny_config, tiny_model


def write_checkpoint(folder: Path, *, seed: int = 0, context: int = 4096, **generation: object) -> Path:
    save_model(tiny_model(tiny_config(context=context), seed=seed), folder)
    vocab = {char: value for value, char in enumerate(byte_alphabet())}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_spec(vocab, [], SPECIAL_IDS)))
    if generation:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> LocalChatModel:
    """Without a generation_config.json: greedy."""
    return load(write_checkpoint(tmp_path_factory.mktemp("checkpoint")), device="cpu", dtype="float32")


@pytest.fixture
def make_engine(tmp_path: Path) -> Callable[..., LocalChatModel]:
    """An engine of its own, with the given context and generation_config.json."""

    def make(*, seed: int = 0, context: int = 4096, **generation: object) -> LocalChatModel:
        folder = tmp_path / f"checkpoint{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        write_checkpoint(folder, seed=seed, context=context, **generation)
        return load(folder, device="cpu", dtype="float32")  # its `name` is the folder

    return make
