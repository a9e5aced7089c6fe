"""The data factory of the embedded checkpoint: a sample is a pure function of (task, split, seed, difficulty)."""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anyres.errors import OptionError
from recipes.tiny.clips import STAGES, make_clip
from recipes.tiny.corpus import ALPHABET
from recipes.tiny.fonts import FontSet, system_fonts
from recipes.tiny.lines import SLOTS, make_line
from recipes.tiny.notes import make_note
from recipes.tiny.places import NOBODY, Places, Referent, Spread
from recipes.tiny.scenes import PLANS, Asked, make_scene
from recipes.tiny.things import NAMES

CLASSES: tuple[str, ...] = (*sorted(ALPHABET - {" "}), *NAMES)
"""What the auxiliary head tells apart in a cell: characters, then coloured shapes."""
CLASS_IDS = {name: index for index, name in enumerate(CLASSES)}
SPLITS = ("train", "held_out")
LINE_QUESTIONS = (
    "Read the text.",
    "What does it say?",
    "What is written here?",
    "Read this line.",
    "Transcribe the text.",
)
TASKS = ("line", "note", *PLANS, *STAGES)


@dataclass(frozen=True)
class Sample:
    """One question about one picture (1 frame) or clip (4 frames; two frames make a temporal patch)."""

    task: str
    frames: tuple[NDArray[np.uint8], ...]
    """uint8 [H, W, 3], sides multiples of 28, all of one size."""
    question: str
    answer: str
    cells: NDArray[np.int16] | None
    """[M, SLOTS] indices into CLASSES, left to right, -1 = empty; row-major, for clips frame pair by frame pair."""
    places: Places | None = None
    """[M, COLUMNS] of recipes/tiny/places.py; None for print."""
    referent: Referent | None = None
    """What the question is about, as `referent_of` tells it; None for print."""
    spread: Spread | None = None
    """How many of the things that the question is about have their centre in each cell; None where unknown."""
    further: tuple[Asked, ...] = ()
    """More questions about the same picture, for training."""
    order: tuple[int, ...] | None = None
    """Of each cell of several rows of print, the place of its first character in all that is printed."""


def cell_array(cells: list[list[str]]) -> NDArray[np.int16]:
    """[M, SLOTS] class ids of the names in each cell."""
    array = np.full((len(cells), SLOTS), -1, dtype=np.int16)
    for row, names in zip(array, cells, strict=True):
        row[: len(names)] = [CLASS_IDS[name] for name in names]
    return array


def line_sample(
    rng: np.random.Generator, *, split: str, difficulty: float, size: tuple[int, int] | None, fonts: FontSet
) -> Sample:
    """One printed line to read."""
    line = make_line(rng, split=split, difficulty=difficulty, size=size, fonts=fonts)
    question = LINE_QUESTIONS[int(rng.integers(len(LINE_QUESTIONS)))]
    return Sample("line", (line.frame,), question, line.text, cell_array(line.cells))


def note_sample(
    rng: np.random.Generator, *, split: str, difficulty: float, size: tuple[int, int] | None, fonts: FontSet
) -> Sample:
    """A few printed rows, and what stands there."""
    note = make_note(rng, split=split, difficulty=difficulty, size=size, fonts=fonts)
    (question, answer), *further = note.asked
    more = tuple(Asked(*one, NOBODY) for one in further)
    cells = cell_array(note.cells)
    return Sample("note", (note.frame,), question, answer, cells, further=more, order=tuple(note.order))


def make_sample(
    task: str,
    *,
    split: str,
    seed: int,
    difficulty: float,
    size: tuple[int, int] | None = None,
    fonts: FontSet | None = None,
) -> Sample:
    """The sample of `task` number `seed` of a split ("train" or "held_out") at a difficulty of 0..1.

    `size` (height, width) asks for a picture of that size; `fonts` are the installed ones unless given. An unknown
    task or split, or a difficulty outside 0..1, is an OptionError.
    """
    if task not in TASKS:
        raise OptionError("task", task, ", ".join(TASKS))
    if split not in SPLITS:
        raise OptionError("split", split, ", ".join(SPLITS))
    if not 0 <= difficulty <= 1:
        raise OptionError("difficulty", str(difficulty), "0 to 1")
    rng = np.random.default_rng([zlib.crc32(task.encode()), SPLITS.index(split), seed])
    if task in PLANS:
        scene = make_scene(rng, task=task, difficulty=difficulty, size=size)
        first, *rest = scene.asked
        return Sample(
            task, (scene.frame,), first.question, first.answer, cell_array(scene.cells), scene.places, first.referent,
            first.spread, tuple(rest),
        )  # fmt: skip
    if task in STAGES:
        clip = make_clip(rng, task=task, difficulty=difficulty, size=size)
        return Sample(
            task, tuple(clip.frames), clip.question, clip.answer, cell_array(clip.cells), clip.places, clip.referent
        )
    printed = note_sample if task == "note" else line_sample
    return printed(rng, split=split, difficulty=difficulty, size=size, fonts=fonts or system_fonts())
