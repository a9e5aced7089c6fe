"""What earlier requests brought: given again to its owner alone, and never more than there is room for."""

import asyncio
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anyres.config import ImageProcessorConfig
from anyres.model_input import VisualInput
from anyres.server.media import ImageOptions, MediaDoor, MediaLimits, MediaRequest
from anyres.server.prepared import Prepared, prepared_key
from tests.server.serving import picture


def visual(size: int) -> VisualInput:
    pixels_PX = torch.zeros((size, 1), dtype=torch.uint8)
    return VisualInput("a", "image", (1, 1, 1), (28, 28), (28, 28), pixels_PX=pixels_PX)


def test_the_last_used_stay() -> None:
    kept = Prepared(10)
    for name in (b"a", b"b", b"c"):
        kept.put(name, [visual(3)])
    assert kept.get(b"a") is not None
    kept.put(b"d", [visual(3)])  # there is room for three
    assert [kept.get(name) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert kept.bytes == 9


def test_what_alone_is_too_much_drives_nobody_out() -> None:
    kept = Prepared(10)
    kept.put(b"a", [visual(10)])
    kept.put(b"b", [visual(6), visual(6)])
    assert kept.get(b"a") is not None
    assert kept.get(b"b") is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 12)), max_size=30))
def test_never_more_than_there_is_room_for(steps: list[tuple[int, int]]) -> None:
    kept = Prepared(20)
    for name, size in steps:
        kept.put(bytes([name]), [visual(size)])
        assert kept.bytes <= 20
    found = [one for name in range(6) if (one := kept.get(bytes([name]))) is not None]
    assert kept.bytes == sum(one.pixels_PX.nbytes for (one,) in found if one.pixels_PX is not None)


@pytest.mark.parametrize("other", [("b", "k", [b"x", b"y"]), ("a", "l", [b"x", b"y"]), ("a", "k", [b"xy"]),
                                   ("a", "k", [b"xy", b""]), ("ak", "", [b"x", b"y"])])  # fmt: skip
def test_keys_differ_with_whatever_differs(other: tuple[str, str, list[bytes]]) -> None:
    """T40, T41."""
    assert prepared_key(*other) != prepared_key("a", "k", [b"x", b"y"])


def test_a_picture_is_decoded_once_for_each_owner() -> None:
    async def work() -> None:
        door = MediaDoor(MediaLimits(decoders=1), config=ImageProcessorConfig())
        try:
            decoded: list[str] = []
            run = door._pool.run

            async def counted(work, *, kind, owner):  # type: ignore[no-untyped-def]
                decoded.append(owner)
                return await run(work, kind=kind, owner=owner)

            door._pool.run = counted  # type: ignore[method-assign]
            request = MediaRequest("image", picture())
            first, again = [await door.open([request], "one") for _ in range(2)]
            assert first == again
            assert decoded == ["one"]
            (other,) = await door.open([request], "two")
            assert decoded == ["one", "two"]
            assert torch.equal(other[0].image.pixels_PX, first[0][0].image.pixels_PX)  # type: ignore[union-attr]
            await door.open([MediaRequest("image", picture(), 0, ImageOptions(max_pixels=3136))], "one")
            assert decoded == ["one", "two", "one"]
            assert door.kept_bytes > 0
        finally:
            await door.close()

    asyncio.run(work())


def test_a_limit_of_nothing_keeps_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        door = MediaDoor(MediaLimits(decoders=1, prepared_bytes=0), config=ImageProcessorConfig())
        try:
            await door.open([MediaRequest("image", picture())], "one")
            assert door.kept_bytes == 0
        finally:
            await door.close()

    asyncio.run(work())
