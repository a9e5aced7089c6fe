"""Tells an answer that says the same again and again from one that has much of the same to say.

A reader of pages gets stuck in a word, a line, a whole block, or a count that never ends. Tables, dotted leaders, blank
forms and lists repeat themselves too, so how much is too much depends on what is repeated: letters, digits alone, or
nothing that is read (rules, dots, empty cells). Without a table in `tests/engine/test_loops.py` no number here moves.
"""

import re
from itertools import pairwise
from typing import NamedTuple

__all__ = ["LoopDetector", "Repetition", "repetition_at_end"]

PROBE = 32  # the last letters, whose earlier place gives the period
LONGEST = 16_384  # letters looked back

FEWEST_LETTERS = 320
# How many letters of a unit, again and again, are too many, and how often it is said at least.
SENTENCE_WORDS = 5  # from so many words on it is a sentence or a line, below it is the cell of a column
SENTENCE_LETTERS, CELL_LETTERS = 960, 1600
FEWEST_TIMES, MOST_TIMES = 5, 100  # a column of 60 rows may hold one word; nothing is said a hundred times
NUMBER_LETTERS, NUMBER_TIMES = 1200, 25  # digits alone: a matrix of zeros has some hundred
BLANK_LETTERS = 1600  # dots, rules and blanks: no line of a page is as long
EMPTY_CELLS_LETTERS = 6000  # markup around nothing: a blank form in HTML
COUNTED = 150  # units that differ by a number that grows evenly, as the lines of a list that never ends

TAG = re.compile(r"<[^<>]*>")
WORD = re.compile(r"[^\W\d_]+")
DIGITS = re.compile(r"\d+")


class Repetition(NamedTuple):
    """How an answer ends: `unit` again and again, over `letters` letters."""

    unit: str
    letters: int

    @property
    def times(self) -> float:
        return self.letters / len(self.unit)


class LoopDetector:
    """Reads an answer as it is made. `push` is true once it goes in circles.

    >>> detector = LoopDetector()
    >>> any(detector.push("the ") for _ in range(99)), detector.push("the ")
    (False, True)
    """

    def __init__(self) -> None:
        self._text = ""
        self._since_counting = 0

    def push(self, text: str) -> bool:
        """Takes the next text of the answer."""
        if not text:
            return False
        self._text = (self._text + text)[-LONGEST:]
        found = repetition_at_end(self._text)
        return (found is not None and _is_loop(found)) or self._counts(len(text))

    def _counts(self, letters: int) -> bool:
        """Looks for a count now and then: it reads the whole text."""
        self._since_counting += letters
        if self._since_counting < COUNTED:
            return False
        self._since_counting = 0
        return _is_count(self._text)


def repetition_at_end(text: str) -> Repetition | None:
    """What the text repeats at its end, by the shortest period that its last 32 letters have.

    >>> repetition_at_end("See:" + 20 * "to be or not ")
    Repetition(unit='to be or not ', letters=260)
    """
    if len(text) <= PROBE:
        return None
    place = text.rfind(text[-PROBE:], 0, -1)
    if place < 0:
        return None
    period = len(text) - PROBE - place
    return Repetition(text[-period:], period + _same(text, period))


def _same(text: str, period: int) -> int:
    """How many letters at the end are those that stand `period` before them."""
    low, high = 0, len(text) - period
    while low < high:
        middle = (low + high + 1) // 2
        if text[-middle:] == text[-middle - period : -period]:
            low = middle
        else:
            high = middle - 1
    return low


def _is_loop(found: Repetition) -> bool:
    """Whether it is more of this unit than a page holds."""
    if found.letters < FEWEST_LETTERS:
        return False
    # It may begin inside a tag; from the first tag on it is the same circle.
    start = max(0, found.unit.find("<"))
    read = TAG.sub("", found.unit[start:] + found.unit[:start])
    words = len(WORD.findall(read))
    if words:
        letters = SENTENCE_LETTERS if words >= SENTENCE_WORDS else CELL_LETTERS
        return found.times >= max(FEWEST_TIMES, min(MOST_TIMES, letters / len(found.unit)))
    if DIGITS.search(read):
        return found.letters >= NUMBER_LETTERS and found.times >= NUMBER_TIMES
    cells = "<" in found.unit or "|" in found.unit
    return found.letters >= (EMPTY_CELLS_LETTERS if cells else BLANK_LETTERS) and found.times >= FEWEST_TIMES


def _is_count(text: str) -> bool:
    """Whether the text ends in a run of units that differ only in numbers which grow, or fall, evenly."""
    found = repetition_at_end(DIGITS.sub("0", text))
    if found is None or found.times < COUNTED:
        return False
    per_unit = len(DIGITS.findall(found.unit))
    # int() of a longer run of digits takes time in its square, and such a number counts nothing.
    runs = [run[-18:] for run in DIGITS.findall(text)]
    numbers = [int(run) for run in runs[-per_unit * COUNTED : -1]]  # the last one may be half written
    columns = [numbers[place::per_unit] for place in range(per_unit)]
    return bool(columns) and all(len(_steps(column)) == 1 for column in columns) and any(map(_moves, columns))


def _steps(column: list[int]) -> set[int]:
    return {after - before for before, after in pairwise(column)}


def _moves(column: list[int]) -> bool:
    return column[0] != column[-1]
