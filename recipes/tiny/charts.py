"""Pictures of charts, and what can be asked about them: a value, a comparison, a trend, all of the data."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from recipes.tiny.assets import Assets
from recipes.tiny.chart_data import KINDS, Chart, categories, make_data
from recipes.tiny.chart_draw import HELD_OUT_PALETTES, PALETTES, Look, draw_chart
from recipes.tiny.chart_matplotlib import draw_with_matplotlib, has_matplotlib
from recipes.tiny.example import Example
from recipes.tiny.grids import Wish
from recipes.tiny.paper import CELL, Paper, Pen, asked, em_at, face_for, pick, room, theme

__all__ = ["make_chart"]

VALUE = ("What is the value of {name}?", "How much is {name}?", "What value does {name} have?", "{name}?")
SERIES_VALUE = ("What is {series} for {name}?", "What is the value of {series} at {name}?")
LARGEST = ("Which one is the largest?", "Which has the highest value?", "What is the largest one?")
SMALLEST = ("Which one is the smallest?", "Which has the lowest value?", "What is the smallest one?")
LARGER = ("Which is larger, {first} or {second}?", "Which has the higher value, {first} or {second}?")
DIFFERENCE = (
    "By how much do {first} and {second} differ? Show the step.",
    "What is the difference of {first} and {second}?",
)
TREND = ("How does it change from {first} to {second}?", "Does it rise or fall from {first} to {second}?")
SERIES_TREND = ("How does {series} change from {first} to {second}?",)
TABLE = ("Write the data of the chart as a Markdown table.", "Turn the chart into a Markdown table.")
AS_JSON = ("Write the data of the chart as JSON.", "Give the names and values of the chart as JSON.")
COUNT: Mapping[str, tuple[str, ...]] = {
    "bar": ("How many categories are there?",),
    "hbar": ("How many categories are there?",),
    "line": ("How many points does each line have?",),
    "pie": ("How many slices does the pie have?",),
    "scatter": ("How many points are there?", "Count the points."),
}
ORDER = ("List the names from the largest to the smallest value as JSON.",)
TITLE = ("What is the title of the chart?", "Read the title.")
KIND = ("What kind of chart is it?",)
CALLED = {"bar": "bar chart", "hbar": "bar chart", "line": "line chart", "pie": "pie chart", "scatter": "scatter plot"}
ABSENT = "There is no {} in the chart."
CLOSE = 0.06
"""Values nearer to each other than this share of the largest one are not compared."""


class Task(NamedTuple):
    """A question, its answer, and how it is scored."""

    kind: str
    question: str
    answer: str
    metric: str


def value_task(rng: np.random.Generator, chart: Chart) -> Task:
    """The value of one mark."""
    series, index = int(rng.integers(len(chart.series))), int(rng.integers(len(chart.categories)))
    name, value = chart.categories[index], chart.text(chart.values[series][index])
    if len(chart.series) > 1:
        question = pick(rng, SERIES_VALUE).format(series=chart.series[series], name=name)
    else:
        question = pick(rng, VALUE).format(name=name)
    return Task("value", question, value + chart.unit, "number")


def absent_task(rng: np.random.Generator, chart: Chart, name: str) -> Task | None:
    """A value that the chart does not have; None where `name` is in it."""
    text = " ".join((chart.title, *chart.categories, *chart.series)).lower()
    if name.lower() in text:
        return None
    return Task("absent", pick(rng, VALUE).format(name=name), ABSENT.format(name), "exact")


def extreme_task(rng: np.random.Generator, chart: Chart) -> Task | None:
    """The largest or smallest mark of a single series."""
    row = np.array(chart.values[0])
    order, least = np.argsort(row), CLOSE * float(row.max())
    if rng.random() < 0.6:
        clear = len(row) < 2 or row[order[-1]] - row[order[-2]] >= least
        return Task("compare", pick(rng, LARGEST), chart.categories[int(order[-1])], "exact") if clear else None
    clear = row[order[1]] - row[order[0]] >= least
    return Task("compare", pick(rng, SMALLEST), chart.categories[int(order[0])], "exact") if clear else None


def pair_task(rng: np.random.Generator, chart: Chart, kind: str) -> Task | None:
    """Two marks compared: which is larger, by how much, or how a line goes from the one to the other."""
    series = int(rng.integers(len(chart.series)))
    one, two = sorted(int(index) for index in rng.permutation(len(chart.categories))[:2])
    names, row = chart.categories, chart.values[series]
    if abs(row[one] - row[two]) < CLOSE * max(row):
        return None
    words = {"first": names[one], "second": names[two], "series": chart.series[series]}
    if kind == "trend":
        question = pick(rng, SERIES_TREND if len(chart.series) > 1 else TREND).format(**words)
        return Task("trend", question, "It rises." if row[two] > row[one] else "It falls.", "exact")
    if len(chart.series) > 1:
        return None
    if kind == "larger":
        answer = names[one if row[one] > row[two] else two]
        return Task("compare", pick(rng, LARGER).format(**words), answer, "exact")
    high, low = (chart.text(value) for value in sorted((row[one], row[two]), reverse=True))
    answer = f"{high}-{low} = {Decimal(high) - Decimal(low)}"
    return Task("difference", pick(rng, DIFFERENCE).format(**words), answer, "number")


def table_of(chart: Chart) -> str:
    """The data in Markdown; scatter plots give x and y of each point."""
    if chart.kind == "scatter":
        points = zip(chart.categories, chart.xs, chart.values[0], strict=True)
        header: tuple[str, ...] = ("", "x", "y")
        rows = [[name, f"{x:.0f}", chart.text(y)] for name, x, y in points]
    else:
        header = ("", *(name or chart.amount or "value" for name in chart.series))
        rows = [
            [name, *(chart.text(row[index]) + chart.unit for row in chart.values)]
            for index, name in enumerate(chart.categories)
        ]
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def json_of(chart: Chart) -> str:
    """The data as name -> value, or name -> series -> value."""
    if chart.kind == "scatter":
        points = zip(chart.categories, chart.xs, chart.values[0], strict=True)
        return json.dumps({name: [f"{x:.0f}", chart.text(y)] for name, x, y in points}, ensure_ascii=False)
    data: dict[str, object] = {}
    for index, name in enumerate(chart.categories):
        found = {
            series: chart.text(row[index]) + chart.unit for series, row in zip(chart.series, chart.values, strict=True)
        }
        data[name] = found if len(chart.series) > 1 else found[chart.series[0]]
    return json.dumps(data, ensure_ascii=False)


def order_task(rng: np.random.Generator, chart: Chart) -> Task | None:
    """All names by falling value."""
    row = np.array(chart.values[0])
    order = np.argsort(-row)
    if float(np.abs(np.diff(row[order])).min(initial=np.inf)) < CLOSE * float(row.max()):
        return None
    answer = json.dumps([chart.categories[int(index)] for index in order], ensure_ascii=False)
    return Task("order", pick(rng, ORDER), answer, "json")


def make_task(rng: np.random.Generator, chart: Chart, stranger: str) -> Task:
    """A question that the chart answers clearly; `stranger` is a name that it may not have."""
    several, scatter = len(chart.series) > 1, chart.kind == "scatter"
    while True:
        draw = float(rng.random())
        found: Task | None = None
        if draw < 0.38:
            found = value_task(rng, chart) if not scatter else None
        elif draw < 0.42:
            found = absent_task(rng, chart, stranger)
        elif draw < 0.56:
            found = extreme_task(rng, chart) if not several and len(chart.categories) > 2 else None
        elif draw < 0.62:
            found = pair_task(rng, chart, "larger") if not scatter else None
        elif draw < 0.66:
            found = pair_task(rng, chart, "difference") if not scatter and chart.kind != "pie" else None
        elif draw < 0.72:
            found = pair_task(rng, chart, "trend") if chart.kind == "line" else None
        elif draw < 0.84:
            found = Task("table", pick(rng, TABLE), table_of(chart), "cells")
        elif draw < 0.9:
            found = Task("json", pick(rng, AS_JSON), json_of(chart), "json")
        elif draw < 0.94:
            found = Task("count", pick(rng, COUNT[chart.kind]), str(len(chart.categories)), "number")
        elif draw < 0.97:
            found = order_task(rng, chart) if not several else None
        elif draw < 0.99:
            found = Task("title", pick(rng, TITLE), chart.title, "exact") if chart.title else None
        else:
            found = Task("kind", pick(rng, KIND), CALLED[chart.kind], "exact")
        if found is not None:
            return found


def size_at(rng: np.random.Generator, kind: str, count: int, difficulty: float) -> tuple[int, int]:
    """(height, width) in multiples of 28, within the room of the difficulty and not much larger than needed."""
    tokens = min(30 * count + 20, 400, room(difficulty)) * float(rng.uniform(0.55, 1.0))
    tokens = max(tokens, 16.0, min(room(difficulty), 5.0 * count))
    aspect = float(rng.uniform(0.9, 1.7)) if kind != "hbar" else float(rng.uniform(0.8, 1.4))
    width = max(4, round((tokens * aspect) ** 0.5))
    return max(3, int(tokens / width)) * CELL, width * CELL


def choose_look(rng: np.random.Generator, chart: Chart, *, difficulty: float, split: str, assets: Assets) -> Look:
    """Face, colours and furniture; the held-out palettes and faces are never trained on."""
    text = "".join((chart.title, chart.amount, *chart.categories, *chart.series)) + "0123456789.-%"
    families = assets.families("latin", split)
    face = face_for(rng, families, text, difficulty=difficulty) or face_for(rng, families, "0123456789.-%")
    assert face is not None, "no face draws digits"
    colours = theme(rng, 0.5 * difficulty)
    needed = len(chart.categories) if chart.kind == "pie" else len(chart.series)
    options = HELD_OUT_PALETTES if split == "held_out" else PALETTES
    palette = pick(rng, [colours for colours in options if len(colours) >= needed])
    order = [palette[int(index)] for index in rng.permutation(len(palette))]
    return Look(
        Pen(face, max(10, round(em_at(rng, difficulty) * 0.85)), colours.ink),
        colours,
        tuple(order),
        grid=not chart.labelled or rng.random() < 0.3,
        axis=not chart.labelled or rng.random() < 0.3,
        frame=pick(rng, ("none", "corner", "corner", "box")),
        thick=float(rng.uniform(0.45, 0.9)),
        legend=pick(rng, ("side", "top")),
    )


def draw_some(
    rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets
) -> tuple[Chart, Look, tuple[int, int], Paper]:
    """A chart whose texts have room."""
    kind = KINDS[int(rng.choice(len(KINDS), p=(0.32, 0.2, 0.2, 0.16, 0.12)))]
    count = int(rng.integers(2 + (kind == "scatter"), 4 + round(9 * difficulty)))
    while True:
        chart = make_data(rng, kind, count=count, split=split, difficulty=difficulty, assets=assets)
        look = choose_look(rng, chart, difficulty=difficulty, split=split, assets=assets)
        size = size_at(rng, kind, count, difficulty)
        paper = draw_chart(chart, size, look)
        if paper is not None:
            return chart, look, size, paper
        count = max(2, count - 1)
        kind = kind if rng.random() < 0.8 else "hbar"


def make_chart(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """A chart with a question: `chart-value`, `chart-compare`, `chart-trend`, `chart-table`, ...

    Above difficulty 0.35 some are drawn by matplotlib, where it is installed; question and answer do not depend on it.
    """
    if rng.random() < 0.25:
        difficulty *= float(rng.random())
    chart, look, size, paper = draw_some(rng, split=split, difficulty=difficulty, assets=assets)
    task = make_task(rng, chart, categories(rng, 1, Wish(1, 1, 12, split, "en", assets), chart.kind)[0])
    if rng.random() < 0.25 and difficulty > 0.35 and min(size) >= 7 * CELL and has_matplotlib():
        paper = draw_with_matplotlib(chart, size, look, split=split, style=int(rng.integers(2**31)))
    legend = chart.kind == "pie" or len(chart.series) > 1
    sheet = paper.sheet(rng, difficulty * float(rng.random()), in_colour=legend)
    return asked(sheet, task.question, task.answer, task=f"chart-{task.kind}", metric=task.metric)
