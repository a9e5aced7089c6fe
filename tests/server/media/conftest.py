"""A door that is open, in an event loop of its own."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from anyres.config import ImageProcessorConfig
from anyres.server.media import MediaDoor, MediaLimits, MediaRequest

CONFIG = ImageProcessorConfig()


class OpenDoor:
    """`door(request, ...)` gives what the door gives."""

    def __init__(self, limits: MediaLimits | None = None, **others: Any) -> None:
        self.runner = asyncio.Runner()
        self.door = MediaDoor(limits or MediaLimits(decoders=1), config=CONFIG, **others)

    def __call__(self, *requests: MediaRequest, owner: str = "me") -> list[list[Any]]:
        return self.runner.run(self.door.open(requests, owner))

    def close(self) -> None:
        self.runner.run(self.door.close())
        self.runner.close()


@pytest.fixture(scope="session")
def shared_door() -> Iterator[OpenDoor]:
    door = OpenDoor()
    yield door
    door.close()


@pytest.fixture
def door(shared_door: OpenDoor) -> OpenDoor:
    """With the default limits and one process."""
    return shared_door
