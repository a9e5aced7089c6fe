"""Where in the picture each character of an answer stands: found by the answer's text among what is printed.

Answers copy print in many forms: whole pages, values in JSON, cells of Markdown, terms of a sum. A part of the answer
that is printed once, or again after the part before it, has a place; of any other nothing is said. A place is three
numbers: the cell, which of the cell's letters it is, and which of its word's. The numbers of a box have a place, too:
a cell of the thing in it, which is to be asked where the thing lies.
"""

import re
from collections.abc import Container, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recipes.tiny.example import Word
from recipes.tiny.lines import CELL, IGNORED
from recipes.tiny.places import middles_of

__all__ = [
    "BOXES",
    "IN_CELL",
    "IN_PICTURE",
    "IN_WORD",
    "Print",
    "along_line",
    "first_letters",
    "in_any_case",
    "in_boxes",
    "in_print",
    "lowered",
    "nowhere",
    "print_of",
]

IN_PICTURE, IN_CELL, IN_WORD = range(3)
"""The columns of places."""
Places = NDArray[np.int16]

PARTS = tuple(map(re.compile, (r'[^"{}\[\]|<>=\n]+', r'[^\s"{}\[\]|<>=]+', r'[^\s"{}\[\]|<>=.,:;?]+')))
"""What an answer that is not printed as it stands is cut into: values and lines, then words, with and without marks."""
BOXES = re.compile(r"\((\d+),(\d+)\),\((\d+),(\d+)\)")
NEAR = 0.06
"""Cells by which a box in thousandths of the picture may miss that of the thing."""
SURE = 3
"""Characters from which on a piece that is printed several times is taken to be the next of them."""


class Print(NamedTuple):
    """All letters of a picture in the order of print, their places [letters, 3], and where words begin, the end too."""

    text: str
    places: Places
    edges: frozenset[int]


def print_of(words: Sequence[Word], letters: Sequence[str], size: tuple[int, int]) -> Print:
    """What is printed in a picture of `size` pixels (height, width), with the letters of each of its cells.

    A word's letters are looked for in the cells around where they would be if all were equally wide, none to the left
    of the one before it. Where one is not found, the word has those cells, and IGNORED for the places in them.

    >>> print_of([Word("Total", (4.0, 2.0, 50.0, 20.0))], ["To", "tal"], (28, 56)).places.tolist()
    [[0, 0, 0], [0, 1, 1], [1, 0, 2], [1, 1, 3], [1, 2, 4]]
    """
    rows, columns = size[0] // CELL, size[1] // CELL
    taken: set[tuple[int, int]] = set()
    places = list[tuple[int, int, int]]()
    for word in words:
        estimated = _estimated(word, rows, columns)
        found = _found(word.text, estimated, letters, columns, taken)
        taken.update(found or ())
        cells = found or [(row * columns + column, IGNORED) for row, column in estimated]
        places += [(*cell, at) for at, cell in enumerate(cells)]
    edges = np.cumsum([0, *(len(word.text) for word in words)])
    return Print(
        "".join(word.text for word in words),
        np.array(places, dtype=np.int16).reshape(-1, 3),
        frozenset(edges.tolist()),
    )


def in_print(answer: str, printed: Print) -> Places:
    """Of each UTF-8 byte of the answer, its place [bytes, 3]; IGNORED where unknown.

    >>> words = Word("Total", (4.0, 2.0, 50.0, 20.0)), Word("$12.50", (60.0, 2.0, 110.0, 20.0))
    >>> printed = print_of(words, ["Tot", "al", "$12", ".50"], (28, 112))
    >>> in_print('{"Total": 12.5}', printed)[:, IN_PICTURE].tolist()
    [-100, -100, 0, 0, 0, 1, 1, -100, -100, -100, 2, 2, 3, 3, -100]
    """
    places = np.full((len(answer), 3), IGNORED, dtype=np.int16)
    _fill(places, 0, answer, 0, printed, PARTS)
    return _by_bytes(answer, places)


def in_boxes(answer: str, things: NDArray[np.float32], size: tuple[int, int]) -> Places:
    """Of each UTF-8 byte of the answer that is of a box, the cell [bytes, 3] of the thing there that is nearest to its
    middle; of all others IGNORED.

    `things` [rows * columns, 4] is, for each cell, the box of the thing that is seen in it, in cells from the picture's
    top left corner, NaN where there is none; `size` the picture's rows and columns.

    >>> things = np.array([[0, 0, 2, 1], [0, 0, 2, 1], [np.nan] * 4, [3.2, 0, 3.6, 1]], dtype=np.float32)
    >>> in_boxes("star (800,0),(900,999)", things, (1, 4))[[0, 5, -1], IN_PICTURE].tolist()
    [-100, 3, 3]
    """
    rows, columns = size
    places = np.full((len(answer), 3), IGNORED, dtype=np.int16)
    for found in BOXES.finditer(answer):
        box = np.array([int(one) for one in found.groups()]) / 1000 * (columns, rows, columns, rows)
        off = np.abs(things - box).max(axis=1)
        away = np.abs(middles_of(rows, columns) - (box[:2] + box[2:]) / 2).sum(axis=1)
        if (off < NEAR).any():
            places[found.start() : found.end(), IN_PICTURE] = np.where(off < NEAR, away, np.inf).argmin()
    return _by_bytes(answer, places)


def in_any_case(printed: Print) -> Print:
    """The print as `lowered` texts find it.

    >>> printed = in_any_case(print_of([Word("Total", (4.0, 2.0, 50.0, 20.0))], ["Tot", "al"], (28, 56)))
    >>> in_print(lowered("TOTAL?"), printed)[:, IN_PICTURE].tolist()
    [0, 0, 0, 1, 1, -100]
    """
    return printed._replace(text=lowered(printed.text))


def lowered(text: str) -> str:
    """Each character in lower case that has one; as many UTF-8 bytes.

    >>> lowered("TOTAL: Ä"), lowered("İ")
    ('total: ä', 'İ')
    """
    lower = ((char, char.lower()) for char in text)
    return "".join(low if len(low.encode()) == len(char.encode()) else char for char, low in lower)


def nowhere(text: str) -> Places:
    """IGNORED for each UTF-8 byte of a text [bytes, 3], of which nothing is known."""
    return np.full((len(text.encode()), 3), IGNORED, dtype=np.int16)


def along_line(answer: str, order: Sequence[int]) -> Places:
    """The places [bytes, 3] of an answer that is one line, from the place in it of the first character of each cell.

    >>> along_line("ab cd", [0, IGNORED, 3, 4]).tolist()
    [[0, 0, 0], [0, 1, 1], [-100, -100, -100], [2, 0, 0], [3, 0, 1]]
    """
    places = np.full((len(answer), 3), IGNORED, dtype=np.int16)
    firsts = sorted((first, cell) for cell, first in enumerate(order) if first != IGNORED)
    for (first, cell), (end, _) in zip(firsts, [*firsts[1:], (len(answer), 0)], strict=True):
        known = [at for at in range(first, end) if not answer[at].isspace()]
        for slot, at in enumerate(known):
            places[at] = cell, slot, at - 1 - answer.rfind(" ", 0, at)
    return _by_bytes(answer, places)


def first_letters(places: Places, cells: int) -> NDArray[np.int16]:
    """Of each of the cells, which of its word's letters its first one is; IGNORED where there is none.

    >>> first_letters(np.array([[0, 0, 0], [0, 1, 1], [2, 0, 2]], dtype=np.int16), 3).tolist()
    [0, -100, 2]
    """
    told = np.full(cells, IGNORED, dtype=np.int16)
    first = places[places[:, IN_CELL] == 0]
    told[first[:, IN_PICTURE]] = first[:, IN_WORD]
    return told


def _estimated(word: Word, rows: int, columns: int) -> list[tuple[int, int]]:
    """Row and column of each letter's cell, were they equally wide."""
    x1, y1, x2, y2 = word.box
    row = min(max(int((y1 + y2) / 2 // CELL), 0), rows - 1)
    middles = ((x1 + (index + 0.5) / len(word.text) * (x2 - x1)) // CELL for index in range(len(word.text)))
    return [(row, min(max(int(middle), 0), columns - 1)) for middle in middles]


def _found(
    text: str,
    estimated: Sequence[tuple[int, int]],
    letters: Sequence[str],
    columns: int,
    taken: Container[tuple[int, int]],
) -> list[tuple[int, int]] | None:
    """The cell of each letter and its place there, or None where one is not found."""
    found = list[tuple[int, int]]()
    rows, last = len(letters) // columns, 0
    for char, (row, column) in zip(text, estimated, strict=True):
        cells = (
            one * columns + at
            for one in (row, row + 1, row - 1)
            if 0 <= one < rows
            for at in range(max(last, column - 1), min(columns, column + 2))
        )
        places = ((cell, place) for cell in cells for place, letter in enumerate(letters[cell]) if letter == char)
        free = next((one for one in places if one not in taken and one not in found), None)
        if free is None:
            return None
        found.append(free)
        last = free[0] % columns
    return found


def _fill(places: Places, start: int, text: str, last: int, printed: Print, parts: Sequence[re.Pattern[str]]) -> int:
    """Writes the places of the answer's piece at `start`; gives the place in print behind what was found of it."""
    bare = "".join(text.split())
    at = _place(bare, printed, last)
    if at is not None:
        known = (index for index, char in enumerate(text, start) if not char.isspace())
        for place, index in enumerate(known, at):
            places[index] = printed.places[place]
        return at + len(bare)
    for match in parts[0].finditer(text) if parts else ():
        last = _fill(places, start + match.start(), match.group(), last, printed, parts[1:])
    return last


def _place(bare: str, printed: Print, last: int) -> int | None:
    """Where it is printed, whole words before parts of words: at the only place, or at the next after the last one."""
    found = [one.start() for one in re.finditer(f"(?={re.escape(bare)})", printed.text)] if bare else []
    whole = [at for at in found if {at, at + len(bare)} <= printed.edges]
    choice = whole or (found if len(bare) > 1 else [])
    if len(choice) == 1:
        return choice[0]
    following = [at for at in choice if at >= last > 0]
    return following[0] if following and (len(bare) >= SURE or following[0] == last) else None


def _by_bytes(answer: str, places: Places) -> Places:
    return np.repeat(places, [len(char.encode()) for char in answer], axis=0)
