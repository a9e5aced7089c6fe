"""The server's side of one process that decodes: raw RGB arrays out of it, and an end to it whenever it is wanted."""

import math
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import IO, Any

import numpy as np

from anyres.processing.clip import Clip, Frame_HWC
from anyres.processing.image import MAX_RATIO, Size
from anyres.server.decoder_wire import WireError, receive, receive_into, send

__all__ = ["Decoder", "DecoderDiedError", "UndecodableError"]

_KEPT_ENVIRONMENT = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # no keys, no proxies
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_PROGRAM = "import sys; sys.path[:] = sys.argv[3:]; from anyres.server.decoder_child import main; main()"
_PROBLEMS = ("damaged", "format", "memory", "pixels", "shape", "side")
_MOST_FRAMES = 2_000_000
_MOST_SAID = 300  # letters of a message that come from the process


class UndecodableError(Exception):
    """The process has looked at the bytes and says why they are none of what they should be."""

    def __init__(self, problem: str, seen: str, allowed: str) -> None:
        super().__init__(problem, seen, allowed)
        self.problem = problem
        self.seen = seen
        self.allowed = allowed


class DecoderDiedError(Exception):
    """The process ended, was ended, or has said something it cannot say."""


class Decoder:
    """One process, within `memory` bytes beyond what it needs to run, and `seconds` of processor time a message.

    Not for two threads at once, except for `kill`: whoever waits for the process then gets a DecoderDiedError.
    `owner` is whose media it has seen.
    """

    def __init__(self, *, memory: int, seconds: float) -> None:
        self.owner: str | None = None
        self.uses = 0
        self._memory = memory
        self._seconds = seconds
        self._owed = 0  # messages that the process has still to send, or to send the rest of
        self._starting = threading.Lock()
        self._lock = threading.Lock()
        self._killed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._end: weakref.finalize[..., Decoder] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, once it is started."""
        return None if self._process is None else self._process.pid

    @property
    def clean(self) -> bool:
        """Whether it lives, and all its answers were read to their end."""
        return self._owed == 0 and not self._killed

    def start(self) -> None:
        """Once is enough; returns when the process has loaded everything and has no rights left."""
        with self._starting:
            with self._lock:
                if self._process is not None or self._killed:
                    return
                self._process, self._owed = self._spawned(), 1
                self._end = weakref.finalize(self, _end, self._process)  # also when the server ends in disorder
            self._expect(self._receive(), 0)

    def kill(self) -> None:
        """At once, whatever it does. Whoever waits for it is told; `close` does the rest."""
        with self._lock:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """Kills it, and closes its pipes: only when no thread waits for them any more. It is gone when this returns."""
        self.kill()
        if self._end is not None:
            self._end()

    def size_of(self, data: bytes, *, max_pixels: int) -> Size:
        """Of a picture, from its header."""
        self._send({"op": "head", "max_pixels": max_pixels, "max_ratio": MAX_RATIO}, data)
        words = self._receive()
        self._expect(words, 0)
        return self._size(words, max_pixels)

    def picture(self, data: bytes, *, max_pixels: int) -> Frame_HWC:
        """uint8 [H, W, 3] of an upright picture, as `anyres.processing.picture` decodes it."""
        self._send({"op": "picture", "max_pixels": max_pixels, "max_ratio": MAX_RATIO}, data)
        return self._pixels(max_pixels)

    def clip(self, data: bytes, *, max_pixels: int) -> Clip:
        """A clip whose frames this process decodes when they are asked for; the next message ends it."""
        self._send({"op": "clip", "max_pixels": max_pixels}, data)
        words = self._receive()
        count, fps = words.get("frames"), words.get("fps")
        if type(count) is not int or not 0 < count <= _MOST_FRAMES or type(fps) is not float or not 0 < fps < math.inf:
            raise self._lies()
        size = self._size(words, max_pixels)
        self._expect(words, 8 * count)
        times_s = np.empty(count, dtype=np.float64)
        self._fill(times_s)
        if not np.isfinite(times_s).all():
            raise self._lies()
        frames = _Frames(self, max_pixels)
        return Clip(frames, name="video", fps=fps, times_s=times_s.tolist(), height=size.height, width=size.width)

    def pages(self, data: bytes) -> int:
        """How many pages a document has; `page` draws them."""
        self._send({"op": "document"}, data)
        words = self._receive()
        self._expect(words, 0)
        if type(words.get("pages")) is not int or words["pages"] < 1:
            raise self._lies()
        return int(words["pages"])

    def page(self, number: int, *, max_pixels: int) -> Frame_HWC:
        """uint8 [H, W, 3] of a page of the document that was opened last."""
        self._send({"op": "page", "number": number, "max_pixels": max_pixels})
        return self._pixels(max_pixels + 2 * int(max_pixels**0.5) + 1)  # sides are rounded up

    def frames(self, indices: Sequence[int], *, max_pixels: int) -> Iterator[Frame_HWC]:
        """Frames of the clip that was opened last. One that is not read to its end spoils the process."""
        assert all(low <= high for low, high in pairwise(indices)), "ascending numbers only"
        if indices:
            self._send({"op": "frames", "indices": list(indices)}, answers=len(indices))
        for _ in indices:
            yield self._pixels(max_pixels)

    def _spawned(self) -> "subprocess.Popen[bytes]":
        kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        paths = [os.path.abspath(path) for path in sys.path]  # noqa: PTH100 - "" is the folder we are in
        limits = (str(self._memory), str(math.ceil(self._seconds)))
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", "-c", _PROGRAM, *limits, *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept | _ENVIRONMENT,
            cwd=os.path.abspath(os.sep),  # noqa: PTH100
            start_new_session=True,  # Ctrl-C is for the server, which ends this one itself
        )

    @property
    def _pipe_out(self) -> IO[bytes]:
        assert self._process is not None, "it was started"
        assert self._process.stdout is not None, "with a pipe"
        return self._process.stdout

    def _send(self, words: dict[str, Any], data: bytes = b"", answers: int = 1) -> None:
        self.start()
        if self._process is None or self._process.stdin is None or not self.clean:
            raise DecoderDiedError
        self._owed = answers
        try:
            send(self._process.stdin, words, data)
        except WireError:
            raise DecoderDiedError from None

    def _receive(self) -> dict[str, Any]:
        """Words of an answer that is no refusal."""
        if self._process is None:
            raise DecoderDiedError
        try:
            words = receive(self._pipe_out)
        except WireError:
            raise DecoderDiedError from None
        if "problem" in words:
            self._owed = 1  # the last, whatever was to follow
            self._expect(words, 0)
            problem = words["problem"] if words["problem"] in _PROBLEMS else "damaged"
            raise UndecodableError(problem, _plain(words.get("seen")), _plain(words.get("allowed")))
        return words

    def _expect(self, words: dict[str, Any], size: int) -> None:
        if words["size"] != size:
            raise self._lies()
        self._owed -= size == 0

    def _size(self, words: dict[str, Any], max_pixels: int) -> Size:
        height, width = words.get("height"), words.get("width")
        if type(height) is not int or type(width) is not int or height < 1 or width < 1:
            raise self._lies()
        if height * width > max_pixels:
            raise self._lies()
        return Size(height, width)

    def _pixels(self, max_pixels: int) -> Frame_HWC:
        words = self._receive()
        height, width = self._size(words, max_pixels)
        self._expect(words, height * width * 3)
        pixels_HWC = np.empty((height, width, 3), dtype=np.uint8)
        self._fill(pixels_HWC)
        return pixels_HWC

    def _fill(self, array: "np.ndarray[Any, Any]") -> None:
        try:
            receive_into(self._pipe_out, array.data.cast("B"))
        except WireError:
            raise DecoderDiedError from None
        self._owed -= 1

    def _lies(self) -> DecoderDiedError:
        self.kill()
        return DecoderDiedError()


class _Frames:
    """The source of a Clip that lies in the process."""

    def __init__(self, decoder: Decoder, max_pixels: int) -> None:
        self._decoder = decoder
        self._max_pixels = max_pixels

    def frames(self, indices: Sequence[int]) -> Iterator[Frame_HWC]:
        return self._decoder.frames(indices, max_pixels=self._max_pixels)

    def close(self) -> None:
        """The process forgets the clip with the next message."""


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except OSError:  # what was still to be written has no reader
            continue


def _plain(words: object) -> str:
    """Letters only, and not many: they may be those of a hostile file."""
    return "".join(letter for letter in str(words)[:_MOST_SAID] if letter.isprintable())
