"""Choices that are asked in every rotation of their options: a group counts only if each rotation is right.

Source: MMBench, arXiv 2307.06281, section 4.1.
"""

from collections.abc import Mapping, Sequence

from anyres.evaluation.benchmark import Graded
from anyres.evaluation.metrics.groups import Group, groups_of, percent, share_of_full_groups
from anyres.evaluation.sample import Sample

__all__ = ["ROTATION_STEP", "group_of", "summarise_circular"]

ROTATION_STEP = 1_000_000  # rotation k of row i has index i + k * 1000000


def group_of(index: str) -> str:
    """The index that all rotations of a question share.

    >>> group_of("3000021"), group_of("a7")
    ('21', 'a7')
    """
    return str(int(index) % ROTATION_STEP) if index.isdecimal() else index


def summarise_circular(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Percent of groups right overall, by l2 category and by category; beside them, percent of rows right."""
    groups = groups_of(graded, lambda sample: sample.cluster)
    figures = {"overall": share_of_full_groups(groups)}
    for kind in ("l2-category", "category"):
        for name in sorted({_category(group, kind) for group in groups} - {""}):
            figures[name] = share_of_full_groups([group for group in groups if _category(group, kind) == name])
    return {**figures, "rows": percent(graded)}


def _category(group: Group, kind: str) -> str:
    sample: Sample = group.members[0].sample
    return sample.categories.get(kind, "")
