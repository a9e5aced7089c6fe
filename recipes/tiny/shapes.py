"""The first things to learn: a printed line, coloured shapes, and clips of four frames with them."""

import numpy as np

from recipes.tiny import clips, lines, scenes
from recipes.tiny.assets import Assets
from recipes.tiny.conversation import about_clip, about_pictures, pick
from recipes.tiny.example import Dense, Example
from recipes.tiny.fonts import FontSet

__all__ = ["make_line", "make_shape_clip", "make_shapes"]

LINE_QUESTIONS = ("Read the text.", "What does it say?", "What is written here?", "Read this line.",
                  "Transcribe the text.")  # fmt: skip
METRICS = {"count": "number", "most": "number", "box": "box"}


def make_line(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """One printed line of Latin script to read."""
    fonts = FontSet(train=assets.families("latin", "train"), held_out=assets.families("latin", "held_out"))
    line = lines.make_line(rng, split=split, difficulty=difficulty, size=None, fonts=fonts)
    dense = Dense(letters=tuple("".join(cell) for cell in line.cells))
    turns = (pick(rng, LINE_QUESTIONS), line.text)
    return about_pictures("line", [line.frame], turns, dense=[dense], metric="characters")


def make_shapes(
    rng: np.random.Generator,
    *,
    split: str,  # noqa: ARG001
    difficulty: float,
    assets: Assets,  # noqa: ARG001
) -> Example:
    """One question about a picture of coloured shapes, of all kinds; boxes and counts come most.

    Shapes and colours are the same in both splits; only their arrangements differ.
    """
    task = scenes.drawn_task(rng)
    scene = scenes.make_scene(rng, task=task, difficulty=difficulty, size=None)
    names = tuple(tuple(cell) for cell in scene.cells)
    dense = Dense(names=names, places=scene.places, counted=scene.asked[0].spread)
    turns = scene.asked[0][:2]
    others = iter(scene.asked[1:])

    def further(rng: np.random.Generator) -> tuple[str, str] | None:
        del rng
        other = next(others, None)
        return None if other is None else other[:2]

    metric = METRICS.get(task, "exact")
    return about_pictures(f"shape-{task}", [scene.frame], turns, dense=[dense], metric=metric, further=further)


def make_shape_clip(
    rng: np.random.Generator,
    *,
    split: str,  # noqa: ARG001
    difficulty: float,
    assets: Assets,  # noqa: ARG001
) -> Example:
    """One question about a clip of four frames with coloured shapes, of all kinds of questions alike."""
    task = pick(rng, tuple(clips.STAGES))
    clip = clips.make_clip(rng, task=task, difficulty=difficulty, size=None)
    dense = Dense(names=tuple(tuple(cell) for cell in clip.cells), places=clip.places)
    return about_clip(f"shape-{task}", clip.frames, (clip.question, clip.answer), dense=dense)
