"""`anyres inspect`: what the model will see of pictures and clips, and what that costs, without running it."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
)
from anyres.cli.terminal import cell, note, status, write_json, write_line, write_table

if TYPE_CHECKING:
    from rich.table import Table

    from anyres.cli.report import Report

__all__ = ["inspect"]


def inspect(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[IMAGE|VIDEO]", show_default=False, help="Paths, URLs, - for stdin.")
    ] = None,
    video: Video = None,
    draw: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draws the one item as the model sees it, under its grid.")
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
    """Shows what the model sees of pictures and clips: sizes, patch grid, tokens, frames, and what they cost here.

    Whether a file is a picture or a clip is read from its bytes; an animated GIF is a picture, or a clip with --video.
    Memory and seconds are about right for one question on this machine, measured in a moment.

    Examples:

        anyres inspect photo.jpg

        anyres inspect page.png --max-pixels checkpoint --draw grid.png

        anyres inspect clip.mp4 --fps 1 --model Qwen/Qwen2-VL-2B-Instruct --json
    """
    knobs = MediaKnobs(min_pixels, max_pixels, resized_height, resized_width, fps, nframes, start, end, total_pixels)
    with status("Reading ...", quiet=quiet):
        from anyres.cli.report import draw_items, make_report

        report = make_report(files or [], video or [], knobs, model=model, device=device, dtype=dtype, memory=memory)
        drawn = None if draw is None else draw_items(report, draw)
    if as_json:
        write_json(_as_dict(report, drawn))
        return
    write_table(_items_table(report))
    for text in _lines(report):
        write_line(text)
    if drawn is not None and not quiet:
        note(f"drawn: {drawn}")


def _items_table(report: "Report") -> "Table":
    from rich.table import Table

    table = Table("item", "in the file", "upright", "resized", "grid", "tokens", box=None, pad_edge=False)
    for item in report.items:
        grid = "x".join(map(str, item.grid_thw))
        table.add_row(cell(item.name), item.encoded, item.upright, item.resized, grid, f"{item.tokens:,}")
    return table


def _lines(report: "Report") -> list[str]:
    """Sentences below the table."""
    lines = [f"{item.name}: {_times(item.frame_times_s)}" for item in report.items if item.frame_times_s]
    lines += [f"note: {item.note}" for item in report.items if item.note]
    lines += [] if report.plan is None else [f"within {_size(report.plan.granted)}: {report.plan}"]
    cost = report.cost
    lines.append(f"prompt: {report.prompt_tokens:,} tokens with the chat template, without a question")
    lines.append(
        f"{report.model} on {report.device} in {report.dtype}: about {_size(cost.memory_bytes)} of memory, "
        f"{_seconds(report.prepare_s)} to open, {_seconds(cost.encode_s)} to see, "
        f"{_seconds(cost.prefill_s)} to read, {_seconds(cost.token_s)} a token"
    )
    return lines


def _times(times_s: tuple[float, ...]) -> str:
    """
    >>> _times((0.0, 0.5, 1.0))
    '3 frames, at 0.00 0.50 1.00 s'
    """
    shown = [f"{time_s:.2f}" for time_s in times_s]
    if len(shown) > 16:
        shown = [*shown[:8], "...", *shown[-4:]]
    return f"{len(times_s)} frames, at {' '.join(shown)} s"


def _size(count: int) -> str:
    """
    >>> _size(29_410_176), _size(9_800_000_000)
    ('29 MB', '9.8 GB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _seconds(seconds: float) -> str:
    """
    >>> _seconds(0.0123), _seconds(3.21), _seconds(340.0)
    ('12 ms', '3.2 s', '340 s')
    """
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"


def _as_dict(report: "Report", drawn: Path | None) -> dict[str, Any]:
    return {
        "model": report.model,
        "device": report.device,
        "dtype": report.dtype,
        "memory_plan": None if report.plan is None else asdict(report.plan),
        "items": [asdict(item) for item in report.items],
        "prompt_tokens": report.prompt_tokens,
        "about": asdict(report.cost) | {"prepare_s": report.prepare_s},
        "drawn": None if drawn is None else str(drawn),
    }
