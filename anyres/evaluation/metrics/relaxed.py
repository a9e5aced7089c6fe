"""Relaxed accuracy of ChartQA: numbers within 5 %, words as they are. Source: arXiv 2203.10244, section 5.1."""

import re

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.extraction.numbers import number_in
from anyres.evaluation.extraction.short_answer import plain_words
from anyres.evaluation.sample import Sample

__all__ = ["lenient_relaxed_of", "relaxed", "relaxed_of", "strict_relaxed_of"]

TOLERANCE = 0.05
YEAR = re.compile(r"(?:1[5-9]|20|21)\d\d")


def relaxed_of(extraction: Extraction, sample: Sample) -> float:
    """1 if the answer is `relaxed` equal to any gold."""
    return float(extraction.value is not None and any(relaxed(extraction.value, gold) for gold in sample.golds))


def relaxed(answer: str, gold: str) -> bool:
    """As pix2struct's metric, which all reports use: "95%" is 0.95, and a gold of 0 is compared as a word.

    >>> relaxed("2000", "2015"), relaxed("95%", "95"), relaxed("$14", "14")
    (True, False, False)
    """
    said, meant = _float(answer), _float(gold)
    if said is not None and meant:
        return abs(said - meant) / abs(meant) <= TOLERANCE
    return answer.lower() == gold.lower()


def lenient_relaxed_of(extraction: Extraction, sample: Sample) -> float:
    """1 if the numbers are within 5 %, however they are written ("$1,400", "95 %"), or the words are the same."""
    return _best(extraction, sample, exact_years=False)


def strict_relaxed_of(extraction: Extraction, sample: Sample) -> float:
    """As the lenient one, but a year must be that year."""
    return _best(extraction, sample, exact_years=True)


def _best(extraction: Extraction, sample: Sample, *, exact_years: bool) -> float:
    if extraction.value is None:
        return 0.0
    return float(any(_same(extraction.value, gold, exact_years=exact_years) for gold in sample.golds))


def _same(answer: str, gold: str, *, exact_years: bool) -> bool:
    said, meant = number_in(answer), number_in(gold)
    if said is None or meant is None:
        return plain_words(answer) == plain_words(gold)
    if exact_years and YEAR.fullmatch(gold.strip()):
        return said == meant
    return abs(said - meant) <= TOLERANCE * abs(meant)


def _float(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
