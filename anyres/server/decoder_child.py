"""The process that decodes: no files, no network, so much memory and processor time, and one message after the other.

The server starts it (anyres/server/decoder.py) and kills it. Before the first byte of a request it loads everything
that it will ever need and gives up the right to open anything: afterwards not even a module can be read.
"""

import io
import os
import struct
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import IO, Any

import numpy as np
from PIL import Image

from anyres.errors import AnyresError, MediaError
from anyres.processing.clip import Clip, open_animation, open_container
from anyres.processing.document import Document, open_document
from anyres.processing.picture import open_picture, upright_rgb
from anyres.processing.sniff import ANIMATED, PICTURES, sniff
from anyres.server.decoder_wire import WireError, receive, send

__all__ = ["main"]

_STDIO = 3  # file descriptors: nothing above them may be opened
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_MOST_PROCESSORS = 4  # for the threads of one decoder; each wants room for frames


def main() -> None:
    """Answers messages until the pipe ends. Arguments: bytes of memory, seconds of processor time for a message."""
    memory, seconds = int(sys.argv[1]), int(sys.argv[2])
    pipe_in, pipe_out = sys.stdin.buffer, sys.stdout.buffer
    _load_everything()
    _give_up_rights(memory)
    child = _Child(pipe_out)
    send(pipe_out, {"ready": True})
    while True:
        try:
            words = receive(pipe_in)
            data = pipe_in.read(words["size"])
            if len(data) < words["size"]:
                return
            _allow_processor_time(seconds)
            child.answer(words, data)
        except WireError:
            return


class _Child:
    """What is open between two messages: one clip or document."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._clip: Clip | None = None
        self._document: Document | None = None

    def answer(self, words: dict[str, Any], data: bytes) -> None:
        try:
            match words["op"]:
                case "head":
                    self._say_size(_opened(data, words))
                case "picture":
                    picture = _opened(data, words)
                    self._give(np.asarray(upright_rgb(picture, name="", max_pixels=words["max_pixels"])))
                case "clip":
                    self._open_clip(data, words)
                case "frames":
                    assert self._clip is not None, "after a clip"
                    for frame in self._clip.iter_frames(words["indices"]):
                        self._give(frame)
                case "document":
                    self._document = open_document(data, name="")
                    send(self._pipe, {"pages": self._document.pages})
                case "page":
                    assert self._document is not None, "after a document"
                    page = self._document.page(words["number"], max_pixels=words["max_pixels"])
                    self._give(np.asarray(page))
        except AnyresError as error:
            send(self._pipe, {"problem": _problem(error), "seen": error.seen, "allowed": error.allowed})
        except MemoryError:
            send(self._pipe, {"problem": "memory", "seen": "", "allowed": ""})

    def _open_clip(self, data: bytes, words: dict[str, Any]) -> None:
        self._clip = None
        if sniff(data[:4096]).key in ANIMATED:
            self._clip = open_animation(data, name="", max_pixels=words["max_pixels"])
        else:
            self._clip = open_container(io.BytesIO(data), name="", max_pixels=words["max_pixels"])
        clip = self._clip
        times_s = np.array(clip.times_s(range(clip.total_frames)), dtype=np.float64)
        said = {"frames": clip.total_frames, "fps": clip.fps, "height": clip.height, "width": clip.width}
        send(self._pipe, said, times_s.tobytes())

    def _say_size(self, picture: Image.Image) -> None:
        send(self._pipe, {"height": picture.height, "width": picture.width})

    def _give(self, pixels_HWC: "np.ndarray[Any, Any]") -> None:
        height, width, channels = pixels_HWC.shape
        assert (channels, pixels_HWC.dtype) == (3, np.uint8), "8-bit RGB"
        send(self._pipe, {"height": height, "width": width}, np.ascontiguousarray(pixels_HWC).data.cast("B"))


class _SideError(MediaError):
    """A side of 0 pixels."""


class _ShapeError(MediaError):
    """Far longer than wide, or the other way round."""


def _opened(data: bytes, words: dict[str, Any]) -> Image.Image:
    """A picture whose header is read and within the limits."""
    if 0 in _claimed_sides(data):
        raise _SideError("", "a side of 0 pixels", "at least 1x1")
    picture = open_picture(data, name="", max_pixels=words["max_pixels"])
    width, height = picture.size
    if max(width, height) > words["max_ratio"] * min(width, height):
        seen = f"{width}x{height} pixels, aspect ratio {max(width, height) / min(width, height):.4g}"
        raise _ShapeError("", seen, f"at most {words['max_ratio']}")
    return picture


def _claimed_sides(data: bytes) -> tuple[int, ...]:
    """Width and height where a header states them at a known place; Pillow calls a side of 0 damage."""
    key = sniff(data[:4096]).key
    places = {"PNG": (">2I", 16), "GIF": ("<2H", 6), "BMP": ("<2i", 18)}
    if key not in places or len(data) < 26:
        return ()
    form, offset = places[key]
    return struct.unpack_from(form, data, offset)


def _problem(error: AnyresError) -> str:
    """By which the server finds the code of a refusal."""
    if isinstance(error, _SideError):
        return "side"
    if isinstance(error, _ShapeError):
        return "shape"
    if isinstance(error.__context__, MemoryError):
        return "memory"
    if error.allowed.startswith("at most") and "pixels" in error.seen:
        return "pixels"
    if "codec" in error.seen or (error.seen.startswith("looks like") and "damaged" not in error.seen):
        return "format"
    return "damaged"


def _load_everything() -> None:
    """Every module of the decoders, and something decoded of each kind: libraries load parts of themselves late."""
    _import_all("av")
    assert set(_FORMATS) == PICTURES
    for format_ in _FORMATS:
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, format_)
        upright_rgb(open_picture(file.getvalue(), name="", max_pixels=64), name="", max_pixels=64)
    for open_ in (_open_broken_picture, _open_broken_clip, _draw_empty_page):
        try:
            open_()
        except AnyresError:  # damaged, or a package that is not there
            continue


def _import_all(name: str) -> None:
    """A package and all below it; what it names but cannot import is for other systems or packages."""
    try:
        package = import_module(name)
    except ImportError:
        return
    for module in iter_modules(package.__path__, f"{name}."):
        if module.name.endswith("__main__"):
            continue
        try:
            import_module(module.name)
        except ImportError:
            continue
        if module.ispkg:
            _import_all(module.name)


def _open_broken_picture() -> None:
    open_picture(b"\x89PNG\r\n\x1a\n", name="", max_pixels=64)


def _open_broken_clip() -> None:
    open_container(io.BytesIO(b"ffconcat"), name="", max_pixels=64)


def _draw_empty_page() -> None:
    page = (
        b"%PDF-1.7\n1 0 obj<</Pages 2 0 R>>endobj 2 0 obj<</Kids[3 0 R]/Count 1>>endobj 3 0 obj<</MediaBox[0 0 9 9]>>"
    )
    open_document(page + b"endobj\ntrailer<</Root 1 0 R>>", name="").page(0, max_pixels=64)


def _give_up_rights(memory: int) -> None:
    """Limits that cannot be raised again. Where the system has none (Windows), time and killing remain."""
    try:
        import resource
    except ImportError:
        return
    limits = {resource.RLIMIT_AS: _address_space() + memory, resource.RLIMIT_NOFILE: _STDIO, resource.RLIMIT_FSIZE: 0}
    for kind, limit in (limits | {resource.RLIMIT_CORE: 0}).items():
        try:
            resource.setrlimit(kind, (limit, limit))
        except (OSError, ValueError):  # macOS knows no RLIMIT_AS
            continue
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        first = os.getpid() % len(allowed)
        os.sched_setaffinity(0, (allowed + allowed)[first : first + _MOST_PROCESSORS])


def _address_space() -> int:
    """Bytes of it that the interpreter and its libraries take already."""
    try:
        with Path("/proc/self/statm").open() as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # macOS, where the limit is not kept either
        return 0


def _allow_processor_time(seconds: int) -> None:
    """So many more; past them the system ends the process, should nobody else be there to do it."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + seconds * _MOST_PROCESSORS
    _, highest = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, highest))
