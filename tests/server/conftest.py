"""The embedded checkpoint behind a server, once for all tests."""

from collections.abc import Iterator

import pytest

from anyres.engine.engine import LocalChatModel
from anyres.engine.load import load
from tests.server.serving import Running, serving

collect_ignore = ["clients"]  # programs for environments of their own


@pytest.fixture(scope="session")
def model() -> Iterator[LocalChatModel]:
    loaded = load("tiny", dtype="float32")
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def server(model: LocalChatModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Without a key; tests leave it as they found it."""
    with serving(model, tmp_path_factory.mktemp("served")) as running:
        yield running
