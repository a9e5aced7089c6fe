"""What charts show: categories, series and values."""

from collections.abc import Sequence
from math import factorial
from typing import NamedTuple

import numpy as np

from recipes.tiny.assets import Assets
from recipes.tiny.grids import ASSET, Wish, different, kept, plain, real_tables, word
from recipes.tiny.paper import pick

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
AMOUNTS = ("Sales", "Visitors", "Rain", "Users", "Cost", "Profit", "Output", "Points", "Votes", "Weight", "Speed",
           "Orders",
           "Trips", "Exports", "Energy", "Hours")  # fmt: skip
KINDS = ("bar", "hbar", "line", "pie", "scatter")


class Chart(NamedTuple):
    """A chart as data. Values are printed as `texts`; a scatter chart has x values, too."""

    kind: str
    title: str
    amount: str
    """What is counted: the name of the value axis, "" for none."""
    categories: tuple[str, ...]
    series: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    """[series][category]."""
    xs: tuple[float, ...]
    """Of each point of a scatter chart; () otherwise."""
    places: int
    """Decimals of the values."""
    labelled: bool
    """Whether the values are printed at their marks."""

    def text(self, value: float) -> str:
        """A value as printed."""
        return f"{value:.{self.places}f}"

    @property
    def unit(self) -> str:
        """What follows a printed value: shares of a pie are percentages."""
        return "%" if self.kind == "pie" else ""


def categories(rng: np.random.Generator, count: int, wish: Wish, kind: str) -> list[str]:
    """Names in their natural order: words, letters, months, days, years."""
    draw = float(rng.random())
    if kind == "line" or draw < 0.35:
        way = int(rng.integers(3))
        if way == 0 and count <= 12:
            start = int(rng.integers(13 - count))
            return list(MONTHS[start : start + count])
        if way == 1 and count <= 7:
            start = int(rng.integers(8 - count))
            return list(DAYS[start : start + count])
        start, step = int(rng.integers(1960, 2020)), pick(rng, (1, 1, 2, 5))
        return [str(start + step * index) for index in range(count)]
    if draw < 0.5 or wish.letters < 4:
        return ["ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i] for i in range(count)]
    return different([word(rng, wish) for _ in range(3 * count)])[:count]


LEVELS = 20
"""Different heights of the marks of a chart whose values must be read off its axis."""


def values(rng: np.random.Generator, count: int, *, difficulty: float, labelled: bool) -> tuple[tuple[float, ...], int]:
    """(values, decimals): different numbers, at most LEVELS of them; unlabelled ones lie on LEVELS even steps."""
    most = pick(rng, (10, 20, 20)) if difficulty < 0.2 else pick(rng, (20, 20, 40, 100, 100, 200, 500, 1000))
    places = 1 if labelled and difficulty > 0.3 and most <= 100 and rng.random() < 0.4 else 0
    unit = 10.0**-places if labelled else max(1.0, most / LEVELS)
    low = int(most / unit * pick(rng, (0.0, 0.0, 0.3))) + 1
    found = low + rng.permutation(max(round(most / unit) - low + 1, count))[:count]
    if rng.random() < 0.25:
        found = np.sort(found)[:: 1 if rng.random() < 0.5 else -1]
    return tuple(round(float(value) * unit, places) for value in found), places


def shares(rng: np.random.Generator, count: int) -> tuple[float, ...]:
    """Different whole percentages that add up to 100."""
    while True:
        cuts = np.sort(rng.permutation(np.arange(1, 20))[: count - 1]) * 5 if count < 6 else None
        if cuts is None:
            cuts = np.sort(rng.permutation(np.arange(4, 97))[: count - 1])
        parts = np.diff([0, *cuts.tolist(), 100])
        if len(set(parts.tolist())) == count and parts.min() >= 4:
            return tuple(float(part) for part in parts)


def real_values(
    rng: np.random.Generator, count: int, assets: Assets, split: str
) -> tuple[str, tuple[str, ...], tuple[float, ...]] | None:
    """(column, names, values) of neighbouring rows of a packed real table; None where none serves."""
    tables = real_tables(assets.folder / ASSET, split)
    if not tables:
        return None
    table = pick(rng, tables)
    columns = [i for i in range(1, len(table.header)) if all(plain(row[i]) for row in table.rows)]
    if not columns or len(table.rows) < count:
        return None
    column, start = pick(rng, columns), int(rng.integers(len(table.rows) - count + 1))
    rows = table.rows[start : start + count]
    found, names = tuple(float(row[column]) for row in rows), tuple(row[0][:14] for row in rows)
    sane = len(set(found)) == count == len(set(names)) and 0 < max(found) < 5000 and min(found) >= 0.02 * max(found)
    return (table.header[column], names, found) if sane else None


def make_data(
    rng: np.random.Generator, kind: str, *, count: int, split: str, difficulty: float, assets: Assets
) -> Chart:
    """A chart of `count` categories or points."""
    wish = Wish(1, 1, 3 + round(9 * difficulty), split, "en", assets)
    several = kind in ("bar", "hbar", "line") and difficulty > 0.25 and rng.random() < 0.35
    labelled = kind == "pie" or (kind != "scatter" and not several and rng.random() < 0.7 - 0.3 * difficulty)
    title = f"{word(rng, wish)} {pick(rng, ('', '', 'by year', '2023', 'in total'))}".strip()
    title = title if rng.random() < 0.1 + 0.6 * difficulty else ""
    amount = pick(rng, kept(AMOUNTS, split)) if rng.random() < 0.6 * difficulty else ""
    if kind == "pie":
        count = min(count, 8)
        return Chart(
            kind, title, "", tuple(categories(rng, count, wish, kind)), ("",), (shares(rng, count),), (), 0, True
        )
    if kind == "scatter":
        names = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:count])
        ys, places = values(rng, count, difficulty=difficulty, labelled=False)
        xs, _ = values(rng, count, difficulty=0.0, labelled=False)
        return Chart(kind, title, amount, names, ("",), (ys,), xs, places, False)
    real = real_values(rng, count, assets, split) if difficulty > 0.3 and labelled and rng.random() < 0.4 else None
    if real is not None and not several:
        column, names, found = real
        places = 0 if all(value == int(value) for value in found) else 2 if max(found) < 10 else 1
        cut = tuple(round(value, places) for value in found)
        if len(set(cut)) == len(cut) and min(cut) > 0:
            return Chart(kind, title, column[:16], names, ("",), (cut,), (), places, True)
    names = tuple(categories(rng, count, wish, kind))
    series = different([word(rng, wish) for _ in range(8)])[: int(rng.integers(2, 4))] if several else [""]
    first, places = values(rng, len(names), difficulty=difficulty, labelled=labelled)
    rows = shuffles(rng, first, len(series))
    return Chart(kind, title, amount, names, tuple(series[: len(rows)]), rows, (), places, labelled)


def shuffles(rng: np.random.Generator, first: Sequence[float], count: int) -> tuple[tuple[float, ...], ...]:
    """`first` and different orders of it, `count` in all where there are as many; no two series hide one another."""
    rows = {tuple(first): None}
    while len(rows) < min(count, factorial(len(first))):
        rows[tuple(float(value) for value in rng.permutation(first))] = None
    return tuple(rows)
