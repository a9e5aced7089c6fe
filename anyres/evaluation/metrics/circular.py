"""Choices that are asked in every rotation of their options: a group counts only if each rotation is right.

Source: MMBench, arXiv 2307.06281, section 4.1.
"""

from collections.abc import Mapping, Sequence

from anyres.evaluation.benchmark import Graded
from anyres.evaluation.metrics.groups import Group, groups_of, percent, percent_by, share_of_full_groups

__all__ = ["ROTATION_STEP", "group_of", "summarise_circular"]

ROTATION_STEP = 1_000_000  # rotation k of row i has index i + k * 1000000


def group_of(index: str) -> str:
    """The index that all rotations of a question share.

    >>> group_of("3000021"), group_of("a7")
    ('21', 'a7')
    """
    return str(int(index) % ROTATION_STEP) if index.isdecimal() else index


def summarise_circular(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Percent of groups right overall, by l2 category, category and split; beside them, percent of rows right.

    A group of which not every rotation was asked, as --limit may leave one, counts among the rows only.
    """
    groups = [group for group in groups_of(graded, lambda sample: sample.cluster) if _is_whole(group)]
    by_kind = [percent_by(_named(groups, kind)) for kind in ("l2-category", "category", "split")]
    return {"overall": share_of_full_groups(groups), **by_kind[0], **by_kind[1], **by_kind[2], "rows": percent(graded)}


def _is_whole(group: Group) -> bool:
    return len(group.members) >= len(group.members[0].sample.options)


def _named(groups: Sequence[Group], kind: str) -> list[tuple[str, float, int]]:
    return [(group.members[0].sample.categories.get(kind, ""), float(group.full), group.times) for group in groups]
