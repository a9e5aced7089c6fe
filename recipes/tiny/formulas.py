"""Formulas as they are printed, fractions, powers, roots and sums, to be written in LaTeX."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recipes.tiny.assets import Assets
from recipes.tiny.example import Example
from recipes.tiny.paper import CELL, Paper, Pen, asked, em_at, face_for, pick, rounded, theme

__all__ = ["Node", "latex", "make_formula", "measured"]

QUESTIONS = ("Write the formula in LaTeX.", "Turn the formula into LaTeX.", "Transcribe the formula as LaTeX.")
LETTERS = "abcdefhkmnpqrstuvwxyzABCDEFGHKLMNPRSTV"
SIGNS = {"+": "+", "-": "-", "=": "=", "·": "\\cdot ", "×": "\\times ", "±": "\\pm ", "<": "<", ">": ">"}
"""Printed sign -> LaTeX."""
CHARACTERS = "0123456789" + LETTERS + "".join(SIGNS) + "()"
LEAST = 4 * CELL * CELL
"""Pixels of the smallest picture."""
SMALL, SMALLEST = 0.7, 9
"""Size of what is raised or lowered, and the least em in pixels."""


class Node(NamedTuple):
    """A piece of a formula: "text" has a `text`; row, fraction, power, index, root and brackets have parts."""

    kind: str
    parts: tuple["Node", ...] = ()
    text: str = ""


class Extent(NamedTuple):
    """Pixels of a piece: its width, and how far it reaches above and below the baseline."""

    width: float
    above: float
    below: float


# ---- what it says ----


def latex(node: Node) -> str:
    """
    >>> x, two = Node("text", text="x"), Node("text", text="2")
    >>> latex(Node("fraction", (Node("power", (x, two)), Node("root", (two,)))))
    '\\\\frac{x^{2}}{\\\\sqrt{2}}'
    """
    told = [latex(part) for part in node.parts]
    if node.kind == "text":
        return SIGNS.get(node.text, node.text)
    if node.kind == "row":
        return "".join(told)
    if node.kind == "fraction":
        return f"\\frac{{{told[0]}}}{{{told[1]}}}"
    if node.kind == "root":
        return f"\\sqrt{{{told[0]}}}"
    if node.kind == "brackets":
        return f"({told[0]})"
    return f"{told[0]}{'^' if node.kind == 'power' else '_'}{{{told[1]}}}"


def make_node(rng: np.random.Generator, depth: int) -> Node:
    """A term at most `depth` levels deep."""
    if depth == 0:
        return atom(rng)
    kind = pick(rng, ("row", "fraction", "power", "power", "index", "root", "brackets"))
    if kind == "row":
        return row(rng, depth - 1, int(rng.integers(2, 4)))
    if kind == "fraction":
        return Node(kind, (row(rng, depth - 1, int(rng.integers(1, 3))), row(rng, depth - 1, int(rng.integers(1, 3)))))
    if kind == "power":
        bases = (Node("text", text=pick(rng, LETTERS)), Node("brackets", (row(rng, depth - 1, 2),)))
        return Node(kind, (pick(rng, bases), make_node(rng, min(depth - 1, 1)) if rng.random() < 0.3 else atom(rng)))
    if kind == "index":
        return Node(kind, (Node("text", text=pick(rng, LETTERS)), atom(rng)))
    return Node(kind, (row(rng, depth - 1, int(rng.integers(1, 3))),))


def atom(rng: np.random.Generator) -> Node:
    """A letter or a number."""
    return Node("text", text=pick(rng, LETTERS) if rng.random() < 0.6 else str(int(rng.integers(1, 100))))


def row(rng: np.random.Generator, depth: int, count: int) -> Node:
    """`count` terms with signs between them."""
    parts = [make_node(rng, depth if rng.random() < 0.6 else 0)]
    for _ in range(count - 1):
        parts += [Node("text", text=pick(rng, "++--·×±")), make_node(rng, depth if rng.random() < 0.5 else 0)]
    return Node("row", tuple(parts)) if len(parts) > 1 else parts[0]


def make_equation(rng: np.random.Generator, difficulty: float) -> Node:
    """Two sides, or one of them."""
    depth = 1 if difficulty < 0.3 else int(rng.integers(1, 3 + round(difficulty)))
    left = row(rng, depth, int(rng.integers(1, 2 + round(2 * difficulty))))
    if rng.random() < 0.3:
        return left
    right = row(rng, max(0, depth - 1), int(rng.integers(1, 2 + round(difficulty))))
    return Node("row", (left, Node("text", text=pick(rng, "===<>")), right))


# ---- how it is printed ----


def smaller(pen: Pen) -> Pen:
    """For what is raised or lowered."""
    return pen._replace(size=max(SMALLEST, round(SMALL * pen.size)))


def spaced(text: str, pen: Pen) -> float:
    """Pixels on both sides of a sign."""
    return 0.22 * pen.size if text in SIGNS else 0.03 * pen.size


def measured(node: Node, pen: Pen) -> Extent:
    """The room that a piece takes."""
    if node.kind == "text":
        return Extent(pen.width(node.text) + 2 * spaced(node.text, pen), pen.rise * 1.1, 0.25 * pen.size)
    if node.kind in ("power", "index"):
        base, small = measured(node.parts[0], pen), measured(node.parts[1], smaller(pen))
        if node.kind == "power":
            return Extent(base.width + small.width, max(base.above, raised(base, pen) + small.above), base.below)
        return Extent(base.width + small.width, base.above, max(base.below, lowered(pen) + small.below))
    inner = [measured(part, pen) for part in node.parts]
    above, below = max(one.above for one in inner), max(one.below for one in inner)
    if node.kind == "row":
        return Extent(sum(one.width for one in inner), above, below)
    if node.kind == "fraction":
        top, bottom = inner
        middle, gap = axis(pen), gap_of(pen)
        high, low = middle + gap + top.above + top.below, gap - middle + bottom.above + bottom.below
        return Extent(max(top.width, bottom.width) + 0.4 * pen.size, high, low)
    sides = 0.75 * pen.size if node.kind == "root" else 2 * pen.width("(")
    return Extent(inner[0].width + sides, above + 0.25 * pen.size, below)


def raised(base: Extent, pen: Pen) -> float:
    """How far above the line an exponent stands."""
    return max(0.45 * pen.size, base.above - 0.35 * pen.size)


def lowered(pen: Pen) -> float:
    """How far below the line an index stands."""
    return 0.22 * pen.size


def axis(pen: Pen) -> float:
    """The height of fraction bars above the line."""
    return 0.5 * pen.rise


def gap_of(pen: Pen) -> float:
    """Between a fraction's bar and what stands above or below it."""
    return 0.14 * pen.size


def print_node(paper: Paper, node: Node, at: tuple[float, float], pen: Pen) -> float:
    """Prints a piece whose left end and baseline are `at`; gives its right end."""
    x, y = at
    extent = measured(node, pen)
    if node.kind == "text":
        paper.word(node.text, (x + spaced(node.text, pen), y), pen)
    elif node.kind == "row":
        for part in node.parts:
            x = print_node(paper, part, (x, y), pen)
    elif node.kind in ("power", "index"):
        base = measured(node.parts[0], pen)
        shift = -raised(base, pen) if node.kind == "power" else lowered(pen)
        end = print_node(paper, node.parts[0], at, pen)
        print_node(paper, node.parts[1], (end, y + shift), smaller(pen))
    elif node.kind == "fraction":
        print_fraction(paper, node.parts, at, pen, extent.width)
    elif node.kind == "root":
        print_root(paper, node.parts[0], at, pen, extent)
    else:
        paper.word("(", at, pen)
        end = print_node(paper, node.parts[0], (x + pen.width("("), y), pen)
        paper.word(")", (end, y), pen)
    return at[0] + extent.width


def print_fraction(paper: Paper, parts: Sequence[Node], at: tuple[float, float], pen: Pen, width: float) -> None:
    """Two rows with a bar between them."""
    x, y = at
    top, bottom = (measured(part, pen) for part in parts)
    bar, gap = y - axis(pen), gap_of(pen)
    paper.rule((x + 0.1 * pen.size, bar), (x + width - 0.1 * pen.size, bar), pen.ink, max(1, round(pen.size / 16)))
    print_node(paper, parts[0], (x + (width - top.width) / 2, bar - gap - top.below), pen)
    print_node(paper, parts[1], (x + (width - bottom.width) / 2, bar + gap + bottom.above), pen)


def print_root(paper: Paper, inner: Node, at: tuple[float, float], pen: Pen, extent: Extent) -> None:
    """A hook, a bar, and what stands below it."""
    x, y = at
    start, roof, thick = x + 0.55 * pen.size, y - extent.above + 0.1 * pen.size, max(1, round(pen.size / 16))
    hook = (
        (x, y - 0.3 * pen.size),
        (x + 0.18 * pen.size, y - 0.38 * pen.size),
        (x + 0.33 * pen.size, y + extent.below),
    )
    for begin, end in zip((*hook, (start, roof)), (*hook[1:], (start, roof), (x + extent.width, roof)), strict=True):
        paper.rule(begin, end, pen.ink, thick)
    print_node(paper, inner, (start + 0.05 * pen.size, y), pen)


def make_formula(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """A formula to be written in LaTeX (`formula`); a face of the split draws it."""
    face = face_for(rng, assets.families("latin", split), CHARACTERS, difficulty=difficulty)
    face = face or face_for(rng, assets.families("latin", split), "".join(set(CHARACTERS) - set("·×±")))
    assert face is not None, "no face draws letters and digits"
    colours = theme(rng, difficulty)
    pen = Pen(face, max(13, round(1.2 * em_at(rng, difficulty))), colours.ink)
    while True:
        node = make_equation(rng, difficulty)
        extent = measured(node, pen)
        if face.covers(printed(node)) and extent.width < 24 * pen.size and extent.above + extent.below < 8 * pen.size:
            break
    margin = float(rng.uniform(4, 14))
    height = rounded(extent.above + extent.below + margin)
    size = height, max(LEAST // height, rounded(extent.width + 2 * margin))
    paper = Paper(size, colours.paper)
    x, y = (size[1] - extent.width) / 2, (size[0] - extent.above - extent.below) / 2 + extent.above
    print_node(paper, node, (x, y), pen)
    sheet = paper.sheet(rng, difficulty * float(rng.random()))
    return asked(sheet, pick(rng, QUESTIONS), latex(node).strip(), task="formula", metric="characters", language="")


def printed(node: Node) -> str:
    """All characters of a formula."""
    return node.text + "".join(map(printed, node.parts))
