"""Named boxes in a picture or a clip: what each visual token's cell holds, and how answers spell places."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recipes.tiny.example import Dense
from recipes.tiny.places import BOX, CENTRES, CHANGE, COLUMNS, MOTION, Change, Places
from recipes.tiny.places import STEP as MOTION_STEP
from recipes.tiny.things import CELL, SLOTS

__all__ = [
    "Box",
    "Region",
    "Size",
    "box_at",
    "box_text",
    "clip_dense",
    "counted_cells",
    "dense_of",
    "found",
    "point_text",
]

Size = tuple[int, int]
"""(height, width) in pixels, multiples of 28."""
Box = tuple[float, float, float, float]
LEAST_NAMED, LEAST_PLACED = 0.3, 0.1
MOVED = slice(MOTION.start, CHANGE + 1)


class Region(NamedTuple):
    """Something with a name in a box (x1, y1, x2, y2) in pixels; `key` tells things of one name apart in a clip."""

    name: str
    box: Box
    key: int = 0

    @property
    def middle(self) -> tuple[float, float]:
        """x, y of the box's centre."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


def shares(box: Box, size: Size) -> NDArray[np.float64]:
    """How much of each cell the box covers, [M], row by row.

    >>> shares((0, 0, 28, 14), (28, 56)).tolist()
    [0.5, 0.0]
    """
    rows, columns = size[0] // CELL, size[1] // CELL
    return np.outer(covered(box[1], box[3], rows), covered(box[0], box[2], columns)).reshape(-1)


def covered(start: float, end: float, cells: int) -> NDArray[np.float64]:
    """The share of each of `cells` cells in a row that lies between `start` and `end`."""
    edges = np.arange(cells) * CELL
    inside = np.minimum(end, edges + CELL) - np.maximum(start, edges)
    return np.asarray(np.maximum(inside, 0) / CELL, dtype=np.float64)


def dense_of(
    regions: Sequence[Region],
    size: Size,
    *,
    letters: Sequence[str] | None = None,
    changed: Mapping[tuple[str, int], Change] | None = None,
    asked: Region | None = None,
) -> Dense:
    """Names and places of a still; of several regions in a cell, places tell the `asked` one, else the smallest.

    Names are those of regions that cover 30 % of a cell or have their largest share there, at most SLOTS. Places are
    as in recipes/tiny/places.py; `changed` (by name and key) says that it is a pair of frames, not a still.
    """
    cells = size[0] // CELL * (size[1] // CELL)
    names: list[list[tuple[float, str]]] = [[] for _ in range(cells)]
    table = np.full((cells, COLUMNS), np.nan, dtype=np.float32)
    table[:, CENTRES] = 0
    if changed is not None:
        table[:, MOVED] = 0
    for region in sorted(regions, key=lambda one: (one == asked, -area(one.box))):
        covers = shares(region.box, size)
        if covers.max() <= 0:
            continue
        most = np.arange(cells) == covers.argmax()
        for cell in np.flatnonzero((covers >= LEAST_NAMED) | most):
            names[cell].append((-float(covers[cell]), region.name))
        least = 1e-6 if region == asked else LEAST_PLACED
        place(table, region, (covers >= least) | most, size, changed)
    told = tuple(tuple(dict.fromkeys(name for _, name in sorted(cell)))[:SLOTS] for cell in names)
    return Dense(letters=letters, names=told, places=table)


def place(
    table: Places,
    region: Region,
    seen: NDArray[np.bool_],
    size: Size,
    changed: Mapping[tuple[str, int], Change] | None,
) -> None:
    """Writes one region into the rows `seen`."""
    rows, columns = size[0] // CELL, size[1] // CELL
    cells = np.flatnonzero(seen)
    middles = np.stack([cells % columns + 0.5, cells // columns + 0.5], axis=1)
    table[cells, BOX] = np.array(region.box) / CELL - np.tile(middles, 2)
    table[centre_cell(region, rows, columns), CENTRES] += 1
    if changed is not None:
        right, down, change = changed.get((region.name, region.key), (0.0, 0.0, 0.0))
        table[cells, MOVED] = right / MOTION_STEP, down / MOTION_STEP, change


def centre_cell(region: Region, rows: int, columns: int) -> int:
    """The cell, row-major, that its middle lies in."""
    x, y = region.middle
    return min(max(int(y // CELL), 0), rows - 1) * columns + min(max(int(x // CELL), 0), columns - 1)


def counted_cells(regions: Sequence[Region], size: Size) -> tuple[int, ...]:
    """How many of the regions have their middle in each cell.

    >>> counted_cells([Region("star", (30.0, 2.0, 40.0, 12.0)), Region("star", (44.0, 9.0, 60.0, 19.0))], (28, 84))
    (0, 2, 0)
    """
    rows, columns = size[0] // CELL, size[1] // CELL
    counts = [0] * (rows * columns)
    for region in regions:
        counts[centre_cell(region, rows, columns)] += 1
    return tuple(counts)


def clip_dense(stage: Sequence[Sequence[Region]], size: Size, *, letters: Sequence[str] | None = None) -> Dense:
    """Names, places, motion and change of every pair of frames; what goes within a pair counts where it was."""
    names: list[Sequence[str]] = []
    tables = []
    for first, second in zip(stage[::2], stage[1::2], strict=True):
        before, after = ({(one.name, one.key): one for one in frame} for frame in (first, second))
        seen = [*second, *(one for key, one in before.items() if key not in after)]
        dense = dense_of(seen, size, changed=changes(before, after))
        assert dense.names is not None
        assert dense.places is not None
        names += dense.names
        tables.append(dense.places)
    return Dense(letters=letters, names=tuple(names), places=np.concatenate(tables))


def changes(
    before: Mapping[tuple[str, int], Region], after: Mapping[tuple[str, int], Region]
) -> dict[tuple[str, int], Change]:
    """What happens to each region from one frame to the next."""
    told: dict[tuple[str, int], Change] = {}
    for key in {**before, **after}:
        if key in before and key in after:
            (x0, y0), (x1, y1) = before[key].middle, after[key].middle
            told[key] = (x1 - x0, y1 - y0, 0.0)
        else:
            told[key] = (0.0, 0.0, 1.0 if key in after else -1.0)
    return told


def box_at(dense: Dense, size: Size, point: tuple[int, int]) -> Box | None:
    """The box in pixels that places tell at a point given as 0..999; None where nothing is.

    A point that answers a question is right when it lies in the box at the point of the expected answer.
    """
    assert dense.places is not None
    rows, columns = size[0] // CELL, size[1] // CELL
    column, row = min(point[0] * columns // 1000, columns - 1), min(point[1] * rows // 1000, rows - 1)
    told = dense.places[row * columns + column, BOX]
    if np.isnan(told).any():
        return None
    x1, y1, x2, y2 = (float(side) for side in (told + np.tile([column + 0.5, row + 0.5], 2)) * CELL)
    return x1, y1, x2, y2


def area(box: Box) -> float:
    """Square pixels.

    >>> area((0, 0, 2, 3))
    6
    """
    return (box[2] - box[0]) * (box[3] - box[1])


def scaled(value: float, side: int) -> int:
    """A coordinate as 0..999 of the picture's side.

    >>> scaled(28, 56), scaled(56, 56), scaled(-3, 56)
    (500, 999, 0)
    """
    return min(999, max(0, round(value * 1000 / side)))


def box_text(box: Box, size: Size) -> str:
    """`(x1,y1),(x2,y2)` between its marks, integers 0..999 of the whole picture.

    >>> box_text((0, 14, 28, 28), (28, 56))
    '<|box_start|>(0,500),(500,999)<|box_end|>'
    """
    height, width = size
    x1, y1, x2, y2 = box
    corners = (scaled(x1, width), scaled(y1, height), scaled(x2, width), scaled(y2, height))
    return "<|box_start|>({},{}),({},{})<|box_end|>".format(*corners)


def point_text(box: Box, size: Size) -> str:
    """The middle of the box as `(x,y)` between the box's marks.

    >>> point_text((0, 0, 28, 28), (28, 56))
    '<|box_start|>(250,500)<|box_end|>'
    """
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return f"<|box_start|>({scaled(x, size[1])},{scaled(y, size[0])})<|box_end|>"


def found(name: str, boxes: Sequence[Box], size: Size) -> str:
    """A name and its boxes in Qwen2-VL's format."""
    return f"<|object_ref_start|>{name}<|object_ref_end|>" + "".join(box_text(box, size) for box in boxes)
