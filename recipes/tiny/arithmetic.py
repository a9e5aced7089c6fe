"""Sheets of sums: each line is read, worked out one operation at a time, and answered as a chain of equal terms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from recipes.tiny.assets import Assets
from recipes.tiny.example import Example
from recipes.tiny.paper import Paper, Pen, Theme, asked, em_at, face_for, pick, room, rounded, theme

__all__ = ["make_arithmetic"]

SIGNS = (("×", "÷"), ("×", "÷"), ("×", "÷"), ("x", "÷"), ("*", "/"), ("·", ":"))
"""How multiplication and division are printed."""
SOLVE = (
    "Work out every line step by step.",
    "Solve the sums. Show each step.",
    "Calculate each expression step by step.",
    "What are the results? Show the steps.",
)
SOLVE_ONE = ("Work it out step by step.", "Solve it. Show each step.", "Calculate the expression step by step.")
SOLVE_ITEM = ("Work out number {} step by step.", "Solve number {}. Show each step.", "Calculate item {} step by step.")
READ = ("Read the expressions.", "Write down the sums without solving them.", "Transcribe the expressions.")
CHECK = ("Which results are wrong?", "Check the sums: which are wrong?", "Find the mistakes.")
NUMBERINGS = ("{}.", "{})", "({})")
LARGEST = 99_999


@dataclass(frozen=True)
class Sum:
    """An expression: a number, or two expressions joined by one of + - × ÷."""

    value: int
    sign: str = ""
    parts: tuple["Sum", ...] = ()

    @property
    def ready(self) -> bool:
        """Whether both sides are plain numbers."""
        return bool(self.parts) and not any(part.sign for part in self.parts)


class Limits(NamedTuple):
    """What an expression may hold."""

    operations: int
    largest: int
    signs: str
    brackets: bool


class Item(NamedTuple):
    """One line of a sheet: its number as printed ("" for none), what is printed, and the chain that solves it."""

    number: str
    printed: str
    chain: str


def limits_at(rng: np.random.Generator, difficulty: float) -> Limits:
    """Sums of two small numbers first; all signs from 0.25 on, brackets from 0.4 on, up to four operations."""
    operations = int(rng.integers(1, 2 + round(3 * difficulty)))
    largest = int(10 ** float(rng.uniform(1, 1.3 + 2.2 * difficulty)))
    signs = "+-" if difficulty < 0.1 else "+-×" if difficulty < 0.25 else "+-×÷"
    return Limits(operations, largest, signs, difficulty >= 0.4)


def make_sum(rng: np.random.Generator, limits: Limits) -> Sum:
    """An expression within the limits, with whole numbers from 0 to LARGEST on the way."""
    while True:
        made = grown(rng, limits, limits.operations)
        if made.sign and (limits.brackets or "(" not in printed(made)):
            return made


def grown(rng: np.random.Generator, limits: Limits, operations: int) -> Sum:
    """An expression of at most so many operations."""
    if operations == 0:
        return Sum(int(limits.largest ** float(rng.uniform(0.25, 1))) + int(rng.integers(3)))
    first = int(rng.integers(operations))
    left, right = grown(rng, limits, first), grown(rng, limits, operations - 1 - first)
    return joined(rng, pick(rng, limits.signs), left, right)


def joined(rng: np.random.Generator, sign: str, left: Sum, right: Sum) -> Sum:
    """`left sign right`, with the sides swapped or the right one changed where the result would be no whole number."""
    if sign == "÷":
        divisors = [d for d in range(2, min(left.value // 2, 999) + 1) if left.value % d == 0]
        if divisors:
            divisor = pick(rng, divisors)
            return Sum(left.value // divisor, sign, (left, Sum(divisor)))
        right = right if right.value > 1 else Sum(2)
        left = Sum(right.value * int(rng.integers(2, 10)))
        return Sum(left.value // right.value, sign, (left, right))
    if sign == "×" and left.value * right.value > 999 and not right.sign:
        right = Sum(right.value % 10 + 2)
    if sign == "×" and left.value * right.value <= LARGEST:
        return Sum(left.value * right.value, sign, (left, right))
    if sign == "+":
        return Sum(left.value + right.value, sign, (left, right))
    if left.value < right.value:
        left, right = right, left
    return Sum(left.value - right.value, "-", (left, right))


def printed(made: Sum, square: bool = False) -> str:
    """The expression with the brackets it needs; `square` makes those around other brackets square.

    >>> printed(Sum(14, "×", (Sum(2), Sum(7, "+", (Sum(3), Sum(4))))))
    '2×(3+4)'
    """
    if not made.sign:
        return str(made.value)
    texts = [
        bracketed(printed(part, square), square) if needs_bracket(part, made.sign, index) else printed(part, square)
        for index, part in enumerate(made.parts)
    ]
    return made.sign.join(texts)


def bracketed(text: str, square: bool) -> str:
    """The text in round brackets, or in square ones around round ones."""
    return f"[{text}]" if square and "(" in text else f"({text})"


def strength(sign: str) -> int:
    """How tightly a sign binds; numbers bind tightest."""
    return {"+": 1, "-": 1, "×": 2, "÷": 2}.get(sign, 3)


def needs_bracket(part: Sum, sign: str, index: int) -> bool:
    """Whether side `index` (0 left, 1 right) of `sign` must be printed in brackets."""
    return strength(part.sign) < strength(sign) + (index == 1)


def next_step(made: Sum, depth: int = 0) -> tuple[int, int]:
    """(brackets around it, strength) of the operation that comes first in the expression."""
    if made.ready:
        return depth, strength(made.sign)
    inner = (
        next_step(part, depth + needs_bracket(part, made.sign, index))
        for index, part in enumerate(made.parts)
        if part.sign
    )
    return max(inner)


def reduced(made: Sum, depth: int = 0) -> Sum:
    """The expression after one operation: innermost brackets first, then × and ÷, then from the left."""
    if made.ready:
        return Sum(made.value)
    target = next_step(made, depth)
    parts = list(made.parts)
    for index, part in enumerate(made.parts):
        inside = depth + needs_bracket(part, made.sign, index)
        if part.sign and next_step(part, inside) == target:
            parts[index] = reduced(part, inside)
            break
    return replace(made, parts=tuple(parts))


def chain_of(made: Sum, square: bool = False) -> str:
    """The expression and all its steps.

    >>> chain_of(Sum(125, "+", (Sum(100, "-", (Sum(175), Sum(75))), Sum(25))))
    '175-75+25 = 100+25 = 125'
    """
    steps = [printed(made, square)]
    while made.sign:
        made = reduced(made)
        steps.append(printed(made, square))
    return " = ".join(steps)


def signed(text: str, signs: tuple[str, str]) -> str:
    """With multiplication and division as the sheet prints them."""
    return text.replace("×", signs[0]).replace("÷", signs[1])


def make_items(rng: np.random.Generator, count: int, difficulty: float) -> list[Item]:
    """The lines of one sheet, numbered or not."""
    signs, square = pick(rng, SIGNS), rng.random() < 0.5
    numbering = pick(rng, NUMBERINGS) if count > 1 and rng.random() < 0.6 else ""
    items = []
    for index in range(count):
        made = make_sum(rng, limits_at(rng, difficulty))
        items.append(
            Item(
                numbering.format(index + 1),
                signed(printed(made, square), signs),
                signed(chain_of(made, square), signs),
            )
        )
    return items


def count_at(rng: np.random.Generator, difficulty: float) -> int:
    """Lines of a sheet: one at first, up to 20."""
    return 1 if rng.random() < 0.4 - 0.3 * difficulty else int(rng.integers(1, 2 + round(18 * difficulty)))


class Style(NamedTuple):
    """How a sheet is set."""

    pen: Pen
    theme: Theme
    columns: int
    spaced: bool
    tail: str
    """What follows the expression: "", "=", " = ___"."""
    ground: str
    """plain, lines or squares."""


def choose_style(
    rng: np.random.Generator, items: Sequence[Item], *, assets: Assets, split: str, difficulty: float
) -> Style:
    """A face that has all the signs, colours, columns and paper."""
    text = "".join(item.number + item.printed for item in items) + "0123456789=_-"
    script = "handwriting" if rng.random() < 0.25 * difficulty + 0.05 else "latin"
    face = face_for(rng, assets.families(script, split), text, difficulty=difficulty)
    if face is None:
        face = face_for(rng, assets.families("latin", split), text)
    assert face is not None, "no face draws the signs of arithmetic"
    colours = theme(rng, difficulty)
    columns = int(rng.integers(1, min(4, 1 + len(items) // 3) + 1))
    tail = pick(rng, ("", "=", "=", " = ___") if difficulty > 0.2 else ("", "="))
    ground = pick(rng, ("lines", "squares")) if rng.random() < 0.4 * difficulty else "plain"
    return Style(Pen(face, em_at(rng, difficulty), colours.ink), colours, columns, rng.random() < 0.4, tail, ground)


def shown(item: Item, style: Style) -> str:
    """The line as printed."""
    text = item.printed
    if style.spaced:
        for sign in "+-×÷x*/·:":
            text = text.replace(sign, f" {sign} ")
    return f"{item.number} {text}{style.tail}".strip()


def ruled(paper: Paper, style: Style, pitch: float, top: float) -> None:
    """Lines or squares of an exercise book."""
    colour = style.theme.fill
    lines = np.arange(top % pitch, paper.height, pitch)
    for y in lines if style.ground != "plain" else ():
        paper.rule((0, float(y)), (paper.width, float(y)), colour)
    for x in np.arange(pitch / 2, paper.width, pitch) if style.ground == "squares" else ():
        paper.rule((float(x), 0), (float(x), paper.height), colour)


def set_sheet(rng: np.random.Generator, texts: Sequence[str], style: Style) -> Paper:
    """Prints the lines row by row in columns of equal width."""
    pen = style.pen
    pitch = max(pen.size * float(rng.uniform(1.25, 1.9)), 20.0)
    margin = pen.size * float(rng.uniform(0.2, 0.7))
    gap = pen.size * float(rng.uniform(1.0, 2.0))
    column = max(pen.width(text) for text in texts) + gap
    rows = -(-len(texts) // style.columns)
    columns = min(style.columns, len(texts))
    size = rounded(rows * pitch + (margin if rows > 1 else 0)), rounded(columns * column - gap + 2 * margin)
    paper = Paper(size, style.theme.paper)
    top = (size[0] - rows * pitch) * float(rng.uniform(0.2, 0.8))
    left = margin + (size[1] - columns * column + gap - 2 * margin) * float(rng.uniform(0, 1))
    ruled(paper, style, pitch, top)
    for index, text in enumerate(texts):
        row, place = divmod(index, style.columns)
        paper.write(text, (left + place * column, pen.baseline(top + row * pitch, pitch)), pen)
    return paper


def make_sheet(
    rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets
) -> tuple[list[Item], Style, Paper]:
    """A sheet that fits into the room of its difficulty."""
    count = count_at(rng, difficulty)
    while True:
        items = make_items(rng, count, difficulty)
        style = choose_style(rng, items, assets=assets, split=split, difficulty=difficulty)
        paper = set_sheet(rng, [shown(item, style) for item in items], style)
        if paper.height * paper.width <= room(difficulty) * 28 * 28:
            return items, style, paper
        count = max(1, count - 1)


def make_arithmetic(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Sums to solve step by step (`arithmetic`), only to read (`arithmetic-read`) or to check (`arithmetic-check`)."""
    if rng.random() < 0.25:
        difficulty *= float(rng.random())
    if rng.random() < 0.12:
        return make_check(rng, split=split, difficulty=difficulty, assets=assets)
    items, _, paper = make_sheet(rng, split=split, difficulty=difficulty, assets=assets)
    sheet = paper.sheet(rng, difficulty * float(rng.random()))
    (question, answer), task, metric = sheet_task(rng, items)
    further = (lambda rng: sheet_task(rng, items)[0]) if items[0].number else None
    return asked(sheet, question, answer, task=task, metric=metric, language="", further=further)


def sheet_task(rng: np.random.Generator, items: Sequence[Item]) -> tuple[tuple[str, str], str, str]:
    """(question, answer), the task and its metric: all lines to read or to solve, or one that has a number."""
    if rng.random() < 0.2:
        read = "\n".join(f"{item.number} {item.printed}".strip() for item in items)
        return (pick(rng, READ), read), "arithmetic-read", "characters"
    if items[0].number and len(items) > 2 and rng.random() < 0.4:
        index = int(rng.integers(len(items)))
        return (pick(rng, SOLVE_ITEM).format(index + 1), items[index].chain), "arithmetic", "exact"
    solved = "\n".join(f"{item.number} {item.chain}".strip() for item in items)
    return (pick(rng, SOLVE if len(items) > 1 else SOLVE_ONE), solved), "arithmetic", "exact"


def slipped(rng: np.random.Generator, value: int) -> int:
    """A wrong result that looks right: near, or with two digits swapped."""
    text = str(value)
    swapped = int(text[:-2] + text[-1] + text[-2]) if len(text) > 1 and text[-2] != "0" else value
    return swapped if swapped != value and rng.random() < 0.5 else max(0, value + pick(rng, (-10, -2, -1, 1, 2, 10)))


def make_check(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """A sheet that someone has filled in: the wrong lines are named with what is right."""
    items, style, _ = make_sheet(rng, split=split, difficulty=0.8 * difficulty, assets=assets)
    style = style._replace(tail="", columns=1)
    texts, faults = [], []
    for item in items:
        right = int(item.chain.rpartition(" = ")[2])
        given = slipped(rng, right) if rng.random() < 0.4 else right
        texts.append(f"{shown(item, style)}{' = ' if style.spaced else '='}{given}")
        if given != right:
            faults.append(f"{item.number} {item.printed}={given}: {item.chain}".strip())
    sheet = set_sheet(rng, texts, style).sheet(rng, difficulty * float(rng.random()))
    answer = "\n".join(faults) or "All are right."
    return asked(sheet, pick(rng, CHECK), answer, task="arithmetic-check", metric="exact", language="")
