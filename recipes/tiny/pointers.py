"""Where in the picture each character of an answer stands: found by the answer's text among what is printed.

Answers copy print in many forms: whole pages, values in JSON, cells of Markdown, terms of a sum. A part of the answer
that is printed once, or again after the part before it, has a place; of any other nothing is said.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recipes.tiny.example import Word
from recipes.tiny.lines import CELL, IGNORED

__all__ = ["along_line", "in_words"]

PARTS = tuple(map(re.compile, (r'[^"{}\[\]|<>=\n]+', r'[^\s"{}\[\]|<>=]+', r'[^\s"{}\[\]|<>=.,:;]+')))
"""What an answer that is not printed as it stands is cut into: values and lines, then words, with and without marks."""
SURE = 3
"""Characters from which on a piece that is printed several times is taken to be the next of them."""


class Printed(NamedTuple):
    """All letters of a picture in the order of print, their cells, and the places where words begin, the end too."""

    text: str
    cells: list[int]
    edges: frozenset[int]


def in_words(answer: str, words: Sequence[Word], size: tuple[int, int]) -> NDArray[np.int16]:
    """Of each UTF-8 byte of the answer, the cell in a picture of `size` pixels (height, width); IGNORED where unknown.

    >>> words = Word("Total", (4.0, 2.0, 50.0, 20.0)), Word("$12.50", (60.0, 2.0, 110.0, 20.0))
    >>> in_words('{"Total": 12.5}', words, (28, 112)).tolist()
    [-100, -100, 0, 0, 0, 1, 1, -100, -100, -100, 2, 2, 3, 3, -100]
    """
    cells = [IGNORED] * len(answer)
    _fill(cells, 0, answer, 0, _printed(words, size), PARTS)
    return _by_bytes(answer, cells)


def along_line(answer: str, order: Sequence[int]) -> NDArray[np.int16]:
    """The same for a picture of one line, from the place in the answer of the first character of each cell.

    >>> along_line("ab cd", [0, IGNORED, 3, 4]).tolist()
    [0, 0, 0, 2, 3]
    """
    firsts = sorted((first, cell) for cell, first in enumerate(order) if first != IGNORED)
    cells = [IGNORED] * len(answer)
    for (first, cell), (end, _) in zip(firsts, [*firsts[1:], (len(answer), 0)], strict=True):
        cells[first:end] = [cell] * (end - first)
    return _by_bytes(answer, cells)


def _printed(words: Sequence[Word], size: tuple[int, int]) -> Printed:
    rows, columns = size[0] // CELL, size[1] // CELL
    cells, edges = list[int](), {0}
    for word in words:
        x1, y1, x2, y2 = word.box
        row = min(max(int((y1 + y2) / 2 // CELL), 0), rows - 1)
        middles = ((x1 + (index + 0.5) / len(word.text) * (x2 - x1)) // CELL for index in range(len(word.text)))
        cells += [row * columns + min(max(int(column), 0), columns - 1) for column in middles]
        edges.add(len(cells))
    return Printed("".join(word.text for word in words), cells, frozenset(edges))


def _fill(
    cells: list[int], start: int, text: str, last: int, printed: Printed, parts: Sequence[re.Pattern[str]]
) -> int:
    """Writes the cells of the answer's piece at `start`; gives the place in print behind what was found of it."""
    bare = "".join(text.split())
    at = _place(bare, printed, last)
    if at is not None:
        known = (index for index, char in enumerate(text, start) if not char.isspace())
        for place, index in enumerate(known, at):
            cells[index] = printed.cells[place]
        return at + len(bare)
    for match in parts[0].finditer(text) if parts else ():
        last = _fill(cells, start + match.start(), match.group(), last, printed, parts[1:])
    return last


def _place(bare: str, printed: Printed, last: int) -> int | None:
    """Where it is printed, whole words before parts of words: at the only place, or at the next after the last one."""
    found = [one.start() for one in re.finditer(f"(?={re.escape(bare)})", printed.text)] if bare else []
    whole = [at for at in found if {at, at + len(bare)} <= printed.edges]
    choice = whole or (found if len(bare) > 1 else [])
    if len(choice) == 1:
        return choice[0]
    following = [at for at in choice if at >= last > 0]
    return following[0] if following and (len(bare) >= SURE or following[0] == last) else None


def _by_bytes(answer: str, cells: Sequence[int]) -> NDArray[np.int16]:
    lengths = [len(char.encode()) for char in answer]
    return np.repeat(np.array(cells, dtype=np.int16), lengths)
