"""How an answer is scored, by the metric of its example: how much of how much is right."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from anyres.chat import ImagePart
from recipes.tiny.example import Example
from recipes.tiny.regions import box_at

__all__ = ["METRICS", "Part", "edit_distance", "f1", "leaves", "overlap"]

PLACE = re.compile(r"\((\d+),(\d+)\)(?:,\((\d+),(\d+)\))?")
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
NEAR = 0.05
"""Of a chart's value: as far as its target allows."""
HALF = 0.5
Box = tuple[int, ...]


class Part(NamedTuple):
    """`right` of `of`; negative where more was wrong than there is."""

    right: float
    of: float = 1.0


def exact(told: str, example: Example) -> Part:
    return Part(float(told == example.answer))


def characters(told: str, example: Example) -> Part:
    """The characters of the answer, less the edits that it takes to get there (1 - character error rate)."""
    wanted = len(example.answer)
    return Part(wanted - edit_distance(told, example.answer), wanted)


def edit_distance(first: str, second: str) -> int:
    """Fewest insertions, deletions and replacements (Levenshtein).

    >>> edit_distance("kitten", "sitting")
    3
    """
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


def number(told: str, example: Example) -> Part:
    """The last number; in charts within 5 %, elsewhere equal."""
    found, wanted = last_number(told), last_number(example.answer)
    if found is None or wanted is None:
        return Part(float(told == example.answer))
    near = NEAR * abs(wanted) if example.task.startswith("chart") else 1e-9
    return Part(float(abs(found - wanted) <= near))


def last_number(text: str) -> float | None:
    """
    >>> last_number("2 x 1,200.50 = 2,401.00"), last_number("none")
    (2401.0, None)
    """
    found = NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None


def as_json(told: str, example: Example) -> Part:
    """F1 of the leaves, each with the path to it; a list's places do not count."""
    try:
        found = Counter(leaves(json.loads(told)))
    except ValueError:
        return Part(0.0)
    wanted = Counter(leaves(json.loads(example.answer)))
    return Part(f1(found, wanted))


def leaves(value: Any, path: str = "") -> list[tuple[str, str]]:
    """
    >>> leaves({"total": 3, "items": [{"name": "tea"}]})
    [('.total', '3'), ('.items.name', 'tea')]
    """
    if isinstance(value, Mapping):
        return [leaf for key, part in value.items() for leaf in leaves(part, f"{path}.{key}")]
    if isinstance(value, list):
        return [leaf for part in value for leaf in leaves(part, path)]
    return [(path, str(value))]


def cells(told: str, example: Example) -> Part:
    """Cells of a Markdown table that are right where they stand; a cell too many counts against it."""
    found, wanted = grid(told), grid(example.answer)
    right = sum(found.get(place) == text for place, text in wanted.items())
    return Part(right, max(len(found), len(wanted)))


def grid(text: str) -> dict[tuple[int, int], str]:
    """The cells of a Markdown table by (row, column), without the rule under its head.

    >>> grid("| a | b |\\n|---|---|\\n| 1 | 2 |")
    {(0, 0): 'a', (0, 1): 'b', (1, 0): '1', (1, 1): '2'}
    """
    lines = [line.strip().strip("|") for line in text.splitlines() if line.strip()]
    rows = [line.split("|") for line in lines if set(line) - set("|-: ")]
    return {(r, c): cell.strip() for r, row in enumerate(rows) for c, cell in enumerate(row)}


def box(told: str, example: Example) -> Part:
    """Boxes of the answer that one of the told ones covers by half of their union, each once (F1)."""
    found, wanted = places(told), places(example.answer)
    rest, right = list(found), 0
    for one in wanted:
        best = max(rest, key=lambda other: overlap(one, other), default=None)
        if best is not None and overlap(one, best) >= HALF:
            rest.remove(best)
            right += 1
    return Part(2 * right / max(1, len(found) + len(wanted)))


def places(text: str) -> list[Box]:
    """Boxes (four numbers) and points (two).

    >>> places("(1,2),(3,4) and (5,6)")
    [(1, 2, 3, 4), (5, 6)]
    """
    return [tuple(int(one) for one in found if one) for found in PLACE.findall(text)]


def overlap(first: Box, second: Box) -> float:
    """Intersection over union; 0 for points.

    >>> overlap((0, 0, 10, 10), (0, 5, 10, 10))
    0.5
    """
    if len(first) < 4 or len(second) < 4:
        return 0.0
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    inside = max(0, width) * max(0, height)
    union = sum(max(0, one[2] - one[0]) * max(0, one[3] - one[1]) for one in (first, second)) - inside
    return inside / union if union else 0.0


def point(told: str, example: Example) -> Part:
    """Whether the first point lies in the box of what is asked for, and what stands before it is said."""
    found, wanted = places(told), places(example.answer)
    if not found or not wanted:
        return Part(float(told == example.answer))
    image = next(part.image for part in example.messages[0].parts if isinstance(part, ImagePart))
    dense = example.dense[0]
    assert dense is not None
    size = (image.shape[0], image.shape[1])
    target = box_at(dense, size, (wanted[0][0], wanted[0][1]))
    if target is None:
        return Part(0.0)
    x, y = found[0][0] * size[1] / 1000, found[0][1] * size[0] / 1000
    return Part(float(target[0] <= x <= target[2] and target[1] <= y <= target[3]))


def f1(found: Counter[tuple[str, str]], wanted: Counter[tuple[str, str]]) -> float:
    """Twice what both have, over what each has."""
    both = (found & wanted).total()
    return 2 * both / (found.total() + wanted.total()) if both else 0.0


METRICS: Mapping[str, Callable[[str, Example], Part]] = {
    "exact": exact,
    "characters": characters,
    "number": number,
    "json": as_json,
    "cells": cells,
    "box": box,
    "point": point,
}
