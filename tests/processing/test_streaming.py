"""Streamed clips against the same clips read whole; what is decoded, when, and what goes wrong on the way."""

import gc
import io
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from anyres.chat import VideoPart
from anyres.config import ImageProcessorConfig
from anyres.disk_cache import DiskCache
from anyres.errors import MediaError, OptionError
from anyres.processing import streaming
from anyres.processing.clip import Clip
from anyres.processing.streaming import StreamedClip, stream_clip
from anyres.processing.video import video_to_visual

CONFIG = ImageProcessorConfig()
WAIT_S = 60


@pytest.fixture(scope="module")
def clip_bytes() -> bytes:
    file = io.BytesIO()
    rng = np.random.default_rng(0)
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=10, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(40):
            picture = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode())
    return file.getvalue()


@pytest.fixture
def path(tmp_path: Path, clip_bytes: bytes) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip_bytes)
    return path


def part(source: object, **knobs: Any) -> VideoPart:
    return VideoPart(source, max_pixels=28 * 28 * 16, min_pixels=28 * 28, **knobs)


def streamed(source: object, cache: DiskCache | None = None, **knobs: Any) -> StreamedClip:
    return stream_clip(part(source, **knobs), config=CONFIG, cache=cache)


class Counted:
    """Counts the frames that are decoded; each waits for its turn when `gate` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.turns: threading.Semaphore | None = None
        plain = Clip.iter_frames

        def counted(clip: Clip, indices: Any) -> Iterator[Any]:
            for frame in plain(clip, indices):
                if self.turns is not None:
                    assert self.turns.acquire(timeout=WAIT_S)
                self.count += 1
                yield frame

        monkeypatch.setattr(Clip, "iter_frames", counted)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


@pytest.mark.parametrize("knobs", [{}, {"fps": 1.0}, {"nframes": 6}, {"start": 1.0, "end": 3.0}])
def test_the_same_as_a_clip_that_is_read_whole(path: Path, clip_bytes: bytes, knobs: dict[str, Any]) -> None:
    whole = video_to_visual(part(path, **knobs), config=CONFIG)
    for source in (path, str(path), clip_bytes, io.BytesIO(clip_bytes)):
        clip = streamed(source, **knobs)
        assert (clip.grid_thw, clip.frame_times_s, clip.resized_size) == (
            whole.grid_thw,
            whole.frame_times_s,
            whole.resized_size,
        )
        assert torch.equal(clip.patches(), whole.patches())
        assert torch.equal(clip.patches(3, 9), whole.patches(3, 9))


def test_animations_too() -> None:
    frames = [Image.new("RGB", (64, 64), (40 * n, 0, 0)) for n in range(5)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=500)
    clip = streamed(file.getvalue())
    assert torch.equal(clip.patches(), video_to_visual(part(file.getvalue()), config=CONFIG).patches())


def test_nothing_is_decoded_until_patches_are_asked_for(path: Path, decoded: Counted) -> None:
    clip = streamed(path)
    assert clip.content_key
    assert clip.pixels_PX is None
    assert decoded.count == 0
    clip.patches()
    assert decoded.count == len(clip.frame_times_s)
    clip.patches()
    assert decoded.count == len(clip.frame_times_s)


def test_patches_come_before_the_clip_is_decoded(path: Path, decoded: Counted) -> None:
    clip, whole = streamed(path), video_to_visual(part(path), config=CONFIG)
    decoded.count = 0
    decoded.turns = threading.Semaphore(3)  # two frames and the one that shows that they are in their places
    t, h, w = clip.grid_thw
    assert t > 2
    assert torch.equal(clip.patches(0, h * w), whole.patches(0, h * w))
    assert decoded.count <= 3
    decoded.turns.release(1000)
    assert torch.equal(clip.patches(), whole.patches())


def test_whether_patches_are_ready(path: Path, decoded: Counted) -> None:
    """The engine may encode something else meanwhile."""
    clip = streamed(path)
    _, h, w = clip.grid_thw
    decoded.turns = threading.Semaphore(0)
    clip.begin()
    assert clip.ready_rows() < h * w
    assert not clip.done
    decoded.turns.release(3)
    assert len(clip.patches(0, h * w)) == h * w
    assert h * w <= clip.ready_rows() < 3 * h * w
    decoded.turns.release(1000)
    clip.patches()
    assert clip.ready_rows() >= 3 * h * w


def test_keys_are_those_of_content_and_knobs(path: Path, clip_bytes: bytes) -> None:
    def key(source: object, **knobs: Any) -> bytes:
        return streamed(source, **knobs).content_key

    same = {key(path), key(clip_bytes), key(str(path))}
    assert len(same) == 1
    others = [key(path, fps=1.0), key(path, start=1.0), key(path, nframes=4), key(path, total_pixels=10**6)]
    others += [key(clip_bytes + b"\0" * 8), video_to_visual(part(path), config=CONFIG).content_key]
    others += [stream_clip(part(path), config=replace(CONFIG, image_mean=(0.5, 0.5, 0.5))).content_key]
    assert len({*same, *others}) == 8


def test_a_key_is_of_the_decoder_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = streamed(path).content_key
    monkeypatch.setattr(av, "library_versions", {"libavcodec": (0, 0, 1)})
    assert streamed(path).content_key != before


def test_frames_are_kept_on_disk(path: Path, tmp_path: Path, decoded: Counted) -> None:
    cache = DiskCache(tmp_path / "cache")
    first = streamed(path, cache).patches()
    cache.flush()
    decoded.count = 0
    assert torch.equal(streamed(path, DiskCache(tmp_path / "cache")).patches(), first)
    assert decoded.count == 0
    assert streamed(path, cache, fps=1.0).patches().shape != first.shape
    assert decoded.count > 0


def test_damaged_frames_are_decoded_again(path: Path, tmp_path: Path, decoded: Counted) -> None:
    cache = DiskCache(tmp_path / "cache")
    first = streamed(path, cache).patches()
    cache.flush()
    (entry,) = cache.entries()
    whole = bytearray(entry.path.read_bytes())
    whole[len(whole) // 2] ^= 4
    entry.path.write_bytes(whole)
    decoded.count = 0
    assert torch.equal(streamed(path, cache).patches(), first)
    assert decoded.count > 0
    assert cache.stats.rebuilt == 1


def test_a_clip_that_breaks_off(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was decoded before is there; what comes later raises, each time; nothing is kept."""
    plain = Clip.iter_frames

    def broken(clip: Clip, indices: Any) -> Iterator[Any]:
        for number, frame in enumerate(plain(clip, indices)):
            if number == 5:
                raise MediaError(clip.name, "frame 5 does not decode", "a complete, undamaged clip")
            yield frame

    monkeypatch.setattr(Clip, "iter_frames", broken)
    cache = DiskCache(tmp_path / "cache")
    clip = streamed(path, cache)
    _, h, w = clip.grid_thw
    for _ in range(2):
        with pytest.raises(MediaError, match="frame 5"):
            clip.patches()
    assert len(clip.patches(0, 2 * h * w)) == 2 * h * w
    cache.flush()
    assert cache.entries() == []


def test_a_file_that_changes_while_it_is_read(path: Path, tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache")
    clip = streamed(path, cache)
    os.utime(path, (1, 1))
    with pytest.raises(MediaError, match="changed while it was read"):
        clip.patches()
    cache.flush()
    assert cache.entries() == []


def test_bad_clips_and_knobs_are_refused_before_anything_is_asked_for(tmp_path: Path, path: Path) -> None:
    with pytest.raises(MediaError, match="looks like"):
        streamed(b"no clip")
    with pytest.raises(MediaError, match="no such file"):
        streamed(tmp_path / "none.mp4")
    with pytest.raises(OptionError, match="fps"):
        streamed(path, fps=0.0)
    with pytest.raises(OptionError, match="start"):
        streamed(path, start=100.0)


@pytest.mark.parametrize("begun", [False, True])
def test_a_clip_nobody_wants_any_more_stops_and_closes(path: Path, decoded: Counted, begun: bool) -> None:
    decoded.turns = threading.Semaphore(3)
    clip = streamed(path)
    decoder = clip.decoder
    assert decoder is not None
    file = decoder._source.file
    if begun:
        clip.patches(0, 1)
    del clip
    gc.collect()
    decoded.turns.release(1)
    for thread in threading.enumerate():
        if thread.name == "anyres-clip":
            thread.join(WAIT_S)
    assert file.closed
    assert decoded.count <= 4


def test_several_threads_may_ask(path: Path) -> None:
    clip, whole = streamed(path), video_to_visual(part(path), config=CONFIG).patches()
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(torch.equal(clip.patches(), whole))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert found == [True] * 4


def test_the_decoder_module_names_its_format() -> None:
    """A change of what is kept must change this number, and with it this line."""
    assert streaming.FORMAT == 1
