"""Every form of a part becomes the same few requests for media, with the knobs of the field that says them."""

from dataclasses import asdict
from typing import Any

import pytest
from pydantic import ValidationError

from anyres.server.conversation import read_conversation
from anyres.server.errors import ApiError
from anyres.server.media import ImageOptions, MediaRequest, VideoOptions
from anyres.server.schema import ChatRequest

U = "data:image/png;base64,AAAA"
FOUR = [U] * 4


def read(part: dict[str, Any], **fields: Any) -> MediaRequest:
    """The one request that the part becomes."""
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, part]}], **fields}
    conversation = read_conversation(ChatRequest.model_validate(body))
    (request,) = conversation.media
    assert conversation.params == ("messages[0].content[1]",)
    return request


def image(url: str = U, **fields: Any) -> dict[str, Any]:
    knobs = {name: fields.pop(name) for name in ("detail",) if name in fields}
    return {"type": "image_url", "image_url": {"url": url, **knobs}, **fields}


@pytest.mark.parametrize(
    ("part", "kind", "source"),
    [
        (image(), "image", U),
        ({"type": "image_url", "image_url": U}, "image", U),
        ({"type": "image", "image": U}, "image", U),
        ({"type": "input_image", "image_url": U}, "image", U),
        ({"type": "input_image", "file_id": "file-1"}, "image", "file-1"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file", "file-1"),
        ({"type": "file", "file": {"file_data": U, "filename": "a.pdf"}}, "file", U),
        ({"type": "file", "file": {"file_url": "https://a.example/b.pdf"}}, "file", "https://a.example/b.pdf"),
        ({"type": "file", "file": {"file_data": "AAAA"}}, "file", "data:application/octet-stream;base64,AAAA"),
        ({"type": "video_url", "video_url": {"url": U}}, "video", U),
        ({"type": "video_url", "video_url": U}, "video", U),
        ({"type": "video", "video": U}, "video", U),
        ({"type": "video", "video": FOUR}, "video", tuple(FOUR)),
    ],
)
def test_forms(part: dict[str, Any], kind: str, source: object) -> None:
    request = read(part)
    assert (request.kind, request.source) == (kind, source)
    assert request.options == (VideoOptions() if kind == "video" else ImageOptions())


@pytest.mark.parametrize(
    ("part", "fields", "pixels"),
    [
        (image(), {}, None),
        (image(detail="low"), {}, 200_704),
        (image(detail="auto"), {}, 1_003_520),
        (image(detail="high"), {}, 12_845_056),
        (image(detail="original"), {}, 12_845_056),
        ({"type": "file", "file": {"file_id": "f"}, "detail": "low"}, {}, 200_704),
        ({"type": "input_image", "image_url": U, "detail": "low"}, {}, 200_704),
        (image(), {"vl_high_resolution_images": True}, 12_845_056),
        (image(), {"vl_high_resolution_images": False}, None),
        (image(detail="low"), {"vl_high_resolution_images": True}, 200_704),
        (image(detail="high", max_pixels=5000), {}, 5000),
        (image(), {"mm_processor_kwargs": {"max_pixels": 6000}}, 6000),
        (image(max_pixels=5000), {"mm_processor_kwargs": {"max_pixels": 6000}}, 5000),
        (image(detail="high"), {"mm_processor_kwargs": {"max_pixels": 6000}}, 6000),
        ({"type": "file", "file": {"file_id": "f"}, "max_pixels": 7000}, {}, 7000),
    ],
)
def test_pixels_of_pictures(part: dict[str, Any], fields: dict[str, Any], pixels: int | None) -> None:
    assert read(part, **fields).options == ImageOptions(max_pixels=pixels)


def test_other_knobs_of_pictures() -> None:
    knobs = {"min_pixels": 4000, "max_pixels": 90_000, "resized_height": 56, "resized_width": 84}
    for part in (image(**knobs), {"type": "image", "image": U, **knobs}):
        assert asdict(read(part).options) == knobs
    assert read(image(), mm_processor_kwargs={"min_pixels": 4000}).options == ImageOptions(min_pixels=4000)


@pytest.mark.parametrize(
    ("knobs", "fields", "expected"),
    [
        ({"fps": 1.0}, {}, {"fps": 1.0}),
        ({"nframes": 8}, {}, {"nframes": 8}),
        ({"video_start": 1.0, "video_end": 2.5}, {}, {"start": 1.0, "end": 2.5}),
        ({"min_frames": 4, "max_frames": 16}, {}, {"min_frames": 4, "max_frames": 16}),
        ({"total_pixels": 10**6, "max_pixels": 10**5}, {}, {"total_pixels": 10**6, "max_pixels": 10**5}),
        ({}, {"mm_processor_kwargs": {"fps": 3, "do_sample_frames": True}}, {"fps": 3.0}),
        ({}, {"media_io_kwargs": {"video": {"num_frames": 12}}}, {"nframes": 12}),
        ({}, {"media_io_kwargs": {"video": {"num_frames": -1, "fps": 0.5}}}, {"fps": 0.5}),
        ({}, {"media_io_kwargs": {"video": {"num_frames": 12, "fps": 0.5}}}, {"nframes": 12}),
        ({}, {"media_io_kwargs": {"video": {"fps": 0.5}}, "mm_processor_kwargs": {"fps": 3}}, {"fps": 0.5}),
        ({"fps": 1.0}, {"media_io_kwargs": {"video": {"num_frames": 12}}}, {"fps": 1.0}),
        ({"nframes": 8}, {"mm_processor_kwargs": {"fps": 3}}, {"nframes": 8}),
    ],
)
def test_sampling_of_clips(knobs: dict[str, Any], fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """In DashScope's, Qwen's and vLLM's words; what a part says holds for it."""
    for part in ({"type": "video_url", "video_url": {"url": U}}, {"type": "video", "video": FOUR}):
        assert read({**part, **knobs}, **fields).options == VideoOptions(**expected)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_list_has_four_frames_at_least(count: int) -> None:
    with pytest.raises(ApiError, match="at least 4") as refused:
        read({"type": "video", "video": [U] * count})
    assert refused.value.param == "messages[0].content[1].video"


@pytest.mark.parametrize(
    "part",
    [
        {"image": U},
        {"video": U},
        {"type": "image", "image": U, "max_pixel": 1},
        {"type": "image", "image": [U]},
        {"type": "image_url", "image_url": {"url": U, "detail": "best"}},
        {"type": "video", "video": FOUR, "fps": 0},
        {"type": "video", "video": FOUR, "fps": 1e9},
        {"type": "video", "video": FOUR, "nframes": 0},
        {"type": "video", "video": [1, 2, 3, 4]},
        {"type": "image", "image": U, "resized_height": -28},
    ],
)
def test_parts_that_are_none(part: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(part)


@pytest.mark.parametrize("part", [{"type": "input_image"}, {"type": "input_image", "image_url": U, "file_id": "f"},
                                  {"type": "file", "file": {}},
                                  {"type": "file", "file": {"file_id": "a", "file_data": "b"}}])  # fmt: skip
def test_one_source_each(part: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match="one of them"):
        read(part)


def test_order_is_kept() -> None:
    content = [image(f"u{number}") if number % 2 else {"type": "text", "text": str(number)} for number in range(7)]
    conversation = read_conversation(ChatRequest.model_validate({"messages": [{"role": "user", "content": content}]}))
    assert [one.source for one in conversation.media] == ["u1", "u3", "u5"]
    assert [one.index for one in conversation.media] == [0, 1, 2]
    assert conversation.params[1] == "messages[0].content[3]"
    ((_, parts),) = conversation.turns
    assert [part if isinstance(part, int) else part.text for part in parts] == ["0", 0, "2", 1, "4", 2, "6"]
