"""HallusionBench: of questions (aAcc), of all questions about a figure (fAcc), of a question over all figures (qAcc).

Source: arXiv 2310.14566, section 3.3, and utils.py of tianyi-lab/HallusionBench.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence

from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.metrics.exact import is_gold
from anyres.evaluation.metrics.groups import groups_of, mean, percent, share_of_full_groups
from anyres.evaluation.sample import Sample

__all__ = [
    "SUPPLEMENT",
    "UNCERTAIN",
    "hallusion_grade",
    "has_no_figure",
    "summarise_hallusion",
    "summarise_hallusion_pictures",
]

SUPPLEMENT = "VS"  # questions that can be asked without their figure
UNCERTAIN = "uncertain"


def has_no_figure(sample: Sample) -> bool:
    """A visual-supplement question that is asked without any figure."""
    return sample.categories["category"] == SUPPLEMENT and sample.facts["figure"] == "0"


def hallusion_grade(extraction: Extraction, sample: Sample) -> float:
    """1 if right; without a figure "I don't know" is right as well."""
    return is_gold(extraction, sample) or float(has_no_figure(sample) and extraction.value == UNCERTAIN)


def summarise_hallusion(graded: Sequence[Graded]) -> Mapping[str, float]:
    """The mean of aAcc, fAcc and qAcc, and each. fAcc leaves out questions without a figure."""
    with_figure = [one for one in graded if not has_no_figure(one.sample)]
    return _figures(graded, with_figure)


def summarise_hallusion_pictures(graded: Sequence[Graded]) -> Mapping[str, float]:
    """As VLMEvalKit, which has none of the rows without a picture: 951 of 1129."""
    pictured = [one for one in graded if one.sample.media]
    return _figures(pictured, pictured)


def _figures(graded: Sequence[Graded], with_figure: Sequence[Graded]) -> dict[str, float]:
    figures = {
        "aAcc": percent(graded),
        "fAcc": share_of_full_groups(groups_of(with_figure, _key("figure"))),
        "qAcc": share_of_full_groups(groups_of(graded, _key("question"))),
    }
    return {"overall": mean(list(figures.values())), **figures}


def _key(fact: str) -> Callable[[Sample], Hashable]:
    """What stands for one figure, or for one question, of a set."""
    return lambda sample: (sample.cluster, sample.facts[fact])
