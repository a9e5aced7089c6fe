"""Where an answer says something is: a box or a point in pixels of the picture.

What numbers mean is declared by whoever runs the model (`Reply.coordinates`). It is never guessed from how large they
are, and never chosen by looking at the gold.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.sample import Coordinates, Reply, Sample
from anyres.grounding import THOUSAND

__all__ = ["box_of", "box_or_list_of", "point_of"]

NUMBER = r"[+-]?\d+(?:\.\d+)?"
PAIR = rf"\(\s*({NUMBER})\s*,\s*({NUMBER})\s*\)"
MARKED = re.compile(r"<\|box_start\|>(.*?)(?:<\|box_end\|>|\Z)", re.DOTALL)
NAME = re.compile(r"<\|object_ref_start\|>.*?<\|object_ref_end\|>", re.DOTALL)
PAIRS = re.compile(rf"{PAIR}(?:\s*,\s*{PAIR})?")
CLICK = re.compile(rf"\bx\s*=\s*({NUMBER})\s*,\s*y\s*=\s*({NUMBER})")
LISTED = re.compile(rf"[\[(]\s*({NUMBER})\s*,\s*({NUMBER})(?:\s*,\s*({NUMBER})\s*,\s*({NUMBER}))?\s*[\])]")


class _Place(NamedTuple):
    """A point (two numbers) or box (four) as the answer has it, and the form it was in."""

    numbers: tuple[float, ...]
    form: str


def box_of(reply: Reply, sample: Sample) -> Extraction:
    """The first box, [x1, y1, x2, y2] in pixels: between box marks, or as `(x1,y1),(x2,y2)` where marks were stripped.

    None where there is none, where it leaves the picture's range, or is malformed. How many there are, the rule says.

    >>> sample = Sample("1", "?", facts={"width": 500, "height": 1000})
    >>> box_of(Reply("the 2 dogs<|box_start|>(221,423),(569,886)<|box_end|>"), sample)
    Extraction(value=[110.5, 423.0, 284.5, 886.0], rule='box')
    """
    return _first(_boxes(_marked(reply.text)), reply.coordinates, sample)


def box_or_list_of(reply: Reply, sample: Sample) -> Extraction:
    """As `box_of`, or else the first list `[x1, y1, x2, y2]`, as other families of models write it."""
    found = box_of(reply, sample)
    return found if found.value else _first(_boxes(_listed(reply.text)), reply.coordinates, sample)


def point_of(reply: Reply, sample: Sample) -> Extraction:
    """The first place, [x, y] in pixels: a point, or the middle of a box; marked, as pairs, as a list, or `x=1, y=2`.

    >>> sample = Sample("1", "?", facts={"width": 200, "height": 100})
    >>> point_of(Reply("click [0.5, 0.25]", coordinates="unit"), sample).value
    [100.0, 25.0]
    """
    places = [*_marked(reply.text)] or [*_listed(reply.text)] or [*_clicks(reply.text)]
    found = _first(places, reply.coordinates, sample)
    if found.value is None or len(found.value) == 2:
        return found
    x1, y1, x2, y2 = found.value
    return Extraction([(x1 + x2) / 2, (y1 + y2) / 2], f"middle of {found.rule}")


def _marked(text: str) -> Iterator[_Place]:
    """Pairs between box marks; where there are none, pairs anywhere."""
    for span in MARKED.findall(text) or [NAME.sub(" ", text)]:
        for match in PAIRS.finditer(span):
            numbers = tuple(float(one) for one in match.groups() if one is not None)
            yield _Place(numbers, "box" if len(numbers) == 4 else "point")


def _listed(text: str) -> Iterator[_Place]:
    for match in LISTED.finditer(text):
        numbers = tuple(float(one) for one in match.groups() if one is not None)
        yield _Place(numbers, "list of four" if len(numbers) == 4 else "list of two")


def _clicks(text: str) -> Iterator[_Place]:
    for x, y in CLICK.findall(text):
        yield _Place((float(x), float(y)), "x and y")


def _boxes(places: Iterator[_Place]) -> list[_Place]:
    return [place for place in places if len(place.numbers) == 4]


def _first(places: Sequence[_Place], coordinates: Coordinates, sample: Sample) -> Extraction:
    if not places:
        return Extraction(None, "no place")
    numbers, form = places[0]
    rule = form if len(places) == 1 else f"{form}, the first of {len(places)}"
    sides = (float(sample.facts["width"]), float(sample.facts["height"]))
    most = {"thousandths": (THOUSAND, THOUSAND), "unit": (1.0, 1.0), "pixels": sides}[coordinates]
    ranged = [0 <= value <= most[place % 2] for place, value in enumerate(numbers)]
    if not all(ranged):
        return Extraction(None, f"{rule}: outside of 0 to {most[0]:g} and {most[1]:g}")
    pixels = [value / most[place % 2] * sides[place % 2] for place, value in enumerate(numbers)]
    if len(pixels) == 4 and (pixels[0] > pixels[2] or pixels[1] > pixels[3]):
        return Extraction(None, f"{rule}: corners swapped")
    return Extraction(pixels, rule)
