"""MMMU's grades: a letter equals, an open answer holds, the gold. Source: eval_utils.py of MMMU-Benchmark/MMMU."""

from collections.abc import Mapping, Sequence

from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.extraction.mmmu import normalised
from anyres.evaluation.metrics.exact import by_category, is_gold
from anyres.evaluation.metrics.groups import mean, percent
from anyres.evaluation.metrics.subtasks import summarise_mean_of
from anyres.evaluation.sample import Sample

__all__ = ["DISCIPLINES", "discipline_of", "mmmu_grade", "summarise_mmmu", "summarise_mmmu_pro"]

DISCIPLINES = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science",
        "Clinical_Medicine",
        "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy",
        "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Psychology", "Sociology"),
    "Tech and Engineering": (
        "Agriculture",
        "Architecture_and_Engineering",
        "Computer_Science",
        "Electronics",
        "Energy_and_Power",
        "Materials",
        "Mechanical_Engineering",
    ),
}


def discipline_of(subject: str) -> str:
    """The discipline of a subject, "" of an unknown one.

    >>> discipline_of("Pharmacy")
    'Health and Medicine'
    """
    return next((name for name, subjects in DISCIPLINES.items() if subject in subjects), "")


def mmmu_grade(extraction: Extraction, sample: Sample) -> float:
    """1 if the letter is the gold, or any candidate of an open answer holds a gold text or is a gold number."""
    if sample.options or extraction.value is None:
        return is_gold(extraction, sample)
    golds = [value for gold in sample.golds for value in normalised(gold)]
    return float(any(_is_right(candidate, golds) for candidate in extraction.value))


def summarise_mmmu(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Over all questions, by discipline and subject; and what random letters for unparsed answers would add on average,
    as the official script draws them."""
    luck = [one.score or _luck(one) for one in graded]
    return {
        "overall": percent(graded),
        "with random letters": 100 * mean(luck),
        **by_category(graded, "l2-category"),
        **by_category(graded, "category"),
    }


def summarise_mmmu_pro(graded: Sequence[Graded]) -> Mapping[str, float]:
    """The mean of the two settings, ten options and vision only; each; and by subject."""
    return {**summarise_mean_of(graded, "setting"), **by_category(graded, "category")}


def _is_right(candidate: str | float, golds: Sequence[str | float]) -> bool:
    if isinstance(candidate, str):
        return any(isinstance(gold, str) and gold in candidate for gold in golds)
    return candidate in golds


def _luck(one: Graded) -> float:
    unparsed = one.extraction.value is None and one.sample.options
    return 1 / len(one.sample.options) if unparsed else 0.0
