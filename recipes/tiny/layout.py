"""Text set into lines and columns, and printed on a sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from recipes.tiny.assets import Block
from recipes.tiny.fonts import Face
from recipes.tiny.paper import Paper, Pen, Theme

__all__ = ["Cut", "Laid", "Line", "Style", "fill", "laid_out", "wrapped"]

NO_START = frozenset("，。、！？；：）」』》】〉”’…·,.!?;:)]}%％ーぁぃぅぇぉっゃゅょァィゥェォッャュョ")
"""What never begins a line of Chinese or Japanese."""
LATIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./@:'")


@dataclass(frozen=True)
class Style:
    """Faces and measures of a page, in pixels."""

    body: Face
    bold: Face
    em: int
    heading: int
    """The em of headings."""
    leading: float
    """Line height in ems."""
    measure: float
    """The width of a column."""
    columns: int
    margin: float
    gap: float
    """Between blocks."""
    indent: float
    """Of list items."""
    justified: bool
    centred: bool
    """Headings stand in the middle."""
    coloured: bool
    """Headings have a colour of their own."""
    close: bool
    """A language without blanks."""


class Line(NamedTuple):
    """A line as it will stand on the page: its block, its left end, baseline and the space added to each blank."""

    text: str
    block: int
    x: float
    y: float
    pen: tuple[Face, int]
    stretch: float
    target: tuple[int, int]
    """The span of the searched text in `text`; empty where it is not in this line."""


class Laid(NamedTuple):
    """A page that is set."""

    blocks: tuple[Block, ...]
    lines: tuple[Line, ...]
    width: float
    height: float


class Cut(NamedTuple):
    """The numbers of the sheet's words that a line, and the searched text in it, became."""

    block: int
    start: int
    end: int
    target: int
    target_end: int


def laid_out(blocks: Sequence[Block], style: Style, target: str = "") -> Laid:
    """The blocks in one or two columns below a heading across both."""
    across = 1 if style.columns > 1 and blocks[0].kind in ("title", "heading") and len(blocks) > 1 else 0
    wide = style.measure * style.columns + style.margin * (style.columns - 1)
    lines: list[Line] = []
    top = style.margin
    if across:
        lines, top = column(blocks[:1], 0, style, (style.margin, top, wide), target)
    rest, bottom = column(blocks[across:], across, style, (style.margin, top, style.measure), target)
    if style.columns > 1 and len(rest) > 3:
        rest, bottom = in_two(rest, top, style)
        right = style.margin * 2 + wide
    else:
        right = style.margin * 2 + max(
            [style.measure * 0.6, *(end_of(line) - style.margin for line in [*lines, *rest])]
        )
    return Laid(tuple(blocks), (*lines, *rest), right, bottom - style.gap + style.margin)


def end_of(line: Line) -> float:
    """Where the line ends."""
    return line.x + Pen(*line.pen, (0, 0, 0)).width(line.text) + line.stretch * line.text.count(" ")


def in_two(lines: list[Line], top: float, style: Style) -> tuple[list[Line], float]:
    """The lower half of the lines moved beside the upper one; gives the lower end, too."""
    half = (len(lines) + 1) // 2
    shift = top + (lines[0].y - top) - lines[half].y
    aside = style.measure + style.margin
    moved = [line._replace(x=line.x + aside, y=line.y + shift) for line in lines[half:]]
    return [*lines[:half], *moved], max(lines[half - 1].y, moved[-1].y) + 0.35 * style.em + style.gap


def column(
    blocks: Sequence[Block], first: int, style: Style, place: tuple[float, float, float], target: str
) -> tuple[list[Line], float]:
    """The lines of the blocks (numbered from `first`) in a column at (x, y, width), and where the next one begins."""
    left, y, width = place
    lines: list[Line] = []
    for number, block in enumerate(blocks, first):
        big = block.kind in ("title", "heading")
        face, em = (style.bold, style.heading) if big else (style.body, style.em)
        pen = Pen(face, em, (0, 0, 0))
        indent = style.indent if block.kind == "item" else 0.0
        for text, stretch, target_span in wrapped(block.text, pen, width - indent, style, target, even=not big):
            x = left + indent
            if big and style.centred:
                x += max(0.0, width - pen.width(text)) / 2
            y += em * (1.0 if not lines and not first else style.leading)
            lines.append(Line(text, number, x, y, (face, em), stretch, target_span))
        y += style.gap
    return lines, y + 0.35 * style.em


def wrapped(
    text: str, pen: Pen, width: float, style: Style, target: str = "", *, even: bool = True
) -> list[tuple[str, float, tuple[int, int]]]:
    """Lines of at most `width` pixels as (text, added blank, span of the target in it).

    The target may run over a line's end: then it has a span in two lines.
    """
    start = text.find(target) if target else -1
    wanted = (start, start + len(target)) if start >= 0 else (-1, -1)
    found: list[tuple[str, float, tuple[int, int]]] = []
    at = 0
    while at < len(text):
        end = line_end(text, at, pen, width, close=style.close)
        line = text[at:end].rstrip()
        low, high = max(wanted[0] - at, 0), min(wanted[1] - at, len(line))
        blanks = line.count(" ")
        full = even and style.justified and end < len(text) and blanks
        stretch = min(width - pen.width(line), 0.6 * pen.size * blanks) / blanks if full else 0.0
        found.append((line, max(0.0, stretch), (low, high) if high > low else (0, 0)))
        at = end + (len(text[end:]) - len(text[end:].lstrip()))
    return found


def line_end(text: str, at: int, pen: Pen, width: float, *, close: bool) -> int:
    """Where the line that begins at `at` ends: between words, or between any two characters of a close script."""
    end, last = at, at
    while end < len(text):
        end += 1
        if end < len(text) and not may_break(text, end, close=close):
            continue
        if pen.width(text[at:end].rstrip()) > width and last > at:
            return last
        last = end
    return end


def may_break(text: str, at: int, *, close: bool) -> bool:
    """Whether a line may end before character `at`."""
    if text[at - 1] == " ":
        return text[at] not in ":;!?»"
    if not close or text[at] in NO_START or text[at] == " ":
        return False
    return not (text[at - 1] in LATIN and text[at] in LATIN)


def fill(paper: Paper, page: Laid, style: Style, colours: Theme, at: tuple[float, float]) -> list[Cut]:
    """Prints the page with its upper left corner `at`; gives the words each line became."""
    cuts = []
    for line in page.lines:
        big = line.pen[1] != style.em or line.pen[0] != style.body
        pen = Pen(*line.pen, colours.accent if big and style.coloured else colours.ink)
        start, low, high = len(paper.words), *line.target
        x, y = line.x + at[0], line.y + at[1]
        ends = []
        for piece in (line.text[:low], line.text[low:high], line.text[high:]):
            x = print_piece(paper, piece, (x, y), pen, line.stretch)
            ends.append(len(paper.words))
        cuts.append(Cut(line.block, start, ends[2], ends[0], ends[1]))
    return cuts


def print_piece(paper: Paper, text: str, at: tuple[float, float], pen: Pen, stretch: float) -> float:
    """Prints a piece of a line, word by word; gives where the next one begins."""
    x, blank = at[0], pen.width(" ") + stretch
    for number, word in enumerate(text.split(" ")):
        x += blank if number else 0.0
        if word:
            paper.word(word, (x, at[1]), pen)
            x += pen.width(word)
    return x
