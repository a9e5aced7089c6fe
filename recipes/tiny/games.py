"""Dice and playing cards: what they show, where a card lies, how many there are."""

from itertools import pairwise
from math import cos, radians, sin

import numpy as np

from recipes.tiny.assets import Assets
from recipes.tiny.chart_draw import FINE, Shapes
from recipes.tiny.drawn import about_drawing
from recipes.tiny.example import Example
from recipes.tiny.paper import CELL, Colour, Paper, Pen, face_for, pick, rounded
from recipes.tiny.regions import Region, found
from recipes.tiny.things import corners, spots

__all__ = ["CARDS", "DICE", "make_cards", "make_dice", "total"]

DICE = tuple(f"die of {value}" for value in range(1, 7))
RANKS = ("ace", "2", "3", "4", "5", "6", "7", "8", "9", "10", "jack", "queen", "king")
SUITS = ("clubs", "diamonds", "hearts", "spades")
CARDS = tuple(f"{rank} of {suit}" for suit in SUITS for rank in RANKS)
INDICES = {"ace": "A", "jack": "J", "queen": "Q", "king": "K"}
EACH = ("What do the dice show, from left to right?", "Read the dice from left to right.")
SUM = ("What do the dice show together?", "Add up the dice.", "How much did they throw?")
COUNT = ("How many dice are there?", "Count the dice.")
HIGHEST = ("What is the highest die?", "Which is the largest number of the dice?")
WHICH = ("Which cards are these, from left to right?", "Name the cards from left to right.")
ONE = ("Which card is this?", "Name the card.")
WHERE = ("Where is the {}?", "Find the {}.", "Locate the {}.")
PIPS = {
    1: ((0, 0),),
    2: ((-1, -1), (1, 1)),
    3: ((-1, -1), (0, 0), (1, 1)),
    4: ((-1, -1), (1, -1), (-1, 1), (1, 1)),
    5: ((-1, -1), (1, -1), (0, 0), (-1, 1), (1, 1)),
    6: ((-1, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (1, 1)),
}
"""Where the dots of each side of a die lie, from -1 to 1."""
DIE_COLOURS: tuple[tuple[Colour, Colour], ...] = (
    ((250, 250, 246), (20, 20, 22)), ((178, 24, 32), (250, 250, 250)), ((24, 60, 150), (245, 245, 245)),
    ((28, 28, 30), (240, 240, 240)), ((244, 226, 170), (90, 20, 20)),
)  # fmt: skip
HELD_OUT_COLOURS: tuple[tuple[Colour, Colour], ...] = (
    ((22, 110, 64), (248, 248, 240)),
    ((236, 236, 240), (30, 60, 160)),
)
GROUNDS: tuple[Colour, ...] = ((206, 196, 178), (38, 92, 60), (228, 228, 230), (120, 84, 58), (70, 80, 96))
BLACK, RED, WHITE, EDGE = (22, 22, 24), (200, 22, 30), (252, 252, 250), (120, 120, 120)
APART = 8.0
"""Pixels between the middles of dice that are read from left to right."""


# ---- dice ----


def total(values: list[int]) -> str:
    """`3+5 = 8`; one number stands alone.

    >>> total([3, 5]), total([4])
    ('3+5 = 8', '4')
    """
    return f"{'+'.join(map(str, values))} = {sum(values)}" if len(values) > 1 else str(values[0])


def make_dice(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:  # noqa: ARG001
    """Thrown dice: what each shows, their sum, how many, the highest (`dice-read`, `-sum`, `-count`, `-highest`)."""
    count = int(rng.integers(1, 3 + round(4 * difficulty)))
    rows = int(rng.integers(2, 4 + round(2 * difficulty)))
    size = rows * CELL, (rows + int(rng.integers(0, 3))) * CELL
    paper, shapes_of = (
        Paper(size, pick(rng, GROUNDS)),
        pick(rng, HELD_OUT_COLOURS if split == "held_out" else DIE_COLOURS),
    )
    places = sorted(spots(rng, count, size, difficulty))
    values = [int(value) for value in rng.integers(1, 7, count)]
    shapes = Shapes(paper)
    for value, (x, y, radius) in zip(values, places, strict=True):
        turn = float(rng.uniform(-45, 45)) * min(1.0, 0.3 + difficulty)
        draw_die(shapes, value, (x, y, 0.7 * radius), turn, shapes_of)
    shapes.onto()
    regions = [Region(DICE[v - 1], (x - 0.9 * r, y - 0.9 * r, x + 0.9 * r, y + 0.9 * r), key)
               for key, (v, (x, y, r)) in enumerate(zip(values, places, strict=True))]  # fmt: skip
    clear = all(after[0] - before[0] >= APART for before, after in pairwise(places))
    kinds = ("sum", "sum", "count", "highest", *(("read", "read") if clear else ()))
    kind = pick(rng, kinds) if count > 1 else "read"
    answers = {
        "read": ", ".join(map(str, values)),
        "sum": total(values),
        "count": str(count),
        "highest": str(max(values)),
    }
    question = pick(rng, {"read": EACH, "sum": SUM, "count": COUNT, "highest": HIGHEST}[kind])
    metric = "exact" if kind == "read" else "number"
    return about_drawing(rng, paper, regions, task=f"dice-{kind}", turns=(question, answers[kind]), metric=metric,
                         hardness=difficulty)  # fmt: skip


def draw_die(
    shapes: Shapes, value: int, place: tuple[float, float, float], turn: float, colours: tuple[Colour, Colour]
) -> None:
    """A die around (x, y) with sides of twice the third number, turned by degrees."""
    x, y, half = place
    c, s = cos(radians(turn)), sin(radians(turn))

    def put(u: float, v: float) -> tuple[float, float]:
        return x + half * (u * c - v * s), y + half * (u * s + v * c)

    edge = [put(u, v) for u, v in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    shapes.draw.polygon([(FINE * a, FINE * b) for a, b in edge], fill=colours[0])
    shapes.line([*edge, edge[0], edge[1]], colours[0], max(2.0, half / 3.5))
    for u, v in PIPS[value]:
        shapes.dot(*put(0.55 * u, 0.55 * v), max(1.3, half * 0.19), colours[1])


# ---- cards ----


def make_cards(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """A row of playing cards: which they are, or where one of them lies or that it does not (`cards`, `cards-find`)."""
    count = int(rng.integers(1, 3 + round(3 * difficulty)))
    chosen = [CARDS[int(place)] for place in rng.permutation(len(CARDS))[: count + 1]]
    stranger, hand = chosen[0], chosen[1:]
    high = float(rng.uniform(62, 92 + 40 * difficulty)) * (1.2 - 0.4 * difficulty)
    wide, gap = 0.68 * high, float(rng.uniform(4, 14))
    size = rounded(high + 8), rounded(count * (wide + gap) + gap)
    paper = Paper(size, pick(rng, GROUNDS))
    left, top = (size[1] - count * (wide + gap) + gap) / 2, (size[0] - high) / 2
    face = face_for(rng, assets.families("latin", split), "0123456789AJQK", difficulty=difficulty)
    assert face is not None
    boxes = [(left + i * (wide + gap), top, left + i * (wide + gap) + wide, top + high) for i in range(count)]
    for name, box in zip(hand, boxes, strict=True):
        draw_card(paper, name, box, Pen(face, round(0.26 * high), BLACK))
    regions = [Region(name, box) for name, box in zip(hand, boxes, strict=True)]
    if count > 1 and rng.random() < 0.4:
        there = rng.random() < 0.7
        name = pick(rng, hand) if there else stranger
        answer = found(name, [boxes[hand.index(name)]], size) if there else f"There is no {name}."
        turns, task, metric = (pick(rng, WHERE).format(name), answer), "cards-find", "box" if there else "exact"
    else:
        turns, task, metric = (pick(rng, WHICH if count > 1 else ONE), ", ".join(hand)), "cards", "exact"
    return about_drawing(rng, paper, regions, task=task, turns=turns, metric=metric, hardness=difficulty)


def draw_card(paper: Paper, name: str, box: tuple[float, float, float, float], pen: Pen) -> None:
    """The index in the upper left corner, its suit beneath it, and a large suit."""
    rank, _, suit = name.partition(" of ")
    colour = RED if suit in ("diamonds", "hearts") else BLACK
    x1, y1, x2, y2 = box
    shapes = Shapes(paper)
    edges, bend = [FINE * side for side in box], FINE * (x2 - x1) / 12
    shapes.draw.rounded_rectangle(edges, bend, fill=WHITE, outline=EDGE, width=FINE)
    draw_suit(shapes, suit, (x1 + 0.2 * (x2 - x1), y1 + 0.45 * (y2 - y1), 0.13 * (x2 - x1)), colour)
    draw_suit(shapes, suit, (x1 + 0.64 * (x2 - x1), y1 + 0.62 * (y2 - y1), 0.3 * (x2 - x1)), colour)
    shapes.onto()
    place = (
        x1 + max(0.2 * (x2 - x1), pen.width(INDICES.get(rank, rank)) / 2 + 4),
        y1 + 0.05 * (y2 - y1) + pen.rise + 2,
    )
    paper.write(INDICES.get(rank, rank), place, pen._replace(ink=colour), anchor="m")


def draw_suit(shapes: Shapes, suit: str, place: tuple[float, float, float], colour: Colour) -> None:
    """One of SUITS around (x, y) with a radius."""
    x, y, radius = place
    if suit == "clubs":
        for dx, dy in ((-0.45, 0.2), (0.45, 0.2), (0, -0.45)):
            shapes.dot(x + dx * radius, y + dy * radius, 0.45 * radius, colour)
    else:
        outline = corners("diamond" if suit == "diamonds" else "heart") * radius
        outline = outline * (1, -1) if suit == "spades" else outline
        shapes.draw.polygon([(FINE * (x + dx), FINE * (y + dy)) for dx, dy in outline.tolist()], fill=colour)
    if suit in ("clubs", "spades"):
        stem = ((0, 0), (0.35, 0.95), (-0.35, 0.95))
        shapes.draw.polygon([(FINE * (x + dx * radius), FINE * (y + dy * radius)) for dx, dy in stem], fill=colour)
