"""Figures of questions that are answered in words."""

from collections.abc import Mapping, Sequence

from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.extraction.short_answer import plain_words
from anyres.evaluation.metrics.exact import by_category, summarise_mean
from anyres.evaluation.metrics.groups import mean, percent
from anyres.evaluation.metrics.subtasks import summarise_mean_of
from anyres.evaluation.sample import Sample

__all__ = ["answer_length", "same_words", "summarise_chartqa", "summarise_mtvqa", "summarise_ocrbench"]

OCRBENCH_POINTS = {
    "recognition": (
        "Regular Text Recognition",
        "Irregular Text Recognition",
        "Artistic Text Recognition",
        "Handwriting Recognition",
        "Digit String Recognition",
        "Non-Semantic Text Recognition",
    ),
    "scene": ("Scene Text-centric VQA",),
    "document": ("Doc-oriented VQA",),
    "key information": ("Key Information Extraction",),
    "formula": ("Handwritten Mathematical Expression Recognition",),
}
OCRBENCH_MOST = 1000


def same_words(extraction: Extraction, sample: Sample) -> float:
    """1 if the answer is a gold but for case, blanks, quotes and a full stop."""
    if extraction.value is None:
        return 0.0
    return float(any(plain_words(extraction.value) == plain_words(gold) for gold in sample.golds))


def summarise_chartqa(graded: Sequence[Graded]) -> Mapping[str, float]:
    """The mean of human and augmented questions, and each."""
    return summarise_mean_of(graded, "split") if by_kind(graded, "split") else summarise_mean(graded)


def summarise_ocrbench(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Points of 1,000, which are the right answers where all were asked; then right answers by part and by category."""
    parts = {
        part: sum(one.score for one in graded if one.sample.categories.get("category") in names)
        for part, names in OCRBENCH_POINTS.items()
    }
    categories = {name: sum(one.score for one in ones) for name, ones in by_kind(graded, "category").items()}
    points = OCRBENCH_MOST * mean([one.score for one in graded])
    return {"overall": points, **parts, **categories, "answer length": answer_length(graded)}


def summarise_mtvqa(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Over all questions, and by language; how many characters answers have tells how much containment gives away."""
    return {"overall": percent(graded), **by_category(graded, "category"), "answer length": answer_length(graded)}


def answer_length(graded: Sequence[Graded]) -> float:
    """Characters of an answer on average."""
    return mean([len(one.extraction.value or "") for one in graded])


def by_kind(graded: Sequence[Graded], kind: str) -> dict[str, list[Graded]]:
    """What there is of each category."""
    names = sorted({one.sample.categories.get(kind, "") for one in graded} - {""})
    return {name: [one for one in graded if one.sample.categories.get(kind) == name] for name in names}
