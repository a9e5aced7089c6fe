"""Where things are, cell by cell: what the auxiliary head learns beside their names."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recipes.tiny.things import CELL, COLOURS, SHAPES, Thing, box_of, field_of

__all__ = [
    "ABSENT",
    "BOX",
    "CENTRES",
    "CHANGE",
    "COLOUR",
    "COLUMNS",
    "MOTION",
    "NOBODY",
    "PRESENCE",
    "SHAPE",
    "STEP",
    "Change",
    "Places",
    "Referent",
    "Spread",
    "asked",
    "changes",
    "middles_of",
    "places_of",
    "referent_of",
    "spread",
    "still",
]

BOX, CENTRES, MOTION, CHANGE, COLOUR, SHAPE, COLUMNS = slice(0, 4), 4, slice(5, 7), 7, 8, 9, 10
PRESENCE = 4
NOBODY = (np.nan,) * 5
ABSENT = (np.nan,) * 4 + (0.0,)
STEP = 10.0
"""Pixels a frame that count as a motion of 1."""
Places = NDArray[np.float32]
Referent = tuple[float, ...]
Spread = tuple[int, ...]
Change = tuple[float, float, float]
"""Pixels a frame to the right, pixels a frame down, and 1 for what comes, -1 for what goes."""


def places_of(things: Sequence[Thing], size: tuple[int, int], changed: Mapping[str, Change] | None = None) -> Places:
    """[M, COLUMNS] of a picture of `size` (height, width), in cells of 28 pixels, row-major.

    BOX is x1, y1, x2, y2 of the thing with the largest share of the cell, measured from the cell's centre in cells;
    CENTRES counts the things whose centre lies in the cell, COLOUR and SHAPE are their indices, past the last of each
    where there is none; MOTION (in STEPs) and CHANGE are those of `changed`, by the thing's name. NaN stands where
    there is nothing to tell: no thing, no clip, or centres of several colours or shapes.
    """
    rows, columns = size[0] // CELL, size[1] // CELL
    table = np.full((rows * columns, COLUMNS), np.nan, dtype=np.float32)
    table[:, CENTRES], table[:, COLOUR], table[:, SHAPE] = 0, len(COLOURS), len(SHAPES)
    if changed is not None:
        table[:, MOTION], table[:, CHANGE] = 0, 0
    largest = np.zeros(rows * columns)
    middle = middles_of(rows, columns)
    for thing in things:
        shares = field_of(thing, size).reshape(rows, CELL, columns, CELL).mean(axis=(1, 3)).reshape(-1)
        seen = ((shares >= 0.1) | (np.arange(len(shares)) == shares.argmax())) & (shares > largest)
        largest[seen] = shares[seen]
        box = np.array(box_of(thing, size)) / CELL
        table[seen, BOX] = box - np.tile(middle[seen], 2)
        _centred(table[_centre(thing, rows, columns)], thing)
        if changed is not None:
            right, down, change = changed.get(thing.name, (0.0, 0.0, 0.0))
            table[seen, MOTION.start : CHANGE + 1] = right / STEP, down / STEP, change
    return table


def middles_of(rows: int, columns: int) -> NDArray[np.float64]:
    """x and y [rows * columns, 2] of the middles of cells, row-major, in cells."""
    return np.stack(np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5), axis=-1).reshape(-1, 2)


def _centred(row: NDArray[np.float32], thing: Thing) -> None:
    kinds = ((COLOUR, [*COLOURS].index(thing.colour)), (SHAPE, SHAPES.index(thing.shape)))
    for column, kind in kinds:
        row[column] = kind if row[CENTRES] == 0 or row[column] == kind else np.nan
    row[CENTRES] += 1


def spread(things: Sequence[Thing], names: Sequence[str], size: tuple[int, int]) -> Spread:
    """How many of the things called by one of `names` have their centre in each cell, row-major.

    >>> spread([Thing("star", "red", 40, 10, 9), Thing("ring", "red", 70, 40, 9)], ["red star"], (56, 84))
    (0, 1, 0, 0, 0, 0)
    """
    rows, columns = size[0] // CELL, size[1] // CELL
    counts = [0] * (rows * columns)
    for thing in things:
        if thing.name in names:
            counts[_centre(thing, rows, columns)] += 1
    return tuple(counts)


def _centre(thing: Thing, rows: int, columns: int) -> int:
    """The cell of the centre as painted, which is at whole pixels: two pictures that are alike are told alike."""
    row, column = round(thing.y) // CELL, round(thing.x) // CELL
    return min(max(row, 0), rows - 1) * columns + min(max(column, 0), columns - 1)


def still(cells: int) -> Places:
    """The table of cells without things, in a clip where nothing is known to move."""
    table = np.full((cells, COLUMNS), np.nan, dtype=np.float32)
    table[:, CENTRES : CHANGE + 1] = 0
    return table


def changes(first: Sequence[Thing], second: Sequence[Thing]) -> dict[str, Change]:
    """What happens from one frame to the next to each thing, by its name."""
    before, after = {thing.name: thing for thing in first}, {thing.name: thing for thing in second}
    moved = {n: (after[n].x - before[n].x, after[n].y - before[n].y, 0.0) for n in before.keys() & after.keys()}
    came = dict.fromkeys(after.keys() - before.keys(), (0.0, 0.0, 1.0))
    return moved | came | dict.fromkeys(before.keys() - after.keys(), (0.0, 0.0, -1.0))


def referent_of(thing: Thing, size: tuple[int, int]) -> Referent:
    """x1, y1, x2, y2 of the thing that is asked for, in cells from the top left corner, and 1: it is there.

    ABSENT stands for a thing that is not there, NOBODY for questions about no one thing.
    """
    return (*(side / CELL for side in box_of(thing, size)), 1.0)


def asked(question: str) -> tuple[int, int]:
    """The colour and the shape that a question names, as indices; their number for none; -100 for several.

    >>> asked("How many red stars are there?"), asked("Count the things."), asked("A red star or a pink star?")
    ((0, 3), (11, 8), (-100, 3))
    """
    words = [word.strip("?.,") for word in question.split()]
    shapes = {f"{shape}{end}": i for i, shape in enumerate(SHAPES) for end in ("", "s", "es")}
    return (
        _only({[*COLOURS].index(word) for word in words if word in COLOURS}, len(COLOURS)),
        _only({shapes[word] for word in words if word in shapes}, len(SHAPES)),
    )


def _only(found: set[int], none: int) -> int:
    return none if not found else (found.pop() if len(found) == 1 else -100)
