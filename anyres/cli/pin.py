"""`anyres pin`: a document that is read once and kept on disk, so that questions about it start at once."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from anyres.chat import Message
from anyres.cli.options import (
    Device,
    Dtype,
    End,
    Fps,
    Json,
    MaxPixels,
    MediaKnobs,
    Memory,
    MinPixels,
    Model,
    Nframes,
    Quiet,
    ResizedHeight,
    ResizedWidth,
    Start,
    TotalPixels,
    Video,
    library_notes,
    sources,
)
from anyres.cli.terminal import status, write_json, write_line
from anyres.disk_cache import DiskCache, open_cache
from anyres.errors import OptionError

if TYPE_CHECKING:
    from anyres.engine.pin_file import Pin

__all__ = ["pin"]


def pin(
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="[IMAGE]...", show_default=False, help="Paths, URLs, or - for stdin."),
    ] = None,
    video: Video = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The system message, in place of the usual one.")
    ] = None,
    min_pixels: MinPixels = None,
    max_pixels: MaxPixels = None,
    resized_height: ResizedHeight = None,
    resized_width: ResizedWidth = None,
    fps: Fps = None,
    nframes: Nframes = None,
    start: Start = None,
    end: End = None,
    total_pixels: TotalPixels = None,
    model: Model = None,
    device: Device = "auto",
    dtype: Dtype = None,
    memory: Memory = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Reads pictures and clips once and keeps what was computed, so that questions about them start at once.

    Ask with the same options as here; files are known by what is in them, whatever they are called. `anyres cache`
    shows what is pinned, `anyres cache --unpin ID` deletes it. A pin gives way to later ones only, the longest unused
    first.

    Examples:

        anyres pin report-1.png report-2.png

        anyres ask report-1.png report-2.png "What was sold in May?"

        anyres pin --video lecture.mp4 --fps 0.5 -m Qwen/Qwen2-VL-2B-Instruct
    """
    clips = video or []
    knobs = MediaKnobs(min_pixels, max_pixels, resized_height, resized_width, fps, nframes, start, end, total_pixels)
    knobs.check(has_video=bool(clips))
    messages = _messages(images or [], clips, knobs, system)
    disk = open_cache(otherwise=True)
    if disk is None:
        raise OptionError("pin", "ANYRES_CACHE is off", "with a folder to keep it in")
    made = _pinned(messages, disk, model, device=device, dtype=dtype, memory=memory, quiet=quiet)
    if as_json:
        write_json(asdict(made))
    else:
        write_line(f"{made.id}: {made.title}, {made.tokens:,} tokens, {made.bytes / 1e6:.1f} MB")


def _messages(images: Sequence[str], clips: Sequence[str], knobs: MediaKnobs, system: str | None) -> list[Message]:
    """As those of `ask`, up to where its question stands."""
    if not images and not clips:
        raise OptionError("IMAGE", "none", "a picture, or --video FILE")
    opened = sources([*images, *clips])
    pictures = [knobs.image_part(image) for image in opened[: len(images)]]
    message = Message("user", (*pictures, *(knobs.video_part(clip) for clip in opened[len(images) :])))
    return [message] if system is None else [Message("system", system), message]


def _pinned(
    messages: Sequence[Message],
    disk: DiskCache,
    name: str | None,
    *,
    device: str,
    dtype: str | None,
    memory: str | None,
    quiet: bool,
) -> "Pin":
    with library_notes(quiet=quiet), status(f"Loading {name or 'the embedded checkpoint'} ...", quiet=quiet):
        from anyres.engine.load import load

        model = load(name, device=device, dtype=dtype, memory=memory, cache=disk)
    with status("Reading ...", quiet=quiet):
        made = model.pin(messages)
    if made is None:
        allowed = f"room for it among at most {disk.max_bytes / 1e9:.1f} GB (anyres cache --limit)"
        raise OptionError(str(disk.folder), "does not take it", allowed)
    return made
