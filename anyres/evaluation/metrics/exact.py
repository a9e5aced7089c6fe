"""An answer is right or not."""

from collections.abc import Mapping, Sequence

from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.metrics.groups import percent, percent_by
from anyres.evaluation.sample import Sample

__all__ = ["by_category", "is_gold", "summarise_mean"]


def is_gold(extraction: Extraction, sample: Sample) -> float:
    """1 if what was extracted is one of the golds, as it stands."""
    return float(extraction.value is not None and extraction.value in sample.golds)


def summarise_mean(graded: Sequence[Graded]) -> Mapping[str, float]:
    """The mean score in percent, overall and by what there is of l2-category, category and split."""
    return {
        "overall": percent(graded),
        **by_category(graded, "l2-category"),
        **by_category(graded, "category"),
        **by_category(graded, "split"),
    }


def by_category(graded: Sequence[Graded], kind: str) -> dict[str, float]:
    """The mean score of each category of a kind, in percent; samples without one are in none."""
    return percent_by((one.sample.categories.get(kind, ""), one.score, 1) for one in graded)
