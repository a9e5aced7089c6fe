"""Case D: a dense leaderboard of twenty models and fifteen columns as Markdown.

In a hand comparison of 2024 Qwen2-VL-7B left out rows of such a table. Scored by cells that are right where they stand,
and with TEDS; Markdown has one head, so both levels of it are to be joined.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from anyres.chat import ImagePart, Message, TextPart
from anyres.evaluation.benchmark import Benchmark, Graded, Scoring, Settings
from anyres.evaluation.benchmarks.pubtabnet import grade_cells, grade_teds
from anyres.evaluation.cases.drawn import DrawnPicture
from anyres.evaluation.cases.leaderboard import columns, leaderboard, rows
from anyres.evaluation.extraction.tables import table_of
from anyres.evaluation.metrics.groups import mean, percent
from anyres.evaluation.metrics.table_cells import grid
from anyres.evaluation.sample import Sample

__all__ = ["CASE_LEADERBOARD"]

TABLES = 10
PROMPT = (
    "Write this table as Markdown, with every row and column, dashes and asterisks as they are. Join both levels of "
    'the head in one, as "Reading / Doc".'
)


def read_leaderboards(path: Path) -> Iterable[Sample]:
    """Ten tables, drawn here: `path` is not looked at."""
    return map(_sample, range(TABLES))


def _sample(number: int) -> Sample:
    below = rows(number)
    return Sample(
        id=f"leaderboard-{number}",
        question=PROMPT,
        media=(ImagePart(DrawnPicture("leaderboard", number, leaderboard)),),
        golds=(f"<table><thead>{_row(columns())}</thead><tbody>{''.join(map(_row, below))}</tbody></table>",),
        facts={"rows": [list(row) for row in below]},
    )


def _row(cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<td>{html.escape(cell, quote=False)}</td>" for cell in cells) + "</tr>"


def leaderboard_prompt(sample: Sample) -> tuple[Message, ...]:
    return (Message("user", (*sample.media, TextPart(sample.question))),)


def summarise_leaderboards(graded: Sequence[Graded]) -> Mapping[str, float]:
    """The mean score, and percent of rows whose name is there, and that are there without a mistake."""
    named, whole = [], []
    for one in graded:
        told = grid(one.extraction.value) if one.extraction.value else []
        names = {row[0] for row in told if row}
        named += [float(row[0] in names) for row in one.sample.facts["rows"]]
        whole += [float(row in told) for row in one.sample.facts["rows"]]
    return {"overall": percent(graded), "rows": 100 * mean(named), "rows without a mistake": 100 * mean(whole)}


CASE_LEADERBOARD = Benchmark(
    name="Case_Leaderboard",
    title="Case D: a dense table as Markdown",
    paper="",
    read=read_leaderboards,
    prompt=leaderboard_prompt,
    scorings=(
        Scoring(
            "cells", 1, table_of, grade_cells, summarise_leaderboards, about="Right cells over those of the table."
        ),
        Scoring("TEDS", 1, table_of, grade_teds, summarise_leaderboards, about="Tree edit distance of both tables."),
    ),
    settings=Settings(max_tokens=4096),
    official_rows=TABLES,
    drawn=True,
)
