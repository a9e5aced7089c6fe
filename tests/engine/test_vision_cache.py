"""The cache of visual tokens against a plain dictionary, and its keys against every change of what is encoded."""

import logging
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anyres.disk_cache import DiskCache
from anyres.engine.vision_cache import VisionCache, VisionCacheStats, content_key, weights_id
from anyres.model_input import EncodedImage, VisualInput

TABLE_CV = torch.arange(768.0).view(3, 256)


def visual(**changes: object) -> VisualInput:
    pixels_PX = torch.arange(48, dtype=torch.uint8).view(4, 12)
    plain = VisualInput("a.png", "image", (1, 2, 2), (9, 9), (28, 28), pixels_PX=pixels_PX, normalise_CV=TABLE_CV)
    return replace(plain, **changes)  # type: ignore[arg-type]


def tokens(value: float, count: int = 4) -> torch.Tensor:
    return torch.full((count, 8), float(value))


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
    assert cache.stats == VisionCacheStats(hits=2, misses=1, entries=2, bytes=2 * tokens(0).nbytes)
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


class OnDisk(VisionCache):
    disk: DiskCache


def on_disk(folder: Path, max_bytes: int = 0, **made_by: object) -> OnDisk:
    """By default all in memory is forgotten at once, as by a restart."""
    return OnDisk(max_bytes, disk=DiskCache(folder), **({"weights_id": "x"} | made_by))  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_restart_keeps_what_was_put(tmp_path: Path, dtype: torch.dtype) -> None:
    before = on_disk(tmp_path, 10**6, dtype=dtype)
    before.put(b"a", torch.rand(5, 8).to(dtype))
    before.disk.flush()
    after = on_disk(tmp_path, 10**6, dtype=dtype)
    found, expected = after.get(b"a"), before.get(b"a")
    assert found is not None
    assert expected is not None
    assert found.dtype == dtype
    assert torch.equal(found, expected)
    assert after.stats == VisionCacheStats(hits=1, disk_hits=1, entries=1, bytes=found.nbytes)
    assert after.get(b"a") is found  # from memory now
    assert after.stats.disk_hits == 1


def test_other_weights_or_dtypes_find_nothing(tmp_path: Path) -> None:
    cache = on_disk(tmp_path, weights_id="x")
    cache.put(b"a", tokens(1))
    cache.disk.flush()
    assert on_disk(tmp_path, weights_id="x").get(b"a") is not None
    assert on_disk(tmp_path, weights_id="y").get(b"a") is None
    assert on_disk(tmp_path, weights_id="x", dtype=torch.bfloat16).get(b"a") is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "unreadable"])
def test_a_damaged_entry_is_computed_and_kept_again(tmp_path: Path, damage: str) -> None:
    cache = on_disk(tmp_path)
    cache.put(b"a", tokens(1))
    cache.disk.flush()
    (path,) = tmp_path.iterdir()
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole if damage == "flipped" else whole[:-1])
    if damage == "unreadable":
        path.unlink()
        path.symlink_to("/proc/self/mem")
    assert cache.get(b"a") is None
    assert cache.disk.stats.rebuilt == 1
    cache.put(b"a", tokens(1))
    cache.disk.flush()
    found = cache.get(b"a")
    assert found is not None
    assert torch.equal(found, tokens(1))


def test_without_a_disk_that_can_be_written_memory_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    cache = on_disk(Path("/proc/anyres"), 10**6)
    with caplog.at_level(logging.WARNING):
        for key in (b"a", b"b"):
            cache.put(key, tokens(1))
            cache.disk.flush()
            assert cache.get(key) is not None
    assert len(caplog.records) == 1


def test_one_value_of_the_weights_changes_their_name() -> None:
    layer = torch.nn.Linear(200, 100)
    names = {weights_id(layer, "sizes"), weights_id(layer, "other sizes"), weights_id(layer.bfloat16(), "sizes")}
    layer = layer.float()
    names.add(weights_id(layer, "sizes"))  # rounded on the way
    for place in (0, 8191, 8192, 19_999):
        with torch.no_grad():
            layer.weight.view(-1)[place] += 1
        names.add(weights_id(layer, "sizes"))
    with torch.no_grad():
        layer.bias[99] += 1
    names.add(weights_id(layer, "sizes"))
    assert len(names) == 9
    assert weights_id(layer, "sizes") in names


def test_weights_of_all_dtypes_have_a_name() -> None:
    def name(dtype: torch.dtype, size: int) -> str:
        module = torch.nn.Module()
        module.register_buffer("kept", torch.zeros(size, dtype=dtype))
        return weights_id(module, None)

    kinds = [(dtype, size) for dtype in (torch.uint8, torch.int32, torch.bfloat16) for size in (0, 3, 40_000)]
    assert len({name(*kind) for kind in kinds}) == len(kinds)
