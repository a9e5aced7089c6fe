"""Samples that are scored together: the two questions of a picture, the rotations of a question.

Intervals summarise a run a thousand times, so each function goes through the samples once.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

from anyres.evaluation.benchmark import Graded
from anyres.evaluation.sample import Sample

__all__ = ["Group", "groups_of", "mean", "percent", "percent_by", "share_of_full_groups", "times_of_groups"]


class Group(NamedTuple):
    """Samples of one key, each once; `times` the group was drawn; `full` if all of it is right."""

    key: Hashable
    members: tuple[Graded, ...]
    times: int
    full: bool


def groups_of(graded: Iterable[Graded], key: Callable[[Sample], Hashable]) -> list[Group]:
    """The groups in order of appearance. Samples that appear twice, as intervals draw them, draw their group twice."""
    members: dict[Hashable, dict[str, Graded]] = {}
    drawn: dict[Hashable, int] = {}
    for one in graded:
        place = key(one.sample)
        if place in members:
            members[place][one.sample.id] = one
            drawn[place] += 1
        else:
            members[place] = {one.sample.id: one}
            drawn[place] = 1
    return [_group(place, tuple(ones.values()), drawn[place]) for place, ones in members.items()]


def times_of_groups(groups: Iterable[Group]) -> int:
    """How many groups were drawn, with repeats."""
    return sum([group.times for group in groups])


def share_of_full_groups(groups: Sequence[Group]) -> float:
    """Percent of groups that are right as a whole; 0 where there are none."""
    full = sum([group.times for group in groups if group.full])
    return 100 * full / (times_of_groups(groups) or 1)


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return sum(values) / max(1, len(values))


def percent(graded: Sequence[Graded]) -> float:
    """The mean score in percent; 0 of nothing."""
    return 100 * mean([one.score for one in graded])


def percent_by(named: Iterable[tuple[str, float, int]]) -> dict[str, float]:
    """The mean score of each name in percent, of names with scores and how often they count; the empty name is none.

    >>> percent_by([("b", 1, 1), ("a", 0, 1), ("a", 1, 3), ("", 1, 1)])
    {'a': 75.0, 'b': 100.0}
    """
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for name, score, times in named:
        sums[name] = sums.get(name, 0.0) + score * times
        counts[name] = counts.get(name, 0) + times
    return {name: 100 * sums[name] / counts[name] for name in sorted(sums) if name}


def _group(key: Hashable, members: tuple[Graded, ...], drawn: int) -> Group:
    times = drawn if len(members) == 1 else max(1, round(drawn / len(members)))
    return Group(key, members, times, min([one.score for one in members]) == 1)
