"""The door: what comes out is what the library makes of the same bytes, and what the limits say is kept."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from anyres.chat import ImagePart, VideoPart
from anyres.model_input import VisualInput
from anyres.processing.image import image_to_visual
from anyres.processing.video import video_to_visual
from anyres.server.media import (
    ImageOptions,
    MediaDoor,
    MediaLimits,
    MediaRequest,
    RefusedMediaError,
    VideoOptions,
)
from tests.server.media.conftest import CONFIG, OpenDoor
from tests.server.media.files import animation, clip, encoded, pdf, photo, png, url

PHOTO = encoded(photo())


def image(data: bytes, **knobs: Any) -> MediaRequest:
    return MediaRequest("image", url(data), options=ImageOptions(**knobs))


def video(data: bytes, **knobs: Any) -> MediaRequest:
    return MediaRequest("video", url(data, "video/mp4"), options=VideoOptions(**knobs))


def frames(*data: bytes, **knobs: Any) -> MediaRequest:
    return MediaRequest("video", tuple(map(url, data)), options=VideoOptions(**knobs))


def same(found: VisualInput, expected: VisualInput) -> None:
    assert found.content_key == expected.content_key
    assert torch.equal(found.patches(), expected.patches())
    assert found.frame_times_s == expected.frame_times_s
    kept = ("kind", "grid_thw", "original_size", "resized_size")
    assert [getattr(found, name) for name in kept] == [getattr(expected, name) for name in kept]


def with_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(photo(), "JPEG", quality=90, exif=exif)


def palette_with_holes() -> bytes:
    return encoded(photo().quantize(16), transparency=3)


def deep_grey(container: str) -> bytes:
    values = np.arange(80 * 60, dtype=np.uint16).reshape(60, 80) * 13
    return encoded(Image.fromarray(values), container)


def see_through(mode: str) -> Image.Image:
    picture = photo().convert("RGBA")
    picture.putalpha(photo(seed=2).convert("L"))
    return picture.convert(mode)


PICTURES: dict[str, bytes] = {
    "PNG": PHOTO,
    "PNG of 1 bit": encoded(photo().convert("1")),
    "PNG of grey": encoded(photo().convert("L")),
    "PNG of grey with alpha": encoded(see_through("LA")),
    "PNG with alpha": encoded(see_through("RGBA")),
    "PNG with palette": encoded(photo().quantize(20)),
    "PNG with holes in its palette": palette_with_holes(),
    "PNG of 16 bits": deep_grey("PNG"),
    "PNG with more rows than it says": png(1, 1),
    "PNG, animated": animation("PNG"),
    "JPEG": encoded(photo(), "JPEG"),
    "JPEG, progressive": encoded(photo(), "JPEG", progressive=True, quality=95, subsampling=0),
    "JPEG of grey": encoded(photo().convert("L"), "JPEG"),
    "JPEG of CMYK": encoded(photo().convert("CMYK"), "JPEG"),
    "WEBP": encoded(photo(), "WEBP"),
    "WEBP without loss": encoded(see_through("RGBA"), "WEBP", lossless=True),
    "WEBP, animated": animation("WEBP"),
    "GIF": encoded(photo(), "GIF"),
    "GIF, animated": animation("GIF"),
    "BMP": encoded(photo(), "BMP"),
    "BMP of 1 bit": encoded(photo().convert("1"), "BMP"),
    "TIFF": encoded(photo(), "TIFF"),
    "TIFF, LZW": encoded(photo(), "TIFF", compression="tiff_lzw"),
    "TIFF, deflate": encoded(photo(), "TIFF", compression="tiff_adobe_deflate"),
    "TIFF, JPEG": encoded(photo(), "TIFF", compression="jpeg"),
    "TIFF, fax": encoded(photo().convert("1"), "TIFF", compression="group4"),
    "TIFF of 16 bits": deep_grey("TIFF"),
    "TIFF of floats": encoded(Image.fromarray(np.linspace(0, 1, 60 * 80, dtype=np.float32).reshape(60, 80)), "TIFF"),
    "PPM": encoded(photo(), "PPM"),
    "PGM": encoded(photo().convert("L"), "PPM"),
    "PBM": encoded(photo().convert("1"), "PPM"),
    "PPM of text": b"P3 2 2 255 1 2 3 4 5 6 7 8 9 10 11 12\n",
    **{f"EXIF {orientation}": with_exif(orientation) for orientation in range(1, 9)},
    **{f"{width}x{height}": encoded(photo(width, height)) for width, height in ((1, 1), (1, 28), (3, 3), (27, 27))},
    "long strip": encoded(photo(1990, 10)),
    "large": encoded(photo(1600, 1200), "JPEG"),
}


@pytest.mark.parametrize("name", list(PICTURES))
def test_pictures_are_those_of_the_library(name: str, door: OpenDoor) -> None:
    [[part]] = door(image(PICTURES[name]))
    same(part.image, image_to_visual(ImagePart(PICTURES[name]), config=CONFIG))


CLIPS: dict[str, bytes] = {
    "h264": clip(),
    "h264, one second": clip(10),
    "h264, two frames": clip(2),
    "h264, odd number": clip(7),
    "h264, turned": clip(rotation=1),
    "h264 in MKV": clip(container="matroska"),
    "h264 in TS": clip(container="mpegts"),
    "hevc": clip(12, "libx265"),
    "vp8": clip(12, "libvpx", "webm"),
    "vp9": clip(12, "libvpx-vp9", "webm"),
    "av1": clip(12, "libsvtav1", "mp4"),
    "mpeg4 in AVI": clip(12, "mpeg4", "avi"),
    "mjpeg": clip(12, "mjpeg", "mov"),
    "mpeg2": clip(12, "mpeg2video", "mpegts", rate=25),
    "GIF": animation("GIF"),
    "WEBP": animation("WEBP"),
    "PNG": animation("PNG"),
}


@pytest.mark.parametrize("name", list(CLIPS))
def test_clips_are_those_of_the_library(name: str, door: OpenDoor) -> None:
    [[part]] = door(video(CLIPS[name]))
    same(part.video, video_to_visual(VideoPart(CLIPS[name]), config=CONFIG))


def test_a_turned_clip_is_taller_than_wide(door: OpenDoor) -> None:
    """Else the test above had nothing to turn."""
    [[part]] = door(video(CLIPS["h264, turned"]))
    assert part.video.original_size == (96, 64)


@pytest.mark.parametrize(
    "knobs",
    [
        {"fps": 1.0},
        {"nframes": 8},
        {"start": 1.0, "end": 2.0},
        {"max_frames": 6},
        {"min_frames": 10, "fps": 0.5},
        {"max_pixels": 56 * 56},
        {"min_pixels": 300 * 300},
        {"total_pixels": 100 * 100},
        {"resized_height": 56, "resized_width": 84},
    ],
)
def test_knobs_of_clips(knobs: dict[str, Any], door: OpenDoor) -> None:
    [[part]] = door(video(CLIPS["h264"], **knobs))
    same(part.video, video_to_visual(VideoPart(CLIPS["h264"], **knobs), config=CONFIG))


@pytest.mark.parametrize(
    "knobs", [{"max_pixels": 3136}, {"min_pixels": 90_000}, {"resized_height": 84, "resized_width": 28}]
)
def test_knobs_of_pictures(knobs: dict[str, Any], door: OpenDoor) -> None:
    [[part]] = door(image(PHOTO, **knobs))
    same(part.image, image_to_visual(ImagePart(PHOTO, **knobs), config=CONFIG))


LIST = [encoded(photo(seed=seed), "JPEG") for seed in range(5)]


@pytest.mark.parametrize("knobs", [{}, {"fps": 1.0}, {"total_pixels": 9000}, {"max_pixels": 3136}])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_frame_lists_are_those_of_the_library(count: int, knobs: dict[str, Any], door: OpenDoor) -> None:
    [[part]] = door(frames(*LIST[:count], **knobs))
    same(part.video, video_to_visual(VideoPart(LIST[:count], **knobs), config=CONFIG))


def test_frames_in_one_address(door: OpenDoor) -> None:
    """The form that vLLM takes."""
    joined = "data:video/jpeg;base64," + ",".join(url(data).partition(",")[2] for data in LIST)
    [[part]] = door(MediaRequest("video", joined, options=VideoOptions()))
    same(part.video, video_to_visual(VideoPart(LIST), config=CONFIG))


def test_frames_of_different_sizes_take_the_first_ones(door: OpenDoor) -> None:
    mixed = [PHOTO, encoded(photo(31, 77)), encoded(photo(200, 20), "GIF")]
    [[part]] = door(frames(*mixed))
    same(part.video, video_to_visual(VideoPart(mixed), config=CONFIG))


def test_pages_of_a_document(door: OpenDoor) -> None:
    [parts] = door(MediaRequest("file", url(pdf(("one", "two", "three")))))
    assert [part.image.name for part in parts] == ["file, page 1", "file, page 2", "file, page 3"]
    assert parts[0].image.original_size == (556, 834)  # 200 x 300 points at 200 dots an inch
    keys = {part.image.content_key for part in parts}
    assert len(keys) == 3
    assert all((part.image.pixels_PX == 0).any() for part in parts)  # there is ink on each


def test_a_picture_as_a_file(door: OpenDoor) -> None:
    [[part]] = door(MediaRequest("file", url(PHOTO)))
    same(part.image, image_to_visual(ImagePart(PHOTO), config=CONFIG))


def test_order_and_names(door: OpenDoor) -> None:
    opened = door(image(PHOTO), MediaRequest("file", url(pdf())), video(CLIPS["h264"]), image(LIST[0]))
    assert [len(parts) for parts in opened] == [1, 2, 1, 1]
    visuals = [part.video if isinstance(part, VideoPart) else part.image for parts in opened for part in parts]
    assert [one.name for one in visuals] == ["image 1", "file, page 1", "file, page 2", "video", "image 2"]
    same(visuals[4], image_to_visual(ImagePart(LIST[0]), config=CONFIG))


def test_what_was_shrunk_is_said(door: OpenDoor) -> None:
    [[first], [second]] = door(image(PICTURES["large"]), image(PHOTO))
    assert first.image.note == "image 1: shrunk from 1600x1200 to 1148x840"
    assert second.image.note == ""


def test_the_default_budget_is_that_of_the_processor() -> None:
    door = OpenDoor(MediaLimits(decoders=1), default_max_pixels=100 * 784)
    [[part]] = door(image(PICTURES["large"]))
    door.close()
    expected = image_to_visual(ImagePart(PICTURES["large"]), config=CONFIG, default_max_pixels=100 * 784)
    same(part.image, expected)


def test_nothing_to_open(door: OpenDoor) -> None:
    assert door() == []


# Limits


def refused(limits: MediaLimits, *requests: MediaRequest) -> RefusedMediaError:
    door = OpenDoor(limits)
    try:
        with pytest.raises(RefusedMediaError) as caught:
            door(*requests)
    finally:
        door.close()
    return caught.value


def numbered(*requests: MediaRequest) -> list[MediaRequest]:
    return [replace(request, index=10 + number) for number, request in enumerate(requests)]


SMALL = MediaLimits(decoders=1)


@pytest.mark.parametrize(
    ("limits", "requests", "code", "part", "words"),
    [
        (
            replace(SMALL, images=2),
            [image(PHOTO)] * 3,
            "too_many_images",
            12,
            "image: 3 pictures; allowed: at most 2 (--limit-mm-per-prompt)",
        ),
        (
            replace(SMALL, images=0),
            [image(PHOTO)],
            "too_many_images",
            10,
            "image: 1 pictures; allowed: at most 0 (--limit-mm-per-prompt)",
        ),
        (
            SMALL,
            [video(CLIPS["h264"]), video(CLIPS["h264"])],
            "too_many_videos",
            11,
            "video: 2 videos; allowed: at most 1 (--limit-mm-per-prompt)",
        ),
        (
            replace(SMALL, images=3),
            [image(PHOTO), MediaRequest("file", url(pdf(("a", "b", "c"))))],
            "too_many_images",
            11,
            "file: 3 pages; allowed: at most 2 (pictures and pages of one request, --limit-mm-per-prompt)",
        ),
        (
            replace(SMALL, image_pixels=4000),
            [image(PHOTO)],
            "image_too_large",
            10,
            "image: 80x60 pixels (4,800); allowed: at most 4,000 pixels (--max-image-pixels)",
        ),
        (
            replace(SMALL, request_pixels=9000),
            [image(PHOTO), image(PHOTO)],
            "image_too_large",
            11,
            "image: 9,600 pixels with the pictures before it; allowed: at most 9,000 (--max-request-pixels)",
        ),
        (
            replace(SMALL, image_bytes=1000),
            [image(PHOTO)],
            "image_file_too_large",
            10,
            "image: too many bytes; allowed: at most 1,000 (--max-image-bytes)",
        ),
        (
            replace(SMALL, video_bytes=1000),
            [video(CLIPS["h264"])],
            "video_too_large",
            10,
            "video: too many bytes; allowed: at most 1,000 (--max-video-bytes)",
        ),
        (
            replace(SMALL, video_bytes=5000),
            [frames(*LIST)],
            "video_too_large",
            10,
            "video: too many bytes; allowed: at most 5,000 (--max-video-bytes)",
        ),
        (
            replace(SMALL, frames=4),
            [frames(*LIST)],
            "too_many_frames",
            10,
            "video: a list of 5 frames; allowed: 1 to 4 (--max-video-frames)",
        ),
        (
            replace(SMALL, frames=4),
            [video(CLIPS["h264"], nframes=6)],
            "too_many_frames",
            10,
            "video: nframes of 6; allowed: at most 4 (--max-video-frames)",
        ),
        (
            replace(SMALL, image_pixels=6000),
            [video(CLIPS["h264"])],
            "video_too_large",
            10,
            "video: frames of 96x64 pixels; allowed: at most 6,000 pixels a frame (--max-image-pixels)",
        ),
        (
            replace(SMALL, visual_tokens=40),
            [video(CLIPS["h264"])],
            "context_length_exceeded",
            10,
            "video: 420 visual tokens with the media before it; allowed: at most 40 in a request (--max-visual-tokens)",
        ),
        (
            replace(SMALL, visual_tokens=10),
            [image(PHOTO), image(PHOTO)],
            "context_length_exceeded",
            11,
            "image: 12 visual tokens with the media before it; allowed: at most 10 in a request (--max-visual-tokens)",
        ),
        (
            SMALL,
            [video(CLIPS["h264"], nframes=40)],
            "invalid_value",
            10,
            "nframes: 40 frames of a clip that has 30; allowed: 2 to 30",
        ),
        (
            SMALL,
            [image(PHOTO, min_pixels=10, max_pixels=5)],
            "invalid_value",
            10,
            "min_pixels: 10, above max_pixels = 5; allowed: at most max_pixels",
        ),
    ],
)
def test_limits_are_kept_and_named(
    limits: MediaLimits, requests: list[MediaRequest], code: str, part: int, words: str
) -> None:
    error = refused(limits, *numbered(*requests))
    assert (error.code, error.part, str(error)) == (code, part, words)


def test_a_long_clip_is_sampled_down_to_the_limit() -> None:
    door = OpenDoor(replace(SMALL, frames=6))
    [[part]] = door(video(CLIPS["h264"], fps=10.0))
    [[whole]] = door(video(CLIPS["h264"], max_frames=4))
    door.close()
    assert len(part.video.frame_times_s) == 6
    assert len(whole.video.frame_times_s) == 4


def test_a_flood_of_frames_is_counted_before_it_is_split(door: OpenDoor) -> None:
    flood = "data:video/jpeg;base64," + "," * 100_000
    with pytest.raises(RefusedMediaError, match=r"a list of 100,001 frames; allowed: 1 to 768") as caught:
        door(MediaRequest("video", flood, options=VideoOptions()))
    assert caught.value.code == "too_many_frames"
    with pytest.raises(RefusedMediaError, match=r"a list of 10,000 frames"):
        door(MediaRequest("video", ("data:,x",) * 10_000, options=VideoOptions()))
    with pytest.raises(RefusedMediaError, match=r"a list of 0 frames"):
        door(MediaRequest("video", (), options=VideoOptions()))


def test_a_list_is_no_picture(door: OpenDoor) -> None:
    with pytest.raises(RefusedMediaError, match="a list; allowed: one address; only clips are given as frames"):
        door(MediaRequest("image", (url(PHOTO),)))


def test_the_first_bad_part_is_named_and_the_door_stays_open(door: OpenDoor) -> None:
    requests = numbered(image(PHOTO), image(b"II*\0"), image(PHOTO))
    for _ in range(3):
        with pytest.raises(RefusedMediaError) as caught:
            door(*requests)
        assert caught.value.part == 11
    [[part]] = door(image(PHOTO))
    same(part.image, image_to_visual(ImagePart(PHOTO), config=CONFIG))


def test_a_door_that_was_never_opened_closes() -> None:
    door = OpenDoor()
    assert isinstance(door.door, MediaDoor)
    door.close()
