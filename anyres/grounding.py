"""Boxes and points: read from an answer's text, converted to pixels of the picture and back.

Qwen2-VL writes `<|object_ref_start|>name<|object_ref_end|><|box_start|>(x1,y1),(x2,y2)<|box_end|>`: whole numbers,
thousandths of the picture's width and height, so they do not depend on how it was resized. The model sees pictures
upright: pixels are those of the picture after its EXIF orientation; `to_stored` gives those of the file.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from anyres.errors import GroundingError, OptionError

__all__ = ["FIND_QUESTION", "Box", "Grounding", "Point", "Problem", "find_question", "parse_grounding"]

Space = Literal["pixels", "thousandths"]

THOUSAND = 1000
FIND_QUESTION = "Find the {}."
"""`tiny` knows it, and questions that begin with Find make published checkpoints write boxes (QwenLM/Qwen3-VL#342)."""


@dataclass(frozen=True)
class Point:
    """A place: x to the right, y down, from the picture's upper left corner.

    >>> Point(500, 250, "ear", "thousandths").to_pixels(width=640, height=480)
    Point(x=320.0, y=120.0, label='ear', space='pixels')
    """

    x: float
    y: float
    label: str = ""
    space: Space = "pixels"

    def __post_init__(self) -> None:
        _check_finite("Point", (self.x, self.y))

    def to_pixels(self, *, width: int, height: int) -> "Point":
        """From thousandths of a picture of this size; not rounded, for a thousandth may be several pixels."""
        _require(self, "thousandths")
        return Point(self.x * width / THOUSAND, self.y * height / THOUSAND, self.label)

    def to_thousandths(self, *, width: int, height: int) -> "Point":
        """As the model writes it: whole numbers from 0 to 999."""
        _require(self, "pixels")
        return Point(_thousandth(self.x, width), _thousandth(self.y, height), self.label, "thousandths")

    def to_stored(self, orientation: int, *, width: int, height: int) -> "Point":
        """Where the point lies in the file's own pixels, before its EXIF `orientation` (1 to 8) turned it upright.

        `width` and `height` are those of the upright picture. Other orientations mean 1, as everywhere.

        >>> Point(10, 0).to_stored(6, width=60, height=90)
        Point(x=0, y=50, label='', space='pixels')
        """
        _require(self, "pixels")
        x, y = _stored(self.x, self.y, orientation, width, height)
        return replace(self, x=x, y=y)

    def to_upright(self, orientation: int, *, width: int, height: int) -> "Point":
        """The way back from `to_stored`; `width` and `height` are again those of the upright picture."""
        _require(self, "pixels")
        x, y = _upright(self.x, self.y, orientation, width, height)
        return replace(self, x=x, y=y)

    @property
    def text(self) -> str:
        """As the model writes it.

        >>> Point(12, 34, "ear", "thousandths").text
        '<|object_ref_start|>ear<|object_ref_end|><|box_start|>(12,34)<|box_end|>'
        """
        _require(self, "thousandths")
        return f"{_reference(self.label)}<|box_start|>({self.x:g},{self.y:g})<|box_end|>"


@dataclass(frozen=True)
class Box:
    """A rectangle from its upper left corner (x1, y1) to its lower right one (x2, y2); x2 and y2 are the far edges.

    >>> box = Box(250, 500, 500, 750, "cat", "thousandths").to_pixels(width=640, height=480)
    >>> box
    Box(x1=160.0, y1=240.0, x2=320.0, y2=360.0, label='cat', space='pixels')
    >>> box.centre
    Point(x=240.0, y=300.0, label='cat', space='pixels')
    """

    x1: float
    y1: float
    x2: float
    y2: float
    label: str = ""
    space: Space = "pixels"

    def __post_init__(self) -> None:
        _check_finite("Box", self.edges)
        if self.x1 > self.x2 or self.y1 > self.y2:
            raise OptionError("Box", f"edges {self.edges}", "x1 at most x2 and y1 at most y2")

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """(x1, y1, x2, y2), as Pillow's `crop` takes them."""
        return (self.x1, self.y1, self.x2, self.y2)

    @property
    def area(self) -> float:
        return (self.x2 - self.x1) * (self.y2 - self.y1)

    @property
    def centre(self) -> Point:
        return Point((self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2, self.label, self.space)

    def contains(self, point: Point) -> bool:
        """Whether the point lies in the box or on its edge."""
        _require(point, self.space)
        return self.x1 <= point.x <= self.x2 and self.y1 <= point.y <= self.y2

    def iou(self, other: "Box") -> float:
        """Common area over the area of both together, 0 to 1; 0 where neither has any.

        >>> Box(0, 0, 10, 10).iou(Box(5, 0, 15, 10))
        0.3333333333333333
        """
        _require(other, self.space)
        width = min(self.x2, other.x2) - max(self.x1, other.x1)
        height = min(self.y2, other.y2) - max(self.y1, other.y1)
        common = max(0.0, width) * max(0.0, height)
        union = self.area + other.area - common
        return common / union if union > 0 else 0.0

    def to_pixels(self, *, width: int, height: int) -> "Box":
        """From thousandths of a picture of this size; not rounded, for a thousandth may be several pixels."""
        return self._moved(lambda corner: corner.to_pixels(width=width, height=height))

    def to_thousandths(self, *, width: int, height: int) -> "Box":
        """As the model writes it: whole numbers from 0 to 999.

        >>> Box(160, 240, 640, 480).to_thousandths(width=640, height=480).edges
        (250, 500, 999, 999)
        """
        return self._moved(lambda corner: corner.to_thousandths(width=width, height=height))

    def to_stored(self, orientation: int, *, width: int, height: int) -> "Box":
        """The box in the file's own pixels, as `Point.to_stored`."""
        return self._moved(lambda corner: corner.to_stored(orientation, width=width, height=height))

    def to_upright(self, orientation: int, *, width: int, height: int) -> "Box":
        """The way back from `to_stored`; `width` and `height` are again those of the upright picture."""
        return self._moved(lambda corner: corner.to_upright(orientation, width=width, height=height))

    @property
    def text(self) -> str:
        """As the model writes it.

        >>> Box(1, 2, 3, 4, "cat", "thousandths").text
        '<|object_ref_start|>cat<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>'
        """
        _require(self, "thousandths")
        corners = f"({self.x1:g},{self.y1:g}),({self.x2:g},{self.y2:g})"
        return f"{_reference(self.label)}<|box_start|>{corners}<|box_end|>"

    def _moved(self, move: Callable[[Point], Point]) -> "Box":
        one, other = (move(Point(x, y, "", self.space)) for x, y in (self.edges[:2], self.edges[2:]))
        return _around((one, other), self.label)


class Problem(NamedTuple):
    """A part of an answer that is not as it should be: where it begins, its characters, and what is wrong."""

    position: int
    seen: str
    reason: str


@dataclass(frozen=True)
class Grounding:
    """What an answer's text tells of places, in thousandths and in the order of the text."""

    boxes: tuple[Box, ...] = ()
    points: tuple[Point, ...] = ()
    problems: tuple[Problem, ...] = ()


def parse_grounding(text: str, *, strict: bool = False) -> Grounding:
    """The boxes and points in an answer, each with the name before it; of quads the box around them.

    Numbers without marks, as servers leave them that strip special tokens, are read in answers that have no mark of a
    box or quad: `(1,2),(3,4)` is a box, `(1,2)` a point. What cannot be read is told in `problems`, and so is what was
    put right: swapped corners, missing marks, decimals. Numbers outside 0..1000 are another convention and not read.
    `strict` raises GroundingError for the first problem; otherwise nothing is raised, whatever the text.

    >>> parse_grounding("<|object_ref_start|>a cat<|object_ref_end|><|box_start|>(9,8),(70,60)<|box_end|>").boxes
    (Box(x1=9, y1=8, x2=70, y2=60, label='a cat', space='thousandths'),)
    >>> parse_grounding("<|box_start|>(9,8),(70,").problems
    (Problem(position=0, seen='<|box_start|>(9,8),(70,', reason='no <|box_end|>; 1 place'),)
    """
    boxes, points, problems, label = list[Box](), list[Point](), list[Problem](), ""
    for span in _spans(text):
        if span.kind == "object_ref":
            label = span.content.strip()
            problems += [Problem(span.position, span.seen, span.flaw)] * bool(span.flaw)
            continue
        found = _read(span, label)
        boxes += found.boxes
        points += found.points
        problems += found.problems
    if strict and problems:
        position, seen, reason = problems[0]
        seen = f"{reason}: {seen[:80]!r} at character {position}"
        raise GroundingError("answer", seen, "(x1,y1),(x2,y2) of whole numbers from 0 to 1000 between box marks")
    return Grounding(tuple(boxes), tuple(points), tuple(problems))


def find_question(what: str, form: str = FIND_QUESTION) -> str:
    """The question that makes a model tell where something is; OptionError when there is nothing to look for.

    >>> find_question("a red ball"), find_question("the Save button", "Where is {}?")
    ('Find the red ball.', 'Where is the Save button?')
    """
    if "{}" not in form:
        raise OptionError("question", repr(form), 'words with {} where the name goes, as "Where is {}?"')
    name = _ARTICLE.sub("", what.strip()) if "the {}" in form else what.strip()
    if not name:
        raise OptionError("what", repr(what), "the name of what is to be found")
    return form.replace("{}", name)


_NUMBER = r"[+-]?[0-9]++(?:\.[0-9]*+)?"
_ONE_PAIR = rf"\(\s*+{_NUMBER}\s*+,\s*+{_NUMBER}\s*+\)"
_PAIR = re.compile(rf"\(\s*+({_NUMBER})\s*+,\s*+({_NUMBER})\s*+\)")
_RUN = re.compile(rf"{_ONE_PAIR}(?:\s*+,\s*+{_ONE_PAIR})*+(?P<cut>\s*+,\s*+(?:\([0-9+\-.,\s]*+)?\Z)?")
_MARK = re.compile(r"<\|(object_ref|box|quad)_(start|end)\|>")
_BOX_MARK = re.compile(r"<\|(?:box|quad)_(?:start|end)\|>")
_ARTICLE = re.compile(r"^(?:the|an?)(?:\s+|$)", re.IGNORECASE)


class _Span(NamedTuple):
    """What is read in one piece: `content` without its marks, `seen` with them; `flaw` tells which mark is missing."""

    kind: str
    content: str
    position: int
    seen: str
    flaw: str


def _spans(text: str) -> Iterator[_Span]:
    """Names, boxes and quads between marks; where there are no marks of boxes, runs of bare pairs as boxes."""
    bare = not _BOX_MARK.search(text)
    opened, at, inside = "", 0, 0  # the kind of the mark before, where it begins and where it ends
    for mark in (*_MARK.finditer(text), None):
        kind, side = mark.groups() if mark else ("", "")
        end, past = mark.span() if mark else (len(text), len(text))
        if opened:
            closed = (kind, side) == (opened, "end")
            flaw = "" if closed else f"no <|{opened}_end|>"
            yield _Span(opened, text[inside:end], at, text[at : past if closed else end], flaw)
        elif side == "end":
            yield _unopened(text, inside, end, past, kind)
        elif bare:
            for run in _RUN.finditer(text, inside, end):
                cut = run["cut"] is not None and run.end() == len(text)
                yield _Span("box", run[0], run.start(), run[0], "cut off" if cut else "")
        opened, at, inside = kind if side == "start" else "", end, past


def _unopened(text: str, start: int, end: int, past: int, kind: str) -> _Span:
    """What a mark closes that nothing opened: for boxes the run of pairs before it, for names nothing."""
    runs = [] if kind == "object_ref" else [*_RUN.finditer(text, start, end)]
    at = runs[-1].start() if runs else end
    return _Span(kind, text[at:end], at, text[at:past], f"no <|{kind}_start|>")


def _read(span: _Span, label: str) -> Grounding:
    """Pairs two by two are boxes, the four of a quad one box; a single pair is a point where nothing is missing."""
    pairs = [(_number(pair[1]), _number(pair[2])) for pair in _PAIR.finditer(span.content)]
    rest = _PAIR.sub("", span.content).strip(", \t\r\n")
    flaws = [span.flaw] if span.flaw else [f"{rest[:20]!r} is no place"] if rest else []
    corners = 4 if span.kind == "quad" and len(pairs) == 4 else 2
    single = len(pairs) == 1 and not flaws and span.kind == "box"
    if not single and len(pairs) != corners:
        flaws.append(f"{len(pairs)} place" + "s" * (len(pairs) != 1))
    groups = [pairs] if single else [pairs[i : i + corners] for i in range(0, len(pairs) - corners + 1, corners)]
    fitting = [group for group in groups if all(0 <= value <= THOUSAND for pair in group for value in pair)]
    ends = [(group[0], group[-1]) for group in fitting if corners == 2]
    checks = {
        "outside 0..1000": len(fitting) < len(groups),
        "corners swapped": any(one[0] > other[0] or one[1] > other[1] for one, other in ends),
        "decimals": any(isinstance(value, float) for group in fitting for pair in group for value in pair),
    }
    flaws += [words for words, holds in checks.items() if holds]
    places = [[Point(x, y, label, "thousandths") for x, y in group] for group in fitting]
    return Grounding(
        boxes=() if single else tuple(_around(group, label) for group in places),
        points=tuple(places[0]) if single and places else (),
        problems=(Problem(span.position, span.seen, "; ".join(flaws)),) if flaws else (),
    )


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() else value


def _around(points: Iterable[Point], label: str) -> Box:
    points = list(points)
    xs, ys = [point.x for point in points], [point.y for point in points]
    return Box(min(xs), min(ys), max(xs), max(ys), label, points[0].space)


def _reference(label: str) -> str:
    return f"<|object_ref_start|>{label}<|object_ref_end|>" if label else ""


def _thousandth(value: float, side: int) -> int:
    return min(max(round(value * THOUSAND / side), 0), THOUSAND - 1)


def _require(mark: Box | Point, space: Space) -> None:
    if mark.space != space:
        raise OptionError(type(mark).__name__, f"in {mark.space}", f"in {space}")


def _check_finite(kind: str, values: tuple[float, ...]) -> None:
    if not all(math.isfinite(value) for value in values):
        raise OptionError(kind, f"coordinates {values}", "finite numbers")


# EXIF orientation: whether x, whether y of the upright picture is mirrored, and whether both then change places.
_TURNS = {
    2: (True, False, False),
    3: (True, True, False),
    4: (False, True, False),
    5: (False, False, True),
    6: (True, False, True),
    7: (True, True, True),
    8: (False, True, True),
}


def _stored(x: float, y: float, orientation: int, width: int, height: int) -> tuple[float, float]:
    mirror_x, mirror_y, swap = _TURNS.get(orientation, (False, False, False))
    x, y = width - x if mirror_x else x, height - y if mirror_y else y
    return (y, x) if swap else (x, y)


def _upright(x: float, y: float, orientation: int, width: int, height: int) -> tuple[float, float]:
    mirror_x, mirror_y, swap = _TURNS.get(orientation, (False, False, False))
    x, y = (y, x) if swap else (x, y)
    return width - x if mirror_x else x, height - y if mirror_y else y
