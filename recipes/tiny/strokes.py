"""Clips of Chinese characters that are written stroke by stroke: which one, how many strokes, how the last one runs."""

import lzma
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from recipes.tiny.assets import Assets
from recipes.tiny.clips import filmed
from recipes.tiny.conversation import about_clip, pick
from recipes.tiny.example import Dense, Example
from recipes.tiny.motion import MOST_FRAMES
from recipes.tiny.things import CELL

__all__ = ["ASSET", "Written", "make_clip_strokes", "way_of", "written"]

ASSET = "strokes.txt.xz"
Point = tuple[int, int]
UNITS = 255
"""The side of the square that points are told in."""
FINE, STRAIGHT = 3, 0.97
WHICH = ("Which character is written?", "写的是什么字？", "What character is being written?")
COUNT = ("How many strokes are written?", "Count the strokes.", "这个字有几画？")
LAST = ("How does the last stroke run?", "Is the last stroke horizontal, vertical, falling or a dot?")
FIRST = ("How does the first stroke run?", "Is the first stroke horizontal, vertical, falling or a dot?")
GROUNDS = ((250, 249, 244), (240, 232, 214), (255, 255, 255), (32, 44, 38))


class Written(NamedTuple):
    """A character and the strokes of which it is made, each from its start to its end."""

    char: str
    strokes: tuple[tuple[Point, ...], ...]


@lru_cache(maxsize=4)
def written(path: Path, split: str) -> tuple[Written, ...]:
    """The packed characters of a split, the commonest first."""
    lines = (line.split("\t") for line in lzma.decompress(path.read_bytes()).decode().split("\n"))
    return tuple(Written(char, parsed(strokes)) for known, char, strokes in lines if known == split)


def parsed(text: str) -> tuple[tuple[Point, ...], ...]:
    """
    >>> parsed("0,0 9,8;1,2 3,4")
    (((0, 0), (9, 8)), ((1, 2), (3, 4)))
    """
    strokes = (stroke.split(" ") for stroke in text.split(";"))
    return tuple(tuple((int(x), int(y)) for x, y in (point.split(",") for point in stroke)) for stroke in strokes)


def way_of(stroke: Sequence[Point]) -> str:
    """`horizontal`, `vertical`, `falling left`, `falling right` or `dot`; "" for one that bends.

    >>> way_of([(0, 9), (200, 0)]), way_of([(100, 0), (104, 200)]), way_of([(100, 0), (0, 150)])
    ('horizontal', 'vertical', 'falling left')
    """
    ends = np.array([stroke[0], stroke[-1]], dtype=np.float64)
    steps = np.diff(np.array(stroke, dtype=np.float64), axis=0)
    length, (right, down) = float(np.hypot(*steps.T).sum()), (float(one) for one in ends[1] - ends[0])
    straight = float(np.hypot(right, down))
    if straight < STRAIGHT * length:
        return ""
    if length < 0.2 * UNITS:
        return "dot"
    slope = abs(down) / max(1.0, straight)
    if slope < 0.25:
        return "horizontal"
    if slope > 0.97:
        return "vertical"
    return "" if down < 0 else "falling right" if right > 0 else "falling left"


def make_clip_strokes(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Strokes that come one after the other (`clip-strokes-which`, `-count`, `-way`); at most 14 of them."""
    assets.read(ASSET)  # tells how to build the pack where it is missing
    most = 4 + round(10 * difficulty)
    known = [one for one in written(assets.folder / ASSET, split) if len(one.strokes) <= most]
    one = pick(rng, known[: max(20, round(len(known) * (0.3 + 0.7 * difficulty)))])
    frames = 2 * -(-(len(one.strokes) + 1) // 2)
    frames = min(MOST_FRAMES, max(4, frames + 2 * int(rng.integers(0, 2))))
    shown = np.linspace(0, len(one.strokes), frames).round().astype(int)
    rows = int(rng.integers(2, 4 + round(difficulty)))
    painted = paint(rng, one, shown.tolist(), rows * CELL)
    question, answer, metric, kind = asked_about(rng, one)
    clip = filmed(rng, painted, difficulty * float(rng.random()))
    dense = Dense(letters=letters_of(one, shown.tolist(), rows))
    return about_clip(f"clip-strokes-{kind}", clip, (question, answer), dense=dense, metric=metric)


def asked_about(rng: np.random.Generator, one: Written) -> tuple[str, str, str, str]:
    """(question, answer, metric, kind)."""
    draw = float(rng.random())
    if draw < 0.4:
        return pick(rng, COUNT), str(len(one.strokes)), "number", "count"
    ends = {FIRST: way_of(one.strokes[0]), LAST: way_of(one.strokes[-1])}
    known = [(questions, way) for questions, way in ends.items() if way]
    if draw < 0.65 and known:
        questions, way = pick(rng, known)
        return pick(rng, questions), way, "exact", "way"
    return pick(rng, WHICH), one.char, "exact", "which"


def paint(rng: np.random.Generator, one: Written, shown: Sequence[int], side: int) -> list[np.ndarray]:
    """The frames: as many strokes as `shown` says, with round ends, on paper of one colour."""
    ground = pick(rng, GROUNDS)
    ink = (24, 24, 26) if sum(ground) > 400 else (236, 236, 230)
    margin, width = float(rng.uniform(0.04, 0.14)) * side, float(rng.uniform(0.035, 0.075)) * side
    scale = (side - 2 * margin) / UNITS
    pen = Image.new("RGB", (side * FINE, side * FINE), ground)
    draw, done, frames = ImageDraw.Draw(pen), 0, []
    for count in shown:
        for stroke in one.strokes[done:count]:
            points = [(FINE * (margin + scale * x), FINE * (margin + scale * y)) for x, y in stroke]
            draw.line(points, fill=ink, width=round(FINE * width), joint="curve")
            for x, y in (points[0], points[-1]):
                radius = FINE * width / 2
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
        done = count
        frames.append(np.asarray(pen.resize((side, side), Image.Resampling.BOX), dtype=np.float32))
    return frames


def letters_of(one: Written, shown: Sequence[int], rows: int) -> tuple[str, ...]:
    """The character in the middle cell of every pair of frames in which it is whole."""
    cells: list[str] = []
    for count in shown[1::2]:
        pair = [""] * (rows * rows)
        pair[rows // 2 * rows + rows // 2] = one.char if count == len(one.strokes) else ""
        cells += pair
    return tuple(cells)
