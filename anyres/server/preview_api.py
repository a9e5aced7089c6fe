"""`/v1/previews`: a picture, the pages of a document or the frames of a clip, as the model would see them."""

import asyncio
import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from PIL import Image
from pydantic import BaseModel

from anyres.chat import VideoPart
from anyres.config import ImageProcessorConfig
from anyres.model_input import VisualInput
from anyres.server.answering import open_media
from anyres.server.body import StrictRoute
from anyres.server.conversation import read_conversation
from anyres.server.parts import Model, Part
from anyres.server.replies import ErrorReply
from anyres.server.schema import ChatRequest, Turn
from anyres.server.service import Service

__all__ = ["Preview", "PreviewRequest", "SeenPicture", "frames_of", "preview_routes"]

MOST_PICTURES = 64  # of a clip with more frames, as many are taken evenly
QUALITY = 88


class PreviewRequest(Model):
    """One part of a message, as it would stand in a chat request."""

    part: Part


class SeenPicture(BaseModel):
    """`image` is a data: URL of a JPEG at the size the model gets; `time_s` is where in its clip a frame lies."""

    width: int
    height: int
    original_width: int
    original_height: int
    time_s: float | None
    image: str


class Preview(BaseModel):
    """`frames` counts all that the model would see, `tokens` their visual tokens."""

    pictures: list[SeenPicture]
    frames: int
    tokens: int
    notes: list[str]


def preview_routes(service: Service) -> APIRouter:
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorReply} for status in (400, 401, 403, 404, 405, 408, 413, 414, 415, 429, 431, 500, 503)
    }
    router = APIRouter(route_class=StrictRoute, responses=refusals, tags=["chat"])

    @router.post("/v1/previews", response_model=Preview)
    async def preview(body: PreviewRequest, request: Request) -> Preview:
        """What the model would see of a part; the model is not asked."""
        service.require_model()
        asked = ChatRequest(messages=[Turn(role="user", content=[body.part])])
        conversation = read_conversation(asked, before="part")
        async with service.gate.place():
            opened = await open_media(service, conversation, request.state.owner)
            parts = [part for item in opened for part in item]
            visuals = [part.video if isinstance(part, VideoPart) else part.image for part in parts]
            config = service.model.processor.image_config
            return await asyncio.to_thread(_preview, visuals, config)

    return router


def frames_of(visual: VisualInput, config: ImageProcessorConfig) -> Iterator[np.ndarray[Any, Any]]:
    """uint8 [H, W, 3] frames out of the patches that `patchify` made of them; the last may be there twice."""
    assert visual.pixels_PX is not None, "not encoded yet"
    pairs, rows, columns = visual.grid_thw
    merge, patch, depth = config.merge_size, config.patch_size, config.temporal_patch_size
    shape = (pairs, rows // merge, columns // merge, merge, merge, 3, depth, patch, patch)
    blocks = visual.pixels_PX.numpy().reshape(shape)
    for pair in range(pairs):
        for frame in range(depth):
            pixels = blocks[pair, :, :, :, :, :, frame].transpose(0, 2, 5, 1, 3, 6, 4)
            yield np.ascontiguousarray(pixels.reshape(rows * patch, columns * patch, 3))


def _preview(visuals: list[VisualInput], config: ImageProcessorConfig) -> Preview:
    times = [_times(visual) for visual in visuals]
    return Preview(
        pictures=[one for visual in visuals for one in _pictures(visual, config)],
        frames=sum(map(len, times)),
        tokens=sum(np.prod(visual.grid_thw).item() // config.merge_size**2 for visual in visuals),
        notes=[visual.note for visual in visuals if visual.note],
    )


def _times(visual: VisualInput) -> tuple[float | None, ...]:
    return (None,) if visual.kind == "image" else visual.frame_times_s


def _pictures(visual: VisualInput, config: ImageProcessorConfig) -> Iterator[SeenPicture]:
    times = _times(visual)
    taken = set(np.linspace(0, len(times) - 1, min(len(times), MOST_PICTURES)).round().astype(int).tolist())
    height, width = visual.original_size
    for number, (time_s, pixels_HWC) in enumerate(zip(times, frames_of(visual, config), strict=False)):
        if number in taken:
            yield SeenPicture(
                width=pixels_HWC.shape[1],
                height=pixels_HWC.shape[0],
                original_width=width,
                original_height=height,
                time_s=time_s,
                image=_data_url(pixels_HWC),
            )


def _data_url(pixels_HWC: np.ndarray[Any, Any]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels_HWC).save(file, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
