"""Clips that are decoded while they are encoded, and not at all where their visual tokens or frames are known.

A streamed clip is named by the SHA-256 of its file and of all that decides which pixels come out of it, so caches are
asked before anything is decoded. Only `patches` decodes: a thread runs ahead of whoever asks for them.
"""

import hashlib
import io
import json
import os
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import cached_property
from threading import Condition, Thread
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from anyres.chat import VideoPart
from anyres.config import ImageProcessorConfig
from anyres.disk_cache import DiskCache
from anyres.errors import AnyresError, MediaError
from anyres.model_input import VisualInput
from anyres.processing.clip import decoder_versions
from anyres.processing.image import normalise_table, patchify
from anyres.processing.media import DEFAULT_LIMITS, MediaLimits, clip_in, open_video_file
from anyres.processing.video import Taken, check_video_options, grid_of, note_of, take_frames
from anyres.tensor_bytes import pack, unpack

__all__ = ["StreamedClip", "stream_clip"]

KIND, FORMAT = "frames", 1  # FORMAT changes when the choice of frames, their resize or their order in patches does


@dataclass(frozen=True)
class StreamedClip(VisualInput):
    """A clip that decodes when `patches` is called; `pixels_PX` stays None. Raises what decoding raises, then."""

    source_key: bytes = b""
    decoder: "ClipDecoder | None" = field(default=None, repr=False, compare=False)

    @cached_property
    def content_key(self) -> bytes:
        """Known without decoding: equal for the same file, choice of frames and size."""
        return hashlib.sha256(b"streamed" + self.source_key).digest()

    def begin(self) -> None:
        """Starts decoding, for patches that will be asked for."""
        assert self.decoder is not None, "a clip with its decoder"
        self.decoder.begin()

    def ready_rows(self) -> int:
        """How many leading patches come, or raise, without a wait. Asking starts the decoding."""
        assert self.decoder is not None, "a clip with its decoder"
        return self.decoder.ready_rows()

    @property
    def done(self) -> bool:
        """Whether decoding has ended, well or not."""
        assert self.decoder is not None, "a clip with its decoder"
        return self.decoder.ended

    def patches(self, start: int = 0, stop: int | None = None) -> Tensor:
        """As those of VisualInput; waits for the frames that are needed, not for those behind them."""
        assert self.decoder is not None, "a clip with its decoder"
        ready = VisualInput(
            self.name,
            self.kind,
            self.grid_thw,
            self.original_size,
            self.resized_size,
            pixels_PX=self.decoder.wait_for(stop),
            normalise_CV=self.normalise_CV,
        )
        return ready.patches(start, stop)


def stream_clip(
    part: VideoPart,
    *,
    config: ImageProcessorConfig,
    limits: MediaLimits = DEFAULT_LIMITS,
    cache: DiskCache | None = None,
) -> StreamedClip:
    """Opens a clip, chooses its frames, and decodes none. With `cache` decoded frames are kept on disk.

    Raises MediaError for the clip, as far as its head tells, and OptionError for its knobs.
    """
    check_video_options(part)
    with ExitStack() as opened:
        name, file = opened.enter_context(open_video_file(part.video, limits=limits))
        before = _state(file)
        source_key = _source_key(file, part, config)
        taken = take_frames(part, opened.enter_context(clip_in(file, name=name, limits=limits)), config)
        source = _Source(taken.name, file, before, opened.pop_all())
        decoder = ClipDecoder(taken, config, source, cache=cache, key=source_key)
    clip = StreamedClip(
        name=taken.name,
        kind="video",
        grid_thw=grid_of(taken, config),
        original_size=taken.original,
        resized_size=taken.size,
        normalise_CV=normalise_table(config),
        frame_times_s=taken.times_s,
        note=note_of(part, taken),
        source_key=source_key,
        decoder=decoder,
    )
    weakref.finalize(clip, decoder.stop)
    return clip


class _Source(NamedTuple):
    """An open clip: its file, what the file was like when its key was made, and all that has to be closed."""

    name: str
    file: BinaryIO
    state: tuple[int, int] | None
    opened: ExitStack


class ClipDecoder:
    """Fills the patches of a clip from a thread that starts when somebody waits for them."""

    def __init__(
        self, taken: Taken, config: ImageProcessorConfig, source: _Source, *, cache: DiskCache | None, key: bytes
    ) -> None:
        self._taken = taken
        self._config = config
        self._source = source
        self._cache = cache
        self._key = key
        self._pixels_PX: Tensor | None = None
        self._rows = 0  # that are in their places
        self._error: AnyresError | None = None
        self.ended = False
        self._stopped = False
        self._changed = Condition()

    def wait_for(self, stop: int | None) -> Tensor:
        """All patches, uint8 [P, X], of which those before `stop` are in their places; the others are not yet."""
        with self._changed:
            self.begin()
            assert self._pixels_PX is not None
            wanted = len(self._pixels_PX) if stop is None else min(stop, len(self._pixels_PX))
            self._changed.wait_for(lambda: self._rows >= wanted or self.ended)
            if self._rows >= wanted:
                return self._pixels_PX
            assert self._error is not None, "a bug, or decoding was stopped"
            raise self._error

    def begin(self) -> None:
        """Starts the thread, unless it was started before or frames come from the disk."""
        with self._changed:
            if self._pixels_PX is None:
                self._start()

    def ready_rows(self) -> int:
        """Up to which `stop` `wait_for(stop)` would return or raise at once."""
        with self._changed:
            self.begin()
            assert self._pixels_PX is not None
            return len(self._pixels_PX) if self.ended else self._rows

    def stop(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._stopped = True
            if self._pixels_PX is None:
                self._source.opened.close()

    def _start(self) -> None:
        assert not self._stopped, "decoding was stopped"
        t, h, w = grid_of(self._taken, self._config)
        values = len(self._config.image_mean) * self._config.temporal_patch_size * self._config.patch_size**2
        kept_PX = self._kept((t * h * w, values))
        if kept_PX is None:
            self._pixels_PX = torch.empty(t * h * w, values, dtype=torch.uint8)
            Thread(target=self._run, name="anyres-clip", daemon=True).start()
        else:
            self._pixels_PX, self._rows, self.ended = kept_PX, len(kept_PX), True
            self._source.opened.close()

    def _kept(self, shape: tuple[int, int]) -> Tensor | None:
        data = None if self._cache is None else self._cache.get(KIND, self._key)
        pixels_PX = None if data is None else unpack(data).tensors["pixels_PX"]
        return pixels_PX if pixels_PX is not None and pixels_PX.shape == shape else None

    def _run(self) -> None:
        try:
            with self._source.opened:
                self._decode()
        except AnyresError as error:
            self._error = error
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()

    def _decode(self) -> None:
        assert self._pixels_PX is not None
        size, count = self._taken.size, len(self._taken.times_s)
        patchify(self._frames(), count=count, size=size, config=self._config, pixels_PX=self._pixels_PX)
        self._check_unchanged()
        if self._cache is not None:
            self._cache.put_later(KIND, self._key, pack({}, {"pixels_PX": self._pixels_PX}))
        self._advance(count + self._config.temporal_patch_size)

    def _frames(self) -> Iterator[np.ndarray[Any, Any]]:
        for number, frame in enumerate(self._taken.frames):
            self._advance(number)
            if self._stopped:
                raise MediaError(self._source.name, "nobody waits for its frames", "a request that goes on")
            yield frame

    def _advance(self, frames: int) -> None:
        """So many frames are in their places."""
        assert self._pixels_PX is not None
        t, h, w = grid_of(self._taken, self._config)
        with self._changed:
            self._rows = min(frames // self._config.temporal_patch_size, t) * h * w
            self._changed.notify_all()

    def _check_unchanged(self) -> None:
        """Frames of another file must not go under this one's name."""
        if _state(self._source.file) != self._source.state:
            raise MediaError(self._source.name, "changed while it was read", "a file that stays as it is")


def _source_key(file: BinaryIO, part: VideoPart, config: ImageProcessorConfig) -> bytes:
    """Everything that decides which pixels come out: the file's bytes, the knobs, the sizes, the decoder."""
    file.seek(0)
    content = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    knobs = {name: value for name, value in vars(part).items() if name != "video"}
    words = json.dumps([FORMAT, content, knobs, asdict(config), torch.__version__, decoder_versions()], sort_keys=True)
    return hashlib.sha256(words.encode()).digest()


def _state(file: BinaryIO) -> tuple[int, int] | None:
    """Size and time of change of a file on disk; None for one in memory."""
    try:
        status = os.fstat(file.fileno())
    except io.UnsupportedOperation:
        return None
    return status.st_size, status.st_mtime_ns
