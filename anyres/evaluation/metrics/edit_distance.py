"""Edit distance (Levenshtein): fewest insertions, deletions and replacements."""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["edit_distance", "edit_distances"]

Tokens = Sequence[Hashable]
Group = tuple[list[int], NDArray[np.int64]]
PADDING = -1


def edit_distance(first: Tokens, second: Tokens) -> int:
    """Of two strings or lists of tokens, bit-parallel (Hyyrö, 2003): a column of the table is two whole numbers.

    >>> edit_distance("kitten", "sitting"), edit_distance("", "ab")
    (3, 2)
    """
    if not first:
        return len(second)
    places: dict[Hashable, int] = {}
    for place, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << place
    last, full = 1 << (len(first) - 1), (1 << len(first)) - 1
    rises, falls, distance = full, 0, len(first)
    for token in second:
        equal = places.get(token, 0)
        same = ((((equal & rises) + rises) ^ rises) | equal | falls) & full
        right_rises, right_falls = (falls | ~(same | rises)) & full, same & rises
        distance += bool(right_rises & last) - bool(right_falls & last)
        right_rises, right_falls = right_rises << 1 | 1, right_falls << 1
        rises, falls = (right_falls | ~(same | right_rises)) & full, right_rises & same & full
    return distance


def edit_distances(firsts: Sequence[Tokens], seconds: Sequence[Tokens]) -> NDArray[np.int64]:
    """Of each of the first ones (rows) to each of the second ones (columns): one against many at a time.

    >>> edit_distances(["cat", ""], ["cart", "dog"]).tolist()
    [[1, 3], [4, 3]]
    """
    distances = np.empty((len(firsts), len(seconds)), np.int64)
    numbers: dict[Hashable, int] = {}
    coded = [[numbers.setdefault(token, len(numbers)) for token in one] for one in firsts]
    for columns, padded_NL in _of_like_length(seconds, numbers):
        lengths_N = (padded_NL != PADDING).sum(1)
        for row, one in enumerate(coded):
            distances[row, columns] = _to_many(one, padded_NL)[np.arange(len(columns)), lengths_N]
    return distances


def _of_like_length(many: Sequence[Tokens], numbers: dict[Hashable, int]) -> Iterator[Group]:
    """Their places and codes in groups where none is padded to twice its length."""
    groups: dict[int, list[int]] = {}
    for place, one in enumerate(many):
        groups.setdefault(len(one).bit_length(), []).append(place)
    for places in groups.values():
        longest = max(len(many[place]) for place in places)
        padded_NL = np.full((len(places), longest), PADDING, np.int64)
        for row, place in enumerate(places):
            padded_NL[row, : len(many[place])] = [numbers.setdefault(token, len(numbers)) for token in many[place]]
        yield places, padded_NL


def _to_many(one: Sequence[int], many_NL: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last row of each table: distances to the first 0, 1, ... L tokens of each.

    An insertion depends on its left neighbour, which a running minimum of distance - column says for a whole row.
    """
    columns = np.arange(many_NL.shape[1] + 1)
    row_NL = np.tile(columns, (len(many_NL), 1))
    for step, token in enumerate(one, 1):
        best_NL = np.empty_like(row_NL)
        best_NL[:, 0] = step
        np.minimum(row_NL[:, 1:] + 1, row_NL[:, :-1] + (many_NL != token), out=best_NL[:, 1:])
        row_NL = np.minimum.accumulate(best_NL - columns, axis=1) + columns
    return row_NL
