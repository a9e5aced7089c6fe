"""What a request says about its media, before any of it is opened."""

from dataclasses import dataclass

from anyres.server.refusal import Kind

__all__ = ["ImageOptions", "MediaRequest", "VideoOptions"]


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
