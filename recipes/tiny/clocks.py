"""Dials of clocks with two or three hands: what time it is."""

from math import cos, pi, sin
from typing import NamedTuple

import numpy as np

from recipes.tiny.assets import Assets
from recipes.tiny.chart_draw import Shapes
from recipes.tiny.drawn import about_drawing
from recipes.tiny.example import Example
from recipes.tiny.paper import CELL, Colour, Paper, Pen, face_for, pick, theme
from recipes.tiny.regions import Region

__all__ = ["HANDS", "Dial", "angles", "make_clock"]

QUESTIONS = ("What time is it?", "What time does the clock show?", "Read the clock.", "Which time is this?")
SECONDS = ("What time is it, to the second?", "Read the clock with its seconds.")
HANDS = ("hour hand", "minute hand")
"""Names that are told of the cells in which the hands end."""
ROMAN = ("XII", "I", "II", "III", "IIII", "V", "VI", "VII", "VIII", "IX", "X", "XI")
ARABIC = ("12", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11")
LOOKS = ("plain", "ring", "ticks", "disc")
HELD_OUT_LOOK = "framed"
SHORT, LONG, THIN = 0.5, 0.8, 0.86
"""Lengths of the hands over the dial's radius."""


class Dial(NamedTuple):
    """What a clock shows (`second` None for no such hand) and how it looks."""

    hour: int
    minute: int
    second: int | None
    look: str
    numerals: tuple[str, ...]
    """Twelve, from the top; () for none."""
    every: int
    """Each hour, each third, or only the top has its numeral."""


def angles(dial: Dial) -> tuple[float, float, float]:
    """Of the hands for hours, minutes and seconds, in turns from the top, clockwise.

    >>> angles(Dial(6, 30, None, "plain", (), 1))
    (0.5416666666666666, 0.5, 0.0)
    """
    second = dial.second or 0
    minute = dial.minute + second / 60
    return (dial.hour % 12 + minute / 60) / 12, minute / 60, second / 60


def spoken(dial: Dial) -> str:
    """`7:05`, or `7:05:40`."""
    text = f"{dial.hour}:{dial.minute:02}"
    return text if dial.second is None else f"{text}:{dial.second:02}"


def choose_dial(rng: np.random.Generator, *, split: str, difficulty: float) -> Dial:
    """Full and half hours at first, then five minutes, then any; a hand for seconds on some hard ones."""
    step = 30 if difficulty < 0.15 else pick(rng, (15, 5, 5)) if difficulty < 0.5 else pick(rng, (5, 5, 1, 1))
    minute = step * int(rng.integers(60 // step))
    second = int(rng.integers(60)) if difficulty > 0.5 and rng.random() < 0.4 else None
    look = HELD_OUT_LOOK if split == "held_out" and rng.random() < 0.5 else pick(rng, LOOKS)
    numerals = ROMAN if rng.random() < 0.25 * difficulty else () if rng.random() < 0.35 * difficulty else ARABIC
    every = 1 if difficulty < 0.3 else pick(rng, (1, 1, 3, 12))
    return Dial(int(rng.integers(1, 13)), minute, second, look, numerals, every)


def make_clock(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """What time a dial shows (`clock`, or `clock-second` with seconds)."""
    dial = choose_dial(rng, split=split, difficulty=difficulty)
    cells = int(rng.integers(3, 5 + round(3 * difficulty)))
    wide = int(rng.integers(0, 1 + round(2 * difficulty)))
    colours = theme(rng, difficulty)
    paper = Paper((cells * CELL, (cells + wide) * CELL), colours.paper)
    radius = cells * CELL * float(rng.uniform(0.4, 0.47))
    middle = (paper.width / 2 + float(rng.uniform(-0.4, 0.4)) * wide * CELL, paper.height / 2)
    face = face_for(rng, assets.families("latin", split), "0123456789IVX", difficulty=difficulty)
    assert face is not None
    draw_dial(paper, dial, middle, radius, ground=colours.fill, ink=colours.ink)
    print_numerals(paper, dial, middle, radius, Pen(face, max(8, round(radius * 0.22)), colours.ink))
    regions = draw_hands(paper, dial, middle, radius, colours.ink, colours.accent)
    questions = QUESTIONS if dial.second is None else SECONDS
    task = "clock" if dial.second is None else "clock-second"
    turns = (pick(rng, questions), spoken(dial))
    return about_drawing(rng, paper, regions, task=task, turns=turns, hardness=difficulty)


def at(middle: tuple[float, float], turn: float, length: float) -> tuple[float, float]:
    """The point `length` away from the middle at a turn from the top, clockwise."""
    return middle[0] + length * sin(2 * pi * turn), middle[1] - length * cos(2 * pi * turn)


def draw_dial(
    paper: Paper, dial: Dial, middle: tuple[float, float], radius: float, *, ground: Colour, ink: Colour
) -> None:
    """The dial without numerals and hands."""
    shapes = Shapes(paper)
    if dial.look == HELD_OUT_LOOK:
        corners = [(middle[0] + x * radius, middle[1] + y * radius) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        shapes.line([*corners, corners[0], corners[1]], ink, max(1.5, radius / 16))
    elif dial.look != "plain":
        shapes.dot(*middle, radius, ink)
        shapes.dot(*middle, radius * (0.93 if dial.look == "ring" else 0.97), ground)
    marks = 60 if dial.look == "ticks" and radius > 45 else 12
    for place in range(marks):
        strong = place * 12 % marks == 0
        ends = (
            at(middle, place / marks, radius * (0.86 if strong else 0.91)),
            at(middle, place / marks, radius * 0.95),
        )
        shapes.line(list(ends), ink, max(1.0, radius / (26 if strong else 60)))
    shapes.onto()


def print_numerals(paper: Paper, dial: Dial, middle: tuple[float, float], radius: float, pen: Pen) -> None:
    """The numerals inside of the marks."""
    for place, text in enumerate(dial.numerals):
        if place % dial.every == 0:
            x, y = at(middle, place / 12, radius * 0.7)
            paper.write(text, (x, y + pen.rise / 2), pen, anchor="m")


def draw_hands(
    paper: Paper, dial: Dial, middle: tuple[float, float], radius: float, ink: Colour, accent: Colour
) -> list[Region]:
    """The hands over all else, and boxes around the outer halves of the two that tell hours and minutes."""
    shapes = Shapes(paper)
    hour, minute, second = angles(dial)
    for turn, length, width in ((hour, SHORT, radius / 9), (minute, LONG, radius / 14)):
        shapes.line([at(middle, turn + 0.5, radius * 0.08), at(middle, turn, radius * length)], ink, max(2.0, width))
    if dial.second is not None:
        shapes.line([at(middle, second + 0.5, radius * 0.2), at(middle, second, radius * THIN)], accent, 1.4)
    shapes.dot(*middle, radius / 12, ink)
    shapes.onto()
    ends = ((hour, SHORT), (minute, LONG))
    return [
        Region(name, outer(middle, turn, radius * length)) for name, (turn, length) in zip(HANDS, ends, strict=True)
    ]


def outer(middle: tuple[float, float], turn: float, length: float) -> tuple[float, float, float, float]:
    """The box of the outer half of a hand, 4 pixels wide at least."""
    (x0, y0), (x1, y1) = at(middle, turn, length / 2), at(middle, turn, length)
    return min(x0, x1) - 2, min(y0, y1) - 2, max(x0, x1) + 2, max(y0, y1) + 2
