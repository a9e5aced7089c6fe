"""Cells of a table that are right where they stand, after rows are brought together that belong together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyres.evaluation.metrics.table_html import Element, find_tables, read_html

__all__ = ["CellCounts", "cell_counts", "grid"]

MOST_ROWS, MOST_COLUMNS = 1000, 200
EMPTY = -1


class CellCounts(NamedTuple):
    """Places of the gold's grid, of the answer's, and how many are equal."""

    gold: int
    told: int
    right: int

    @property
    def accuracy(self) -> float:
        """Right ones over the larger of the two tables, 0 to 1: what was left out counts, and what was invented."""
        return self.right / max(self.gold, self.told, 1)


def cell_counts(told: str, gold: str) -> CellCounts:
    """Of two HTML tables. A row that was left out costs its own cells and shifts no others.

    >>> whole = "<table><tr><td>a</td></tr><tr><td>b</td></tr><tr><td>c</td></tr></table>"
    >>> cell_counts(whole.replace("<tr><td>b</td></tr>", ""), whole)
    CellCounts(gold=3, told=2, right=2)
    """
    ones, others = grid(told), grid(gold)
    codes: dict[str, int] = {}
    equal = _equal_cells(_coded(ones, codes), _coded(others, codes))
    return CellCounts(sum(map(len, others)), sum(map(len, ones)), _best_in_order(equal))


def grid(text: str) -> list[list[str]]:
    """The rows of the first table, white space squeezed; a cell over several places stands in each of them."""
    tables = find_tables(read_html(text))
    if not tables:
        return []
    rows: list[dict[int, str]] = []
    for number, row in enumerate(_rows(tables[0])[:MOST_ROWS]):
        while len(rows) <= number:
            rows.append({})
        column = 0
        for cell in (one for one in row.elements if one.tag in ("td", "th")):
            while column in rows[number]:
                column += 1
            wide, high = _span(cell, "colspan"), _span(cell, "rowspan")
            for below in range(number, min(number + high, MOST_ROWS)):
                while len(rows) <= below:
                    rows.append({})
                rows[below] |= {place: " ".join(cell.text.split()) for place in range(column, column + wide)}
            column += wide
    return [[row.get(place, "") for place in range(min(max(row) + 1, MOST_COLUMNS))] for row in rows if row]


def _rows(table: Element) -> list[Element]:
    """Those of the table itself, not of tables in its cells."""
    found = []
    for element in table.elements:
        if element.tag == "tr":
            found.append(element)
        elif element.tag in ("thead", "tbody", "tfoot"):
            found += [below for below in element.elements if below.tag == "tr"]
    return found


def _span(cell: Element, name: str) -> int:
    text = cell.attributes.get(name, "").strip()
    return min(max(int(text), 1), MOST_COLUMNS) if text.isascii() and text.isdigit() and len(text) < 6 else 1


def _coded(rows: Sequence[Sequence[str]], codes: dict[str, int]) -> NDArray[np.int64]:
    coded_RC = np.full((len(rows), max(map(len, rows), default=0)), EMPTY, np.int64)
    for number, row in enumerate(rows):
        coded_RC[number, : len(row)] = [codes.setdefault(cell, len(codes)) for cell in row]
    return coded_RC


def _equal_cells(ones_RC: NDArray[np.int64], others_RC: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row and each other row, in how many columns they are equal."""
    columns = min(ones_RC.shape[1], others_RC.shape[1])
    counts = np.zeros((len(ones_RC), len(others_RC)), np.int64)
    for column in range(columns):
        one, other = ones_RC[:, None, column], others_RC[None, :, column]
        counts += (one == other) & (one != EMPTY)
    return counts


def _best_in_order(equal: NDArray[np.int64]) -> int:
    """The most equal cells that pairs of rows can have whose order is the same in both tables."""
    best = np.zeros(equal.shape[1] + 1, np.int64)
    for row in equal:
        paired = best[:-1] + row
        best[1:] = np.maximum.accumulate(np.maximum(best[1:], paired))
    return int(best[-1])
