"""`/v1/previews`: what the model would see, in the very pixels that it gets."""

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from anyres.chat import ImagePart
from anyres.engine.engine import LocalChatModel
from anyres.processing.image import image_to_visual
from anyres.server.preview_api import frames_of
from tests.server.media.files import pdf
from tests.server.serving import Running, data_url, picture

FRAMES = [picture(f"frame {number}", (112, 112)) for number in range(8)]


def preview(server: Running, part: dict[str, Any]) -> httpx.Response:
    return server.client.post("/v1/previews", json={"part": part})


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_a_picture(server: Running, model: LocalChatModel) -> None:
    coarse = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    smooth = Image.fromarray(coarse).resize((2400, 1600), Image.Resampling.BICUBIC)
    told = preview(server, {"type": "image", "image": data_url(smooth)}).raise_for_status().json()
    (seen,) = told["pictures"]
    visual = image_to_visual(ImagePart(smooth), config=model.processor.image_config)
    assert (seen["original_width"], seen["original_height"]) == (2400, 1600)
    assert (seen["height"], seen["width"]) == visual.resized_size
    assert told["tokens"] == np.prod(visual.grid_thw) // 4
    assert told["frames"] == 1
    assert "shrunk" in told["notes"][0] or str(seen["width"]) in told["notes"][0]
    (exact, _) = frames_of(visual, model.processor.image_config)
    shown = np.asarray(opened(seen["image"]).convert("RGB"), dtype=float)
    assert np.abs(shown - exact).mean() < 6  # JPEG


def test_patches_are_put_together_as_they_were_cut(model: LocalChatModel) -> None:
    config = model.processor.image_config
    pixels_HWC = np.random.default_rng(1).integers(0, 255, (56, 84, 3), dtype=np.uint8)
    visual = image_to_visual(ImagePart(Image.fromarray(pixels_HWC)), config=config)
    assert visual.pixels_PX is not None
    assert visual.pixels_PX.dtype == torch.uint8
    for frame in frames_of(visual, config):
        assert np.array_equal(frame, pixels_HWC)


def test_frames_of_a_clip(server: Running) -> None:
    told = preview(server, {"type": "video", "video": FRAMES, "fps": 2.0}).raise_for_status().json()
    assert told["frames"] == len(told["pictures"]) == 8
    assert told["tokens"] == 4 * 16
    times = [one["time_s"] for one in told["pictures"]]
    assert times == [number / 2 for number in range(8)]


def test_pages_of_a_document(server: Running) -> None:
    data = base64.b64encode(pdf(("one", "two", "three"))).decode()
    told = preview(server, {"type": "file", "file": {"file_data": data, "filename": "a.pdf"}}).json()
    assert len(told["pictures"]) == told["frames"] == 3


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "part"),
        ({"part": {"type": "image", "image": "/etc/passwd"}}, "part[0]"),
        ({"part": {"type": "image", "image": "data:image/png;base64,AAAA"}}, "part[0]"),
        ({"part": {"type": "nothing"}}, "part"),
        ({"part": {"type": "image", "image": picture(), "max_pixels": 0}}, "part.max_pixels"),
    ],
)
def test_refusals(server: Running, body: dict[str, Any], param: str) -> None:
    reply = server.client.post("/v1/previews", json=body)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param


def test_a_text_has_no_pictures(server: Running) -> None:
    assert preview(server, {"type": "text", "text": "Hi"}).json() == {
        "pictures": [], "frames": 0, "tokens": 0, "notes": []
    }  # fmt: skip
