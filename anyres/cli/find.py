"""`anyres find`: where something is in a picture, in pixels of the picture, and a drawing of it."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from anyres.chat import Answer, GenerationOptions, ImagePart
from anyres.cli.opening import endpoint_of, open_local, open_remote
from anyres.cli.options import (
    ApiKey,
    BaseUrl,
    Device,
    Dtype,
    Json,
    MaxPixels,
    MediaKnobs,
    Memory,
    MinPixels,
    Model,
    Quiet,
    ResizedHeight,
    ResizedWidth,
    sources,
)
from anyres.cli.terminal import cell, note, status, write_json, write_table

if TYPE_CHECKING:
    from rich.table import Table

    from anyres.client import RemoteChatModel
    from anyres.grounding import Box, Grounding, Point

__all__ = ["find"]


class _Found(NamedTuple):
    """`marks` are the boxes and points of `grounding` in pixels of the upright picture."""

    image: str
    width: int
    height: int
    answer: Answer
    grounding: "Grounding"
    marks: "list[Box | Point]"


def find(
    image: Annotated[str, typer.Argument(metavar="IMAGE", show_default=False, help="A path, a URL, or - for stdin.")],
    what: Annotated[str, typer.Argument(metavar="WHAT", show_default=False, help="The name of what is looked for.")],
    draw: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draws the picture, upright, with what was found.")
    ] = None,
    question: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Other words to ask with; {} is WHAT. Else: Find the {}.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(metavar="N", help="Longest answer.")] = None,
    min_pixels: MinPixels = None,
    max_pixels: MaxPixels = None,
    resized_height: ResizedHeight = None,
    resized_width: ResizedWidth = None,
    model: Model = None,
    device: Device = "auto",
    dtype: Dtype = None,
    memory: Memory = None,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Finds something in a picture and tells its boxes, in pixels of the picture held upright.

    Nothing found is no error: the table is empty, and what the model said instead stands on stderr.

    Examples:

        anyres find screenshot.png "the Save button"

        anyres find photo.jpg "red ball" --draw found.png --json

        curl -s https://example.org/a.png | anyres find - cat -m Qwen/Qwen2-VL-2B-Instruct

        anyres find photo.jpg "red ball" --base-url http://127.0.0.1:8000/v1
    """
    knobs = MediaKnobs(min_pixels, max_pixels, resized_height, resized_width)
    options = GenerationOptions(max_tokens=max_tokens)
    from anyres.grounding import FIND_QUESTION, find_question

    words = find_question(what, FIND_QUESTION if question is None else question)
    endpoint = endpoint_of(base_url, api_key)
    kept = _kept(image)
    if endpoint is not None:
        with open_remote(endpoint, model, {"device": device, "dtype": dtype, "memory": memory}) as remote:
            with status(f"Waiting for {endpoint.host} ...", quiet=quiet):
                found = _found_there(remote, knobs.image_part(kept), words, options)
            name = remote.name
    else:
        loaded = open_local(model, device=device, dtype=dtype, memory=memory, quiet=quiet)
        with status("Looking ...", quiet=quiet):
            seen = loaded.encode(knobs.image_part(kept))
            found = _read(seen.name, seen.original_size, loaded.ask(seen, words, options=options))
        name = loaded.name
    drawn = None if draw is None else _draw(kept, found, draw)
    if as_json:
        write_json(_as_dict(found, model=name, question=words, drawn=drawn))
        return
    if found.marks:
        write_table(_table(found))
    if not quiet:
        _report(found, drawn)


def _kept(image: str) -> Any:
    """What can be read once only (stdin, an address) is kept in memory; a path stays one."""
    from anyres.cli.named_bytes import NamedBytes
    from anyres.processing.media import DEFAULT_LIMITS, read_bytes

    (source,) = sources([image])
    if isinstance(source, Path):
        return source
    name, data = read_bytes(source, kind="image", limits=DEFAULT_LIMITS)
    return NamedBytes(name if isinstance(source, str) else "stdin", data)


def _found_there(model: "RemoteChatModel", part: ImagePart, words: str, options: GenerationOptions) -> _Found:
    from anyres.processing.media import open_image

    name, upright = open_image(part.image)
    return _read(name, (upright.height, upright.width), model.ask_for_places(part, words, options=options))


def _read(name: str, size: tuple[int, int], answer: Answer) -> _Found:
    from anyres.grounding import parse_grounding

    height, width = size
    grounding = parse_grounding(answer.text)
    boxes = [box.to_pixels(width=width, height=height) for box in grounding.boxes]
    points = [point.to_pixels(width=width, height=height) for point in grounding.points]
    return _Found(name, width, height, answer, grounding, [*boxes, *points])


def _draw(source: Any, found: _Found, path: Path) -> Path:
    from anyres.cli.report import save_picture
    from anyres.drawing import draw
    from anyres.processing.media import open_image

    picture = open_image(source).picture
    return save_picture(draw(picture, found.marks), path)


def _table(found: _Found) -> "Table":
    from rich.table import Table

    table = Table("name", "x1", "y1", "x2", "y2", box=None, pad_edge=False)
    for mark in found.marks:
        edges = [f"{value:.0f}" for value in _numbers(mark).values()]
        table.add_row(cell(" ".join(mark.label.split()) or "-"), *edges, *["-"] * (4 - len(edges)))
    return table


def _report(found: _Found, drawn: Path | None) -> None:
    for text in found.answer.notes:
        note(f"note: {text}")
    if not found.marks:
        note(f"nothing found; the answer is: {found.answer.text}")
    for position, seen, reason in found.grounding.problems:
        note(f"note: {reason} in {seen!r}, at character {position} of the answer")
    if drawn is not None:
        note(f"drawn: {drawn}")


def _as_dict(found: _Found, *, model: str, question: str, drawn: Path | None) -> dict[str, Any]:
    """The object `--json` prints; boxes and points are in pixels of the upright picture."""
    named = [{"label": mark.label} | _numbers(mark) for mark in found.marks]
    return {
        "model": model,
        "image": found.image,
        "width": found.width,
        "height": found.height,
        "boxes": [one for one in named if "x1" in one],
        "points": [one for one in named if "x" in one],
        "question": question,
        "text": found.answer.text,
        "finish_reason": found.answer.finish_reason,
        "problems": [problem._asdict() for problem in found.grounding.problems],
        "usage": asdict(found.answer.usage) | {"prompt_tokens": found.answer.usage.prompt_tokens},
        "timings": asdict(found.answer.timings),
        "notes": list(found.answer.notes),
        "drawn": None if drawn is None else str(drawn),
    }


def _numbers(mark: "Box | Point") -> dict[str, float]:
    """A mark's coordinates by name, in their order, to a hundredth of a pixel."""
    names = [name for name in ("x", "y", "x1", "y1", "x2", "y2") if hasattr(mark, name)]
    return {name: round(getattr(mark, name), 2) for name in names}
