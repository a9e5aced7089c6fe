"""Clips as parts of a request: the file itself, chosen frames, or pictures one by one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from anyres.chat import VideoPart
from anyres.client.dialect import Dialect, VideoForm
from anyres.client.media import MediaRules, Sent, data_url, is_address, knobs_of, original_url, refuse_encoded, url_of
from anyres.errors import MediaError

if TYPE_CHECKING:
    from anyres.processing.video import Taken

__all__ = ["video_parts"]

MOST_BYTES = 45 << 20  # of a file: 60 MiB as base64, within the 64 MiB that servers take
_HEAD = 4096
_MIME = {
    "AVI": "video/x-msvideo",
    "GIF": "image/gif",
    "MATROSKA": "video/x-matroska",
    "MP4": "video/mp4",
    "MPEGTS": "video/mp2t",
    "PNG": "image/png",
    "WEBP": "image/webp",
}


def video_parts(part: VideoPart, rules: MediaRules, dialect: Dialect) -> Sent:
    """One clip, in the first form that this server takes and that can say what is asked for."""
    from anyres.processing.video import as_list, check_video_options

    check_video_options(part)
    refuse_encoded(part.video)
    frames, form = as_list(part.video), _form(rules, dialect)
    if form == "file" and frames is None:
        url = _file_url(part, must=rules.video == "file", told=set(knobs_of(part)) <= dialect.video_names)
        if url is not None:
            return Sent(({"type": "video_url", "video_url": {"url": url}, **knobs_of(part)},))
    if form == "file":
        form = dialect.video_else
    if frames is not None and dialect.sizes_itself:
        with _taken(part):  # its checks: how many, and which knobs a list may have
            return Sent(({"type": "video", "video": [original_url(frame) for frame in frames], **knobs_of(part)},))
    return _as_images(part, frames, rules) if form == "images" else _as_frames(part, jpeg=form == "jpeg_frames")


def _form(rules: MediaRules, dialect: Dialect) -> VideoForm:
    if rules.video == "auto":
        return dialect.video
    return "jpeg_frames" if rules.video == "frames" and dialect.video == "jpeg_frames" else rules.video


def _file_url(part: VideoPart, *, must: bool, told: bool) -> str | None:
    """The file as a data: URL; None where it is too large, of another kind, or the server cannot be told the rest."""
    from anyres.processing.media import open_video_file
    from anyres.processing.sniff import sniff

    if must and not told:
        seen = ", ".join(sorted(knobs_of(part)))
        raise MediaError("video", f"{seen}, which this endpoint is not told", 'video="frames", or none of them')
    if must and is_address(part.video):
        return str(part.video)
    with open_video_file(part.video) as (name, file):
        data = file.read(MOST_BYTES + 1)
    key = sniff(data[:_HEAD]).key
    if len(data) <= MOST_BYTES and key in _MIME and told:
        return url_of(data, _MIME[key])
    if must:
        raise MediaError(name, f"a file of {key}, or too large", f"a clip of at most {MOST_BYTES:,} bytes")
    return None


def _as_frames(part: VideoPart, *, jpeg: bool) -> Sent:
    with _taken(part) as taken:
        urls = _urls(taken, jpeg=jpeg)
        times_s = taken.times_s
    notes = _notes(part, taken)
    if jpeg:
        joined = "data:video/jpeg;base64," + ",".join(url.partition(",")[2] for url in urls)
        return Sent(({"type": "video_url", "video_url": {"url": joined}},), notes)
    span = times_s[-1] - times_s[0]
    fps = {"fps": round((len(times_s) - 1) / span, 4)} if span > 0 else {}
    return Sent(({"type": "video", "video": urls, **fps},), notes)


def _as_images(part: VideoPart, frames: Sequence[object] | None, rules: MediaRules) -> Sent:
    """Pictures one by one, after a line that says when each is shown."""
    with _taken(_fewer(part, frames, rules.most_frames)) as taken:
        urls = _urls(taken, jpeg=False)
        times = ", ".join(f"{time:.1f}" for time in taken.times_s)
    heading = {"type": "text", "text": f"A video, as {len(urls)} frames at {times} seconds:"}
    images = tuple({"type": "image_url", "image_url": {"url": url}} for url in urls)
    return Sent((heading, *images), (*_notes(part, taken), f"{taken.name}: sent as {len(urls)} pictures"))


def _fewer(part: VideoPart, frames: Sequence[object] | None, most: int) -> VideoPart:
    """The same clip with at most so many frames, spread over all of it."""
    if frames is not None and len(frames) > most:
        step = (len(frames) - 1) / max(1, most - 1)
        chosen = [frames[round(index * step)] for index in range(most)]
        return replace(part, video=chosen, fps=(part.fps or 2.0) / step)
    if frames is not None:
        return part
    if part.nframes is not None:
        return replace(part, nframes=max(2, min(part.nframes, most)))
    return replace(part, max_frames=max(2, min(part.max_frames or most, most)))


@contextmanager
def _taken(part: VideoPart) -> Iterator["Taken"]:
    from anyres.config import ImageProcessorConfig
    from anyres.processing.image import DEFAULT_MAX_PIXELS
    from anyres.processing.media import DEFAULT_LIMITS, open_video
    from anyres.processing.video import as_list, take_frames, take_list

    config, frames = ImageProcessorConfig(), as_list(part.video)
    if frames is not None:
        yield take_list(part, frames, config=config, limits=DEFAULT_LIMITS, default_max_pixels=DEFAULT_MAX_PIXELS)
        return
    with open_video(part.video) as clip:
        yield take_frames(part, clip, config)


def _urls(taken: "Taken", *, jpeg: bool) -> list[str]:
    from PIL import Image

    return [data_url(Image.fromarray(frame), "JPEG" if jpeg else "PNG") for frame in taken.frames]


def _notes(part: VideoPart, taken: "Taken") -> tuple[str, ...]:
    from anyres.processing.video import note_of

    note = note_of(part, taken)
    return (note,) if note else ()
