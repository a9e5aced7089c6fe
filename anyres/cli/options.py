"""Options that several commands share, and what they make of a picture or clip."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from anyres.chat import ImagePart, PixelLimit, VideoPart
from anyres.errors import OptionError

__all__ = [
    "ApiKey",
    "BaseUrl",
    "Device",
    "Draft",
    "Dtype",
    "End",
    "Fps",
    "Json",
    "MaxPixels",
    "MediaKnobs",
    "Memory",
    "MinPixels",
    "Model",
    "Nframes",
    "Quiet",
    "ResizedHeight",
    "ResizedWidth",
    "Start",
    "TotalPixels",
    "Video",
    "library_notes",
    "sources",
]

STDIN = "-"


def _pixel_limit(text: str) -> Any:
    if text == "checkpoint":
        return text
    try:
        return int(text)
    except ValueError:
        raise OptionError("--max-pixels", repr(text), "a number of pixels, or the word checkpoint") from None


_ITEM, _CLIP, _RUN = "Pictures and clips", "Clips", "Model"
Model = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="NAME", help="tiny, a folder, or a pulled org/name.", rich_help_panel=_RUN),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1 ...", rich_help_panel=_RUN)]
Dtype = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="float32, bfloat16 or float16; the fastest here if absent.", rich_help_panel=_RUN
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Fits weights and pictures into so much, as 8GB: in float32, bfloat16, int8 or int4, and says which.",
        rich_help_panel=_RUN,
    ),
]
Draft = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A smaller checkpoint that guesses ahead: the same answer, sooner where that pays.",
        rich_help_panel=_RUN,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="Ask a server with OpenAI's API instead, as http://127.0.0.1:8000/v1; --model is its name there. "
        "Else ANYRES_BASE_URL.",
        rich_help_panel=_RUN,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="KEY",
        help="That server's key. Better in ANYRES_API_KEY: others can see command lines.",
        rich_help_panel=_RUN,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.")]
Video = Annotated[
    list[str] | None,
    typer.Option("--video", metavar="FILE", help="A clip: path, URL or -. May be repeated.", rich_help_panel=_CLIP),
]
MinPixels = Annotated[
    int | None,
    typer.Option(metavar="N", help="Smaller pictures (frames of a clip) are enlarged.", rich_help_panel=_ITEM),
]
MaxPixels = Annotated[
    Any,
    typer.Option(
        metavar="N|checkpoint",
        parser=_pixel_limit,
        help="Larger pictures (frames of a clip) are shrunk; one visual token covers 28x28 pixels.",
        rich_help_panel=_ITEM,
    ),
]
ResizedHeight = Annotated[
    int | None,
    typer.Option(metavar="N", help="Exact height, rounded to a multiple of 28; with the width.", rich_help_panel=_ITEM),
]
ResizedWidth = Annotated[
    int | None,
    typer.Option(metavar="N", help="Exact width, rounded to a multiple of 28; with the height.", rich_help_panel=_ITEM),
]
Fps = Annotated[float | None, typer.Option(metavar="F", help="Frames taken a second; else 2.", rich_help_panel=_CLIP)]
Nframes = Annotated[int | None, typer.Option(metavar="N", help="Frames taken in all.", rich_help_panel=_CLIP)]
Start = Annotated[float | None, typer.Option(metavar="SECONDS", help="Begin of the part seen.", rich_help_panel=_CLIP)]
End = Annotated[float | None, typer.Option(metavar="SECONDS", help="End of the part seen.", rich_help_panel=_CLIP)]
TotalPixels = Annotated[int | None, typer.Option(metavar="N", help="Pixels of all frames.", rich_help_panel=_CLIP)]


@dataclass(frozen=True)
class MediaKnobs:
    """How every picture and clip of one command is resized and sampled."""

    min_pixels: int | None = None
    max_pixels: PixelLimit = None
    resized_height: int | None = None
    resized_width: int | None = None
    fps: float | None = None
    nframes: int | None = None
    start: float | None = None
    end: float | None = None
    total_pixels: int | None = None

    def check(self, *, has_video: bool) -> None:
        """OptionError when a knob of clips is set and there is no clip."""
        for name in ("fps", "nframes", "start", "end", "total_pixels"):
            value = getattr(self, name)
            if value is not None and not has_video:
                raise OptionError(f"--{name.replace('_', '-')}", f"{value}, but no clip is given", "with --video FILE")

    def image_part(self, image: Any) -> ImagePart:
        return ImagePart(image, self.min_pixels, self.max_pixels, self.resized_height, self.resized_width)

    def video_part(self, video: Any) -> VideoPart:
        return VideoPart(
            video,
            fps=self.fps,
            nframes=self.nframes,
            start=self.start,
            end=self.end,
            min_pixels=self.min_pixels,
            max_pixels=self.max_pixels,
            total_pixels=self.total_pixels,
            resized_height=self.resized_height,
            resized_width=self.resized_width,
        )


@contextmanager
def library_notes(*, quiet: bool) -> Iterator[None]:
    """What anyres says in its log comes to stderr, but not with --quiet."""
    logger = logging.getLogger("anyres")
    level = logger.level
    logger.setLevel(logging.ERROR if quiet else level)
    try:
        yield
    finally:
        logger.setLevel(level)


def sources(names: Sequence[str]) -> list[Any]:
    """What the media door opens: `-` is stdin, an address stays a string, everything else is a path."""
    if list(names).count(STDIN) > 1:
        raise OptionError(STDIN, "given more than once", "once, for stdin can be read once")
    if STDIN in names and sys.stdin.isatty():
        raise OptionError(
            STDIN, "stdin is a terminal", "a picture or clip in a pipe, as in: anyres ask - WORDS < photo.jpg"
        )
    return [_source(name) for name in names]


def _source(name: str) -> Any:
    if name == STDIN:
        return sys.stdin.buffer
    return name if name.startswith("data:") or "://" in name else Path(name)
