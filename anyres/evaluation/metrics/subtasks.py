"""Figures that are means of means: unweighted over subtasks, settings or splits."""

from collections.abc import Mapping, Sequence

from anyres.evaluation.benchmark import Graded
from anyres.evaluation.metrics.exact import by_category
from anyres.evaluation.metrics.groups import mean, percent, percent_by
from anyres.evaluation.sample import Sample

__all__ = ["summarise_mean_of", "summarise_mmt"]

BETWEEN = "\n"


def summarise_mmt(graded: Sequence[Graded]) -> Mapping[str, float]:
    """MMT-Bench (arXiv 2404.16006): over all questions; each l2 category the unweighted mean of its subtasks."""
    subtasks = percent_by((_area_and_subtask(one.sample), one.score, 1) for one in graded)
    means = percent_by((place.split(BETWEEN)[0], score / 100, 1) for place, score in subtasks.items())
    return {"overall": percent(graded), **means, **by_category(graded, "category")}


def summarise_mean_of(graded: Sequence[Graded], kind: str) -> Mapping[str, float]:
    """The unweighted mean over the categories of a kind that there are, then each."""
    means = by_category(graded, kind)
    return {"overall": mean(list(means.values())), **means}


def _area_and_subtask(sample: Sample) -> str:
    return sample.categories.get("l2-category", "") + BETWEEN + sample.categories.get("category", "")
