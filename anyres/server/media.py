"""The one door for media of requests: counted, read within limits, recognised by their bytes, decoded, sized."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from anyres.chat import ImagePart, VideoPart
from anyres.config import ImageProcessorConfig
from anyres.errors import AnyresError
from anyres.processing.image import DEFAULT_MAX_PIXELS, image_to_visual
from anyres.processing.video import video_to_visual
from anyres.server.fetch import Fetcher
from anyres.server.media_limits import FLAGS, MediaLimits
from anyres.server.refusal import Kind, RefusedMediaError, refusal
from anyres.server.sources import Sources
from anyres.server.uploads import Uploads

__all__ = ["FLAGS", "ImageOptions", "MediaDoor", "MediaLimits", "MediaRequest", "RefusedMediaError", "VideoOptions"]


@dataclass(frozen=True)
class ImageOptions:
    """Knobs of a picture, as those of ImagePart."""

    min_pixels: int | None = None
    max_pixels: int | None = None
    resized_height: int | None = None
    resized_width: int | None = None


@dataclass(frozen=True)
class VideoOptions:
    """Knobs of a clip, as those of VideoPart."""

    fps: float | None = None
    nframes: int | None = None
    start: float | None = None
    end: float | None = None
    min_frames: int | None = None
    max_frames: int | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    total_pixels: int | None = None
    resized_height: int | None = None
    resized_width: int | None = None


@dataclass(frozen=True)
class MediaRequest:
    """A part of a chat request, not opened. `index` is what its errors call it by: the number of the part.

    `source` is a `data:` URL, an http(s) or `file:` URL, the id of an upload, or the frames of a clip as such.
    `options` are VideoOptions for a video, ImageOptions for a picture and for the pages of a file.
    """

    kind: Kind
    source: str | tuple[str, ...]
    index: int = 0
    options: ImageOptions | VideoOptions = ImageOptions()


class MediaDoor:
    """Opens the media of requests. What comes out is sized and cut into patches as `config` says: nothing of what a
    request brought reaches the engine undecoded."""

    def __init__(
        self,
        limits: MediaLimits,
        uploads: Uploads | None = None,
        *,
        config: ImageProcessorConfig,
        default_max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        self.limits = limits
        self._sources = Sources(limits, uploads, Fetcher(limits))
        self._config = config
        self._default_max_pixels = default_max_pixels

    async def start(self) -> None:
        """Starts the processes that decode, so that the first request need not wait for them."""

    async def open(self, requests: Sequence[MediaRequest], owner: str) -> list[list[ImagePart | VideoPart]]:
        """For each request its picture or clip, for a file its pages. RefusedMediaError for the first bad one."""
        return [[await self._open_one(request, owner)] for request in requests]

    async def close(self) -> None:
        """Ends the processes."""

    async def _open_one(self, request: MediaRequest, owner: str) -> ImagePart | VideoPart:
        try:
            frames = self._sources.frames(request.source) if request.kind == "video" else None
            sources = (str(request.source),) if frames is None else frames
            kind: Kind = request.kind if frames is None else "image"
            data = [await self._sources.read(kind, source, owner=owner) for source in sources]
            return await asyncio.to_thread(self._decode, request, data if frames else data[0])
        except RefusedMediaError as error:
            error.part = request.index
            raise

    def _decode(self, request: MediaRequest, data: bytes | list[bytes]) -> ImagePart | VideoPart:
        try:
            if request.kind == "video":
                clip = VideoPart(data, **vars(request.options))
                return VideoPart(video_to_visual(clip, config=self._config))
            picture = ImagePart(data, **vars(request.options))
            return ImagePart(image_to_visual(picture, config=self._config))
        except AnyresError as error:
            raise refusal(request.kind, "damaged", error.seen, error.allowed) from None
