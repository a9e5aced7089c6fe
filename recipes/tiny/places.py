"""Where things are, cell by cell: what the auxiliary head learns beside their names."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recipes.tiny.things import CELL, Thing, box_of, field_of

__all__ = ["BOX", "CENTRES", "CHANGE", "COLUMNS", "MOTION", "STEP", "Change", "Places", "changes", "places_of", "still"]

BOX, CENTRES, MOTION, CHANGE, COLUMNS = slice(0, 4), 4, slice(5, 7), 7, 8
STEP = 10.0
"""Pixels a frame that count as a motion of 1."""
Places = NDArray[np.float32]
Change = tuple[float, float, float]
"""Pixels a frame to the right, pixels a frame down, and 1 for what comes, -1 for what goes."""


def places_of(things: Sequence[Thing], size: tuple[int, int], changed: Mapping[str, Change] | None = None) -> Places:
    """[M, COLUMNS] of a picture of `size` (height, width), in cells of 28 pixels, row-major.

    BOX is x1, y1, x2, y2 of the thing with the largest share of the cell, measured from the cell's centre in cells;
    CENTRES counts the things whose centre lies in the cell; MOTION (in STEPs) and CHANGE are those of `changed`, by
    the thing's name. NaN stands where there is nothing to tell: no thing, or no clip.
    """
    rows, columns = size[0] // CELL, size[1] // CELL
    table = np.full((rows * columns, COLUMNS), np.nan, dtype=np.float32)
    table[:, CENTRES] = 0
    if changed is not None:
        table[:, 5:] = 0
    largest = np.zeros(rows * columns)
    middle = np.stack(np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5), axis=-1).reshape(-1, 2)
    for thing in things:
        shares = field_of(thing, size).reshape(rows, CELL, columns, CELL).mean(axis=(1, 3)).reshape(-1)
        seen = ((shares >= 0.1) | (np.arange(len(shares)) == shares.argmax())) & (shares > largest)
        largest[seen] = shares[seen]
        box = np.array(box_of(thing, size)) / CELL
        table[seen, BOX] = box - np.tile(middle[seen], 2)
        cell = min(int(thing.y // CELL), rows - 1) * columns + min(int(thing.x // CELL), columns - 1)
        table[max(cell, 0), CENTRES] += 1
        if changed is not None:
            right, down, change = changed.get(thing.name, (0.0, 0.0, 0.0))
            table[seen, 5:] = right / STEP, down / STEP, change
    return table


def still(cells: int) -> Places:
    """The table of cells without things, in a clip where nothing is known to move."""
    table = np.full((cells, COLUMNS), np.nan, dtype=np.float32)
    table[:, CENTRES:] = 0
    return table


def changes(first: Sequence[Thing], second: Sequence[Thing]) -> dict[str, Change]:
    """What happens from one frame to the next to each thing, by its name."""
    before, after = {thing.name: thing for thing in first}, {thing.name: thing for thing in second}
    moved = {n: (after[n].x - before[n].x, after[n].y - before[n].y, 0.0) for n in before.keys() & after.keys()}
    came = dict.fromkeys(after.keys() - before.keys(), (0.0, 0.0, 1.0))
    return moved | came | dict.fromkeys(before.keys() - after.keys(), (0.0, 0.0, -1.0))
