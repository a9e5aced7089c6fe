"""Tree edit distance of two tables: ours beside the package apted, which the authors' TEDS uses, on the same trees.

python -m benchmarks.teds
"""

import random
import time

import numpy as np
from apted import APTED, Config
from numpy.typing import NDArray

from anyres.evaluation.metrics.edit_distance import edit_distance
from anyres.evaluation.metrics.teds import teds
from anyres.evaluation.metrics.tree_edit import Tree, tree_edit_distance

SIZES = ((10, 5), (20, 10), (50, 10))
COLUMNS = 10


class Costs(Config):  # type: ignore[misc]
    """Cells by the edit distance of their texts, as TEDS."""

    def rename(self, node1: Tree, node2: Tree) -> float:
        return _share(node1.label, node2.label)

    def children(self, node: Tree) -> tuple[Tree, ...]:
        return node.children


def main() -> None:
    for rows, columns in SIZES:
        one, other = _table(rows, columns, seed=1), _table(rows - 1, columns, seed=2)
        trees = [Tree("table", tuple(Tree("tr", tuple(map(Tree, row))) for row in table)) for table in (one, other)]
        theirs_s, theirs = _timed(lambda trees=trees: APTED(*trees, Costs()).compute_edit_distance())
        ours_s, ours = _timed(lambda trees=trees: tree_edit_distance(*trees, _shares))
        whole_s, _ = _timed(lambda one=one, other=other: teds(_html(one), _html(other)))
        assert abs(ours - theirs) < 1e-9
        print(
            f"{rows * columns} cells: apted {theirs_s:.2f} s, ours {ours_s:.3f} s ({theirs_s / ours_s:.0f} times), "
            f"TEDS from HTML {whole_s:.3f} s"
        )


def _table(rows: int, columns: int, *, seed: int) -> list[list[str]]:
    drawn = random.Random(seed)
    words = ("mean", "n.s.", "value")
    return [[f"{drawn.randint(0, 9999)} {drawn.choice(words)}" for _ in range(columns)] for _ in range(rows)]


def _html(table: list[list[str]]) -> str:
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in table)
    return f"<table>{rows}</table>"


def _shares(ones: list[str], others: list[str]) -> NDArray[np.float64]:
    return np.array([[_share(one, other) for other in others] for one in ones])


def _share(one: str, other: str) -> float:
    if (one in ("table", "tr")) or (other in ("table", "tr")):
        return float(one != other)
    return edit_distance(one, other) / max(len(one), len(other), 1)


def _timed(run: object) -> tuple[float, float]:
    started = time.process_time()
    value = run()  # type: ignore[operator]
    return time.process_time() - started, value


if __name__ == "__main__":
    main()
