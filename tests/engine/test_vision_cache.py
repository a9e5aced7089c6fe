"""The cache of visual tokens against a plain dictionary, and its keys against every change of what is encoded."""

from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anyres.engine.vision_cache import VisionCache, content_key
from anyres.model_input import EncodedImage, VisualInput

TABLE_CV = torch.arange(768.0).view(3, 256)


def visual(**changes: object) -> VisualInput:
    pixels_PX = torch.arange(48, dtype=torch.uint8).view(4, 12)
    plain = VisualInput("a.png", "image", (1, 2, 2), (9, 9), (28, 28), pixels_PX=pixels_PX, normalise_CV=TABLE_CV)
    return replace(plain, **changes)  # type: ignore[arg-type]


def tokens(value: float, count: int = 4) -> torch.Tensor:
    return torch.full((count, 8), value)


def test_a_key_is_32_bytes_and_computed_once() -> None:
    one = visual()
    assert len(content_key(one)) == 32
    assert content_key(one) is content_key(one)


def test_names_sizes_and_times_do_not_matter() -> None:
    """They do not reach the vision encoder."""
    other = visual(name="b.png", original_size=(1, 2), note="shrunk", frame_times_s=(0.0, 1.0))
    assert content_key(other) == content_key(visual())


def test_memory_layout_does_not_matter() -> None:
    wide_PX = torch.arange(96, dtype=torch.uint8).view(4, 24)
    wide_PX[:, ::2] = visual().pixels_PX
    assert content_key(visual(pixels_PX=wide_PX[:, ::2])) == content_key(visual())


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "video"},
        {"grid_thw": (1, 1, 4)},
        {"pixels_PX": torch.arange(48, dtype=torch.uint8).view(2, 24)},
        {"pixels_PX": torch.arange(48, dtype=torch.int8).view(4, 12)},
        {"pixels_PX": torch.arange(48, dtype=torch.float32).view(4, 12), "normalise_CV": None},
        {"normalise_CV": TABLE_CV + 1},
        {"normalise_CV": None},
        {"pixels_PX": None, "normalise_CV": None, "visual_MD": tokens(1)},
        {"pixels_PX": None, "normalise_CV": None, "visual_MD": tokens(2)},
    ],
)
def test_all_that_reaches_the_encoder_matters(changes: dict[str, object]) -> None:
    assert content_key(visual(**changes)) != content_key(visual())


@given(st.integers(0, 47), st.integers(1, 255))
def test_every_pixel_matters(place: int, change: int) -> None:
    pixels_PX = visual().pixels_PX
    assert pixels_PX is not None
    pixels_PX.view(-1)[place] += change
    assert content_key(visual(pixels_PX=pixels_PX)) != content_key(visual())


def test_visual_tokens_are_those_of_their_encoder() -> None:
    def encoded(encoder: str) -> bytes:
        return EncodedImage("a", "image", (1, 2, 2), (9, 9), (28, 28), visual_MD=tokens(1), encoder=encoder).content_key

    assert encoded("x") == encoded("x")
    assert len({encoded("x"), encoded("y"), visual(pixels_PX=None, visual_MD=tokens(1)).content_key}) == 3


def test_bfloat16_has_a_key() -> None:
    assert content_key(visual(pixels_PX=None, visual_MD=tokens(1).bfloat16()))


def test_what_was_put_comes_back_until_it_is_pushed_out() -> None:
    cache = VisionCache(2 * tokens(0).nbytes)
    cache.put(b"a", tokens(1))
    cache.put(b"b", tokens(2))
    assert torch.equal(cache.get(b"a"), tokens(1))  # b is now the oldest
    cache.put(b"c", tokens(3))
    assert cache.get(b"b") is None
    assert cache.get(b"a") is not None
    assert cache.stats == (2, 1, 2, 2 * tokens(0).nbytes)
    cache.clear()
    assert cache.get(b"a") is None
    assert cache.stats.bytes == 0


def test_a_copy_is_kept() -> None:
    """Of the part alone, not of the tensor that the part is a view of."""
    cache, whole = VisionCache(), tokens(1, 1000)
    cache.put(b"a", whole[:4])
    whole.zero_()
    found = cache.get(b"a")
    assert found is not None
    assert torch.equal(found, tokens(1))
    assert found.untyped_storage().nbytes() == found.nbytes


def test_what_is_too_large_is_not_kept_and_pushes_nothing_out() -> None:
    cache = VisionCache(tokens(0).nbytes)
    cache.put(b"a", tokens(1))
    cache.put(b"b", tokens(2, 5))
    assert cache.get(b"a") is not None
    assert cache.get(b"b") is None
    cache.put(b"a", tokens(2, 5))  # nor does the old value stay
    assert cache.get(b"a") is None
    assert VisionCache(0).get(b"a") is None


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 6)), max_size=40),
    st.integers(0, 12),
)
def test_least_recently_used_goes_first(steps: list[tuple[bool, int, int]], room: int) -> None:
    """Against a list in the order of use."""
    row = tokens(0, 1).nbytes
    cache, model = VisionCache(room * row), OrderedDict[bytes, int]()
    for is_put, name, rows in steps:
        key = bytes([name])
        if not is_put:
            found = cache.get(key)
            assert (None if found is None else len(found)) == model.get(key)
            if key in model:
                model.move_to_end(key)
            continue
        cache.put(key, tokens(name, rows))
        model.pop(key, None)
        if rows <= room:
            model[key] = rows
        while sum(model.values()) > room:
            model.popitem(last=False)
        assert cache.stats.bytes == sum(model.values()) * row
