"""Samples that are scored together: the two questions of a picture, the rotations of a question."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

from anyres.evaluation.benchmark import Graded
from anyres.evaluation.sample import Sample

__all__ = ["Group", "groups_of", "mean", "percent", "share_of_full_groups", "times_of_groups"]


class Group(NamedTuple):
    """Samples of one key, each once; `times` the group was drawn."""

    key: Hashable
    members: tuple[Graded, ...]
    times: int

    @property
    def full(self) -> bool:
        """All of it is right."""
        return all(one.score == 1 for one in self.members)


def groups_of(graded: Iterable[Graded], key: Callable[[Sample], Hashable]) -> list[Group]:
    """The groups in order of appearance. A sample that appears twice, as intervals draw them, draws its group twice."""
    members: dict[Hashable, dict[str, Graded]] = defaultdict(dict)
    drawn: dict[Hashable, Counter[str]] = defaultdict(Counter)
    for one in graded:
        place = key(one.sample)
        members[place][one.sample.id] = one
        drawn[place][one.sample.id] += 1
    return [Group(place, tuple(ones.values()), max(drawn[place].values())) for place, ones in members.items()]


def times_of_groups(groups: Iterable[Group]) -> int:
    """How many groups were drawn, with repeats."""
    return sum(group.times for group in groups)


def share_of_full_groups(groups: Sequence[Group]) -> float:
    """Percent of groups that are right as a whole; 0 where there are none."""
    full = sum(group.times for group in groups if group.full)
    return 100 * full / max(1, times_of_groups(groups))


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return sum(values) / max(1, len(values))


def percent(graded: Sequence[Graded]) -> float:
    """The mean score in percent; 0 of nothing."""
    return 100 * mean([one.score for one in graded])
