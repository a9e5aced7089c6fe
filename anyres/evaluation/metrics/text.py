"""Figures of questions that are answered in words."""

from collections.abc import Mapping, Sequence

from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.extraction.short_answer import plain_words
from anyres.evaluation.metrics.exact import by_category, summarise_mean
from anyres.evaluation.metrics.groups import mean, percent, percent_by
from anyres.evaluation.metrics.subtasks import summarise_mean_of
from anyres.evaluation.sample import Sample

__all__ = ["answer_length", "same_words", "summarise_chartqa", "summarise_mtvqa", "summarise_ocrbench"]

OCRBENCH_PARTS = {
    "Regular Text Recognition": "recognition",
    "Irregular Text Recognition": "recognition",
    "Artistic Text Recognition": "recognition",
    "Handwriting Recognition": "recognition",
    "Digit String Recognition": "recognition",
    "Non-Semantic Text Recognition": "recognition",
    "Scene Text-centric VQA": "scene",
    "Doc-oriented VQA": "document",
    "Key Information Extraction": "key information",
    "Handwritten Mathematical Expression Recognition": "formula",
}
OCRBENCH_POINTS = {"recognition": 300, "scene": 200, "document": 200, "key information": 200, "formula": 100}
OCRBENCH_MOST = 1000


def same_words(extraction: Extraction, sample: Sample) -> float:
    """1 if the answer is a gold but for case, blanks, quotes and a full stop."""
    if extraction.value is None:
        return 0.0
    return float(any(plain_words(extraction.value) == plain_words(gold) for gold in sample.golds))


def summarise_chartqa(graded: Sequence[Graded]) -> Mapping[str, float]:
    """The mean of human and augmented questions, and each."""
    return summarise_mean_of(graded, "split") if by_category(graded, "split") else summarise_mean(graded)


def summarise_ocrbench(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Points of 1,000 and of each part: right answers where all questions were asked, and of some what all would give.
    By category in percent, and how many characters answers have."""
    shares = percent_by((OCRBENCH_PARTS.get(one.sample.categories["category"], ""), one.score, 1) for one in graded)
    parts = {part: OCRBENCH_POINTS[part] * share / 100 for part, share in shares.items()}
    points = OCRBENCH_MOST * mean([one.score for one in graded])
    return {"overall": points, **parts, **by_category(graded, "category"), "answer length": answer_length(graded)}


def summarise_mtvqa(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Over all questions, and by language; how many characters answers have tells how much containment gives away."""
    return {"overall": percent(graded), **by_category(graded, "category"), "answer length": answer_length(graded)}


def answer_length(graded: Sequence[Graded]) -> float:
    """Characters of an answer on average."""
    return mean([len(one.extraction.value or "") for one in graded])
