"""The only door for pictures and clips from outside: limits first, then the format from the bytes, then decoding."""

import base64
import binascii
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import numpy as np
from PIL import Image

from anyres.errors import MediaError
from anyres.processing.clip import Clip, open_animation, open_container
from anyres.processing.fetch import fetch
from anyres.processing.picture import decode_picture, picture_from_array, upright_rgb
from anyres.processing.sniff import ANIMATED, VIDEOS, sniff

__all__ = [
    "DEFAULT_LIMITS",
    "MediaBytes",
    "MediaLimits",
    "OpenedImage",
    "clip_in",
    "open_image",
    "open_video",
    "open_video_file",
    "read_bytes",
]

Kind = Literal["image", "video"]

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):(?=//)|^((?i:data)):")
_SOURCES = "a path, an http(s), file: or data: URL, bytes or a file object"
_HEAD = 4096  # bytes enough to recognise a format


@dataclass(frozen=True)
class MediaLimits:
    """What may be read, and how much. The defaults suit a program that reads its own user's files.

    A server sets `allow_files=False` and `allow_local_addresses=False`. The pixel limits are checked from the header,
    before decoding: 178,956,970 is where Pillow itself calls a picture a decompression bomb.
    """

    max_image_bytes: int = 100_000_000
    max_video_bytes: int = 2_000_000_000
    max_image_pixels: int = 178_956_970
    max_frame_pixels: int = 8192 * 4320
    max_list_frames: int = 768
    image_timeout_s: float = 30.0
    video_timeout_s: float = 600.0
    max_redirects: int = 5
    allow_files: bool = True
    allow_urls: bool = True
    allow_local_addresses: bool = True

    def max_bytes(self, kind: Kind) -> int:
        return self.max_image_bytes if kind == "image" else self.max_video_bytes


DEFAULT_LIMITS = MediaLimits()


class MediaBytes(NamedTuple):
    """An encoded file in memory, and the name errors call it by."""

    name: str
    data: bytes


class OpenedImage(NamedTuple):
    """An upright picture of mode RGB."""

    name: str
    picture: Image.Image


def open_image(source: object, *, limits: MediaLimits = DEFAULT_LIMITS) -> OpenedImage:
    """A picture from a path, URL, `data:` URI, bytes, file object, PIL picture or numpy array.

    The first frame of an animated file. MediaError when it is none of the allowed formats, too large, or damaged.

    >>> open_image(np.zeros((2, 3), dtype=np.uint8)).picture.size
    (3, 2)
    """
    if isinstance(source, Image.Image):
        name = _name_of(getattr(source, "filename", ""), "image")
        return OpenedImage(name, upright_rgb(source, name=name, max_pixels=limits.max_image_pixels))
    if isinstance(source, np.ndarray):
        return OpenedImage("image", picture_from_array(source, name="image", max_pixels=limits.max_image_pixels))
    name, data = read_bytes(source, kind="image", limits=limits)
    return OpenedImage(name, decode_picture(data, name=name, max_pixels=limits.max_image_pixels))


@contextmanager
def open_video(source: object, *, limits: MediaLimits = DEFAULT_LIMITS) -> Iterator[Clip]:
    """A clip whose frames are decoded when asked for: MP4, MOV, Matroska, WebM, AVI, MPEG-TS, animated GIF/WEBP/PNG.

    A local file is read in place and never opened by name, so a playlist in disguise cannot reach other files.
    """
    with open_video_file(source, limits=limits) as (name, file), clip_in(file, name=name, limits=limits) as clip:
        yield clip


def clip_in(file: BinaryIO, *, name: str, limits: MediaLimits = DEFAULT_LIMITS) -> Clip:
    """The clip in an open file, which stays open as long as the clip is."""
    file.seek(0)
    format_ = sniff(file.read(_HEAD))
    file.seek(0)
    if format_.key in ANIMATED:
        return open_animation(file.read(), name=name, max_pixels=limits.max_frame_pixels)
    if format_.key in VIDEOS:
        return open_container(file, name=name, max_pixels=limits.max_frame_pixels)
    advice = f"; {format_.advice}" if format_.advice else ""
    raise MediaError(name, f"looks like {format_.words}", f"MP4, MOV, MKV, WebM, AVI, TS, animated GIF{advice}")


@contextmanager
def open_video_file(source: object, *, limits: MediaLimits = DEFAULT_LIMITS) -> Iterator[tuple[str, BinaryIO]]:
    """Name and seekable file of a clip: the real one for a path, one in memory for everything else."""
    scheme = _scheme(source)
    if isinstance(source, (str, os.PathLike)) and scheme in (None, "file"):
        with _open_path(source, scheme=scheme, kind="video", limits=limits) as opened:
            yield opened
    else:
        name, data = read_bytes(source, kind="video", limits=limits)
        yield name, io.BytesIO(data)


def read_bytes(source: object, *, kind: Kind, limits: MediaLimits) -> MediaBytes:
    """The encoded file behind `source`, never more than the limit of its kind."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _capped(kind, bytes(source), limits.max_bytes(kind))
    scheme = _scheme(source)
    if scheme == "data":
        return _from_data_uri(str(source), kind=kind, limits=limits)
    if scheme in ("http", "https"):
        return _from_url(str(source), kind=kind, limits=limits)
    if scheme is not None or isinstance(source, (str, os.PathLike)):
        with _open_path(source, scheme=scheme, kind=kind, limits=limits) as (name, file):
            return _capped(name, file.read(limits.max_bytes(kind) + 1), limits.max_bytes(kind))
    if callable(getattr(source, "read", None)):
        return _from_file_object(source, kind=kind, limits=limits)
    raise MediaError(kind, f"an object of type {type(source).__name__}", _SOURCES)


def _scheme(source: object) -> str | None:
    """The scheme of a URL in lower case; None for paths, bytes and objects."""
    match = _SCHEME.match(source) if isinstance(source, str) else None
    return (match.group(1) or match.group(2)).lower() if match else None


def _name_of(path: object, otherwise: str) -> str:
    """The last part of a path or address, printable and short."""
    last = str(path).rstrip("/").rpartition("/")[2] if isinstance(path, (str, os.PathLike)) else ""
    shown = "".join(char for char in last if char.isprintable())
    return (shown if len(shown) <= 80 else f"{shown[:60]}...{shown[-17:]}") or otherwise


def _capped(name: str, data: bytes, max_bytes: int) -> MediaBytes:
    if not data:
        raise MediaError(name, "0 bytes", f"1 to {max_bytes:,} bytes")
    if len(data) > max_bytes:
        raise MediaError(name, f"more than {max_bytes:,} bytes", f"at most {max_bytes:,}")
    return MediaBytes(name, data)


def _from_data_uri(uri: str, *, kind: Kind, limits: MediaLimits) -> MediaBytes:
    """The media type in front of the comma is not looked at: the bytes tell."""
    head, comma, body = uri[len("data:") :].partition(",")
    name = f"{kind} in a data: URI"
    if not comma:
        raise MediaError(name, "no comma", "data:<type>;base64,<data>")
    if len(body) > 4 * limits.max_bytes(kind):
        raise MediaError(name, f"{len(body):,} characters", f"at most {limits.max_bytes(kind):,} bytes")
    if not head.lower().endswith(";base64"):
        return _capped(name, unquote_to_bytes(body), limits.max_bytes(kind))
    try:
        data = base64.b64decode("".join(unquote(body).split()), validate=True)
    except (binascii.Error, ValueError):
        raise MediaError(name, "not valid base64", "data:<type>;base64,<data>") from None
    return _capped(name, data, limits.max_bytes(kind))


def _from_url(url: str, *, kind: Kind, limits: MediaLimits) -> MediaBytes:
    name = _name_of(url.partition("?")[0], kind)
    if not limits.allow_urls:
        raise MediaError(name, "an http(s) address", "data: URLs and uploads; fetching is switched off here")
    data = fetch(
        url,
        max_bytes=limits.max_bytes(kind),
        timeout_s=limits.image_timeout_s if kind == "image" else limits.video_timeout_s,
        max_redirects=limits.max_redirects,
        allow_local_addresses=limits.allow_local_addresses,
    )
    return _capped(name, data, limits.max_bytes(kind))


@contextmanager
def _open_path(
    source: object, *, scheme: str | None, kind: Kind, limits: MediaLimits
) -> Iterator[tuple[str, BinaryIO]]:
    """Opens a regular file and nothing else: no folder, pipe or device."""
    if not limits.allow_files:
        raise MediaError(kind, "the path of a file", "data: URLs and uploads; paths are switched off here")
    name = _name_of(source, kind)
    path = _file_path(source, name) if scheme else Path(os.fsdecode(source)).expanduser()  # type: ignore[arg-type]
    _check_regular(path, name, limits.max_bytes(kind))
    try:
        file = path.open("rb")
    except OSError as error:
        raise MediaError(name, f"cannot be opened ({error.strerror})", "a file that can be read") from None
    with file:
        yield name, file


def _file_path(source: object, name: str) -> Path:
    parts = urlsplit(str(source))
    if parts.scheme != "file":
        raise MediaError(name, f"an address of scheme {parts.scheme}", "http, https, file or data")
    if parts.netloc not in ("", "localhost"):
        raise MediaError(name, f"a file: address on host {parts.netloc}", "file:///path of this machine")
    return Path(unquote(parts.path))


def _check_regular(path: Path, name: str, max_bytes: int) -> None:
    try:
        status = path.stat()
    except PermissionError:
        raise MediaError(name, "no permission to read it", "a file that can be read") from None
    except (OSError, ValueError):  # not there, name too long, a zero byte in the name
        raise MediaError(name, "no such file", _SOURCES) from None
    if not stat.S_ISREG(status.st_mode):
        seen = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
        raise MediaError(name, seen, "a regular file")
    if status.st_size > max_bytes:
        raise MediaError(name, f"{status.st_size:,} bytes", f"at most {max_bytes:,}")
    if status.st_size == 0:
        raise MediaError(name, "0 bytes", f"1 to {max_bytes:,} bytes")


def _from_file_object(source: Any, *, kind: Kind, limits: MediaLimits) -> MediaBytes:
    """Read from its beginning where it can be rewound, so that the same object can be asked about twice."""
    name = _name_of(getattr(source, "name", None), kind)
    try:
        if callable(getattr(source, "seekable", None)) and source.seekable():
            source.seek(0)
        data = source.read(limits.max_bytes(kind) + 1)
    except (OSError, ValueError):  # ValueError: the file is closed
        raise MediaError(name, "a file object that cannot be read", "one open for reading bytes") from None
    if not isinstance(data, (bytes, bytearray)):
        raise MediaError(name, f"a file object that gives {type(data).__name__}", "one opened in mode 'rb'")
    return _capped(name, bytes(data), limits.max_bytes(kind))
