"""Writes the questions of a card as files, for `anyres eval` with any model: `python -m recipes.tiny questions DIR`.

DIR gets data.jsonl and a folder of PNG files. The questions are those of examination.py, held out from training and
always the same ones.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anyres.chat import ImagePart, Message, TextPart, VideoPart
from recipes.tiny.examination import DIFFICULTIES, held_out
from recipes.tiny.example import Example
from recipes.tiny.mixture import missing, opened_assets
from recipes.tiny.preview import chosen_tasks
from recipes.tiny.regions import box_at
from recipes.tiny.scores import NEAR, places

__all__ = ["main", "rows_of_examination", "write"]

KNOBS = ("min_pixels", "max_pixels", "fps", "nframes", "total_pixels")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m recipes.tiny questions", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=60, help="of each task at each difficulty")
    parser.add_argument("--tasks", nargs="*", help="groups or names; all of them when absent")
    parser.add_argument("--difficulties", type=float, nargs="+", default=DIFFICULTIES)
    options = parser.parse_args(arguments)
    rows = rows_of_examination(options.folder, options.samples, options.tasks, options.difficulties)
    print(f"{write(options.folder, rows):,} questions in {options.folder}")


def write(folder: Path, rows: Iterator[dict[str, Any]]) -> int:
    """Writes the rows as they come; gives their number."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with (folder / "data.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def rows_of_examination(
    folder: Path, count: int, tasks: Sequence[str] | None, difficulties: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """The questions. Tasks whose fonts or texts are not there are left out, and named."""
    chosen = chosen_tasks(tasks)
    absent = missing(chosen, opened_assets(None))
    for task, why in absent.items():
        print(f"left out: {task.group} {task.name} ({why})")
    for task in (one for one in chosen if one not in absent):
        for difficulty in difficulties:
            for place, example in enumerate(islice(held_out(task, difficulty), count)):
                name = f"{task.group}-{task.name}-{difficulty:g}-{place:04}".replace(" ", "_").replace("/", "_")
                yield {
                    "id": name,
                    "row": f"{example.task} at {difficulty:g}: {example.metric}",
                    "language": example.language,
                    "metric": example.metric,
                    "answer": example.answer,
                    "wanted": _wanted(example),
                    "messages": _written(folder, name, example.messages[:-1]),
                }


def _wanted(example: Example) -> dict[str, Any]:
    """What the metric needs beside the answer."""
    if example.metric == "number":
        return {"near": NEAR} if example.task.startswith("chart") else {}
    asked = places(example.answer)
    dense = example.dense[0] if example.dense else None
    if example.metric != "point" or not asked or dense is None:
        return {}
    image = next(part.image for part in example.messages[0].parts if isinstance(part, ImagePart))
    height, width = image.shape[:2]
    return {"box": box_at(dense, (height, width), (asked[0][0], asked[0][1])), "size": [width, height]}


def _written(folder: Path, name: str, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The conversation with names of files instead of pixels."""
    files = (f"pictures/{name}-{number}.png" for number in range(10_000))
    return [
        {"role": message.role, "parts": [_part(folder, part, files) for part in message.parts]} for message in messages
    ]


def _part(folder: Path, part: TextPart | ImagePart | VideoPart, files: Iterator[str]) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    knobs = {name: getattr(part, name) for name in KNOBS if getattr(part, name, None) is not None}
    if isinstance(part, ImagePart):
        return {"image": _saved(folder, part.image, next(files)), **knobs}
    return {"frames": [_saved(folder, frame, next(files)) for frame in part.video], **knobs}


def _saved(folder: Path, pixels: NDArray[np.uint8], name: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return name


if __name__ == "__main__":
    main()
