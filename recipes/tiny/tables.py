"""Pictures of tables, and what can be asked about them: all of it, a row, a column, a cell, a sum, a maximum."""

import html
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from recipes.tiny.assets import LANGUAGES, Assets
from recipes.tiny.example import Example
from recipes.tiny.grids import Grid, Wish, make_grid, word
from recipes.tiny.paper import asked, pick, room
from recipes.tiny.table_layout import choose_style, lay_out, set_table

__all__ = ["make_table"]

QUESTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "markdown": {
        "en": ("Write the table in Markdown.", "Turn the table into Markdown.", "Convert this table to Markdown."),
        "de": ("Schreibe die Tabelle in Markdown.",),
        "fr": ("Écris le tableau en Markdown.",),
        "es": ("Escribe la tabla en Markdown.",),
        "zh": ("把表格转成 Markdown。", "用 Markdown 写出这张表格。"),
    },
    "html": {
        "en": ("Write the table in HTML.", "Convert this table to HTML.", "Turn the table into HTML."),
        "zh": ("把表格转成 HTML。",),
    },
    "json": {
        "en": ("Write the table as JSON.", "Turn the table into JSON.", "Give the rows as a JSON list."),
        "de": ("Schreibe die Tabelle als JSON.",),
        "fr": ("Écris le tableau en JSON.",),
        "es": ("Escribe la tabla en JSON.",),
        "zh": ("把表格转成 JSON。", "用 JSON 写出表格的每一行。"),
    },
    "row": {
        "en": ('Give the row "{row}" as JSON.', "Write row {row} as JSON."),
        "zh": ("把“{row}”这一行写成 JSON。",),
    },
    "column": {
        "en": ('Give the column "{column}" as a JSON list.', "List the values of {column} as JSON."),
        "zh": ("把“{column}”这一列写成 JSON 列表。",),
    },
    "cell": {
        "en": ('What is "{column}" of "{row}"?', "What does the table say for {row}, {column}?", "{row}: {column}?"),
        "de": ("Was steht bei {row} unter {column}?",),
        "fr": ("Que dit le tableau pour {row}, {column} ?",),
        "es": ("¿Qué dice la tabla en {row}, {column}?",),
        "zh": ("“{row}”的“{column}”是多少?", "{row}的{column}是什么?"),
    },
    "sum": {
        "en": ('What is the sum of "{column}"? Show the steps.', "Add up {column} step by step."),
        "zh": ("“{column}”一列的和是多少?写出步骤。",),
    },
    "max": {
        "en": ('Which row has the largest "{column}"?', "Where is {column} the highest?"),
        "de": ("Welche Zeile hat das größte {column}?",),
        "zh": ("哪一行的“{column}”最大?",),
    },
    "min": {
        "en": ('Which row has the smallest "{column}"?', "Where is {column} the lowest?"),
        "zh": ("哪一行的“{column}”最小?",),
    },
    "count": {
        "en": ('In how many rows is "{column}" above {value}?', "How many rows have a {column} of more than {value}?"),
        "zh": ("有多少行的“{column}”大于{value}?",),
    },
    "size": {"en": ("How many rows and columns does the table have? Do not count the header.",)},
    "order": {
        "en": (
            'List the rows from the largest to the smallest "{column}" as JSON.',
            "Sort the rows by {column} as JSON, largest first.",
        )
    },
}
KINDS: Mapping[str, float] = {
    "markdown": 0.28, "html": 0.06, "json": 0.1, "row": 0.08, "column": 0.08, "cell": 0.2, "absent": 0.04,
    "size": 0.02, "sum": 0.05, "max": 0.04, "min": 0.02, "count": 0.03, "order": 0.02,
}  # fmt: skip
"""Shares of the questions; those from `sum` on need a column of plain numbers."""
CALCULATED = ("sum", "max", "min", "count", "order")
LONGEST_SUM = 8


def wish_at(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Wish:
    """2 x 2 short cells at first; up to about 24 x 9, in any language that has faces."""
    others = [name for name in assets.languages(split) if name not in ("en", "ar")]
    zh = "zh" in others and rng.random() < 0.25
    language = "zh" if zh else pick(rng, others) if others and rng.random() < 0.3 else "en"
    rows = int(rng.integers(2, 4 + round(21 * difficulty**1.3)))
    columns = int(rng.integers(2, 3 + round(7 * difficulty)))
    return Wish(rows, columns, 4 + round(16 * difficulty), split, language, assets)


def markdown_of(grid: Grid) -> str:
    """The table in Markdown; two levels of headers become `Group Name`."""
    lines = [grid.names, tuple("---" for _ in grid.header), *grid.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def html_of(grid: Grid) -> str:
    """The table in HTML, with spans where the header has two levels."""
    if not grid.groups:
        heads = ["".join(f"<th>{html.escape(name, quote=False)}</th>" for name in grid.header)]
    else:
        columns = iter(grid.header)
        upper, lower = [], []
        for name, span in grid.groups:
            below = [next(columns) for _ in range(span)]
            upper += [f'<th colspan="{span}">{name}</th>'] if name else [f'<th rowspan="2">{one}</th>' for one in below]
            lower += [f"<th>{one}</th>" for one in below] if name else []
        heads = ["".join(upper), "".join(lower)]
    body = ["".join(f"<td>{html.escape(cell, quote=False)}</td>" for cell in row) for row in grid.rows]
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in (*heads, *body)) + "</table>"


def record(grid: Grid, row: Sequence[str]) -> dict[str, str]:
    """A row as field -> cell."""
    return dict(zip(grid.names, row, strict=True))


def as_json(value: object) -> str:
    """JSON with its letters as they are."""
    return json.dumps(value, ensure_ascii=False)


def sum_chain(cells: Sequence[str]) -> str:
    """`3+5+2 = 8+2 = 10`; decimals are added exactly.

    >>> sum_chain(["0.5", "1.25", "2"])
    '0.5+1.25+2 = 1.75+2 = 3.75'
    """
    left = [Decimal(cell) for cell in cells]
    added = ("+".join([str(sum(left[:used])), *cells[used:]]) for used in range(2, len(cells) + 1))
    return " = ".join(["+".join(cells), *added])


class Task(NamedTuple):
    """A question, its answer, and how answers are scored."""

    question: str
    answer: str
    metric: str


def ask(rng: np.random.Generator, kind: str, grid: Grid, **parts: str) -> str:
    """A question of the kind, now and then in the table's own language."""
    wordings = QUESTIONS[kind]
    own = wordings.get(grid.language, ())
    return pick(rng, own if own and rng.random() < 0.6 else wordings["en"]).format(**parts)


def whole_task(rng: np.random.Generator, kind: str, grid: Grid) -> Task:
    """The whole table as Markdown, HTML or JSON, or its size."""
    question = ask(rng, kind, grid)
    if kind == "json":
        return Task(question, as_json([record(grid, row) for row in grid.rows]), "json")
    if kind == "size":
        return Task(question, f"{len(grid.rows)} rows, {len(grid.header)} columns", "exact")
    return Task(question, markdown_of(grid) if kind == "markdown" else html_of(grid), "cells")


def part_task(rng: np.random.Generator, kind: str, grid: Grid, absent: str) -> Task:
    """A row, a column or a cell; `absent` is the name of a row that is not there."""
    row, index = pick(rng, grid.rows), int(rng.integers(1, len(grid.header)))
    column = grid.names[index]
    if kind == "row":
        return Task(ask(rng, kind, grid, row=row[0]), as_json(record(grid, row)), "json")
    if kind == "column":
        return Task(ask(rng, kind, grid, column=column), as_json([row[index] for row in grid.rows]), "json")
    if kind == "absent":
        return Task(ask(rng, "cell", grid, row=absent, column=column), f"There is no row {absent}.", "exact")
    return Task(ask(rng, kind, grid, row=row[0], column=column), row[index], "exact")


def calculated_task(rng: np.random.Generator, kind: str, grid: Grid) -> Task | None:
    """A sum, an extreme, a count or an order of a column of numbers; None where it has no clear answer."""
    index = pick(rng, [i for i, numeric in enumerate(grid.numbers) if numeric])
    column, cells = grid.names[index], [row[index] for row in grid.rows]
    values = [Decimal(cell) for cell in cells]
    if kind == "sum":
        found = Task(ask(rng, kind, grid, column=column), sum_chain(cells), "number")
        return found if len(cells) <= LONGEST_SUM else None
    if kind == "count":
        limit = pick(rng, cells)
        above = sum(value > Decimal(limit) for value in values)
        return Task(ask(rng, kind, grid, column=column, value=limit), str(above), "number")
    order = sorted(range(len(cells)), key=lambda line: -values[line])
    if len(set(values)) < len(values):
        return None
    if kind == "order":
        return Task(ask(rng, kind, grid, column=column), as_json([grid.rows[i][0] for i in order]), "json")
    return Task(ask(rng, kind, grid, column=column), grid.rows[order[0 if kind == "max" else -1]][0], "exact")


def make_task(rng: np.random.Generator, grid: Grid, wish: Wish) -> tuple[str, Task]:
    """(kind, task) that fits the grid."""
    names, shares = tuple(KINDS), np.array(tuple(KINDS.values()))
    while True:
        task: Task | None
        kind = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        if kind in ("size", "count") and len(grid.rows) < 4:
            task = None  # two or three rows are guessed too easily
        elif kind in CALCULATED:
            task = calculated_task(rng, kind, grid) if any(grid.numbers) else None
        elif kind in ("row", "column", "cell", "absent"):
            absent = word(rng, wish)
            there = any(absent.lower() in row[0].lower() for row in grid.rows)
            task = None if there and kind == "absent" else part_task(rng, kind, grid, absent)
        else:
            task = whole_task(rng, kind, grid)
        if task is not None:
            return kind, task


def smaller(wish: Wish) -> Wish:
    """The next smaller wish: fewer rows first, then fewer columns, then shorter cells."""
    if wish.rows > 3:
        return wish._replace(rows=max(2, int(wish.rows * 0.75)))
    if wish.columns > 2:
        return wish._replace(columns=wish.columns - 1)
    return wish._replace(rows=2, letters=max(3, wish.letters - 1), language="en")


def make_table(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """One table and one question about it: `table-markdown`, `table-cell`, ... (`table-` and a name of KINDS)."""
    if rng.random() < 0.25:
        difficulty *= float(rng.random())
    wish = wish_at(rng, split=split, difficulty=difficulty, assets=assets)
    while True:
        grid = make_grid(rng, wish, difficulty)
        style = choose_style(rng, grid.text, assets.families(LANGUAGES[grid.language], split), difficulty)
        if style is not None:
            size, frame = lay_out(rng, grid, style)
            if size[0] * size[1] <= room(difficulty) * 28 * 28:
                break
        wish = smaller(wish)
    sheet = set_table(grid, style, size, frame).sheet(rng, difficulty * float(rng.random()))
    kind, task = make_task(rng, grid, wish)

    def further(rng: np.random.Generator) -> tuple[str, str]:
        other = make_task(rng, grid, wish)[1]
        return other.question, other.answer

    return asked(
        sheet,
        task.question,
        task.answer,
        task=f"table-{kind}",
        metric=task.metric,
        language=grid.language,
        further=further,
    )
