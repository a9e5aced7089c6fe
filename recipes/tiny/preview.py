"""A contact sheet of the data factory: `python -m recipes.tiny preview sheet.png --tasks page table --split held_out`.

A row for each family of tasks, a column for each difficulty, the question and the answer beneath each picture.
Pictures keep their size unless they are wider or higher than their tile.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from anyres.chat import ImagePart, Message, TextPart, VideoPart
from anyres.grounding import parse_grounding
from recipes.tiny.assets import SPLITS, Assets
from recipes.tiny.caption import Captions
from recipes.tiny.conversation import Frame
from recipes.tiny.example import Example
from recipes.tiny.mixture import TASKS, Task, example_of, missing, opened_assets

__all__ = ["Sheet", "chosen_tasks", "contact_sheet", "main", "parser", "strip", "tile", "visual_tokens"]

DIFFICULTIES = (0.05, 0.5, 1.0)
"""Easy, middle, hard."""
GAP, MARGIN = 4, 8
WIDTH, HEIGHT = 480, 420
GROUND, FRAMED, HEAD, QUESTION, ANSWER, MARK = "white", "lightsteelblue", "dimgrey", "navy", "darkgreen", "red"
MOST_LINES = 14
"""Of an answer; the sheet says where it was longer."""


class Sheet(NamedTuple):
    """How a sheet is set: tiles `width` pixels wide with pictures at most `height` high, captions in `captions`."""

    captions: Captions
    width: int = WIDTH
    height: int = HEIGHT


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    assets = opened_assets(None)
    tasks = chosen_tasks(options.tasks)
    absent = missing(tasks, assets)
    for task, reason in absent.items():
        print(f"left out: {task.group} {task.name} ({reason})")
    sheet = Sheet(Captions.of(assets, options.letters), options.width, options.height)
    page = contact_sheet(
        [task for task in tasks if task not in absent for _ in range(options.rows)],
        sheet,
        split=options.split,
        difficulties=options.difficulties,
        seed=options.seed,
        assets=assets,
    )
    page.save(options.out)
    print(f"{options.out}: {page.width}x{page.height}")


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        "python -m recipes.tiny preview",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("out", type=Path, metavar="OUT.png")
    parser.add_argument("--tasks", nargs="+", help="groups or names, as in recipes/tiny/mixture.py; all when absent")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--difficulties", type=float, nargs="+", default=list(DIFFICULTIES), help="the columns, 0 to 1")
    parser.add_argument("--rows", type=int, default=1, help="of each family of tasks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=WIDTH, help="of a tile in pixels")
    parser.add_argument("--height", type=int, default=HEIGHT, help="of the pictures in pixels, at most")
    parser.add_argument("--letters", type=int, default=14, help="pixels of an em of the captions")
    return parser


def chosen_tasks(wanted: Sequence[str] | None) -> tuple[Task, ...]:
    """The tasks whose group or name is wanted, in the order of the mixture; SystemExit names what is unknown."""
    known = {name for task in TASKS for name in (task.group, task.name)}
    if unknown := set(wanted or ()) - known:
        raise SystemExit(f"--tasks: {', '.join(sorted(unknown))}; allowed: {', '.join(sorted(known))}")
    return tuple(task for task in TASKS if wanted is None or {task.group, task.name} & set(wanted))


def contact_sheet(
    tasks: Sequence[Task], sheet: Sheet, *, split: str, difficulties: Sequence[float], seed: int, assets: Assets
) -> Image.Image:
    """A row of tiles for each of the tasks; the examples depend on the seed and the place of their tile alone."""
    rows = []
    for place, task in enumerate(tasks):
        tiles = []
        for difficulty in difficulties:
            rng = np.random.default_rng([seed, place, round(1000 * difficulty)])
            example = example_of(task, rng, split=split, difficulty=difficulty, assets=assets)
            tiles.append(tile(example, sheet, f"{task.group} / {example.task}  {split} {difficulty:g}"))
        rows.append(beside(tiles))
    return above(rows)


def tile(example: Example, sheet: Sheet, head: str) -> Image.Image:
    """The pictures of an example over what is said about them."""
    picture = strip(marked(frames_of(example), example.answer), sheet.width, sheet.height)
    lines = captions_of(example, head, sheet)
    pitch = sheet.captions.pitch
    height = (picture.height + GAP if picture else 0) + pitch * len(lines) + GAP
    page = Image.new("RGB", (sheet.width, height), GROUND)
    if picture is not None:
        page.paste(picture, (0, 0))
    draw = ImageDraw.Draw(page)
    baseline = page.height - GAP - pitch * (len(lines) - 1) - pitch // 4
    for line, colour in lines:
        sheet.captions.write(draw, (GAP, baseline), line, colour)
        baseline += pitch
    return page


def captions_of(example: Example, head: str, sheet: Sheet) -> list[tuple[str, str]]:
    """Lines and their colours: what it is, then the turns of the talk."""
    size = f"{visual_tokens(example)} tokens" if frames_of(example) else "no picture"
    about = f"{head}  {example.language or '-'}  {example.metric}  {size}"
    width = sheet.width - 2 * GAP
    lines = [(line, HEAD) for line in sheet.captions.wrapped(about, width)]
    for message in example.messages:
        colour = QUESTION if message.role == "user" else ANSWER
        told = sheet.captions.wrapped(said(message), width, MOST_LINES)
        lines += [(line, colour) for line in told]
    return lines


def said(message: Message) -> str:
    """The words of a turn; JSON of many fields gets a line a field."""
    text = " ".join(part.text for part in message.parts if isinstance(part, TextPart))
    if text.startswith("{") and len(text) > 120:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=1)
    return text


def frames_of(example: Example) -> list[Frame]:
    """All pictures, and the frames of all clips."""
    found: list[Frame] = []
    for part in (part for message in example.messages for part in message.parts):
        if isinstance(part, ImagePart):
            found.append(part.image)
        elif isinstance(part, VideoPart):
            found += part.video
    return found


def marked(frames: Sequence[Frame], answer: str) -> list[Frame]:
    """The frames, the first of them with the boxes and points of the answer drawn into it."""
    grounding = parse_grounding(answer)
    if not frames or not (grounding.boxes or grounding.points):
        return list(frames)
    picture = Image.fromarray(frames[0])
    draw = ImageDraw.Draw(picture)
    for box in (one.to_pixels(width=picture.width, height=picture.height) for one in grounding.boxes):
        draw.rectangle((box.x1, box.y1, box.x2, box.y2), outline=MARK)
    for point in (one.to_pixels(width=picture.width, height=picture.height) for one in grounding.points):
        draw.line((point.x - 5, point.y, point.x + 5, point.y), fill=MARK)
        draw.line((point.x, point.y - 5, point.x, point.y + 5), fill=MARK)
    return [np.asarray(picture), *frames[1:]]


def visual_tokens(example: Example) -> int:
    """Of all pictures and clips; two frames of a clip share theirs."""
    parts = [part for message in example.messages for part in message.parts]
    stills = [part.image for part in parts if isinstance(part, ImagePart)]
    pairs = [frame for part in parts if isinstance(part, VideoPart) for frame in part.video[::2]]
    return sum(frame.shape[0] // 28 * (frame.shape[1] // 28) for frame in (*stills, *pairs))


def strip(frames: Sequence[Frame], width: int, height: int) -> Image.Image | None:
    """The frames in rows from left to right, all at one scale, the largest of at most 1 that fits; None of none."""
    if not frames:
        return None
    columns, scale = best_columns([(frame.shape[1], frame.shape[0]) for frame in frames], width, height)
    pictures = [scaled(frame, scale) for frame in frames]
    return above([beside(pictures[at : at + columns]) for at in range(0, len(pictures), columns)], GAP)


def best_columns(sizes: Sequence[tuple[int, int]], width: int, height: int) -> tuple[int, float]:
    """How many pictures (width, height) stand in a row, and the scale at which all rows fit.

    >>> best_columns([(100, 50)] * 4, 210, 300)
    (2, 1.0)
    """
    wide, high = (max(side) for side in zip(*sizes, strict=True))
    found = []
    for columns in range(1, len(sizes) + 1):
        rows = -(-len(sizes) // columns)
        scale = min(1.0, (width - GAP * columns) / (wide * columns), (height - GAP * rows) / (high * rows))
        found.append((scale, -rows, columns))
    scale, _, columns = max(found)
    return columns, max(scale, 0.02)


def scaled(frame: Frame, scale: float) -> Image.Image:
    picture = Image.fromarray(frame)
    if scale == 1:
        return picture
    size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def beside(pictures: Sequence[Image.Image]) -> Image.Image:
    """The pictures from left to right, with a rule between them."""
    width = sum(one.width for one in pictures) + GAP * (len(pictures) - 1)
    page = Image.new("RGB", (width, max(one.height for one in pictures)), GROUND)
    x = 0
    for one in pictures:
        page.paste(one, (x, 0))
        x += one.width + GAP
        page.paste(FRAMED, (x - GAP // 2 - 1, 0, x - GAP // 2 + 1, page.height))
    return page


def above(pictures: Sequence[Image.Image], gap: int = MARGIN) -> Image.Image:
    """The pictures one below the other."""
    height = sum(one.height for one in pictures) + gap * (len(pictures) - 1)
    page = Image.new("RGB", (max(one.width for one in pictures), height), FRAMED if gap > GAP else GROUND)
    y = 0
    for one in pictures:
        page.paste(one, (0, y))
        y += one.height + gap
    return page


if __name__ == "__main__":
    main()
