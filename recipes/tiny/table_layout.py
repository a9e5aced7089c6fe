"""How tables are set: widths, rules, grounds and alignment."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recipes.tiny.example import Box
from recipes.tiny.fonts import Face
from recipes.tiny.grids import Grid
from recipes.tiny.paper import Paper, Pen, Theme, em_at, face_for, pick, rounded, theme

RULES = ("grid", "grid", "rows", "three", "none", "box")


class Style(NamedTuple):
    """How a table is set. Lengths are pixels."""

    pen: Pen
    head: Pen
    theme: Theme
    pad_x: float
    pad_y: float
    rules: str
    """grid, rows, three (above and below the header and at the end), none, box (with lines between columns)."""
    filled: bool
    """Whether the header stands on a ground of its own."""
    banded: bool
    """Whether every second row does."""
    numbers: str
    """How columns of numbers are aligned: l, m or r."""


def choose_style(
    rng: np.random.Generator, text: str, families: Sequence[Sequence[Face]], difficulty: float
) -> Style | None:
    """Faces that draw all of `text`, colours, rules and padding; None where no face can."""
    face = face_for(rng, families, text + "0123456789", difficulty=difficulty)
    if face is None:
        return None
    colours = theme(rng, difficulty)
    pen = Pen(face, em_at(rng, difficulty), colours.ink)
    bold = [other for family in families for other in family if other.family == face.family and is_bold(other.name)]
    head = pen._replace(face=pick(rng, bold)) if bold and rng.random() < 0.5 else pen
    head = head if head.face.covers(text) else pen
    return Style(
        pen,
        head,
        colours,
        pad_x=pen.size * float(rng.uniform(0.3, 0.8 - 0.2 * difficulty)),
        pad_y=pen.size * float(rng.uniform(0.15, 0.45)),
        rules=pick(rng, RULES),
        filled=rng.random() < 0.35,
        banded=rng.random() < 0.2,
        numbers=pick(rng, ("l", "m", "r", "r")),
    )


def is_bold(name: str) -> bool:
    """Whether a face of this name is upright and bold."""
    low = name.lower()
    return "bold" in low and not any(part in low for part in ("italic", "oblique", "semi", "extra"))


class Frame(NamedTuple):
    """Where the lines between columns and rows lie, in pixels; `heads` of the rows are header levels."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    heads: int


def column_widths(grid: Grid, style: Style) -> list[float]:
    """The widths that hold every cell, and every group over its columns."""
    widths = []
    for index, name in enumerate(grid.header):
        cells = max(style.pen.width(row[index]) for row in grid.rows)
        widths.append(max(cells, style.head.width(name)) + 2 * style.pad_x)
    start = 0
    for name, span in grid.groups:
        missing = style.head.width(name) + 2 * style.pad_x - sum(widths[start : start + span])
        for index in range(start, start + span):
            widths[index] += max(0.0, missing) / span
        start += span
    return widths


def lay_out(rng: np.random.Generator, grid: Grid, style: Style) -> tuple[tuple[int, int], Frame]:
    """(height, width) of the picture and the lines of the table in it."""
    heads = 2 if grid.groups else 1
    row = style.pen.size + 2 * style.pad_y
    title = 1.6 * style.pen.size if grid.title else 0.0
    margin = style.pen.size * float(rng.uniform(0.1, 0.6))
    widths = column_widths(grid, style)
    height = title + (len(grid.rows) + heads) * row + 2 * margin
    titled = style.head.width(grid.title)
    width = max(sum(widths), titled) + 2 * margin
    size = rounded(height), rounded(width)
    if rng.random() < 0.5:
        widths = [part + (size[1] - width) / len(widths) for part in widths]
    if rng.random() < 0.5:
        row += (size[0] - height) / (len(grid.rows) + heads)
    left = margin + (size[1] - sum(widths) - 2 * margin) * float(rng.uniform(0, 1))
    top = title + margin + (size[0] - title - (len(grid.rows) + heads) * row - 2 * margin) * float(rng.uniform(0, 1))
    xs = (left, *(left + float(x) for x in np.cumsum(widths)))
    return size, Frame(xs, tuple(top + row * i for i in range(len(grid.rows) + heads + 1)), heads)


def paint_grounds(paper: Paper, frame: Frame, style: Style) -> None:
    """The grounds of the header and of every second row."""
    left, right = frame.xs[0], frame.xs[-1]
    if style.filled:
        paper.fill((left, frame.ys[0], right, frame.ys[frame.heads]), style.theme.fill)
    for index in range(frame.heads + 1, len(frame.ys) - 1, 2) if style.banded else ():
        paper.fill((left, frame.ys[index], right, frame.ys[index + 1]), style.theme.fill)


def draw_rules(paper: Paper, grid: Grid, frame: Frame, style: Style) -> None:
    """The lines that the style asks for; none run through a cell that spans several columns or levels."""
    left, right, colour = frame.xs[0], frame.xs[-1], style.theme.rule
    head = frame.ys[frame.heads]
    ys = {"grid": frame.ys, "rows": frame.ys, "three": (frame.ys[0], head, frame.ys[-1]), "none": ()}
    for y in ys.get(style.rules, (frame.ys[0], head, frame.ys[-1])):
        if not (frame.heads == 2 and y == frame.ys[1]):
            paper.rule((left, y), (right, y), colour)
    inner = style.rules in ("grid", "box")
    start = 0
    for _, span in grid.groups or tuple(("", 1) for _ in grid.header):
        if inner:
            paper.rule((frame.xs[start], frame.ys[0]), (frame.xs[start], frame.ys[-1]), colour)
        for x in frame.xs[start + 1 : start + span] if inner else ():
            paper.rule((x, frame.ys[1]), (x, frame.ys[-1]), colour)
        if frame.heads == 2 and start > 0 and style.rules != "none":
            inset = 0.0 if inner else style.pad_x / 2
            paper.rule((frame.xs[start] + inset, frame.ys[1]), (frame.xs[start + span] - inset, frame.ys[1]), colour)
        start += span
    if inner:
        paper.rule((right, frame.ys[0]), (right, frame.ys[-1]), colour)


def put(paper: Paper, text: str, box: Box, pen: Pen, pad: float, anchor: str) -> None:
    """Prints a cell within its box."""
    x = {"l": box[0] + pad, "m": (box[0] + box[2]) / 2, "r": box[2] - pad}[anchor]
    paper.write(text, (x, pen.baseline(box[1], box[3] - box[1])), pen, anchor=anchor)


def set_table(grid: Grid, style: Style, size: tuple[int, int], frame: Frame) -> Paper:
    """Prints the table."""
    paper = Paper(size, style.theme.paper)
    if grid.title:
        head, height = style.head._replace(ink=style.theme.accent), 1.6 * style.pen.size
        paper.write(grid.title, (frame.xs[0], head.baseline(frame.ys[0] - height, height)), head)
    print_table(paper, grid, style, frame)
    return paper


def print_table(paper: Paper, grid: Grid, style: Style, frame: Frame) -> None:
    """Prints grounds, rules and cells at the frame's place."""
    paint_grounds(paper, frame, style)
    draw_rules(paper, grid, frame, style)
    xs, ys, pen = frame.xs, frame.ys, style.pen
    aligned = [style.numbers if all(looks_numeric(row[i]) for row in grid.rows) else "l" for i in range(len(xs) - 1)]
    start = 0
    for name, span in grid.groups:
        put(paper, name, (xs[start], ys[0], xs[start + span], ys[1]), style.head, style.pad_x, "m")
        start += span
    alone = [name == "" for name, span in grid.groups for _ in range(span)] or [False] * len(grid.header)
    for index, name in enumerate(grid.header):
        top = ys[0] if alone[index] else ys[frame.heads - 1]
        put(paper, name, (xs[index], top, xs[index + 1], ys[frame.heads]), style.head, style.pad_x, aligned[index])
    for line, row in enumerate(grid.rows, start=frame.heads):
        for index, cell in enumerate(row):
            box = (xs[index], ys[line], xs[index + 1], ys[line + 1])
            put(paper, cell, box, pen, style.pad_x, aligned[index])


def looks_numeric(cell: str) -> bool:
    """Whether the cell is set like a number: digits, signs, dashes.

    >>> looks_numeric("$1,200.50"), looks_numeric("-"), looks_numeric("A12")
    (True, True, False)
    """
    return not any(char.isalpha() for char in cell)
