"""How sure a figure is: clustered bootstrap intervals, paired tests, what differences can be seen at all.

What is drawn anew is the picture or clip, with all questions about it, since their answers go together: Sample.cluster.
Any metric works, as Scoring.summarise is called on what was drawn. Nothing here is random from run to run.

Sources: Efron & Tibshirani, An Introduction to the Bootstrap, chapter 13; Miller, Adding Error Bars to Evals,
arXiv 2411.00640; Wilson 1927 for shares; Holm 1979 for several comparisons.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from anyres.evaluation.benchmark import Graded, Scoring, Target
from anyres.evaluation.mean_figures import mean_figures

__all__ = [
    "DRAWS",
    "Difference",
    "Drawn",
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

Array = np.ndarray[Any, np.dtype[Any]]
Swapped = Callable[[Sequence[bool]], float]
Drawn = Mapping[str, Sequence[float]]
"""The values of each figure in samples that were drawn."""


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


def bootstrap(scoring: Scoring, graded: Sequence[Graded], *, draws: int = DRAWS) -> Drawn:
    """Each figure in `draws` samples of clusters. A figure that a draw lacks (a rare category) has fewer values.

    The same clusters in the same order are drawn the same way, so that figures of two models may be subtracted.
    """
    if not graded:
        return {}
    clusters = list(_clusters(graded).values())
    picks = _picks(len(clusters), draws)
    found = _drawn_means(scoring, clusters, picks)
    if found.keys() < scoring.summarise(graded).keys():
        return _drawn(scoring, clusters, picks) | found
    return found


def intervals(
    scoring: Scoring, graded: Sequence[Graded], *, draws: int = DRAWS, drawn: Drawn | None = None
) -> dict[str, Interval]:
    """All figures of a run, the headline first. `drawn` is what `bootstrap` gave, if it was called before."""
    if not graded:
        return {}
    drawn = bootstrap(scoring, graded, draws=draws) if drawn is None else drawn
    found = {name: interval_of(value, drawn.get(name, ())) for name, value in scoring.summarise(graded).items()}
    if scoring.unit != "%":
        return found
    return {
        name: _of_extreme(name, one, scoring, graded) if not one.error and one.value in (0, 100) else one
        for name, one in found.items()
    }


def interval_of(value: float, drawn: Sequence[float]) -> Interval:
    """The percentile interval of what was drawn."""
    if len(drawn) < 2:
        return Interval(value, value, value, 0.0)
    low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
    return Interval(value, low, high, float(np.std(drawn, ddof=1)))


def _of_extreme(name: str, figure: Interval, scoring: Scoring, graded: Sequence[Graded]) -> Interval:
    """Wilson's interval where all answers are right, or all wrong: whatever is drawn of them is all right again, though
    three of three say little."""
    clusters = {one.sample.cluster or one.sample.id for one in graded if name in scoring.summarise([one])}
    n = len(clusters)
    low, high = wilson(n if figure.value else 0, n)
    return Interval(figure.value, 100 * low, 100 * high, 100 * (high - low) / (2 * Z_95))


def difference(
    scoring: Scoring,
    ours: Sequence[Graded],
    theirs: Sequence[Graded],
    *,
    figure: str = "",
    draws: int = DRAWS,
    drawn: tuple[Drawn, Drawn] | None = None,
) -> Difference | None:
    """First minus second in a figure (the headline without `figure`), on the samples both have. None without any.

    `drawn` is what `bootstrap` gave for both; it is used where both have the same samples.
    """
    pairs = _pairs(ours, theirs)
    if not pairs:
        return None
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    value, name = _subtracted(scoring, first, second, figure)
    if drawn is None or not len(pairs) == len(ours) == len(theirs):
        drawn = bootstrap(scoring, first, draws=draws), bootstrap(scoring, second, draws=draws)
    gaps = [a - b for a, b in zip(drawn[0].get(name, ()), drawn[1].get(name, ()), strict=True)]
    interval = interval_of(value, gaps)
    outcomes = [one.score - other.score for one, other in pairs]
    wins, losses = sum(gap > TIE for gap in outcomes), sum(gap < -TIE for gap in outcomes)
    return Difference(
        n=len(pairs),
        value=value,
        low=interval.low,
        high=interval.high,
        p=_permutation_p(scoring, pairs, name, draws),
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


def _picks(count: int, draws: int) -> list[Array]:
    rng = np.random.default_rng(SEED)
    return [rng.integers(count, size=count) for _ in range(draws)]


def _drawn(scoring: Scoring, clusters: Sequence[Sequence[Graded]], picks: Sequence[Array]) -> dict[str, list[float]]:
    """The plain way, for any metric."""
    found: dict[str, list[float]] = defaultdict(list)
    for picked in picks:
        for figure, value in scoring.summarise([one for place in picked.tolist() for one in clusters[place]]).items():
            found[figure].append(value)
    return dict(found)


def _drawn_means(
    scoring: Scoring, clusters: Sequence[Sequence[Graded]], picks: Sequence[Array]
) -> dict[str, list[float]]:
    """The same for figures that are means: sums over clusters, times how often each was drawn."""
    ordered = [one for cluster in clusters for one in cluster]
    scores = np.array([one.score for one in ordered])
    owner = np.repeat(np.arange(len(clusters)), [len(cluster) for cluster in clusters])
    times = np.array([np.bincount(picked, minlength=len(clusters)) for picked in picks], dtype=np.float64)
    found = {}
    for name, (scale, members) in mean_figures(scoring, ordered).items():
        sums = times @ np.bincount(owner, members * scores)
        counts = times @ np.bincount(owner, members)
        found[name] = (scale * sums[counts > 0] / counts[counts > 0]).tolist()
    return found


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


def _permutation_p(scoring: Scoring, pairs: Sequence[tuple[Graded, Graded]], name: str, draws: int) -> float:
    """Exact where all ways to swap are not more than the draws, else by so many draws and the one seen."""
    clusters: dict[str, list[tuple[Graded, Graded]]] = defaultdict(list)
    for pair in pairs:
        clusters[pair[0].sample.cluster or pair[0].sample.id].append(pair)
    groups = list(clusters.values())
    exact = len(groups) < 64 and 2 ** len(groups) <= draws
    swapped = _mean_swapped(groups) if _is_mean(scoring, pairs, name) else _swapped(scoring, groups, name)
    least = abs(swapped([False] * len(groups))) - TIE
    large = sum(abs(swapped(swaps)) >= least for swaps in _swaps(len(groups), draws, exact))
    return large / 2 ** len(groups) if exact else (1 + large) / (1 + draws)


def _swaps(count: int, draws: int, exact: bool) -> Iterator[Sequence[bool]]:
    if exact:
        yield from product((False, True), repeat=count)
        return
    rng = np.random.default_rng(SEED)
    for _ in range(draws):
        yield (rng.random(count) < 0.5).tolist()


def _swapped(scoring: Scoring, groups: Sequence[Sequence[tuple[Graded, Graded]]], name: str) -> Swapped:
    """The difference when some groups are swapped, of any metric."""

    def of(swaps: Sequence[bool]) -> float:
        first = [pair[swap] for group, swap in zip(groups, swaps, strict=True) for pair in group]
        second = [pair[not swap] for group, swap in zip(groups, swaps, strict=True) for pair in group]
        return _subtracted(scoring, first, second, name)[0]

    return of


def _mean_swapped(groups: Sequence[Sequence[tuple[Graded, Graded]]]) -> Swapped:
    """The same for a figure that is the mean score, up to its unit: swapping turns the sign of a group's difference."""
    gaps = np.array([sum(one.score - other.score for one, other in group) for group in groups])

    def of(swaps: Sequence[bool]) -> float:
        return float(np.where(swaps, -gaps, gaps).sum())

    return of


def _is_mean(scoring: Scoring, pairs: Sequence[tuple[Graded, Graded]], name: str) -> bool:
    """Whether a figure is the mean score of all samples in some unit."""
    of_sides = [mean_figures(scoring, [pair[side] for pair in pairs]).get(name) for side in (0, 1)]
    return all(one is not None and bool(one.members.all()) for one in of_sides)
