"""What `inspect` finds out about pictures and clips. Imports torch, so commands import it when called."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from anyres.chat import Message, Part
from anyres.cli.named_bytes import NamedBytes
from anyres.cli.options import MediaKnobs, sources
from anyres.cli.patch_grid import draw_patch_grid
from anyres.disk_cache import open_cache
from anyres.engine.checkpoint import choose_compute, plan_folder
from anyres.engine.device import choose_device, choose_dtype
from anyres.engine.estimate import Estimate, count_work, estimate
from anyres.engine.memory import MemoryPlan
from anyres.engine.speed import Kept, kept_of, known_speed
from anyres.errors import OptionError
from anyres.model.hub import resolve
from anyres.model_input import Grid, ModelInput, VisualInput
from anyres.processing.media import DEFAULT_LIMITS, open_video, read_bytes
from anyres.processing.picture import open_picture
from anyres.processing.positions import visual_tokens
from anyres.processing.processor import Processor
from anyres.processing.sniff import VIDEOS, sniff
from anyres.quant.load import quantization_config

__all__ = ["Item", "Report", "draw_items", "make_report", "save_picture"]

_HEAD = 4096  # bytes that tell the format


@dataclass(frozen=True)
class Item:
    """A picture or clip. `encoded` is its size in the file, before EXIF turns it; sizes are WIDTHxHEIGHT."""

    name: str
    kind: str
    encoded: str
    upright: str
    resized: str
    grid_thw: Grid
    tokens: int
    frame_times_s: tuple[float, ...]
    note: str


@dataclass(frozen=True)
class Report:
    items: tuple[Item, ...]
    prompt_tokens: int
    model: str
    device: str
    dtype: str
    prepare_s: float
    cost: Estimate
    visuals: tuple[VisualInput, ...]
    processor: Processor
    plan: MemoryPlan | None


def make_report(
    files: Sequence[str],
    clips: Sequence[str],
    knobs: MediaKnobs,
    *,
    model: str | None,
    device: str,
    dtype: str | None,
    memory: str | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Report:
    """Reads the items as `ask` would. Raises what the processor raises, and OptionError when there are none.

    With `memory`, sizes and costs are those of what `load` would choose for it.
    """
    if not files and not clips:
        raise OptionError("IMAGE|VIDEO", "nothing to inspect", "at least one picture or clip")
    opened = [_kept(source) for source in sources([*files, *clips])]
    is_clip = [number >= len(files) or _is_clip(source) for number, source in enumerate(opened)]
    knobs.check(has_video=any(is_clip))
    pairs = list(zip(opened, is_clip, strict=True))
    parts: list[Part] = [knobs.video_part(one) if clip else knobs.image_part(one) for one, clip in pairs]
    folder = resolve(model)
    plan = None if memory is None else plan_folder(folder, memory)
    processor = Processor.from_folder(folder)
    processor = processor if plan is None else replace(processor, default_max_pixels=plan.max_pixels)
    started = clock()
    prompt = processor.prepare([Message("user", tuple(parts))])
    prepare_s = clock() - started
    place = choose_device(device)
    quantization = quantization_config(folder)
    kept = kept_of(quantization) if plan is None or plan.format is None else _kept_in(plan)
    kind = choose_dtype(_asked_dtype(dtype, plan, quantized=bool(kept), place=place), place)
    work = count_work(
        processor.config,
        [one.grid_thw for one in prompt.visuals],
        len(prompt.token_ids_T),
        dtype=kind,
        weight_bytes=_quantised_bytes(folder, plan) if kept else None,
    )
    speed = known_speed(
        processor.config,
        device=place,
        dtype=kind,
        kept=kept,
        compute=choose_compute(place),
        cache=open_cache(otherwise=True),
    )
    return Report(
        items=_items(pairs, prompt, processor),
        prompt_tokens=len(prompt.token_ids_T),
        model=model or folder.name,
        device=str(place),
        dtype=str(kind).removeprefix("torch."),
        prepare_s=prepare_s,
        cost=estimate(work, speed),
        visuals=prompt.visuals,
        processor=processor,
        plan=plan,
    )


def _kept_in(plan: MemoryPlan) -> Kept:
    return plan.format if plan.format == "int8" or plan.format == "int4" else None


def _asked_dtype(dtype: str | None, plan: MemoryPlan | None, *, quantized: bool, place: torch.device) -> str | None:
    """Quantised weights are computed with in float32 on a CPU."""
    if dtype is not None:
        return dtype
    if quantized:
        return "float32" if place.type == "cpu" else None
    return None if plan is None else plan.format


def _quantised_bytes(folder: Path, plan: MemoryPlan | None) -> int:
    if plan is not None and plan.format is not None:
        return plan.weight_bytes
    return sum(one.stat().st_size for one in folder.glob("*.safetensors"))


def draw_items(report: Report, path: Path) -> Path:
    """Writes the one item under its grid; OptionError when there are several, or the file cannot be written."""
    if len(report.visuals) != 1:
        raise OptionError("--draw", f"{len(report.visuals)} items", "one item at a time")
    return save_picture(draw_patch_grid(report.visuals[0], report.processor.image_config), path)


def save_picture(picture: Image.Image, path: Path) -> Path:
    """Writes what `--draw` asks for; OptionError when the file cannot be written."""
    try:
        picture.save(path)
    except OSError as error:
        raise OptionError(
            "--draw", f"{path} cannot be written ({error.strerror or error})", "a file in a folder"
        ) from None
    except ValueError:
        raise OptionError("--draw", f"{path} names no format", "a name that ends in .png") from None
    return path


def _kept(source: Any) -> Any:
    """What can be read once only (stdin, an address) is kept in memory; a path stays one."""
    if isinstance(source, Path):
        return source
    name, data = read_bytes(source, kind="video", limits=DEFAULT_LIMITS)
    return NamedBytes(name if isinstance(source, str) else "stdin", data)


def _is_clip(source: Any) -> bool:
    return sniff(_head(source)).key in VIDEOS


def _head(source: Any) -> bytes:
    """The first bytes; none of a file that is not there, which the processor then tells."""
    if not isinstance(source, Path):
        return bytes(source.getbuffer()[:_HEAD])
    try:
        if not source.is_file():
            return b""
        with source.open("rb") as file:
            return file.read(_HEAD)
    except (OSError, ValueError):  # a name too long, or with a zero byte
        return b""


def _items(pairs: Sequence[tuple[Any, bool]], prompt: ModelInput, processor: Processor) -> tuple[Item, ...]:
    merge = processor.config.vision.spatial_merge_size
    return tuple(
        Item(
            name=visual.name,
            kind=visual.kind,
            encoded=_clip_words(source) if is_clip else _picture_words(source),
            upright=_words(visual.original_size),
            resized=_words(visual.resized_size),
            grid_thw=visual.grid_thw,
            tokens=visual_tokens(visual.grid_thw, merge),
            frame_times_s=visual.frame_times_s,
            note=visual.note,
        )
        for (source, is_clip), visual in zip(pairs, prompt.visuals, strict=True)
    )


def _picture_words(source: Any) -> str:
    """As `PNG 640x480`: format and size in the header."""
    name, data = read_bytes(source, kind="image", limits=DEFAULT_LIMITS)
    picture = open_picture(data, name=name, max_pixels=DEFAULT_LIMITS.max_image_pixels)
    return f"{picture.format} {picture.width}x{picture.height}"


def _clip_words(source: Any) -> str:
    """As `200 frames, 25 fps, 8.0 s`."""
    with open_video(source) as clip:
        return f"{clip.total_frames:,} frames, {clip.fps:.4g} fps, {clip.duration_s:.1f} s"


def _words(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
