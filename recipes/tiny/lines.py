"""Pictures of one printed line, with the characters that lie in each visual token's cell."""

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from recipes.tiny import noise
from recipes.tiny.fonts import Face, FontSet
from recipes.tiny.texts import make_text

CELL = 28
"""Pixels of one merged visual token, in both directions: patch 14, merge 2."""
SLOTS = 4
"""Characters a cell can hold; the layout spaces letters out until none holds more."""
HEIGHTS, HEIGHT_SHARES = (28, 56, 84), (0.72, 0.22, 0.06)
WIDEST = {28: 784, 56: 840, 84: 672}
WIDTH_STEP = 56
IGNORED = -100
LONGEST = 64
"""Places in an answer that the reading order tells apart."""


@dataclass(frozen=True)
class Setting:
    """How a line is set. Lengths are pixels of the final picture; `scale` is native pixels per final pixel."""

    height: int
    width: int
    face: Face
    em: float
    tracking: float
    scale: float
    stretch: float
    """How much wider letters become on the way to the final size, which rounds both sides to multiples of 28."""
    hardness: float
    """0 a clean print .. 1 everything that can go wrong."""

    @property
    def scale_x(self) -> float:
        """Native pixels per final pixel along the line."""
        return self.scale / self.stretch


class Glyph(NamedTuple):
    """One drawn character: coverage uint8 [h, w], the offset of its ink from the pen and its advance."""

    ink: NDArray[np.uint8]
    left: int
    top: int
    advance: float


class Layout(NamedTuple):
    """A set line in native pixels: glyphs, their pens, and the ink's top and bottom relative to the baseline."""

    text: str
    glyphs: list[Glyph]
    pens: NDArray[np.float64]
    top: int
    bottom: int
    width: float


class Line(NamedTuple):
    """A picture uint8 [H, W, 3], what it says, and the characters of each cell (row-major, left to right)."""

    frame: NDArray[np.uint8]
    text: str
    cells: list[list[str]]


@lru_cache(maxsize=40_000)
def glyph(face: Face, size: int, char: str) -> Glyph:
    """The character as drawn by the face with an em of `size` pixels, the baseline at 0."""
    font = face.at(size)
    mask, (left, top) = font.getmask2(char, mode="L", anchor="ls")
    ink = np.asarray(mask, dtype=np.uint8).reshape(mask.size[1], mask.size[0])
    return Glyph(ink if ink.any() else ink[:0], left, top, font.getlength(char))


@lru_cache(maxsize=40_000)
def kerning(face: Face, size: int, pair: str) -> float:
    """How much closer (negative) two neighbours stand than their advances say."""
    font: ImageFont.FreeTypeFont = face.at(size)
    return font.getlength(pair) - font.getlength(pair[0]) - font.getlength(pair[1])


def choose_size(rng: np.random.Generator, difficulty: float) -> tuple[int, int]:
    """(height, width) of a picture; widths come in steps of 56 so that batches can share a shape.

    Easy lines are short, so they get no picture wider than 8 to 16 times its height.
    """
    height = int(rng.choice(HEIGHTS, p=HEIGHT_SHARES))
    widest = min(WIDEST[height], int(height * (8 + 24 * difficulty)))
    return height, WIDTH_STEP * int(rng.integers(2, widest // WIDTH_STEP + 1))


def choose_face(rng: np.random.Generator, families: tuple[tuple[Face, ...], ...], difficulty: float) -> Face:
    """A face of a family drawn evenly; upright plain ones only for easy lines."""
    family = families[int(rng.integers(len(families)))]
    plain = [face for face in family if face.plain]
    if difficulty < 0.25 and rng.random() < 0.95 - 2 * difficulty:
        while not plain:
            family = families[int(rng.integers(len(families)))]
            plain = [face for face in family if face.plain]
        family = tuple(plain)
    return family[int(rng.integers(len(family)))]


def pitch_at(rng: np.random.Generator, difficulty: float) -> float:
    """Pixels a character takes at least, on a picture of height 28: 28 at difficulty 0, ~17 at 0.5, ~10 at 1."""
    middle = 28 - 22 * difficulty if difficulty < 0.5 else 17 - 14 * (difficulty - 0.5)
    return middle * float(rng.uniform(0.92, 1.1))


def choose_setting(rng: np.random.Generator, size: tuple[int, int], face: Face, difficulty: float) -> Setting:
    """Print size, letter spacing and native scale for a picture of `size`."""
    height, width = size
    room = height / CELL
    smallest = (0.9 - 0.2 * difficulty) if height == CELL else 0.95 - (0.15 + 0.4 * min(1.0, room - 1)) * difficulty
    em = height * float(rng.uniform(smallest, 0.98))
    pitch = pitch_at(rng, difficulty) * (em / CELL if difficulty < 0.5 else 1.0)
    natural = face.at(64).getlength(string.ascii_letters + string.digits) / 62 / 64 * em
    wide = float(rng.uniform(0.05, 0.5)) * em if rng.random() < 0.06 else 0.0
    tracking = max(pitch - natural, wide, float(rng.uniform(-0.01, 0.02)) * em)
    scale = float(rng.uniform(0.8, 2.2)) if rng.random() < difficulty else float(rng.uniform(1.0, 1.8))
    scale = max(scale, 14 / em, 0.5)
    stretch = float(np.exp(rng.uniform(-0.3, 0.4))) if rng.random() < 0.6 else 1.0
    hardness = difficulty * float(rng.random()) ** 0.7
    return Setting(height, width, face, em, tracking, scale, stretch, hardness)


def lay_out(text: str, setting: Setting) -> Layout:
    """Pens of all characters at the setting's spacing."""
    size = max(8, round(setting.em * setting.scale))
    glyphs = [glyph(setting.face, size, char) for char in text]
    kerns = [kerning(setting.face, size, text[i : i + 2]) for i in range(len(text) - 1)]
    advances = np.array([g.advance for g in glyphs]) + setting.tracking * setting.scale + np.array([*kerns, 0.0])
    pens = np.concatenate([[0.0], np.cumsum(advances)[:-1]])
    inked = [g for g in glyphs if g.ink.size]
    top = min((g.top for g in inked), default=0)
    bottom = max((g.top + g.ink.shape[0] for g in inked), default=0)
    end = max((pen + g.left + g.ink.shape[1] for pen, g in zip(pens, glyphs, strict=True)), default=0.0)
    return Layout(text, glyphs, pens, top, bottom, end)


def most_in_a_cell(layout: Layout, left: float, scale: float) -> int:
    """The largest number of inked characters whose centres share a column of cells."""
    centres = [
        left + pen + g.left + g.ink.shape[1] / 2
        for pen, g in zip(layout.pens, layout.glyphs, strict=True)
        if g.ink.size
    ]
    columns = (np.array(centres) / scale // CELL).astype(int)
    return int(np.bincount(columns - columns.min()).max()) if len(columns) else 0


def fit(rng: np.random.Generator, text: str, setting: Setting) -> tuple[Layout, float, Setting]:
    """Sets the text inside of the width with at most SLOTS characters a cell; cuts its end off where it must.

    Gives the layout, its left edge in native pixels, and the setting as used.
    """
    margin = float(rng.uniform(0.02, 0.15)) * CELL * setting.scale_x
    available = setting.width * setting.scale_x - 2 * margin
    while True:
        layout = lay_out(text, setting)
        room = 0.96 * setting.height * setting.scale
        if layout.bottom - layout.top > room:
            setting = replace(setting, em=setting.em * room / (layout.bottom - layout.top) - 0.3)
            continue
        if layout.width > available and len(text) > 1:
            text = text[: max(1, min(len(text) - 1, int(len(text) * available / layout.width)))].rstrip()
            continue
        free = max(0.0, available - layout.width)
        left = margin + (
            free * float(rng.random()) if rng.random() < 0.4 else min(free, float(rng.uniform(0, 12)) * setting.scale_x)
        )
        if most_in_a_cell(layout, left, setting.scale_x) <= SLOTS:
            return layout, left, setting
        setting = replace(setting, tracking=setting.tracking + 0.5)


def stamp(canvas: NDArray[np.uint8], layout: Layout, left: float, baseline: float, rows: slice) -> None:
    """Draws the glyphs into `canvas`, only in `rows`; what falls outside is lost."""
    target = canvas[rows]
    for pen, g in zip(layout.pens, layout.glyphs, strict=True):
        x, y = round(left + pen + g.left), round(baseline + g.top) - (rows.start or 0)
        x0, y0 = max(x, 0), max(y, 0)
        x1, y1 = min(x + g.ink.shape[1], target.shape[1]), min(y + g.ink.shape[0], target.shape[0])
        if x1 > x0 and y1 > y0:
            part = target[y0:y1, x0:x1]
            np.maximum(part, g.ink[y0 - y : y1 - y, x0 - x : x1 - x], out=part)


def add_neighbours(
    rng: np.random.Generator, canvas: NDArray[np.uint8], layout: Layout, setting: Setting, top: int, bottom: int
) -> None:
    """Slivers of the lines above and below, as a crop of a page holds them; they keep off the line's own ink."""
    height = canvas.shape[0]
    for above in (True, False):
        gap = top if above else height - bottom
        sliver = min(gap - 2, int(height * float(rng.uniform(0.04, 0.2))))
        if sliver < 1 or rng.random() < 0.3:
            continue
        words = lay_out("".join(rng.permutation([*layout.text])), setting)
        left = float(rng.uniform(-20, 10)) * setting.scale
        if above:
            stamp(canvas, words, left, sliver - (words.bottom if rng.random() < 0.5 else 0), slice(0, sliver))
        else:
            stamp(canvas, words, left, height - sliver - words.top, slice(height - sliver, height))


def add_rules(rng: np.random.Generator, canvas: NDArray[np.uint8], top: int, bottom: int, scale: float) -> None:
    """An underline just below the ink, or the rule of a table cell at an edge."""
    thickness = max(1, round(float(rng.uniform(0.7, 1.6)) * scale))
    height = canvas.shape[0]
    row = min(bottom + round(float(rng.uniform(0.5, 2)) * scale), height - thickness) if rng.random() < 0.5 else 0
    if row >= bottom or row + thickness < top:
        canvas[row : row + thickness] = 255


def tilt(
    rng: np.random.Generator, canvas: NDArray[np.uint8], free: int, hardness: float
) -> tuple[NDArray[np.uint8], float]:
    """Turns by up to 2 degrees (no more than the free rows allow) and shears; gives the slope of the line, too."""
    height, width = canvas.shape
    most = min(0.035, (free + 0.06 * height) / width) * hardness
    slope, shear = float(rng.uniform(-most, most)), float(rng.uniform(-0.18, 0.18)) * hardness
    matrix = (1, shear, -shear * height / 2, -slope, 1, slope * width / 2)
    turned = Image.fromarray(canvas).transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    return np.asarray(turned), slope


def cells_at(layout: Layout, left: float, baseline: float, slope: float, setting: Setting) -> Iterator[tuple[int, int]]:
    """(cell, place in the text) of each character: centre in the cell's column, and 30 % of the cell's height covered
    or the largest part of the character inside."""
    columns, rows, s = setting.width // CELL, setting.height // CELL, setting.scale
    edges = np.arange(rows) * CELL
    for index, (pen, g) in enumerate(zip(layout.pens, layout.glyphs, strict=True)):
        if not g.ink.size:
            continue
        centre = (left + pen + g.left + g.ink.shape[1] / 2) / setting.scale_x
        top = (baseline + g.top) / s + slope / setting.stretch * (centre - setting.width / 2)
        covered = np.minimum(top + g.ink.shape[0] / s, edges + CELL) - np.maximum(top, edges)
        column = min(max(int(centre // CELL), 0), columns - 1)
        for row in np.flatnonzero((covered >= 0.3 * CELL) | (np.arange(rows) == covered.argmax())):
            yield int(row) * columns + column, index


def cells_of(layout: Layout, left: float, baseline: float, slope: float, setting: Setting) -> list[list[str]]:
    """The characters of each cell."""
    cells: list[list[str]] = [[] for _ in range(setting.width // CELL * (setting.height // CELL))]
    for cell, index in cells_at(layout, left, baseline, slope, setting):
        cells[cell].append(layout.text[index])
    return cells


def print_grey(rng: np.random.Generator, canvas: NDArray[np.uint8], setting: Setting) -> noise.Grey:
    """Ink on paper, seen through a scanner: float32 grey in native pixels. Dark on light; colours come later."""
    h = setting.hardness
    contrast = float(rng.uniform(200 - 130 * h, 250))
    paper = float(rng.uniform(contrast, 255))
    grey = paper - canvas.astype(np.float32) * np.float32(contrast / 255)
    if rng.random() < 0.5 * h:
        grey = noise.add_paper(rng, grey, float(rng.uniform(0, 0.05)) * contrast)
    shaded = rng.random() < 0.4 * h
    if shaded:
        grey = noise.uneven_light(rng, grey, float(rng.uniform(0, 0.4)))
    if rng.random() < 0.5 * h:
        grey = noise.blurred(grey, float(rng.uniform(0.2, 0.032 * setting.em * setting.scale)))
    if rng.random() < 0.6 * h:
        grey = noise.add_grain(rng, grey, float(rng.uniform(0, 0.09)) * contrast)
    if rng.random() < 0.12 * h:
        grey = noise.add_specks(rng, grey, float(rng.uniform(0, 0.004)))
    if rng.random() < 0.25 * h and not shaded and setting.em * setting.scale >= 22:
        threshold = paper - contrast * float(rng.uniform(0.42, 0.6))
        grey = np.where(grey > threshold, paper, paper - contrast).astype(np.float32)
    if rng.random() < 0.3 * h:
        grey = noise.squeezed(grey, int(rng.integers(35, 90)))
    return grey


def shrink(rng: np.random.Generator, grey: noise.Grey, setting: Setting) -> noise.Grey:
    """Resizes to the final size, nearly always with the processor's bicubic filter."""
    filters = Image.Resampling
    chosen = (
        filters.BICUBIC
        if rng.random() < 0.85
        else (filters.BILINEAR, filters.LANCZOS, filters.BOX)[int(rng.integers(3))]
    )
    picture = Image.fromarray(noise.as_bytes(grey)).resize((setting.width, setting.height), chosen)
    return np.asarray(picture, dtype=np.float32)


def coloured(rng: np.random.Generator, grey: noise.Grey, hardness: float) -> NDArray[np.uint8]:
    """RGB uint8: sometimes light on dark, sometimes tinted paper and coloured ink."""
    if rng.random() < 0.15:
        grey = 255 - grey
    if rng.random() > 0.15 + 0.35 * hardness:
        return np.repeat(noise.as_bytes(grey)[:, :, None], 3, axis=2)
    light = (255 - rng.uniform(0, 70, 3) * float(rng.random())).astype(np.float32)
    dark = (rng.uniform(0, 110, 3) * float(rng.random())).astype(np.float32)
    return noise.as_bytes(dark + (grey[:, :, None] / 255) * (light - dark))


def printable(text: str, face: Face) -> str:
    """The text without what the face cannot draw."""
    return text if face.covers(text) else " ".join("".join(c for c in text if face.covers(c)).split())


def choose_text(rng: np.random.Generator, split: str, setting: Setting, difficulty: float) -> str:
    """A text that about fills the width at the setting's pitch (3 to 8 characters at difficulty 0)."""
    natural = setting.face.at(64).getlength("etaoinshrdlu ") / 13 / 64 * setting.em
    fitting = int((setting.width - 4) / setting.stretch / max(4.0, natural + setting.tracking))
    if rng.random() < 0.15:
        fitting = int(fitting * float(rng.uniform(0.3, 1)))
    length = max(2, min(fitting, 8 + int(80 * difficulty)))
    text = ""
    while not text:
        text = printable(make_text(rng, split=split, length=length), setting.face)
    return text


def make_line(
    rng: np.random.Generator, *, split: str, difficulty: float, size: tuple[int, int] | None, fonts: FontSet
) -> Line:
    """A line of text of the split; a quarter of the lines is easier than `difficulty`."""
    if rng.random() < 0.25:
        difficulty *= float(rng.random())
    face = choose_face(rng, fonts.families(split), difficulty)
    setting = choose_setting(rng, size or choose_size(rng, difficulty), face, difficulty)
    layout, left, setting = fit(rng, choose_text(rng, split, setting, difficulty), setting)
    return draw_line(rng, layout, left, setting)


def draw_line(rng: np.random.Generator, layout: Layout, left: float, setting: Setting) -> Line:
    """Prints the layout and spoils it as the setting's hardness says."""
    height, width = round(setting.height * setting.scale), round(setting.width * setting.scale_x)
    free = max(0, height - (layout.bottom - layout.top))
    centred = 0.5 + float(rng.uniform(-0.5, 0.5)) * setting.hardness
    top = round(free * centred)
    baseline, bottom = top - layout.top, top + layout.bottom - layout.top
    canvas = np.zeros((height, width), dtype=np.uint8)
    stamp(canvas, layout, left, baseline, slice(0, height))
    slope = 0.0
    if rng.random() < 0.25 * setting.hardness:
        add_neighbours(rng, canvas, layout, setting, top, bottom)
    if rng.random() < 0.08 * setting.hardness:
        add_rules(rng, canvas, top, bottom, setting.scale)
    if rng.random() < 0.6 * setting.hardness:
        canvas, slope = tilt(rng, canvas, min(top, height - bottom), setting.hardness)
    frame = coloured(rng, shrink(rng, print_grey(rng, canvas, setting), setting), setting.hardness)
    return Line(frame, layout.text, cells_of(layout, left, baseline, slope, setting))


def reading_order(letters: Sequence[str], answer: str, columns: int) -> list[int]:
    """Of each cell of one printed line, the place in the answer of its first character, which may lie in several rows.

    >>> reading_order(("ab", "", "d"), "ab cd", 3)
    [0, -100, 4]
    """
    order = [IGNORED] * len(letters)
    read = 0
    for column in range(columns):
        after = read
        for cell in range(column, len(letters), columns):
            at = read
            for character in letters[cell]:
                found = answer.find(character, at)
                if found < 0:
                    break
                if order[cell] == IGNORED:
                    order[cell] = min(found, LONGEST - 1)
                at = found + 1
            after = max(after, at)
        read = after
    return order
