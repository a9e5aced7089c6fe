"""Frames of a clip by number, decoding only what is asked for."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
from PIL import Image

from anyres.errors import MediaError, MissingDependencyError
from anyres.processing.picture import DECODER_ERRORS, open_picture, upright_rgb

__all__ = ["Clip", "Frame_HWC", "decoder_versions", "open_animation", "open_container"]

Frame_HWC = np.ndarray[Any, np.dtype[np.uint8]]

# FFmpeg follows playlists and references to other files unless told otherwise; PyAV 18.1 obeys both settings.
_CONTAINER_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts",
    "protocol_whitelist": "pipe",
}
_CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg", "mpeg2video")
_SKIPPABLE = ("h264", "hevc", "mpeg4", "mpeg2video")  # AV1 and VP9 decide what is shown in later packets
_MAX_FRAMES = 2_000_000  # 18 hours at 30 frames a second
_MAX_ANIMATION_FRAMES = 10_000
_NEAR = 12  # frames; decoding that many costs about as much as a seek
_RATES = (0.01, 1000.0)  # frames a second that a header may state; outside it the time stamps decide
_DEFAULT_DURATION_MS = 100  # what browsers show a GIF frame for that states no time
_WHOLE = "a complete, undamaged clip"


class FrameSource(Protocol):
    """Decodes frames in ascending order of their numbers."""

    def frames(self, indices: Sequence[int]) -> Iterator[Frame_HWC]: ...

    def close(self) -> None: ...


class Clip:
    """An open clip. Sizes are those of the upright picture, in pixels; times in seconds from the first frame."""

    def __init__(
        self, source: FrameSource, *, name: str, fps: float, times_s: Sequence[float], height: int, width: int
    ):
        self._source = source
        self._times_s = times_s
        self.name = name
        self.fps = fps
        self.total_frames = len(times_s)
        self.height = height
        self.width = width

    @property
    def duration_s(self) -> float:
        return self.total_frames / self.fps

    def times_s(self, indices: Sequence[int]) -> tuple[float, ...]:
        """When the frames are shown."""
        return tuple(self._times_s[index] for index in indices)

    def iter_frames(self, indices: Sequence[int]) -> Iterator[Frame_HWC]:
        """The frames of ascending numbers, one at a time, so that none but the current one is in memory."""
        assert all(low <= high for low, high in pairwise(indices)), "ascending numbers only"
        assert not indices or (indices[0] >= 0 and indices[-1] < self.total_frames), "numbers of existing frames only"
        return self._source.frames(indices)

    def read_frames(self, indices: Sequence[int]) -> Frame_HWC:
        """uint8 [n, H, W, 3] in the order asked for."""
        wanted = sorted(set(indices))
        found = dict(zip(wanted, self.iter_frames(wanted), strict=True))
        frames = [found[index] for index in indices]
        return np.stack(frames) if frames else np.empty((0, self.height, self.width, 3), np.uint8)

    def __enter__(self) -> "Clip":
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()


def open_container(file: BinaryIO, *, name: str, max_pixels: int) -> Clip:
    """A clip in MP4, MOV, Matroska, WebM, AVI or MPEG-TS, read through PyAV from an open file, never by name."""
    try:
        import av
    except ImportError:
        raise MissingDependencyError(
            name, "reading clips needs PyAV, which is not installed", "pip install anyres[video]"
        ) from None
    source = _ContainerFrames(av, file, name, max_pixels)
    try:
        first = next(source.frames([0]))
    except BaseException:
        source.close()
        raise
    return Clip(source, name=name, fps=source.fps, times_s=source.times_s, height=first.shape[0], width=first.shape[1])


class _Index(NamedTuple):
    """Every frame's time stamp in the order of showing, and which of them can be sought."""

    pts: list[int]
    keys: list[int]
    exact: bool  # False: packets carry no usable time stamps, so frames are counted from the start


class _ContainerFrames:
    def __init__(self, av: ModuleType, file: BinaryIO, name: str, max_pixels: int):
        self._av, self._file, self._name, self._max_pixels = av, file, name, max_pixels
        self._container: Any = None
        self._open()
        try:
            self._index = self._scan()
            self.fps, self.times_s = self._clock()
            self._open()
        except av.FFmpegError as error:
            self.close()
            raise self._damaged(error) from None
        except MediaError:
            self.close()
            raise

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def frames(self, indices: Sequence[int]) -> Iterator[Frame_HWC]:
        try:
            decoded = self._by_time(indices) if self._index.exact else self._by_count(indices)
            for frame in decoded:
                yield self._rgb(frame)
        except self._av.FFmpegError as error:
            raise self._damaged(error) from None

    def _open(self) -> None:
        self.close()
        self._file.seek(0)
        try:
            self._container = self._av.open(
                self._file, mode="r", container_options=_CONTAINER_OPTIONS, metadata_errors="ignore"
            )
        except (self._av.FFmpegError, ValueError) as error:
            raise self._damaged(error) from None
        if not self._container.streams.video:
            raise MediaError(self._name, "no picture track", "a clip with one")
        self._stream = self._container.streams.video[0]
        self._check_stream()
        self._stream.thread_type = "AUTO"

    def _check_stream(self) -> None:
        context = self._stream.codec_context
        codec = context.codec.canonical_name if context is not None else "an unknown one"
        if codec not in _CODECS:
            self.close()
            raise MediaError(self._name, f"video codec {codec}", ", ".join(_CODECS))
        if context.width * context.height > self._max_pixels:
            seen = f"frames of {context.width}x{context.height} pixels"
            self.close()
            raise MediaError(self._name, seen, f"at most {self._max_pixels:,} pixels a frame")

    def _scan(self) -> _Index:
        """Reads all packets of the track without decoding: headers may miscount frames or not count them at all."""
        pts: list[int | None] = []
        keys: list[int | None] = []
        for packet in self._container.demux(self._stream):
            if packet.size == 0 or packet.is_discard or not (keys or packet.is_keyframe):
                continue
            pts.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
            if len(pts) > _MAX_FRAMES:
                raise MediaError(self._name, f"more than {_MAX_FRAMES:,} frames", f"at most {_MAX_FRAMES:,}")
        if not pts:
            raise MediaError(self._name, "0 frames", "at least 2 frames")
        stamps = sorted(stamp for stamp in pts if stamp is not None)
        if len(set(stamps)) < len(pts) or self._stamps_are_guesses():
            return _Index(list(range(len(pts))), [0], exact=False)
        return _Index(stamps, sorted(key for key in keys if key is not None), exact=True)

    def _stamps_are_guesses(self) -> bool:
        """AVI stores no time stamps; with frames out of order FFmpeg's are wrong."""
        return self._container.format.name == "avi" and bool(self._stream.codec_context.has_b_frames)

    def _clock(self) -> tuple[float, list[float]]:
        """Frames a second, and the time of each frame."""
        pts, base = self._index.pts, self._stream.time_base
        span = float((pts[-1] - pts[0]) * base) if self._index.exact and base else 0.0
        rate = float(self._stream.average_rate or 0)
        if not _RATES[0] <= rate <= _RATES[1]:
            rate = (len(pts) - 1) / span if span > 0 else 0.0
        if not _RATES[0] <= rate <= _RATES[1]:
            raise MediaError(self._name, f"{rate:g} frames a second", f"{_RATES[0]:g} to {_RATES[1]:g}")
        step = base if self._index.exact else Fraction(rate).limit_denominator(100_000) ** -1
        return rate, [float((stamp - pts[0]) * step) for stamp in pts]

    def _by_time(self, indices: Sequence[int]) -> Iterator[Any]:
        """For each number the first decodable frame at or after its time stamp; the last one where none follows."""
        pts = self._index.pts
        wanted = {pts[index] for index in indices}
        held: Any = None
        coming: Iterator[Any] = iter(())
        for index in indices:
            if held is None or self._worth_seeking(held.pts, index):
                coming, held = self._decode_up_to(index, wanted), None
            while held is None or held.pts < pts[index]:
                frame = next(coming, None)
                if frame is None:
                    break
                held = frame
            if held is None:
                raise MediaError(self._name, f"frame {index} does not decode", _WHOLE)
            yield held

    def _worth_seeking(self, now: int, index: int) -> bool:
        key = self._key_at(index)
        return key > now and bisect_left(self._index.pts, key) - bisect_left(self._index.pts, now) > _NEAR

    def _key_at(self, index: int) -> int:
        """Time stamp of the last key frame at or before a frame."""
        place = bisect_right(self._index.keys, self._index.pts[index]) - 1
        return self._index.keys[max(0, place)]

    def _decode_up_to(self, index: int, wanted: set[int]) -> Iterator[Any]:
        """Frames from a key frame before `index` on. Some containers seek past the mark; then from the beginning."""
        target = self._index.pts[index]
        if self._key_at(index) > self._index.pts[0]:
            try:
                self._container.seek(self._key_at(index), stream=self._stream, backward=True)
                first = next(coming := self._decode(wanted), None)
            except self._av.FFmpegError:
                first = None
            if first is not None and first.pts <= target:
                yield first
                yield from coming
                return
        self._open()
        yield from self._decode(wanted)

    def _decode(self, wanted: set[int] | None) -> Iterator[Any]:
        context = self._stream.codec_context
        skips = wanted is not None and context.codec.canonical_name in _SKIPPABLE
        for packet in self._container.demux(self._stream):
            if skips and wanted is not None:  # a frame no other frame refers to is skipped unless it is asked for
                context.skip_frame = "DEFAULT" if packet.pts in wanted or packet.size == 0 else "NONREF"
            try:
                decoded = packet.decode()
            except self._av.error.InvalidDataError:
                continue  # as players do: one damaged packet costs its own frames only
            yield from (frame for frame in decoded if wanted is None or frame.pts is not None)

    def _by_count(self, indices: Sequence[int]) -> Iterator[Any]:
        self._open()
        coming, held, count = self._decode(None), None, 0
        for index in indices:
            while count <= index:
                frame = next(coming, None)
                if frame is None:
                    break
                held, count = frame, count + 1
            if held is None:
                raise MediaError(self._name, f"frame {index} does not decode", _WHOLE)
            yield held

    def _rgb(self, frame: Any) -> Frame_HWC:
        """Every frame in the size of the track's header, turned as its display matrix says."""
        context = self._stream.codec_context
        pixels: Frame_HWC = frame.to_ndarray(format="rgb24", width=context.width, height=context.height)
        turns = round(frame.rotation / 90) % 4  # counter-clockwise
        return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels

    def _damaged(self, error: Exception) -> MediaError:
        reason = type(error).__name__.removesuffix("Error")
        return MediaError(self._name, f"the clip is cut off, damaged or refers to other files ({reason})", _WHOLE)


def decoder_versions() -> list[Any]:
    """Of PyAV and the libraries in it; [] without PyAV, when only animations can be opened."""
    try:
        import av
    except ImportError:
        return []
    return [av.__version__, sorted(av.library_versions.items())]


def open_animation(data: bytes, *, name: str, max_pixels: int) -> Clip:
    """An animated GIF, WEBP or PNG; see-through parts on white."""
    picture = open_picture(data, name=name, max_pixels=max_pixels)
    times_s, total_s = _animation_times(picture, name)
    source = _AnimationFrames(data, name, max_pixels)
    fps = len(times_s) / total_s
    return Clip(source, name=name, fps=fps, times_s=times_s, height=picture.size[1], width=picture.size[0])


def _animation_times(picture: Image.Image, name: str) -> tuple[list[float], float]:
    count = int(getattr(picture, "n_frames", 1))
    if count > _MAX_ANIMATION_FRAMES:
        raise MediaError(name, f"{count:,} frames", f"at most {_MAX_ANIMATION_FRAMES:,} frames in an animation")
    times_s, now_s = [], 0.0
    try:
        for index in range(count):
            picture.seek(index)
            picture.load()
            times_s.append(now_s)
            now_s += (picture.info.get("duration") or _DEFAULT_DURATION_MS) / 1000
    except DECODER_ERRORS:
        raise MediaError(name, f"frame {len(times_s)} is cut off or damaged", _WHOLE) from None
    return times_s, now_s


class _AnimationFrames:
    def __init__(self, data: bytes, name: str, max_pixels: int):
        self._data, self._name, self._max_pixels = data, name, max_pixels

    def frames(self, indices: Sequence[int]) -> Iterator[Frame_HWC]:
        picture = open_picture(self._data, name=self._name, max_pixels=self._max_pixels)
        for index in indices:
            try:
                picture.seek(index)
            except DECODER_ERRORS:
                raise MediaError(self._name, f"frame {index} is cut off or damaged", _WHOLE) from None
            yield np.array(upright_rgb(picture, name=self._name, max_pixels=self._max_pixels))

    def close(self) -> None:
        """Nothing is open: the file lies in memory."""
