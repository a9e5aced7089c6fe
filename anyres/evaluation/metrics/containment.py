"""An answer that holds the gold: OCRBench (arXiv 2305.07895) and MTVQA (arXiv 2405.11985)."""

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.sample import Sample

__all__ = ["FORMULA", "FORMULAS", "holds_gold", "is_gold_text", "mtvqa_holds_gold", "mtvqa_is_gold", "ocrbench_text"]

FORMULA = "Handwritten Mathematical Expression Recognition"
FORMULAS = "HME100k"  # the data set of that category


def holds_gold(extraction: Extraction, sample: Sample) -> float:
    """OCRBench's rule: 1 if a gold is part of the answer, both without case; formulas with case and without blanks.

    An answer of "There are 12 items" holds the gold "1": see the exact matches beside it.
    """
    if extraction.value is None:
        return 0.0
    answer = ocrbench_text(extraction.value, sample)
    return float(any(ocrbench_text(gold, sample) in answer for gold in sample.golds))


def is_gold_text(extraction: Extraction, sample: Sample) -> float:
    """1 if the answer, read in the same way, is a gold."""
    if extraction.value is None:
        return 0.0
    answer = ocrbench_text(extraction.value, sample)
    return float(any(ocrbench_text(gold, sample) == answer for gold in sample.golds))


def ocrbench_text(text: str, sample: Sample) -> str:
    """How OCRBench reads answers and golds."""
    line = text.strip().replace("\n", " ")
    return line.replace(" ", "") if sample.categories.get("category") == FORMULA else line.lower()


def mtvqa_holds_gold(extraction: Extraction, sample: Sample) -> float:
    """MTVQA's rule: 1 if the gold is part of the answer, both in lower case and without full stops."""
    if extraction.value is None:
        return 0.0
    answer = _mtvqa_text(extraction.value)
    return float(any(_mtvqa_text(gold) in answer for gold in sample.golds))


def mtvqa_is_gold(extraction: Extraction, sample: Sample) -> float:
    """1 if the answer, read in the same way, is the gold."""
    if extraction.value is None:
        return 0.0
    answer = _mtvqa_text(extraction.value)
    return float(any(_mtvqa_text(gold) == answer for gold in sample.golds))


def _mtvqa_text(text: str) -> str:
    return text.strip().lower().replace(".", "")
