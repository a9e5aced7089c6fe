"""The one door for media of requests: counted, read within limits, recognised by their bytes, decoded, sized."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

from anyres.chat import ImagePart, VideoPart
from anyres.config import ImageProcessorConfig
from anyres.errors import MediaError, OptionError
from anyres.model_input import VisualInput
from anyres.processing.image import DEFAULT_MAX_PIXELS
from anyres.processing.sniff import ANIMATED, PICTURES, VIDEOS, sniff
from anyres.server.decoding import DecoderPool
from anyres.server.fetch import Fetcher
from anyres.server.media_limits import FLAGS, MediaLimits
from anyres.server.media_requests import ImageOptions, MediaRequest, VideoOptions
from anyres.server.opening import Budget, Opener, check_pages
from anyres.server.prepared import Prepared, prepared_key
from anyres.server.refusal import RefusedMediaError, refusal
from anyres.server.sources import Sources
from anyres.server.uploads import Uploads

__all__ = ["FLAGS", "ImageOptions", "MediaDoor", "MediaLimits", "MediaRequest", "RefusedMediaError", "VideoOptions"]

T = TypeVar("T")
_HEAD = 4096  # bytes enough to recognise a format
_ALLOWED = {
    "image": (PICTURES, "PNG, JPEG, WEBP, GIF, BMP, TIFF or PPM"),
    "video": (VIDEOS | ANIMATED, "MP4, MOV, MKV, WebM, AVI, TS, animated GIF, WEBP or PNG"),
    "file": (PICTURES | {"PDF"}, "PDF, PNG, JPEG, WEBP, GIF, BMP, TIFF or PPM"),
}


class MediaDoor:
    """Opens the media of requests; nothing that a request brought reaches the engine undecoded.

    Pictures and clips come out in patches, sized for the checkpoint of `config`, bit for bit as the library makes them.
    They are decoded in processes that have no files and no network, and that are killed at a limit. Within one event
    loop; `fetcher` is another one for tests.
    """

    def __init__(
        self,
        limits: MediaLimits,
        uploads: Uploads | None = None,
        *,
        config: ImageProcessorConfig,
        default_max_pixels: int = DEFAULT_MAX_PIXELS,
        fetcher: Fetcher | None = None,
    ) -> None:
        self.limits = limits
        self._config = config
        self._sources = Sources(limits, uploads, fetcher or Fetcher(limits))
        self._opener = Opener(limits, config, default_max_pixels)
        self._pool = DecoderPool(limits)
        self._prepared = Prepared(limits.prepared_bytes)

    @property
    def kept_bytes(self) -> int:
        """Of opened pictures and clips, for requests that bring them again."""
        return self._prepared.bytes

    async def start(self) -> None:
        """Starts the processes that decode, so that the first request need not wait for them."""
        await self._pool.start()

    async def open(self, requests: Sequence[MediaRequest], owner: str) -> list[list[ImagePart | VideoPart]]:
        """For each request its picture or clip, for a file its pages. RefusedMediaError for the first bad one.

        `owner` is whose uploads may be named. Cancelled, it ends downloads and decoding at once.
        """
        self._check_counts(requests)
        read = await _together([self._read(request, owner) for request in requests])
        await self._check_pixels(read, owner)
        budget, pages_left = Budget(self.limits.visual_tokens, self._config.merge_size), self._pages_left(read)
        opened: list[list[ImagePart | VideoPart]] = []
        for number, item in enumerate(read):
            visuals = await self._visuals(item, owner, budget, pages_left, _name(read, number))
            pages_left -= len(visuals) if item.is_document else 0
            opened.append([VideoPart(one) if one.kind == "video" else ImagePart(one) for one in visuals])
        return opened

    async def close(self) -> None:
        """Ends the processes, also those at work."""
        await self._pool.close()

    def _check_counts(self, requests: Sequence[MediaRequest]) -> None:
        videos = [request for request in requests if request.kind == "video"]
        images = [request for request in requests if request.kind != "video"]
        for found, most, words in ((images, self.limits.images, "pictures"), (videos, self.limits.videos, "videos")):
            if len(found) > most:
                with _of(found[most]):
                    kind = found[most].kind
                    raise refusal(kind, "count", f"{len(found)} {words}", f"at most {most} ({FLAGS['images']})")

    async def _read(self, request: MediaRequest, owner: str) -> "_Read":
        """The bytes, once their head looks like something allowed."""
        with _of(request):
            frames = self._sources.frames(request.source) if request.kind == "video" else None
            if frames is not None:
                return _Read(request, await self._read_frames(frames, owner), is_frames=True)
            if not isinstance(request.source, str):
                raise refusal(request.kind, "address", "a list", "one address; only clips are given as frames")
            data = await self._sources.read(request.kind, request.source, owner=owner)
            return _Read(request, (data,), is_document=_recognised(request, data) == "PDF")

    async def _read_frames(self, frames: Sequence[str], owner: str) -> tuple[bytes, ...]:
        """All of them within the bytes and seconds of one clip."""
        data: list[bytes] = []
        try:
            async with asyncio.timeout(self.limits.video_fetch_s):
                for frame in frames:
                    data.append(await self._sources.read("image", frame, owner=owner))
                    self._sources.check_bytes("video", sum(map(len, data)))
        except TimeoutError:
            allowed = f"{self.limits.video_fetch_s:g} s for all frames ({FLAGS['video_fetch_s']})"
            raise refusal("video", "download", "the frames came too slowly", allowed) from None
        return tuple(data)

    async def _check_pixels(self, read: Sequence["_Read"], owner: str) -> None:
        """By the headers of all pictures, before one of them is decoded. A single one is checked when it is decoded."""
        pictures = [one for one in read if one.request.kind != "video" and not one.is_document]
        total, most = 0, self.limits.request_pixels
        for one in pictures if len(pictures) > 1 else ():
            with _of(one.request):
                work = partial(_size, data=one.data[0], max_pixels=self.limits.image_pixels)
                total += await self._pool.run(work, kind=one.request.kind, owner=owner)
                if total > most:
                    seen = f"{total:,} pixels with the pictures before it"
                    raise refusal(one.request.kind, "pixels", seen, f"at most {most:,} ({FLAGS['request_pixels']})")

    def _pages_left(self, read: Sequence["_Read"]) -> int:
        return self.limits.images - sum(one.request.kind != "video" and not one.is_document for one in read)

    async def _visuals(
        self, item: "_Read", owner: str, budget: Budget, pages_left: int, name: str
    ) -> Sequence[VisualInput]:
        """Those of an earlier request, or decoded now; within the budget either way."""
        with _of(item.request):
            knobs = repr((name, item.request.kind, item.is_frames, item.request.options))
            key = await asyncio.to_thread(prepared_key, owner, knobs, item.data)
            visuals = self._prepared.get(key)
            if visuals is None:
                visuals = await self._decode(item, owner, replace(budget), pages_left, name)
                self._prepared.put(key, visuals)
            if item.is_document:
                check_pages(len(visuals), pages_left)
            for visual in visuals:
                budget.take(item.request.kind, visual.grid_thw)
            return visuals

    async def _decode(
        self, item: "_Read", owner: str, budget: Budget, pages_left: int, name: str
    ) -> tuple[VisualInput, ...]:
        """In a process. A clip asks the budget before its frames are decoded."""
        options, opener, data = item.request.options, self._opener, item.data
        if item.request.kind == "video":
            assert isinstance(options, VideoOptions), "a video with its own knobs"
            if item.is_frames:
                work = partial(opener.frame_list, frames=data, options=options, name=name, budget=budget)
            else:
                work = partial(opener.clip, data=data[0], options=options, name=name, budget=budget)
            return (await self._pool.run(work, kind="video", owner=owner),)
        assert isinstance(options, ImageOptions), "a picture with its own knobs"
        if item.is_document:
            pages = partial(opener.pages, data=data[0], options=options, name=name, most=pages_left)
            return tuple(await self._pool.run(pages, kind="file", owner=owner))
        picture = partial(opener.picture, data=data[0], options=options, name=name)
        return (await self._pool.run(picture, kind=item.request.kind, owner=owner),)


class _Read(NamedTuple):
    """A part whose bytes are here: of one file, or of the frames of a clip."""

    request: MediaRequest
    data: tuple[bytes, ...]
    is_frames: bool = False
    is_document: bool = False


@contextmanager
def _of(request: MediaRequest) -> Iterator[None]:
    """Errors inside are about this part."""
    try:
        yield
    except RefusedMediaError as error:
        error.part = request.index
        raise
    except OptionError as error:
        raise RefusedMediaError(
            error.item, error.seen, error.allowed, code="invalid_value", part=request.index
        ) from None
    except MediaError as error:
        refused = refusal(request.kind, "shape", error.seen, error.allowed)
        refused.part = request.index
        raise refused from None


def _recognised(request: MediaRequest, data: bytes) -> str:
    """The key of a format that is allowed for this kind; names and declared types are not looked at."""
    format_, (keys, words) = sniff(data[:_HEAD]), _ALLOWED[request.kind]
    if format_.key not in keys:
        advice = f"; {format_.advice}" if format_.advice else ""
        raise refusal(request.kind, "format", f"looks like {format_.words}", words + advice)
    return format_.key


def _name(read: Sequence[_Read], number: int) -> str:
    """What notes call it: by its number where there are more of its kind."""
    kind = read[number].request.kind
    same = [place for place, one in enumerate(read) if one.request.kind == kind]
    return kind if len(same) == 1 else f"{kind} {same.index(number) + 1}"


def _size(decoder: Any, data: bytes, max_pixels: int) -> int:
    size = decoder.size_of(data, max_pixels=max_pixels)
    return int(size.height * size.width)


async def _together(coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All at once; the first that fails ends the others."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
