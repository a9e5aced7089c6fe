"""A sheet that is being printed: runs of text, rules and boxes, and where every word and letter of it lies."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from anyres.chat import ImagePart, Message, TextPart
from recipes.tiny.example import Box, Dense, Example, Further, Word
from recipes.tiny.fonts import Face
from recipes.tiny.scan import scanned

CELL = 28
"""Pixels of one visual token, in both directions."""
Colour = tuple[int, int, int]
Option = TypeVar("Option")


class Sheet(NamedTuple):
    """A printed picture uint8 [H, W, 3], sides multiples of 28, its words, and the letters of each cell."""

    frame: NDArray[np.uint8]
    words: tuple[Word, ...]
    letters: tuple[str, ...]


class Theme(NamedTuple):
    """The colours of a sheet."""

    paper: Colour
    ink: Colour
    rule: Colour
    fill: Colour
    """Ground of headers and marked fields; `ink` is readable on it."""
    accent: Colour
    """Titles and logos; readable on `paper`."""


class Pen(NamedTuple):
    """A face at an em of `size` pixels and its colour."""

    face: Face
    size: int
    ink: Colour

    def width(self, text: str) -> float:
        """Pixels that `text` takes along the line."""
        return float(self.face.at(self.size).getlength(text)) if text else 0.0

    @property
    def rise(self) -> float:
        """Height of a capital or a digit."""
        return -ink_of(self.face, self.size, "H").top

    def baseline(self, top: float, height: float) -> float:
        """Where the baseline of a line lies that is centred between `top` and `top + height`."""
        return top + (height + self.rise) / 2


class Letter(NamedTuple):
    """A drawn character, the middle of its ink, and the baseline it stands on."""

    char: str
    x: float
    y: float
    baseline: float


class Paper:
    """A sheet of `height` x `width` pixels that remembers what is written on it.

    >>> from recipes.tiny.fonts import builtin_fonts
    >>> paper = Paper((28, 84), (255, 255, 255))
    >>> box = paper.write("No 7", (4, 21), Pen(builtin_fonts().train[0][0], 20, (0, 0, 0)))
    >>> [word.text for word in paper.words], "".join(paper.sheet().letters)
    (['No', '7'], 'No7')
    """

    def __init__(self, size: tuple[int, int], colour: Colour) -> None:
        self.height, self.width = size
        self.image = Image.new("RGB", (self.width, self.height), colour)
        self.draw = ImageDraw.Draw(self.image)
        self.words: list[Word] = []
        self.letters: list[Letter] = []

    def write(self, text: str, at: tuple[float, float], pen: Pen, *, anchor: str = "l") -> Box:
        """Prints a line whose left end (`anchor` "l"), middle ("m") or right end ("r") is `at` (x, baseline)."""
        x = at[0] - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor] * pen.width(text)
        blank = pen.width(" ")
        boxes = []
        for piece in text.split(" "):
            if piece:
                boxes.append(self.word(piece, (x, at[1]), pen))
            x += pen.width(piece) + blank
        return around(boxes) if boxes else (at[0], at[1] - pen.rise, at[0], at[1])

    def word(self, text: str, at: tuple[float, float], pen: Pen) -> Box:
        """Prints `text` as one word, its left end and baseline `at`; gives the box of its ink."""
        x, y = round(at[0]), round(at[1])
        font = pen.face.at(pen.size)
        self.draw.text((x, y), text, fill=pen.ink, font=font, anchor="ls")
        inks = [ink_of(pen.face, pen.size, char) for char in text]
        kerned = pen.width(text) / max(1.0, sum(ink.advance for ink in inks))
        start, boxes = float(x), []
        for char, ink in zip(text, inks, strict=True):
            box = (start + ink.left, y + ink.top, start + ink.right, y + ink.bottom)
            self.letters.append(Letter(char, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, y))
            boxes.append(box)
            start += ink.advance * kerned
        self.words.append(Word(text, around(boxes)))
        return self.words[-1].box

    def rule(self, start: tuple[float, float], end: tuple[float, float], colour: Colour, thickness: int = 1) -> None:
        """A straight line between two points."""
        self.draw.line((*map(round, start), *map(round, end)), fill=colour, width=thickness)

    def fill(self, box: Box, colour: Colour) -> None:
        """Paints a rectangle; print it before the text that stands on it."""
        x1, y1, x2, y2 = map(round, box)
        self.draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), fill=colour)

    def outline(self, box: Box, colour: Colour, thickness: int = 1) -> None:
        """The border of a rectangle."""
        x1, y1, x2, y2 = map(round, box)
        self.draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=thickness)

    def sheet(self, rng: np.random.Generator | None = None, hardness: float = 0.0, *, in_colour: bool = False) -> Sheet:
        """What was printed; with a generator as a scanner or a camera sees it, spoiled by `hardness` (0..1).

        `in_colour`: its colours say something, so they stay.
        """
        frame = np.array(self.image)
        corners = [corner for word in self.words for corner in corners_of(word.box)]
        points = np.array([*corners, *((letter.x, letter.y) for letter in self.letters)], dtype=np.float64)
        points = points.reshape(-1, 2)
        if rng is not None:
            frame, points = scanned(rng, frame, points, hardness, in_colour=in_colour)
        boxes = points[: len(corners)].reshape(-1, 4, 2)
        words = tuple(
            Word(word.text, (*box.min(axis=0).tolist(), *box.max(axis=0).tolist()))
            for word, box in zip(self.words, boxes, strict=True)
        )
        return Sheet(frame, words, letters_of(self.letters, points[len(corners) :], (self.height, self.width)))


class Ink(NamedTuple):
    """The advance of a character and the extent of its ink around the pen."""

    advance: float
    left: float
    top: float
    right: float
    bottom: float


@lru_cache(maxsize=60_000)
def ink_of(face: Face, size: int, char: str) -> Ink:
    """What the face draws for a character at an em of `size`."""
    font = face.at(size)
    mask, (x, y) = font.getmask2(char, mode="L", anchor="ls")
    left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
    return Ink(float(font.getlength(char)), x + left, y + top, x + right, y + bottom)


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of `boxes`."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def corners_of(box: Box) -> tuple[tuple[float, float], ...]:
    """The four corners, clockwise."""
    x1, y1, x2, y2 = box
    return (x1, y1), (x2, y1), (x2, y2), (x1, y2)


def letters_of(letters: Sequence[Letter], points: NDArray[np.float64], size: tuple[int, int]) -> tuple[str, ...]:
    """Of each cell of a picture of `size`, the characters whose middles lie in it: line by line, left to right."""
    rows, columns = size[0] // CELL, size[1] // CELL
    cells: list[list[tuple[float, float, str]]] = [[] for _ in range(rows * columns)]
    for letter, (x, y) in zip(letters, points, strict=True):
        if 0 <= x < columns * CELL and 0 <= y < rows * CELL:
            cells[int(y // CELL) * columns + int(x // CELL)].append((letter.baseline, letter.x, letter.char))
    return tuple("".join(char for _, _, char in sorted(cell)) for cell in cells)


def rounded(pixels: float) -> int:
    """The next multiple of 28.

    >>> rounded(29), rounded(28)
    (56, 28)
    """
    return max(1, math.ceil(pixels / CELL)) * CELL


def room(difficulty: float) -> int:
    """Visual tokens that a picture may take: 30 at difficulty 0, 170 at 0.5, 1,000 at 1.

    >>> [room(0), room(0.5), room(1)]
    [30, 173, 1000]
    """
    return int(30 * (1000 / 30) ** difficulty)


def em_at(rng: np.random.Generator, difficulty: float) -> int:
    """Print size in pixels: about 24 at difficulty 0, 12 at 1."""
    return round((25 - 13 * difficulty) * float(rng.uniform(0.88, 1.12)))


def pick(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    """One of `options`."""
    return options[int(rng.integers(len(options)))]


def face_for(
    rng: np.random.Generator, families: Sequence[Sequence[Face]], text: str, *, difficulty: float = 1.0
) -> Face | None:
    """A face that draws all of `text`, families drawn evenly; upright plain ones only for easy pictures."""
    for index in rng.permutation(len(families)):
        faces = [face for face in families[int(index)] if (face.plain or difficulty > 0.3) and face.covers(text)]
        if faces:
            return pick(rng, faces)
    return None


def theme(rng: np.random.Generator, difficulty: float) -> Theme:
    """Dark ink on light paper; now and then tinted, or light on dark."""
    tint = float(rng.uniform(0, 30)) * difficulty
    light = tuple(int(255 - tint * float(rng.random())) for _ in range(3))
    dark = tuple(int(float(rng.uniform(0, 60))) for _ in range(3))
    hue = rng.permutation([int(rng.integers(20, 60)), int(rng.integers(60, 110)), int(rng.integers(110, 170))])
    grey = int(rng.integers(60, 190))
    wash = tuple(int(220 + 30 * int(part) / 170) for part in hue)
    if rng.random() < 0.12 * (0.4 + difficulty):
        shade = tuple(int(60 + part * 0.15) for part in hue)
        return Theme(as_colour(dark), as_colour(light), (grey, grey, grey), as_colour(shade), as_colour(wash))
    return Theme(as_colour(light), as_colour(dark), (grey, grey, grey), as_colour(wash), as_colour(hue))


def as_colour(values: Sequence[float] | NDArray[np.int64]) -> Colour:
    """Three whole numbers 0..255."""
    red, green, blue = (min(255, max(0, int(value))) for value in values)
    return red, green, blue


def asked(
    sheet: Sheet,
    question: str,
    answer: str,
    *,
    task: str,
    metric: str,
    language: str = "en",
    further: Further | None = None,
) -> Example:
    """A question about one sheet as a conversation; the picture keeps its own size."""
    height, width, _ = sheet.frame.shape
    picture = ImagePart(sheet.frame, min_pixels=CELL * CELL, max_pixels=height * width)
    messages = (Message("user", (picture, TextPart(question))), Message("assistant", answer))
    return Example(task, language, messages, (Dense(letters=sheet.letters, words=sheet.words),), metric, further)
