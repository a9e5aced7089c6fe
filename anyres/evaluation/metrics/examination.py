"""How answers of the embedded checkpoint's card are scored: how much of how much is right, by the metric of a question.

These are the rules of recipes/tiny, which makes the questions and the card; a test holds both to the same figures.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anyres.evaluation.metrics.edit_distance import edit_distance
from anyres.grounding import Box

__all__ = ["METRICS", "Wanted", "weight"]

PLACE = re.compile(r"\((\d+),(\d+)\)(?:,\((\d+),(\d+)\))?")
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
HALF = 0.5
EXACT = 1e-9
Wanted = Mapping[str, Any]
"""`answer`; of charts `near`, the share that a number may be off; of points `box` in pixels, `size` (width, height)."""


def weight(metric: str, wanted: Wanted) -> int:
    """What a question counts for in its row: its characters where they are counted, else 1."""
    return max(1, len(wanted["answer"])) if metric == "characters" else 1


def exact(told: str, wanted: Wanted) -> float:
    return float(told == wanted["answer"])


def characters(told: str, wanted: Wanted) -> float:
    """1 - edits / characters; below 0 where more has to be done than to write it anew."""
    return 1 - edit_distance(told, wanted["answer"]) / max(1, len(wanted["answer"]))


def number(told: str, wanted: Wanted) -> float:
    """The last number of both."""
    found, right = _last_number(told), _last_number(wanted["answer"])
    if found is None or right is None:
        return exact(told, wanted)
    return float(abs(found - right) <= (wanted.get("near", 0) * abs(right) or EXACT))


def as_json(told: str, wanted: Wanted) -> float:
    """F1 of the leaves, each with the path to it; a list's places do not count."""
    try:
        found = Counter(_leaves(json.loads(told)))
    except (ValueError, RecursionError):
        return 0.0
    right = Counter(_leaves(json.loads(wanted["answer"])))
    both = (found & right).total()
    return 2 * both / (found.total() + right.total()) if both else 0.0


def cells(told: str, wanted: Wanted) -> float:
    """Cells of a Markdown table that are right where they stand, over those of the larger table."""
    found, right = _grid(told), _grid(wanted["answer"])
    return sum(found.get(place) == text for place, text in right.items()) / max(1, len(found), len(right))


def box(told: str, wanted: Wanted) -> float:
    """F1 of boxes that overlap by half of their union, each taken once, the best first."""
    found, right = _places(told), _places(wanted["answer"])
    rest, hits = list(found), 0
    for one in right:
        best = max(rest, key=lambda other: _overlap(one, other), default=None)
        if best is not None and _overlap(one, best) >= HALF:
            rest.remove(best)
            hits += 1
    return 2 * hits / max(1, len(found) + len(right))


def point(told: str, wanted: Wanted) -> float:
    """1 if the first point lies in the box of what is asked for; of refusals, if it is the same."""
    found, right = _places(told), _places(wanted["answer"])
    if not found or not right:
        return exact(told, wanted)
    if wanted.get("box") is None:
        return 0.0
    x1, y1, x2, y2 = wanted["box"]
    width, height = wanted["size"]
    x, y = found[0][0] * width / 1000, found[0][1] * height / 1000
    return float(x1 <= x <= x2 and y1 <= y <= y2)


METRICS: Mapping[str, Callable[[str, Wanted], float]] = {
    "box": box,
    "cells": cells,
    "characters": characters,
    "exact": exact,
    "json": as_json,
    "number": number,
    "point": point,
}


def _last_number(text: str) -> float | None:
    found = NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None


def _leaves(value: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [leaf for key, part in value.items() for leaf in _leaves(part, f"{path}.{key}")]
    if isinstance(value, list):
        return [leaf for part in value for leaf in _leaves(part, path)]
    return [(path, str(value))]


def _grid(text: str) -> dict[tuple[int, int], str]:
    lines = [line.strip().strip("|") for line in text.splitlines() if line.strip()]
    rows = [line.split("|") for line in lines if set(line) - set("|-: ")]
    return {(r, c): cell.strip() for r, row in enumerate(rows) for c, cell in enumerate(row)}


def _places(text: str) -> list[tuple[int, ...]]:
    return [tuple(int(one) for one in found if one) for found in PLACE.findall(text)]


def _overlap(first: Sequence[int], second: Sequence[int]) -> float:
    if len(first) < 4 or len(second) < 4:
        return 0.0
    (a1, b1, a2, b2), (c1, d1, c2, d2) = first, second
    if a1 > a2 or b1 > b2 or c1 > c2 or d1 > d2:
        return 0.0
    return Box(a1, b1, a2, b2).iou(Box(c1, d1, c2, d2))
