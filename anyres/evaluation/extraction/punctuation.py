"""The punctuation step of the VQA evaluation, which other scorers borrowed."""

import re

__all__ = ["without_punctuation"]

MARKS = ';/[]"{}()=+\\_-><@`,?!'
DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
FULL_STOP = re.compile(r"\.(?!\d)")
MOST_STOPS = 32  # the original passes re.UNICODE where the count goes


def without_punctuation(text: str) -> str:
    """Marks that touch a blank anywhere, or all of them where a comma stands between digits, go; others become blanks.

    Full stops go unless a digit follows. As in VQA's vqaEval.py (github.com/GT-Vision-Lab/VQA), bug for bug.

    >>> without_punctuation("well-known, $1,000.50.")
    'wellknown $1000.50'
    """
    grouped = DIGIT_COMMA_DIGIT.search(text) is not None
    cleaned = text
    for mark in MARKS:
        touches = f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if touches or grouped else " ")
    return FULL_STOP.sub("", cleaned, count=MOST_STOPS)
