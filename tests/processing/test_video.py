"""Choice, size and resize of frames against qwen-vl-utils 0.0.8 (goldens); decoding by seeking against decoding all."""

import functools
import io
import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from anyres.chat import ImagePart, VideoPart
from anyres.config import ImageProcessorConfig
from anyres.errors import MediaError, OptionError
from anyres.processing.image import Size, image_to_visual, normalise_table, patchify
from anyres.processing.media import MediaLimits, open_video
from anyres.processing.video import (
    clip_size,
    frame_indices,
    frame_range,
    resize_frame,
    smart_nframes,
    video_to_visual,
)
from tests.scheduling import ordinary_scheduling

GOLDENS = Path(__file__).parents[1] / "goldens" / "vision.npz"
CLIPS = Path(__file__).parents[2] / "examples" / "clips"
CONFIG = ImageProcessorConfig()
CROP = 40
BITS = 8  # a frame's number is drawn on it as that many black or white bars
FORMATS = [
    ("mp4", "libx264", {"g": "10", "bf": "2"}),
    ("mp4", "libx264", {"g": "48", "bf": "3", "x264-params": "open-gop=1:keyint=12:scenecut=0"}),
    ("mp4", "libx265", {"x265-params": "keyint=10:log-level=none"}),
    ("mov", "mjpeg", {}),
    ("mp4", "mpeg4", {"g": "12", "bf": "2"}),
    ("matroska", "libx264", {"g": "15", "bf": "2"}),
    ("matroska", "libsvtav1", {"preset": "12", "svtav1-params": "keyint=15"}),
    ("webm", "libvpx", {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "10"}),
    ("webm", "libvpx-vp9", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    ("avi", "mpeg4", {"g": "12"}),
    ("avi", "libx264", {"g": "12", "bf": "2"}),
    ("mpegts", "libx264", {"g": "12", "bf": "2"}),
    ("mpegts", "mpeg2video", {"g": "12", "bf": "2"}),
]


def numbered_frame(number: int, height: int = 64, width: int = 96) -> np.ndarray:
    bars = [255 * (number >> bit & 1) for bit in range(BITS)]
    row = np.repeat(np.array(bars, dtype=np.uint8), width // BITS)
    return np.repeat(np.broadcast_to(row, (height, width))[:, :, None], 3, axis=2)


def number_on(frame: np.ndarray) -> int:
    bars = frame[16:48].mean(axis=(0, 2)).reshape(BITS, -1)
    return sum(int(bar.mean() > 127) << bit for bit, bar in enumerate(bars))


@functools.cache
def numbered_clip(
    container: str, codec: str, options: tuple[tuple[str, str], ...], count: int = 60, fps: int = 10
) -> bytes:
    file = io.BytesIO()
    with ordinary_scheduling(), av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=fps, options=dict(options))
        stream.width, stream.height = 96, 64
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return file.getvalue()


def h264(count: int = 60, fps: int = 10) -> bytes:
    return numbered_clip("mp4", "libx264", (("g", "10"),), count, fps)


# The choice of frames


def test_frame_choice_equals_qwen_vl_utils() -> None:
    goldens = np.load(GOLDENS)
    left, checked, refused = goldens["frame_indices"], 0, 0
    for total, clip_fps, fps, nframes, low, high, expected in goldens["frame_choice"].tolist():
        asked = {"nframes": nframes, "min_frames": low, "max_frames": high}
        options = {name: int(value) for name, value in asked.items() if value != -1}
        ask = functools.partial(smart_nframes, int(total), clip_fps, fps=None if fps == -1 else fps, **options)
        if expected == -1:
            refused += 1
            if (
                "max_frames" in options
            ):  # the reference refuses more frames than there are; here the clip's length counts
                assert ask() <= total
            else:
                with pytest.raises(OptionError):
                    ask()
            continue
        assert ask() == expected, (total, clip_fps, fps, options)
        count = int(expected)
        assert frame_indices(0, int(total) - 1, count) == left[:count].tolist()
        left, checked = left[count:], checked + 1
    assert checked >= 500
    assert refused >= 5
    assert len(left) == 0


@pytest.mark.parametrize(
    ("total", "fps", "expected"),
    [(300, 30, 20), (150, 30, 10), (45, 30, 4), (3, 30, 2), (100, 29.97, 6), (69, 25, 6), (36000, 30, 768), (2, 30, 2)],
)
def test_golden_frame_counts(total: int, fps: float, expected: int) -> None:
    assert smart_nframes(total, fps) == expected


def test_golden_indices() -> None:
    expected = [0, 16, 31, 47, 63, 79, 94, 110, 126, 142, 157, 173, 189, 205, 220, 236, 252, 268, 283, 299]
    assert frame_indices(0, 299, 20) == expected


def test_explicit_counts_round_half_to_even() -> None:
    assert [smart_nframes(100, 30, nframes=n) for n in (2, 3, 5, 7, 9, 10)] == [2, 4, 4, 8, 8, 10]


def test_more_frames_than_there_are() -> None:
    assert smart_nframes(9, 30.0, max_frames=400, min_frames=200) == 8
    with pytest.raises(OptionError, match="nframes: 20 frames of a clip that has 9; allowed: 2 to 9"):
        smart_nframes(9, 30.0, nframes=20)


@given(st.integers(2, 10**6), st.floats(0.01, 1000), st.floats(1e-9, 1e9))
def test_frame_count_is_even_and_within_the_clip(total: int, clip_fps: float, fps: float) -> None:
    count = smart_nframes(total, clip_fps, fps=fps)
    assert count % 2 == 0
    assert 2 <= count <= min(total, 768)


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 384))
def test_indices_ascend_from_first_to_last(first: int, length: int, half: int) -> None:
    count = min(2 * half, length + 1)
    indices = frame_indices(first, first + length, count)
    assert indices[0] == first
    assert count == 1 or indices[-1] == first + length
    assert indices == sorted(indices)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, (0, 299)),
        (0.0, None, (0, 299)),
        (1.01, 2.0, (31, 60)),
        (None, 99.0, (0, 299)),
        (9.0, 9.99, (270, 299)),
    ],
)
def test_time_range(start: float | None, end: float | None, expected: tuple[int, int]) -> None:
    assert frame_range(300, 30.0, start=start, end=end) == expected


@pytest.mark.parametrize(("start", "end"), [(3.0, 2.0), (20.0, None), (10.0, None), (1.0, 1.0), (None, 0.01)])
def test_empty_time_range(start: float | None, end: float | None) -> None:
    with pytest.raises(OptionError, match="hold less than 2 frames; allowed: a range within 0 to 10 with"):
        frame_range(300, 30.0, start=start, end=end)


# The size of a frame


def test_sizes_equal_qwen_vl_utils() -> None:
    rows = np.load(GOLDENS)["clip_sizes"].tolist()
    assert len(rows) >= 300
    for height, width, count, low, high, total, *expected in rows:
        given = {"min_pixels": low, "max_pixels": high, "total_pixels": total}
        part = VideoPart("clip", **{name: value for name, value in given.items() if value != -1})
        assert list(clip_size(part, Size(height, width), count=count, config=CONFIG)) == expected


@pytest.mark.parametrize(
    ("count", "expected", "tokens"),
    [
        (4, (560, 1008), 720),
        (64, (560, 1008), 720),
        (100, (448, 812), 464),
        (200, (308, 560), 220),
        (384, (224, 420), 120),
        (768, (224, 420), 120),
    ],
)
def test_golden_clip_sizes(count: int, expected: tuple[int, int], tokens: int) -> None:
    size = clip_size(VideoPart("clip"), Size(1080, 1920), count=count, config=CONFIG)
    assert size == expected
    assert size.height * size.width // 28**2 == tokens


def test_checkpoint_states_limits_of_a_frame() -> None:
    config = replace(CONFIG, max_pixels=200_704, video_min_pixels=3136, video_max_pixels=50_176)
    assert clip_size(VideoPart("clip"), Size(480, 640), count=8, config=config) == (168, 252)
    checkpoint = VideoPart("clip", max_pixels="checkpoint")
    assert clip_size(checkpoint, Size(480, 640), count=8, config=config) == (168, 252)
    more = VideoPart("clip", max_pixels=150_000)
    assert clip_size(more, Size(480, 640), count=8, config=config) == (308, 420)
    too_much = VideoPart("clip", max_pixels=10**7)
    height, width = clip_size(too_much, Size(4000, 4000), count=8, config=config)
    assert height * width <= config.max_pixels


# The filter


def nearly_equal(ours: np.ndarray, golden: np.ndarray) -> None:
    """Bit-equal on the machine the goldens came from; other CPUs round a few values the other way."""
    difference = np.abs(ours.astype(int) - golden.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def crops(frames: list[np.ndarray]) -> np.ndarray:
    height, width = frames[0].shape[:2]
    top, left = height // 2, width // 2
    centre = [frame[top : top + CROP, left : left + CROP] for frame in frames]
    corner = [frame[-CROP:, -CROP:] for frame in frames]
    return np.stack(centre + corner).transpose(0, 3, 1, 2)


def test_filter_equals_torchvision_on_noise() -> None:
    goldens = np.load(GOLDENS)
    frames = np.random.RandomState(7).randint(0, 256, (2, 150, 210, 3), dtype=np.uint8)
    small = goldens["noise_small"]
    resized = [resize_frame(frame, Size(*small.shape[2:])) for frame in frames]
    nearly_equal(np.stack(resized).transpose(0, 3, 1, 2), small)
    nearly_equal(crops([resize_frame(frame, Size(280, 364)) for frame in frames]), goldens["noise_large"])


@pytest.mark.parametrize("name", ["sign_book.mkv", "sign_eat.mp4"])
def test_real_clips_equal_qwen_vl_utils(name: str) -> None:
    goldens = np.load(GOLDENS)
    count, _, height, width = goldens[f"{name}_shape"]
    visual = video_to_visual(VideoPart(CLIPS / name), config=CONFIG)
    assert visual.name == name
    assert visual.grid_thw == (count // 2, height // 14, width // 14)
    with open_video(CLIPS / name) as clip:
        indices = goldens[f"{name}_indices"].tolist()
        frames = [resize_frame(frame, Size(height, width)) for frame in clip.iter_frames(indices)]
    nearly_equal(crops(frames), goldens[f"{name}_crops"])
    expected = patchify(frames, count=count, size=Size(height, width), config=CONFIG)
    assert visual.pixels_PX is not None
    assert torch.equal(visual.pixels_PX, expected)


@given(st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=20, deadline=None)
def test_a_plain_frame_stays_plain(height: int, width: int) -> None:
    frame = np.full((31, 45, 3), (7, 130, 255), dtype=np.uint8)
    assert (resize_frame(frame, Size(height, width)) == (7, 130, 255)).all()


# Decoding


def test_facts_of_the_real_clips() -> None:
    with open_video(str(CLIPS / "sign_book.mkv")) as clip:
        assert (clip.total_frames, clip.fps, clip.height, clip.width) == (109, 30.0, 480, 640)
        assert clip.duration_s == pytest.approx(3.633, abs=1e-3)
    with open_video(CLIPS / "sign_eat.mp4") as clip:
        assert (clip.total_frames, clip.fps) == (47, 30.0)
        assert clip.times_s([0, 46]) == pytest.approx((0, 46 / 30), abs=1e-3)


@pytest.mark.parametrize("name", ["sign_book.mkv", "sign_eat.mp4"])
def test_seeking_gives_the_frames_that_decoding_all_gives(name: str) -> None:
    with av.open(str(CLIPS / name)) as container:
        every = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with open_video(CLIPS / name) as clip:
        assert clip.total_frames == len(every)
        for indices in ([0], [len(every) - 1], [5, 3, 3, 40], list(range(0, len(every), 7)), [20, 21, 22]):
            np.testing.assert_array_equal(clip.read_frames(indices), np.stack([every[index] for index in indices]))


@pytest.mark.parametrize(("container", "codec", "options"), FORMATS)
def test_every_format_gives_the_frames_asked_for(container: str, codec: str, options: dict[str, str]) -> None:
    data = numbered_clip(container, codec, tuple(options.items()))
    rng = np.random.default_rng(9)
    with open_video(data) as clip:
        assert abs(clip.total_frames - 60) <= (1 if container == "webm" else 0)
        assert clip.fps == pytest.approx(10, rel=0.02)
        assert (clip.height, clip.width) == (64, 96)
        choices = [list(range(60)), [59], [0, 59], [30], [13, 14, 15], *(sorted(rng.choice(60, 5)) for _ in range(12))]
        for indices in choices:
            assert [number_on(frame) for frame in clip.read_frames(indices)] == list(indices)


@given(indices=st.lists(st.integers(0, 59), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_any_order_of_frames(indices: list[int]) -> None:
    with open_video(h264()) as clip:
        assert [number_on(frame) for frame in clip.read_frames(indices)] == indices


def test_no_frames_asked_for() -> None:
    with open_video(h264()) as clip:
        assert clip.read_frames([]).shape == (0, 64, 96, 3)


def test_only_needed_frames_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    from anyres.processing import clip as module

    decoded = []
    original = module._ContainerFrames._decode

    def counted(self: module._ContainerFrames, wanted: set[int] | None) -> Iterator[av.VideoFrame]:
        for frame in original(self, wanted):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(module._ContainerFrames, "_decode", counted)
    with open_video(h264(count=240)) as clip:
        decoded.clear()
        assert number_on(clip.read_frames([205])[0]) == 205
        assert len(decoded) <= 10
        decoded.clear()
        assert [number_on(frame) for frame in clip.read_frames([3, 4, 6, 203])] == [3, 4, 6, 203]
        assert len(decoded) <= 12


def test_path_is_read_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local clip is not read into memory, and its format is not guessed from its name."""
    path = tmp_path / "clip.txt"
    path.write_bytes(h264())
    monkeypatch.setattr("anyres.processing.media.read_bytes", lambda *_, **__: pytest.fail("read into memory"))
    with open_video(path) as clip:
        assert clip.name == "clip.txt"
        assert number_on(clip.read_frames([33])[0]) == 33


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_rotation_is_applied(turn: int) -> None:
    upright = np.zeros((64, 96, 3), dtype=np.uint8)
    upright[:32, :48] = 255  # upper left
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=10)
        stored = np.rot90(upright, -turn // 90)
        stream.height, stream.width = stored.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(turn)
        for _ in range(4):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(stored), format="rgb24")))
        output.mux(stream.encode())
    with open_video(file.getvalue()) as clip:
        assert (clip.height, clip.width) == (64, 96)
        (frame,) = clip.read_frames([2])
        assert [int(frame[y, x].mean()) > 127 for y, x in ((10, 10), (10, 80), (50, 10), (50, 80))] == [
            True,
            False,
            False,
            False,
        ]


def test_variable_frame_times() -> None:
    file = io.BytesIO()
    shown = [0, 1, 2, 20, 21, 60]
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number, time in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    with open_video(file.getvalue()) as clip:
        assert clip.total_frames == 6
        assert clip.times_s(range(6)) == pytest.approx([time / 10 for time in shown], abs=0.002)
        assert [number_on(frame) for frame in clip.read_frames([1, 3, 5])] == [1, 3, 5]


def animation(container: str, count: int = 12) -> bytes:
    frames = [Image.fromarray(numbered_frame(number)) for number in range(count)]
    file = io.BytesIO()
    options = {"lossless": True} if container == "WEBP" else {}
    frames[0].save(file, container, save_all=True, append_images=frames[1:], duration=200, **options)
    return file.getvalue()


@pytest.mark.parametrize("container", ["GIF", "WEBP", "PNG"])
def test_animations_are_clips(container: str) -> None:
    with open_video(animation(container)) as clip:
        assert (clip.total_frames, clip.fps) == (12, pytest.approx(5.0))
        assert [number_on(frame) for frame in clip.read_frames([11, 0, 5])] == [11, 0, 5]
        assert clip.times_s([5]) == pytest.approx((1.0,))


def test_see_through_animation_is_on_white() -> None:
    frames = [Image.new("RGBA", (30, 20), (255, 0, 0, 255)), Image.new("RGBA", (30, 20), (0, 255, 0, 0))]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], duration=100, lossless=True)
    with open_video(file.getvalue()) as clip:
        assert clip.read_frames([0, 1])[:, 10, 10].tolist() == [[255, 0, 0], [255, 255, 255]]


# The whole


def test_times_and_note() -> None:
    visual = video_to_visual(VideoPart(h264(), start=1.0, end=5.0, fps=1.0), config=CONFIG)
    assert visual.kind == "video"
    assert visual.frame_times_s == pytest.approx((1.0, 2.3, 3.7, 5.0))
    assert visual.original_size == (64, 96)
    assert visual.note == ""
    small = replace(CONFIG, video_min_pixels=784, video_max_pixels=3136)
    assert video_to_visual(VideoPart(h264()), config=small).note == "video: shrunk from 96x64 to 56x28"


def test_frames_reach_the_patches_in_order() -> None:
    visual = video_to_visual(VideoPart(h264(), nframes=4, resized_height=56, resized_width=112), config=CONFIG)
    assert visual.grid_thw == (2, 4, 8)
    with open_video(h264()) as clip:
        frames = [resize_frame(frame, Size(56, 112)) for frame in clip.read_frames([0, 20, 39, 59])]
    expected = patchify(frames, count=4, size=Size(56, 112), config=CONFIG)
    assert torch.equal(visual.pixels_PX, expected)  # type: ignore[arg-type]


def test_frame_list_equals_qwen_vl_utils() -> None:
    frames = list(np.random.RandomState(8).randint(0, 256, (3, 50, 81, 3), dtype=np.uint8))
    golden = np.load(GOLDENS)["frame_list"]
    assert len(golden) == 4
    expected = patchify(golden, count=4, size=Size(*golden.shape[1:3]), config=CONFIG)
    for video in (frames, tuple(frames), np.stack(frames), [Image.fromarray(frame) for frame in frames]):
        visual = video_to_visual(VideoPart(video), config=CONFIG)
        assert visual.grid_thw == (2, golden.shape[1] // 14, golden.shape[2] // 14)
        assert torch.equal(visual.pixels_PX, expected)  # type: ignore[arg-type]
        assert visual.frame_times_s == (0.0, 0.5, 1.0)


def test_frame_list_of_one_is_a_still() -> None:
    picture = Image.fromarray(numbered_frame(5))
    visual = video_to_visual(VideoPart([picture]), config=CONFIG)
    still = image_to_visual(ImagePart(picture), config=CONFIG)
    assert torch.equal(visual.patches(), still.patches())


def test_frame_list_of_several_sizes_takes_the_first() -> None:
    pictures = [Image.new("RGB", size, "white") for size in ((100, 60), (60, 100))]
    visual = video_to_visual(VideoPart(pictures), config=CONFIG)
    assert visual.resized_size == (56, 112)
    white = normalise_table(CONFIG)[:, 255]
    assert np.array_equal(np.unique(visual.patches()), np.unique(white))


def test_frame_list_limits() -> None:
    pictures = [Image.new("RGB", (2000, 1500))] * 2
    assert video_to_visual(VideoPart(pictures), config=CONFIG).resized_size == (840, 1148)
    bounded = replace(CONFIG, video_max_pixels=50_176)
    assert math.prod(video_to_visual(VideoPart(pictures), config=bounded).resized_size) <= 50_176
    all_of_them = VideoPart(pictures, total_pixels=100_000)
    assert math.prod(video_to_visual(all_of_them, config=CONFIG).resized_size) <= 100_000
    with pytest.raises(MediaError, match=r"video: a list of 3 frames; allowed: 1 to 2 frames"):
        video_to_visual(VideoPart([pictures[0]] * 3), config=CONFIG, limits=MediaLimits(max_list_frames=2))


def test_encoded_clip_passes_through() -> None:
    visual = video_to_visual(VideoPart(h264()), config=CONFIG)
    assert video_to_visual(VideoPart(visual), config=CONFIG) is visual


BAD_OPTIONS = [
    ({"fps": 0}, "fps: 0; allowed: a number above 0"),
    ({"fps": -1.0}, "fps: -1.0; allowed: a number above 0"),
    ({"fps": float("nan")}, "fps: nan"),
    ({"fps": float("inf")}, "fps: inf"),
    ({"fps": True}, "fps: True"),
    ({"fps": "2"}, "fps: '2'"),
    ({"fps": 2.0, "nframes": 4}, "fps, nframes: both set; allowed: one of them"),
    ({"nframes": 1}, "nframes: 1; allowed: a whole number from 2"),
    ({"nframes": 4.0}, "nframes: 4.0"),
    ({"nframes": 100}, "nframes: 100 frames of a clip that has 60; allowed: 2 to 60"),
    ({"max_frames": 1}, "max_frames: 1"),
    ({"min_frames": 9, "max_frames": 8}, "min_frames: 9, above max_frames 8"),
    ({"start": -1.0}, "start: -1.0; allowed: a number from 0"),
    ({"start": float("nan")}, "start: nan"),
    ({"end": 0.0}, "end: 0.0; allowed: a number above 0"),
    ({"start": 5.0, "end": 4.0}, "start, end: 5 to 4 seconds hold less than 2 frames"),
    ({"start": 60.0}, "start, end: 60 to 6 seconds hold less than 2 frames"),
    ({"total_pixels": 0}, "total_pixels: 0"),
    ({"min_pixels": 5000, "max_pixels": 4000}, "min_pixels: 5000, above max_pixels = 4000"),
    ({"resized_width": 56}, "resized_height, resized_width: only one of them"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_bad_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        video_to_visual(VideoPart(h264(), **options), config=CONFIG)  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", ["nframes", "min_frames", "max_frames", "start", "end"])
def test_a_frame_list_is_taken_whole(name: str) -> None:
    with pytest.raises(OptionError, match=f"{name}: set for a list of frames"):
        video_to_visual(VideoPart([numbered_frame(1)] * 4, **{name: 2}), config=CONFIG)
