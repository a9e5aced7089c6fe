"""Examines a checkpoint on held-out content: `python -m recipes.tiny.examination FOLDER --samples 100`.

Every question goes the way of a user's: picture -> processor -> engine -> text, and its answer is scored by the
example's own metric. Beside each figure stands the blind one, of the same questions about grey pictures, and where
print is to be read those of tesseract and rapidocr, if they are installed. The core of the card of version 1.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import anyres
from anyres.chat import Answer, GenerationOptions, ImagePart, Message, TextPart, VideoPart
from recipes.tiny.example import Example
from recipes.tiny.mixture import TASKS, Task, example_of, missing, opened_assets
from recipes.tiny.scores import METRICS

__all__ = ["Row", "examine", "held_out", "main", "score", "write_report"]

FIRST_SEED = 7_000_000
DIFFICULTIES = (0.2, 0.6, 1.0)
MOST_TOKENS = 600
READ_METRIC = "characters"
Reader = Callable[[NDArray[np.uint8], str], str]
"""(a picture, its language) -> what it says."""
TESSERACT = {"en": "eng", "de": "deu", "fr": "fra", "es": "spa", "it": "ita", "pt": "por", "vi": "vie", "ru": "rus",
             "el": "ell", "zh": "chi_sim", "ja": "jpn", "ko": "kor", "ar": "ara"}  # fmt: skip


class Model(Protocol):
    """What is examined: `anyres.load` gives one."""

    def chat_batch(
        self, conversations: Sequence[Sequence[Message]], *, options: GenerationOptions
    ) -> Sequence[Answer]: ...


class Row(NamedTuple):
    """One line of the card: figures from 0 to 1; `readers` by name."""

    task: str
    language: str
    difficulty: float
    metric: str
    samples: int
    figure: float
    blind: float
    readers: Mapping[str, float]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a checkpoint, as a save of recipes/tiny/course.py")
    parser.add_argument("--samples", type=int, default=60, help="of each task at each difficulty")
    parser.add_argument("--difficulties", type=float, nargs="+", default=DIFFICULTIES)
    parser.add_argument("--tasks", nargs="+", help="groups or names, as in recipes/tiny/mixture.py")
    parser.add_argument("--out", type=Path, help="folder for examination.json and .md; that of the checkpoint")
    options = parser.parse_args(arguments)
    tasks = [one for one in TASKS if options.tasks is None or {one.group, one.name} & set(options.tasks)]
    absent = missing(tasks, opened_assets(None))
    model = anyres.load(options.folder)
    rows = []
    for task in (one for one in tasks if one not in absent):
        for difficulty in options.difficulties:
            rows += examine(model, task, difficulty=difficulty, count=options.samples, readers=installed_readers())
            print("\n".join(map(shown, rows[-1:])), flush=True)
    write_report(options.out or options.folder, rows)


def examine(
    model: Model, task: Task, *, difficulty: float, count: int, readers: Mapping[str, Reader] | None = None
) -> list[Row]:
    """The rows of a task: one for each of its kinds of question and languages."""
    examples = list(islice(held_out(task, difficulty), count))
    told = answers(model, examples)
    blind = answers(model, [grey(one) for one in examples])
    kinds = sorted({(one.task, one.language, one.metric) for one in examples})
    rows = []
    for kind in kinds:
        chosen = [i for i, one in enumerate(examples) if (one.task, one.language, one.metric) == kind]
        of_kind = [examples[i] for i in chosen]
        seen = {name: read_score(read, of_kind) for name, read in (readers or {}).items() if readable(of_kind)}
        figures = (score([told[i] for i in chosen], of_kind), score([blind[i] for i in chosen], of_kind))
        rows.append(Row(kind[0], kind[1], difficulty, kind[2], len(chosen), *figures, seen))
    return rows


def held_out(task: Task, difficulty: float) -> Iterator[Example]:
    """Examples of the held-out split without end, always the same ones."""
    seed = FIRST_SEED
    while True:
        rng = np.random.default_rng(seed)
        yield example_of(task, rng, split="held_out", difficulty=difficulty, assets=opened_assets(None))
        seed += 1


def answers(model: Model, examples: Sequence[Example]) -> list[str]:
    """Greedy answers to all but the last turn of each."""
    options = GenerationOptions(max_tokens=MOST_TOKENS, temperature=0.0)
    return [one.text for one in model.chat_batch([one.messages[:-1] for one in examples], options=options)]


def score(told: Sequence[str], examples: Sequence[Example]) -> float:
    """The mean over the examples of what each metric gives for an answer; of characters, 1 - edits / characters."""
    parts = [METRICS[one.metric](text.strip(), one) for text, one in zip(told, examples, strict=True)]
    whole = sum(part.of for part in parts)
    return max(0.0, sum(part.right for part in parts) / whole) if whole else 0.0


def grey(example: Example) -> Example:
    """The example with nothing to see."""
    return replace(example, messages=tuple(_grey_turn(one) for one in example.messages))


def _grey_turn(message: Message) -> Message:
    if isinstance(message.content, str):
        return message
    return replace(message, content=[_grey_part(part) for part in message.content])


def _grey_part(part: TextPart | ImagePart | VideoPart) -> TextPart | ImagePart | VideoPart:
    if isinstance(part, ImagePart):
        return replace(part, image=np.full_like(part.image, 128))
    if isinstance(part, VideoPart):
        return replace(part, video=[np.full_like(frame, 128) for frame in part.video])
    return part


# ---- other readers ----


def installed_readers() -> dict[str, Reader]:
    """Those of this machine."""
    readers: dict[str, Reader] = {}
    if shutil.which("tesseract"):
        readers["tesseract"] = tesseract
    if find_spec("rapidocr"):
        readers["rapidocr"] = rapidocr_reader()
    return readers


def readable(examples: Sequence[Example]) -> bool:
    """Whether a program that reads all print of one picture could give the answers."""
    return all(one.metric == READ_METRIC and picture_of(one) is not None for one in examples)


def read_score(read: Reader, examples: Sequence[Example]) -> float:
    pictures = [picture_of(one) for one in examples]
    return score([read(p, one.language) for p, one in zip(pictures, examples, strict=True) if p is not None], examples)


def picture_of(example: Example) -> NDArray[np.uint8] | None:
    """Its only picture, where all print in it is the answer."""
    parts = [part for part in example.messages[0].parts if isinstance(part, ImagePart)]
    dense = example.dense[0] if len(example.dense) == 1 else None
    if len(parts) != 1 or dense is None or dense.letters is None:
        return None
    printed, wanted = sum(map(len, dense.letters)), len("".join(example.answer.split()))
    image: NDArray[np.uint8] = parts[0].image
    return image if printed <= 1.2 * wanted else None


def tesseract(picture: NDArray[np.uint8], language: str) -> str:
    """One block of text; lines are read as one line."""
    mode = "7" if picture.shape[0] <= 3 * 28 else "6"
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        Image.fromarray(picture).save(file.name)
        command = ["tesseract", file.name, "-", "--psm", mode, "-l", TESSERACT.get(language, "eng")]
        found = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    return found.stdout.decode(errors="replace").strip()


def rapidocr_reader() -> Reader:
    """With the models that its package holds."""
    engine = import_module("rapidocr").RapidOCR()

    def read(picture: NDArray[np.uint8], language: str) -> str:
        del language
        found = engine(picture)
        return "\n".join(found.txts or ())

    return read


# ---- the report ----


def shown(row: Row) -> str:
    """A line of the report."""
    readers = "".join(f" {name} {value:.1%}" for name, value in row.readers.items())
    of = f"{row.task} {row.language} at {row.difficulty:g}".replace("  ", " ")
    return f"{of}: {row.metric} {row.figure:.1%} (blind {row.blind:.1%}{readers}; {row.samples})"


def write_report(folder: Path, rows: Sequence[Row]) -> None:
    """`examination.json` for programs and `examination.md` for people."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = [{**row._asdict(), "readers": dict(row.readers)} for row in rows]
    (folder / "examination.json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    names = sorted({name for row in rows for name in row.readers})
    head = ["task", "language", "difficulty", "metric", "samples", "figure", "blind", *names]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        readers = [percent(row.readers.get(name)) for name in names]
        told = [row.task, row.language or "-", f"{row.difficulty:g}", row.metric, str(row.samples)]
        lines.append([*told, percent(row.figure), percent(row.blind), *readers])
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    (folder / "examination.md").write_text(f"# Examination on held-out content\n\n{text}\n", encoding="utf-8")


def percent(value: float | None) -> str:
    """`97.1 %`, or `-` for nothing.

    >>> percent(0.971), percent(None)
    ('97.1 %', '-')
    """
    return "-" if value is None else f"{100 * value:.1f} %"


if __name__ == "__main__":
    main()
