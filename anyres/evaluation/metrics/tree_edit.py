"""Tree edit distance: the cheapest way to turn one ordered tree into another.

Zhang and Shasha, SIAM J. Comput. 18 (1989): the distance of every pair of subtrees, from tables over forests. Nodes are
numbered in postorder; a node is inserted or deleted at a cost of 1. Two things make it fast in Python: a row of a table
is a few numpy operations, and a leaf, of which tables have most, needs no table at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tree", "tree_edit_distance"]

Costs = NDArray[np.float64]


@dataclass(frozen=True)
class Tree:
    """A node, its label and its subtrees."""

    label: Any
    children: tuple["Tree", ...] = field(default=())


def tree_edit_distance(first: Tree, second: Tree, rename: Callable[[Sequence[Any], Sequence[Any]], Costs]) -> float:
    """The distance. `rename` gives the costs, 0 to 1, of turning each of the first labels into each of the second.

    >>> differ = lambda ones, others: np.array([[float(a != b) for b in others] for a in ones])
    >>> tree_edit_distance(Tree("a", (Tree("b"), Tree("c"))), Tree("a", (Tree("c"),)), differ)
    1.0
    """
    one, other = _in_postorder(first), _in_postorder(second)
    renames = rename(one.labels, other.labels)
    distances = _with_leaves(one, other, renames)
    for root in one.keyroots:
        for other_root in other.keyroots:
            _fill(distances, renames, one, other, root, other_root)
    return float(distances[-1, -1])


class _Postorder(NamedTuple):
    """Of each node its label, the first node (a leaf) of its subtree, and its children."""

    labels: list[Any]
    firsts: NDArray[np.int64]
    children: list[list[int]]

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.arange(len(self.labels)) - self.firsts + 1

    @property
    def keyroots(self) -> list[int]:
        """The last node of those whose subtrees begin with the same leaf; but for leaves, which need no table."""
        last = {int(first): node for node, first in enumerate(self.firsts)}
        return sorted(node for node in last.values() if self.children[node])


def _in_postorder(tree: Tree) -> _Postorder:
    labels: list[Any] = []
    firsts: list[int] = []
    children: list[list[int]] = []
    below: list[tuple[Tree, int, list[int]]] = [(tree, 0, [])]  # a node, how many of its children are done, which
    while below:
        node, done, numbers = below.pop()
        if done < len(node.children):
            below += [(node, done + 1, numbers), (node.children[done], 0, [])]
            continue
        firsts.append(firsts[numbers[0]] if numbers else len(labels))
        children.append(numbers)
        if below:
            below[-1][2].append(len(labels))
        labels.append(node.label)
    return _Postorder(labels, np.array(firsts), children)


def _with_leaves(one: _Postorder, other: _Postorder, renames: Costs) -> Costs:
    """Distances of subtrees, those of leaves filled in: a leaf becomes the node of the tree that is likest, and all
    others are inserted, for to rename never costs more than to delete and insert."""
    distances = np.full(renames.shape, np.nan)
    leaves, other_leaves = ([node for node, below in enumerate(tree.children) if not below] for tree in (one, other))
    distances[leaves] = _likest(renames, other.children)[leaves] + other.sizes - 1
    distances[:, other_leaves] = (_likest(renames.T, one.children).T + one.sizes[:, None] - 1)[:, other_leaves]
    return distances


def _likest(renames: Costs, children: Sequence[Sequence[int]]) -> Costs:
    """The least cost in each column's subtree."""
    least = renames.copy()
    for node, below in enumerate(children):
        for child in below:
            np.minimum(least[:, node], least[:, child], out=least[:, node])
    return least


def _fill(distances: Costs, renames: Costs, one: _Postorder, other: _Postorder, root: int, other_root: int) -> None:
    """Distances of the subtrees that begin with the first leaf of these roots, from the table over their forests.

    Row and column 0 of the table are empty forests, row i + 1 the nodes up to the i-th of the subtree.
    """
    start, other_start = int(one.firsts[root]), int(other.firsts[other_root])
    columns = np.arange(other_root - other_start + 2, dtype=np.float64)
    span = slice(other_start, other_root + 1)
    whole = other.firsts[span] == other_start  # the forest up to that node is one tree
    before = other.firsts[span] - other_start  # the column of the forest before that node's subtree
    forests = np.empty((root - start + 2, len(columns)))
    forests[0] = columns
    for row, node in enumerate(range(start, root + 1), 1):
        row_before = int(one.firsts[node]) - start
        kept = forests[row_before, before] + distances[node, span]
        if row_before == 0:
            renamed = forests[row - 1, :-1] + renames[node, span]
            kept = np.where(whole, renamed, kept)
        forests[row, 0] = row
        forests[row, 1:] = np.minimum(forests[row - 1, 1:] + 1, kept)
        forests[row] = np.minimum.accumulate(forests[row] - columns) + columns
        if row_before == 0:
            places = np.flatnonzero(whole)
            distances[node, other_start + places] = forests[row, 1 + places]
