"""TEDS: how alike two HTML tables are, from the edit distance of their trees.

Zhong, ShafieiBavani, Jimeno Yepes: Image-based table recognition, https://arxiv.org/abs/1911.10683. The rules of the
nodes are those of the authors' script, to its last digit: only `td` is compared by its text, and inline tags in it
count as nodes although they are no nodes of the tree.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyres.evaluation.metrics.edit_distance import edit_distances
from anyres.evaluation.metrics.table_html import Element, find_tables, read_html
from anyres.evaluation.metrics.tree_edit import Tree, tree_edit_distance

__all__ = ["teds"]


def teds(told: str, gold: str, *, structure_only: bool = False) -> float:
    """1 - edit distance / nodes of the larger table: 1 for equal ones, 0 where one of them has no table.

    `structure_only` compares tags and spans alone. Where a page has several tables, the first one. Trees so unlike that
    deleting and inserting is cheapest come out below 0, as in the authors' script.

    >>> teds("<table><tr><td>1</td><td>20</td></tr></table>", "<table><tr><td>1</td><td>21</td></tr></table>")
    0.8333333333333334
    """
    tables = [find_tables(read_html(text)) for text in (told, gold)]
    if not all(tables):
        return 0.0
    ones, others = (list(table[0].descendants()) for table in tables)
    trees = [_tree(table[0], structure_only) for table in tables]
    distance = tree_edit_distance(trees[0], trees[1], _rename)
    return 1.0 - distance / max(len(ones), len(others), 1)


class _Node(NamedTuple):
    """What is compared of a node; `tokens` of a cell are its characters and inline tags."""

    tag: str
    colspan: int
    rowspan: int
    tokens: tuple[str, ...]


def _tree(element: Element, structure_only: bool) -> Tree:
    if element.tag != "td":
        return Tree(_Node(element.tag, 0, 0, ()), tuple(_tree(below, structure_only) for below in element.elements))
    tokens = () if structure_only else tuple(_tokens(element))
    return Tree(_Node("td", _span(element, "colspan"), _span(element, "rowspan"), tokens))


def _tokens(cell: Element) -> Iterator[str]:
    """One for each character, one for the start and one for the end of each inline tag."""
    for item in cell.items:
        if isinstance(item, str):
            yield from item
        else:
            yield f"<{item.tag}>"
            yield from _tokens(item)
            yield f"</{item.tag}>"


def _span(cell: Element, name: str) -> int:
    """How many columns or rows it covers; what is no number is 1."""
    text = cell.attributes.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1


def _rename(ones: Sequence[_Node], others: Sequence[_Node]) -> NDArray[np.float64]:
    """1 where tag or spans differ, else the edit distance of the tokens over the longer list."""
    heads: dict[tuple[str, int, int], int] = {}
    codes = [np.array([heads.setdefault(node[:3], len(heads)) for node in nodes]) for nodes in (ones, others)]
    texts, places = zip(*map(_distinct, (ones, others)), strict=True)
    lengths = [np.array([len(text) for text in some]) for some in texts]
    longer = np.maximum(np.maximum(lengths[0][:, None], lengths[1][None, :]), 1)
    by_text = edit_distances(texts[0], texts[1]) / longer
    return np.where(codes[0][:, None] == codes[1][None, :], by_text[np.ix_(*places)], 1.0)


def _distinct(nodes: Sequence[_Node]) -> tuple[list[tuple[str, ...]], list[int]]:
    """The different lists of tokens, and which one each node has."""
    places: dict[tuple[str, ...], int] = {}
    each = [places.setdefault(node.tokens, len(places)) for node in nodes]
    return list(places), each
