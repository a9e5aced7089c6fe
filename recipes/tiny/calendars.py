"""Sheets of a calendar, one month each: which weekday a day is, which date a weekday has, which day is marked."""

from calendar import monthrange
from typing import NamedTuple

import numpy as np

from recipes.tiny.assets import Assets
from recipes.tiny.example import Box, Example
from recipes.tiny.paper import Paper, Pen, asked, em_at, face_for, pick, rounded, theme

__all__ = ["Month", "make_calendar"]

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SHORT = (("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"), ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
         ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"))  # fmt: skip
ORDINALS = ("first", "second", "third", "fourth")
WEEKDAY = ("Which weekday is the {}?", "What day of the week is the {}?", "On which weekday does the {} fall?")
DATE = ("Which date is the {} {}?", "On which day is the {} {}?")
MARKED = ("Which day is marked?", "Which date is marked in the calendar?")
TITLE = ("Which month is it?", "Which month does the calendar show?")
LENGTH = ("How many days does the month have?", "Which is the last day of the month?")
COUNT = ("How many {}s are there in the month?", "How often is there a {}?")
FIRST_YEAR, LAST_YEAR = 1950, 2050


class Month(NamedTuple):
    """A month, with 0 for Monday where weekdays are numbers."""

    year: int
    month: int

    @property
    def first(self) -> int:
        """The weekday of the 1st."""
        return monthrange(self.year, self.month)[0]

    @property
    def days(self) -> int:
        """How many it has."""
        return monthrange(self.year, self.month)[1]

    def weekday(self, day: int) -> int:
        """Of a day.

        >>> Month(2026, 11).weekday(21)
        5
        """
        return (self.first + day - 1) % 7

    def dates(self, weekday: int) -> list[int]:
        """All days of a weekday."""
        return [day for day in range(1, self.days + 1) if self.weekday(day) == weekday]


def ordinal(day: int) -> str:
    """
    >>> [ordinal(day) for day in (1, 2, 11, 13, 22, 30)]
    ['1st', '2nd', '11th', '13th', '22nd', '30th']
    """
    ending = "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def question_about(rng: np.random.Generator, month: Month, marked: int) -> tuple[str, str, str]:
    """(kind, question, answer); `marked` is 0 where no day is."""
    kind = pick(rng, ("weekday", "weekday", "date", "date", "title", "length", "count", "marked"))
    if kind == "marked" and marked:
        return kind, pick(rng, MARKED), str(marked)
    if kind == "title":
        return kind, pick(rng, TITLE), f"{MONTHS[month.month - 1]} {month.year}"
    if kind == "length":
        return kind, pick(rng, LENGTH), str(month.days)
    weekday = int(rng.integers(7))
    if kind == "count":
        return kind, pick(rng, COUNT).format(WEEKDAYS[weekday]), str(len(month.dates(weekday)))
    if kind == "date":
        place = int(rng.integers(4))
        return kind, pick(rng, DATE).format(ORDINALS[place], WEEKDAYS[weekday]), str(month.dates(weekday)[place])
    day = int(rng.integers(1, month.days + 1))
    return "weekday", pick(rng, WEEKDAY).format(ordinal(day)), WEEKDAYS[month.weekday(day)]


def make_calendar(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """A month and a question about it: `calendar-weekday`, `-date`, `-marked`, `-title`, `-length`, `-count`.

    One year in five is held out.
    """
    while True:
        month = Month(int(rng.integers(FIRST_YEAR, LAST_YEAR)), int(rng.integers(1, 13)))
        if (month.year % 5 == 3) == (split == "held_out"):
            break
    colours, em = theme(rng, difficulty), max(11, round(0.7 * em_at(rng, difficulty)))
    face = face_for(rng, assets.families("latin", split), "".join(MONTHS) + "0123456789", difficulty=difficulty)
    assert face is not None
    marked = int(rng.integers(1, month.days + 1)) if rng.random() < 0.6 else 0
    starts = pick(rng, (0, 0, 6))
    paper = set_month(rng, month, Pen(face, em, colours.ink), marked=marked, starts=starts, fill=colours.fill,
                      accent=colours.accent, ground=colours.paper)  # fmt: skip
    kind, question, answer = question_about(rng, month, marked)
    metric = "exact" if kind in ("weekday", "title") else "number"
    sheet = paper.sheet(rng, difficulty * float(rng.random()))
    return asked(sheet, question, answer, task=f"calendar-{kind}", metric=metric)


def set_month(
    rng: np.random.Generator,
    month: Month,
    pen: Pen,
    *,
    marked: int,
    starts: int,
    fill: tuple[int, int, int],
    accent: tuple[int, int, int],
    ground: tuple[int, int, int],
) -> Paper:
    """Month and year, a row of weekdays from `starts` on, then the days; the marked one has a frame or a ground."""
    names = pick(rng, SHORT)
    column = max(pen.width(name) for name in names) + float(rng.uniform(0.6, 1.2)) * pen.size
    pitch = float(rng.uniform(1.4, 1.9)) * pen.size
    lead = (month.first - starts) % 7
    weeks = -(-(lead + month.days) // 7)
    paper = Paper((rounded((weeks + 2.4) * pitch), rounded(7 * column + 0.8 * pen.size)), ground)
    left, top = (paper.width - 7 * column) / 2, (paper.height - (weeks + 2.2) * pitch) / 2
    heading = f"{MONTHS[month.month - 1]} {month.year}"
    paper.write(heading, (paper.width / 2, pen.baseline(top, pitch)), pen._replace(ink=accent), anchor="m")
    boxed = rng.random() < 0.5
    for place in range(7):
        x = left + (place + 0.5) * column
        paper.write(names[(starts + place) % 7], (x, pen.baseline(top + 1.1 * pitch, pitch)), pen, anchor="m")
    for day in range(1, month.days + 1):
        row, place = divmod(lead + day - 1, 7)
        y, x = top + (row + 2.2) * pitch, left + (place + 0.5) * column
        box: Box = (x - 0.45 * column, y + 0.04 * pitch, x + 0.45 * column, y + 0.96 * pitch)
        if day == marked and boxed:
            paper.outline(box, accent, 2)
        elif day == marked:
            paper.fill(box, fill)
        paper.write(str(day), (x, pen.baseline(y, pitch)), pen, anchor="m")
    return paper
