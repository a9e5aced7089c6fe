"""Whether a mathematical answer is that of the gold: the same writing, or the same value."""

from collections.abc import Callable

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.extraction.mathvision import plain_math
from anyres.evaluation.metrics.arithmetic import evaluate
from anyres.evaluation.sample import LETTERS, Sample

__all__ = ["is_answer", "is_official_answer"]

DECIMALS = 2  # the script's
TOLERANCE = 1e-6
BRACKETS = {"(": ")", "[": "]"}


def is_official_answer(extraction: Extraction, sample: Sample) -> float:
    """1 if the answer is the gold's letter or its option's text, or of the same value to two decimals.

    As is_equal of the authors' script; what we cannot evaluate (the script: what raises an error) is compared as it is
    written.
    """
    return _is_any_gold(extraction, sample, lambda first, second: round(first, DECIMALS) == round(second, DECIMALS))


def is_answer(extraction: Extraction, sample: Sample) -> float:
    """1 if the answer is the gold's letter or its option's text, or of the same value to a millionth.

    >>> gold = Sample("1", "How many?", golds=("1/3",))
    >>> is_answer(Extraction("0.33", ""), gold), is_official_answer(Extraction("0.33", ""), gold)
    (0.0, 1.0)
    """
    return _is_any_gold(
        extraction, sample, lambda first, second: abs(first - second) <= TOLERANCE * max(1.0, abs(second))
    )


def _is_any_gold(extraction: Extraction, sample: Sample, equal: Callable[[float, float], bool]) -> float:
    if not isinstance(extraction.value, str):
        return 0.0
    golds = [*sample.golds]
    golds += [sample.options[LETTERS.index(gold)] for gold in golds if len(gold) == 1 and gold in sample.letters]
    return float(any(_is_same(extraction.value, gold, equal) for gold in golds))


def _is_same(told: str, gold: str, equal: Callable[[float, float], bool]) -> bool:
    told, gold = told.lower().strip(), gold.lower().strip()
    if not told.replace(" ", "") or not gold.replace(" ", ""):
        return False
    if told == gold or told == plain_math(gold):
        return True
    ones, others = _values(told), _values(gold)
    return len(ones) == len(others) > 0 and all(map(equal, ones, others))


def _values(text: str) -> list[float]:
    """The value of an expression, or those of a pair, triple, ... in brackets; none where one has no value."""
    items = [text]
    if text[-1] == BRACKETS.get(text[0]) and "," in text:
        items = text[1:-1].split(",")
    values = [evaluate(item) for item in items]
    return [float(value) for value in values if value is not None] if None not in values else []
