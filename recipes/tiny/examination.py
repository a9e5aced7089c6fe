"""Examines a checkpoint on held-out content and writes its card: `python -m recipes.tiny examination FOLDER`.

Every question goes the way of a user's: picture -> processor -> engine -> text, and its answer is scored by the
example's own metric. Beside each figure stand the blind one, of the same questions about grey pictures, that of the
commonest answer of training and, where print is to be read, those of tesseract and rapidocr, if they are installed.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

import anyres
from anyres.chat import Answer, GenerationOptions, ImagePart, Message, TextPart, VideoPart
from recipes.tiny.example import Example
from recipes.tiny.mixture import Task, example_of, missing, opened_assets
from recipes.tiny.preview import chosen_tasks
from recipes.tiny.readers import Page, Reader, installed_readers
from recipes.tiny.report_card import Outcome, Row, percent, rows_of, write_card
from recipes.tiny.scores import METRICS, Part

__all__ = ["Model", "answers", "examine", "grey", "held_out", "main", "page_of", "parser", "scored"]

FIRST_SEED, TRAIN_SEED = 7_000_000, 6_000_000
DIFFICULTIES = (0.2, 0.6, 1.0)
MOST_TOKENS = 600
READING = ("line", "word", "number", "date", "code", "page")
"""Tasks whose answer is all print of their picture."""
COMMON = 100
"""Training answers of which the commonest is taken."""
REFUSALS = ("There is no ", "It does not tell ", "I cannot ", "The picture is empty", "I see no picture")
"""How answers begin that say what is not there."""


class Model(Protocol):
    """What is examined: `anyres.load` gives one."""

    def chat_batch(
        self, conversations: Sequence[Sequence[Message]], *, options: GenerationOptions
    ) -> Sequence[Answer]: ...


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    tasks = chosen_tasks(options.tasks)
    absent_tasks = missing(tasks, opened_assets(None))
    readers, absent = installed_readers(options.rapidocr)
    model = anyres.load(options.folder)
    outcomes: list[Outcome] = []
    for task in (one for one in tasks if one not in absent_tasks):
        for difficulty in options.difficulties:
            found = examine(model, task, difficulty=difficulty, count=options.samples, readers=readers)
            outcomes += found
            print("\n".join(map(shown, (row for row in rows_of(found) if row.language == "all"))), flush=True)
    notes = options.notes.read_text(encoding="utf-8").strip() if options.notes else ""
    left_out = "".join(f"\nNot examined: {task.group} {task.name} ({why})." for task, why in absent_tasks.items())
    write_card(options.out or options.folder, rows_of(outcomes), notes=notes + left_out, absent=absent)


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser("python -m recipes.tiny examination", description=__doc__)
    parser.add_argument("folder", type=Path, help="a checkpoint, as a save of recipes/tiny/course.py")
    parser.add_argument("--samples", type=int, default=60, help="of each task at each difficulty")
    parser.add_argument("--difficulties", type=float, nargs="+", default=DIFFICULTIES)
    parser.add_argument("--tasks", nargs="+", help="groups or names, as in recipes/tiny/mixture.py")
    parser.add_argument("--rapidocr", metavar="PYTHON", help="an interpreter that has rapidocr")
    parser.add_argument("--notes", type=Path, help="a text file with hardware, hours, samples, and what it cannot do")
    parser.add_argument("--out", type=Path, help="folder for card.json and CARD.md; that of the checkpoint")
    return parser


def examine(
    model: Model, task: Task, *, difficulty: float, count: int, readers: Mapping[str, Reader] | None = None
) -> list[Outcome]:
    """The outcomes of `count` held-out examples of a task."""
    examples = list(islice(held_out(task, difficulty), count))
    told = answers(model, examples)
    blind = answers(model, [grey(one) for one in examples])
    common = commonest(task, difficulty)
    read = {name: readings(reader, examples) for name, reader in (readers or {}).items()}
    return [
        Outcome(
            example.task,
            example.language,
            difficulty,
            example.metric,
            told=scored(told[place], example),
            blind=scored(blind[place], example),
            commonest=scored(common.get(example.task, ""), example),
            whole=told[place].strip() == example.answer,
            refusal=example.answer.startswith(REFUSALS),
            readers={name: scored(texts[place], example) for name, texts in read.items() if place in texts},
        )
        for place, example in enumerate(examples)
    ]


def held_out(task: Task, difficulty: float) -> Iterator[Example]:
    """Examples of the held-out split without end, always the same ones."""
    seed = FIRST_SEED
    while True:
        yield drawn(task, seed, "held_out", difficulty)
        seed += 1


def drawn(task: Task, seed: int, split: str, difficulty: float) -> Example:
    """The example of a seed."""
    rng = np.random.default_rng(seed)
    return example_of(task, rng, split=split, difficulty=difficulty, assets=opened_assets(None))


def commonest(task: Task, difficulty: float) -> dict[str, str]:
    """The answer that each kind of question of a task has most often in training."""
    counts: dict[str, Counter[str]] = {}
    for seed in range(TRAIN_SEED, TRAIN_SEED + COMMON):
        example = drawn(task, seed, "train", difficulty)
        counts.setdefault(example.task, Counter())[example.answer] += 1
    return {kind: told.most_common(1)[0][0] for kind, told in counts.items()}


def answers(model: Model, examples: Sequence[Example], *, most_tokens: int = MOST_TOKENS) -> list[str]:
    """Greedy answers to all but the last turn of each."""
    options = GenerationOptions(max_tokens=most_tokens, temperature=0.0)
    return [one.text for one in model.chat_batch([one.messages[:-1] for one in examples], options=options)]


def scored(text: str, example: Example) -> Part:
    """What the example's metric gives for an answer."""
    return METRICS[example.metric](text.strip(), example)


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


def readings(reader: Reader, examples: Sequence[Example]) -> dict[int, str]:
    """What another program reads in those of the examples that ask for all print of their picture, by their place."""
    pages = {place: page for place, one in enumerate(examples) if (page := page_of(one)) is not None}
    told = reader(list(pages.values())) if pages else []
    return {place: text for place, text in zip(pages, told, strict=True) if text is not None}


def page_of(example: Example) -> Page | None:
    """What other programs are given: the only picture, where all print in it is the answer."""
    if example.task not in READING:
        return None
    (picture,) = (part.image for part in example.messages[0].parts if isinstance(part, ImagePart))
    return Page(picture, example.language)


def shown(row: Row) -> str:
    """A line of the log."""
    readers = "".join(f" {name} {percent(value)}" for name, value in row.readers.items())
    others = f"blind {percent(row.blind)} commonest {percent(row.commonest)}{readers}; {row.samples}"
    return f"{row.task} at {row.difficulty:g}: {row.metric} {percent(row.figure)} ({others})"


if __name__ == "__main__":
    main()
