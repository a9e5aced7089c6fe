"""The fast way to draw figures that are means of scores: found out by trying, then computed for all draws at once.

Most figures of most benchmarks are the mean score of some samples (all of them, a category), times 100. Which samples
those are is seen by summarising each one alone; that it is their mean, by comparing on random parts, where categories
and groups have odd sizes. `statistics.bootstrap` does the rest the plain way.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from anyres.evaluation.benchmark import Graded, Scoring

__all__ = ["MeanFigure", "mean_figures"]

TRIALS = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1)  # parts of the samples, drawn with repeats
SEED = 7
EQUAL = 1e-9

Array = np.ndarray[Any, np.dtype[Any]]


class MeanFigure(NamedTuple):
    """`scale` times the mean score of those samples where `members` is 1."""

    scale: float
    members: Array

    def of(self, scores: Array, times: Array) -> float:
        """The figure when each sample was drawn so many times; nan where none of its members was."""
        drawn = times * self.members
        count = drawn.sum()
        return float(self.scale * (drawn * scores).sum() / count) if count else math.nan


def mean_figures(scoring: Scoring, graded: Sequence[Graded]) -> dict[str, MeanFigure]:
    """Those figures of a scoring that are means, by name; all others are missing."""
    scores = np.array([one.score for one in graded])
    whole = scoring.summarise(graded)
    alone = [scoring.summarise([one]) for one in graded]
    found = {}
    for name, value in whole.items():
        members = np.array([float(name in one) for one in alone])
        mean = MeanFigure(1.0, members).of(scores, np.ones(len(graded)))
        if mean or not value:
            found[name] = MeanFigure(value / mean if mean else 1.0, members)
    return _proven(found, scoring, graded, scores)


def _proven(
    found: Mapping[str, MeanFigure], scoring: Scoring, graded: Sequence[Graded], scores: Array
) -> dict[str, MeanFigure]:
    rng, left = np.random.default_rng(SEED), dict(found)
    for part in TRIALS:
        picked = rng.integers(len(graded), size=max(1, int(part * len(graded))))
        value = scoring.summarise([graded[place] for place in picked.tolist()])
        times = np.bincount(picked, minlength=len(graded))
        left = {name: one for name, one in left.items() if _equal(one.of(scores, times), value.get(name, math.nan))}
    return left


def _equal(one: float, other: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or abs(one - other) <= EQUAL * max(1.0, abs(other))
