"""The tree edit distance is that of the package `apted`, by another algorithm, on random trees and costs."""

from typing import Any

import numpy as np
from apted import APTED, Config
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from anyres.evaluation.metrics.tree_edit import Tree, tree_edit_distance

labels = st.sampled_from([0.0, 0.25, 0.5, 1.0])
trees = st.recursive(
    st.builds(Tree, labels),
    lambda below: st.builds(Tree, labels, st.lists(below, max_size=4).map(tuple)),
    max_leaves=14,
)


class Costs(Config):  # type: ignore[misc]
    """What `apted` is told: the labels' difference to rename, 1 to delete or insert."""

    def rename(self, node1: Tree, node2: Tree) -> float:
        return abs(node1.label - node2.label)

    def children(self, node: Tree) -> list[Tree]:
        return list(node.children)


def apart(ones: list[float], others: list[float]) -> NDArray[np.float64]:
    return np.abs(np.array(ones)[:, None] - np.array(others)[None, :])


def nodes(tree: Tree) -> int:
    return 1 + sum(map(nodes, tree.children))


@given(trees, trees)
def test_it_is_what_apted_says(first: Tree, second: Tree) -> None:
    assert tree_edit_distance(first, second, apart) == APTED(first, second, Costs()).compute_edit_distance()


@given(trees, trees, trees)
def test_it_is_a_distance(first: Tree, second: Tree, third: Tree) -> None:
    there = tree_edit_distance(first, second, apart)
    assert tree_edit_distance(first, first, apart) == 0
    assert there == tree_edit_distance(second, first, apart)
    assert there <= tree_edit_distance(first, third, apart) + tree_edit_distance(third, second, apart)
    assert abs(nodes(first) - nodes(second)) <= there <= max(nodes(first), nodes(second)) * 2


def test_deep_trees_do_not_end_the_program() -> None:
    def chain(length: int) -> Tree:
        tree = Tree(0.0)
        for _ in range(length):
            tree = Tree(0.0, (tree,))
        return tree

    assert tree_edit_distance(chain(3000), chain(2), apart) == 2998


def test_a_dropped_row_costs_its_nodes() -> None:
    def table(rows: list[list[float]]) -> Tree:
        return Tree(0.0, tuple(Tree(0.0, tuple(map(Tree, row))) for row in rows))

    whole: list[list[Any]] = [[0.0, 1.0, 0.5], [1.0, 1.0, 1.0], [0.5, 0.25, 0.0]]
    assert tree_edit_distance(table(whole), table([whole[0], whole[2]]), apart) == 4
