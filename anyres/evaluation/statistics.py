"""How sure a figure is: clustered bootstrap intervals, paired tests, what differences can be seen at all.

What is drawn anew is the picture or clip, with all questions about it, since their answers go together: Sample.cluster.
Any metric works, as Scoring.summarise is called on what was drawn. Nothing here is random from run to run.

Sources: Efron & Tibshirani, An Introduction to the Bootstrap, chapter 13; Miller, Adding Error Bars to Evals,
arXiv 2411.00640; Wilson 1927 for shares; Holm 1979 for several comparisons.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from anyres.evaluation.benchmark import Graded, Scoring, Target

__all__ = [
    "DRAWS",
    "Difference",
    "Interval",
    "Verdict",
    "bootstrap",
    "difference",
    "holm",
    "interval_of",
    "intervals",
    "sign_test",
    "verdict",
    "wilson",
]

Z_95 = 1.959963984540054  # of the normal distribution, two-sided
Z_POWER_80 = 0.8416212335729143
DRAWS = 1000
SEED = 20240918  # the day the Qwen2-VL paper appeared; any other number does
TIE = 1e-9


class Interval(NamedTuple):
    """A figure with its 95 % interval and its standard error."""

    value: float
    low: float
    high: float
    error: float


class Difference(NamedTuple):
    """How much better the first of two models is in a figure, on the `n` samples both answered.

    `p` is that of a paired permutation test: how often a difference as large comes about when, for each picture, it is
    left to chance which model gave which answers. `detectable` is the smallest true difference that so many samples
    would show in 80 % of cases.
    """

    n: int
    value: float
    low: float
    high: float
    p: float
    wins: int
    losses: int
    ties: int
    detectable: float


class Verdict(NamedTuple):
    """Whether a figure lies inside the 95 % interval around a published target; the interval is as wide as ours."""

    target: Target
    value: float
    low: float
    high: float
    n: int

    @property
    def inside(self) -> bool:
        return self.low <= self.value <= self.high

    @property
    def words(self) -> str:
        """The wording of every report."""
        where = "inside" if self.inside else "outside"
        around = f"{self.target.value:g} ({self.low:.1f} to {self.high:.1f}; n = {self.n:,})"
        return f"{where} the 95 % interval around the published target {around}"


def wilson(hits: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share.

    >>> low, high = wilson(8, 10)
    >>> f"{low:.4f} to {high:.4f}"
    '0.4902 to 0.9433'
    """
    if n == 0:
        return 0.0, 1.0
    share, z2 = hits / n, Z_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == n else middle + half)


def bootstrap(scoring: Scoring, graded: Sequence[Graded], *, draws: int = DRAWS) -> dict[str, list[float]]:
    """Each figure in `draws` samples of clusters. A figure that a draw lacks (a rare category) has fewer values.

    The same clusters in the same order are drawn the same way, so that figures of two models may be subtracted.
    """
    found: dict[str, list[float]] = defaultdict(list)
    clusters = list(_clusters(graded).values())
    rng = np.random.default_rng(SEED)
    for _ in range(draws):
        picked = rng.integers(len(clusters), size=len(clusters)).tolist()
        for figure, value in scoring.summarise([one for place in picked for one in clusters[place]]).items():
            found[figure].append(value)
    return dict(found)


def intervals(scoring: Scoring, graded: Sequence[Graded], *, draws: int = DRAWS) -> dict[str, Interval]:
    """All figures of a run, the headline first."""
    if not graded:
        return {}
    drawn = bootstrap(scoring, graded, draws=draws)
    return {name: interval_of(value, drawn.get(name, ())) for name, value in scoring.summarise(graded).items()}


def interval_of(value: float, drawn: Sequence[float]) -> Interval:
    """The percentile interval of what was drawn."""
    if len(drawn) < 2:
        return Interval(value, value, value, 0.0)
    low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
    return Interval(value, low, high, float(np.std(drawn, ddof=1)))


def difference(
    scoring: Scoring, ours: Sequence[Graded], theirs: Sequence[Graded], *, figure: str = "", draws: int = DRAWS
) -> Difference | None:
    """First minus second in a figure (the headline without `figure`), on the samples both have. None without any."""
    pairs = _pairs(ours, theirs)
    if not pairs:
        return None
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    value, name = _subtracted(scoring, first, second, figure)
    drawn = [a - b for a, b in _drawn_pairs(scoring, first, second, name, draws)]
    interval = interval_of(value, drawn)
    outcomes = [one.score - other.score for one, other in pairs]
    wins, losses = sum(gap > TIE for gap in outcomes), sum(gap < -TIE for gap in outcomes)
    return Difference(
        n=len(pairs),
        value=value,
        low=interval.low,
        high=interval.high,
        p=_permutation_p(scoring, pairs, name, value, draws),
        wins=wins,
        losses=losses,
        ties=len(pairs) - wins - losses,
        detectable=(Z_95 + Z_POWER_80) * interval.error,
    )


def sign_test(wins: int, losses: int) -> float:
    """The exact two-sided p of wins against losses where both are as likely (McNemar's exact test).

    >>> sign_test(9, 1)
    0.021484375
    """
    n, rare = wins + losses, min(wins, losses)
    tail = sum(math.comb(n, k) for k in range(rare + 1))
    return min(1.0, 2 * tail / (1 << n))


def holm(p_values: Sequence[float]) -> list[float]:
    """p of several comparisons such that one false alarm among all of them is as rare as one alone was.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[place])
        adjusted[place] = min(1.0, largest)
    return adjusted


def verdict(target: Target, interval: Interval, *, n: int) -> Verdict:
    """The target's interval has the standard error of our own figure: the same metric on as many samples."""
    half = Z_95 * interval.error
    return Verdict(target, interval.value, target.value - half, target.value + half, n)


def _clusters(graded: Sequence[Graded]) -> Mapping[str, list[Graded]]:
    found: dict[str, list[Graded]] = defaultdict(list)
    for one in graded:
        found[one.sample.cluster or one.sample.id].append(one)
    return found


def _pairs(ours: Sequence[Graded], theirs: Sequence[Graded]) -> list[tuple[Graded, Graded]]:
    by_id = {one.sample.id: one for one in theirs}
    return [(one, by_id[one.sample.id]) for one in ours if one.sample.id in by_id]


def _subtracted(scoring: Scoring, first: Sequence[Graded], second: Sequence[Graded], figure: str) -> tuple[float, str]:
    ours, theirs = scoring.summarise(first), scoring.summarise(second)
    name = figure or next(iter(ours))
    return ours.get(name, 0.0) - theirs.get(name, 0.0), name


def _drawn_pairs(
    scoring: Scoring, first: Sequence[Graded], second: Sequence[Graded], name: str, draws: int
) -> Iterator[tuple[float, float]]:
    ours = bootstrap(scoring, first, draws=draws).get(name, [])
    theirs = bootstrap(scoring, second, draws=draws).get(name, [])
    return zip(ours, theirs, strict=True)


def _permutation_p(
    scoring: Scoring, pairs: Sequence[tuple[Graded, Graded]], name: str, seen: float, draws: int
) -> float:
    """Exact where all ways to swap are not more than the draws, else by so many draws and the one seen."""
    clusters: dict[str, list[tuple[Graded, Graded]]] = defaultdict(list)
    for pair in pairs:
        clusters[pair[0].sample.cluster or pair[0].sample.id].append(pair)
    groups = list(clusters.values())
    exact = len(groups) < 64 and 2 ** len(groups) <= draws
    large = sum(
        abs(_swapped(scoring, groups, swaps, name)) >= abs(seen) - TIE for swaps in _swaps(len(groups), draws, exact)
    )
    return large / 2 ** len(groups) if exact else (1 + large) / (1 + draws)


def _swaps(count: int, draws: int, exact: bool) -> Iterator[Sequence[bool]]:
    if exact:
        yield from product((False, True), repeat=count)
        return
    rng = np.random.default_rng(SEED)
    for _ in range(draws):
        yield (rng.random(count) < 0.5).tolist()


def _swapped(
    scoring: Scoring, groups: Sequence[Sequence[tuple[Graded, Graded]]], swaps: Sequence[bool], name: str
) -> float:
    first = [pair[swap] for group, swap in zip(groups, swaps, strict=True) for pair in group]
    second = [pair[not swap] for group, swap in zip(groups, swaps, strict=True) for pair in group]
    return _subtracted(scoring, first, second, name)[0]
