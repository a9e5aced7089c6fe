"""`load(cache=...)`: a second program finds what the first one saw, and never anything else."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anyres.chat import GenerationOptions
from anyres.disk_cache import DiskCache
from anyres.engine.engine import LocalChatModel
from anyres.engine.load import load
from tests.engine.conftest import write_checkpoint

CLIP = Path(__file__).parents[2] / "examples" / "clips" / "sign_book.mkv"
SHORT = GenerationOptions(max_tokens=6, temperature=0.0)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (84, 112, 3), dtype=np.uint8))


def opened(checkpoint: Path, cache: object, dtype: str = "float32") -> LocalChatModel:
    return load(checkpoint, device="cpu", dtype=dtype, cache=cache)  # type: ignore[arg-type]


def flushed(model: LocalChatModel) -> None:
    assert model.vision_cache.disk is not None
    model.vision_cache.disk.flush()


def test_a_picture_is_seen_once(checkpoint: Path, tmp_path: Path, picture: Image.Image) -> None:
    first = opened(checkpoint, tmp_path)
    before = first.ask(picture, "What?", options=SHORT)
    assert before.usage.cached_visual_tokens == 0
    flushed(first)
    after = opened(checkpoint, str(tmp_path)).ask(picture, "What?", options=SHORT)
    assert after.usage.cached_visual_tokens == after.usage.image_tokens > 0
    assert after.text == before.text


def test_a_clip_is_neither_seen_nor_decoded_again(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av")
    first = opened(checkpoint, tmp_path)
    before = first.ask(None, "What?", video=CLIP, nframes=4, max_pixels=28 * 28 * 12, min_pixels=28 * 28, options=SHORT)
    flushed(first)
    assert {entry.kind for entry in DiskCache(tmp_path).entries()} == {"vision", "frames"}

    def refuse(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("anyres.processing.streaming.ClipDecoder.wait_for", refuse)
    again = opened(checkpoint, tmp_path)
    after = again.ask(None, "What?", video=CLIP, nframes=4, max_pixels=28 * 28 * 12, min_pixels=28 * 28, options=SHORT)
    assert after.text == before.text
    assert after.usage.cached_visual_tokens == after.usage.video_tokens > 0


def test_other_weights_and_dtypes_see_for_themselves(
    checkpoint: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, picture: Image.Image
) -> None:
    first = opened(checkpoint, tmp_path)
    first.ask(picture, "What?", options=SHORT)
    flushed(first)
    other = write_checkpoint(tmp_path_factory.mktemp("other"), seed=1)
    for model in (opened(other, tmp_path), opened(checkpoint, tmp_path, "bfloat16")):
        assert model.ask(picture, "What?", options=SHORT).usage.cached_visual_tokens == 0


@pytest.mark.parametrize("byte", range(0, 4000, 371))
def test_a_flipped_byte_costs_time_and_nothing_else(
    checkpoint: Path, tmp_path: Path, picture: Image.Image, byte: int
) -> None:
    first = opened(checkpoint, tmp_path)
    before = first.ask(picture, "What?", options=SHORT)
    flushed(first)
    (entry,) = DiskCache(tmp_path).entries()
    whole = bytearray(entry.path.read_bytes())
    whole[byte % len(whole)] ^= 0x10
    entry.path.write_bytes(whole)
    again = opened(checkpoint, tmp_path)
    after = again.ask(picture, "What?", options=SHORT)
    assert (after.text, after.usage.cached_visual_tokens) == (before.text, 0)
    flushed(again)
    assert opened(checkpoint, tmp_path).ask(picture, "What?", options=SHORT).usage.cached_visual_tokens > 0


def test_nothing_is_kept_unless_asked_for(
    checkpoint: Path, tmp_path: Path, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ANYRES_CACHE")
    assert load(checkpoint, device="cpu", dtype="float32").vision_cache.disk is None
    assert opened(checkpoint, False).vision_cache.disk is None
    monkeypatch.setenv("ANYRES_CACHE", str(tmp_path / "named"))
    model = load(checkpoint, device="cpu", dtype="float32")
    assert model.vision_cache.disk is not None
    assert model.vision_cache.disk.folder == tmp_path / "named"
    assert list(tmp_path.iterdir()) == []
