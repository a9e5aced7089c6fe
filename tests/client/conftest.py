"""A fake server for each test, and a model that asks it without waiting between tries."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anyres.client import Endpoint, RemoteChatModel
from anyres.client.wire import Patience
from tests.client.fake_server import FakeServer, serving

KEY = "sk-very-secret-0123456789"
Make = Callable[..., RemoteChatModel]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as fake:
        yield fake


@pytest.fixture
def pauses() -> list[float]:
    """How long the client would have waited before each further try."""
    return []


@pytest.fixture
def make(server: FakeServer, pauses: list[float]) -> Iterator[Make]:
    """A model at the fake server; keywords are those of Endpoint and RemoteChatModel."""
    models: list[RemoteChatModel] = []

    def build(**knobs: Any) -> RemoteChatModel:
        names = ("retries", "connect_timeout_s", "read_timeout_s", "headers")
        endpoint = Endpoint(server.base_url, KEY, **{name: knobs.pop(name) for name in names if name in knobs})
        patience = Patience(sleep=pauses.append, now=lambda: 1_000_000.0, share=lambda: 0.0)
        knobs.setdefault("dialect", "plain")
        models.append(RemoteChatModel(endpoint, **{"model": "m", "patience": patience, **knobs}))
        return models[-1]

    yield build
    for model in models:
        model.close()


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """168x112 pixels, PNG: a size Qwen2-VL leaves as it is."""
    path = tmp_path_factory.mktemp("pictures") / "photo.png"
    Image.linear_gradient("L").resize((168, 112)).convert("RGB").save(path)
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames of 84x56, 0.25 s each; GIF, which needs no PyAV."""
    path = tmp_path_factory.mktemp("clips") / "clip.gif"
    frames = [Image.new("L", (84, 56), 30 * number) for number in range(8)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=250)
    return path
