"""Average normalised Levenshtein similarity, of DocVQA and InfoVQA. Source: arXiv 1905.13648, section 4."""

from collections.abc import Iterable

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.metrics.edit_distance import edit_distance
from anyres.evaluation.sample import Sample

__all__ = ["anls", "anls_of"]

THRESHOLD = 0.5  # a similarity below it counts as 0, at it stands


def anls_of(extraction: Extraction, sample: Sample) -> float:
    """`anls` of what was extracted."""
    return anls(extraction.value, sample.golds) if extraction.value is not None else 0.0


def anls(answer: str, golds: Iterable[str]) -> float:
    """The best similarity to a gold, without case and with blanks squeezed, over the longer raw length.

    >>> anls("ax", ["ab"]), anls("axy", ["ab"])
    (0.5, 0.0)
    """
    best = max((1 - _distance(answer, gold) for gold in golds), default=0.0)
    return best if best >= THRESHOLD else 0.0


def _distance(answer: str, gold: str) -> float:
    longest = max(len(answer), len(gold))
    return edit_distance(_squeezed(answer), _squeezed(gold)) / longest if longest else 0.0


def _squeezed(text: str) -> str:
    return " ".join(text.lower().split())
