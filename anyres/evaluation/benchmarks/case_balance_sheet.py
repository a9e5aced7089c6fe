"""Case C: a Chinese balance sheet as JSON, row by row.

The first sheet is that of a hand comparison of 2024, in which Qwen2-VL-7B left out six of fourteen rows. Rows found,
cells, their order and whether separators of thousands were kept are figures of their own.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from anyres.chat import ImagePart, Message, TextPart
from anyres.evaluation.benchmark import Benchmark, Extraction, Graded, Scoring, Settings
from anyres.evaluation.cases.balance_sheet import COLUMNS, balance_sheet, lines
from anyres.evaluation.cases.drawn import DrawnPicture
from anyres.evaluation.extraction.json_answers import json_of
from anyres.evaluation.metrics.groups import mean
from anyres.evaluation.sample import Sample

__all__ = ["CASE_BALANCE_SHEET", "Compared", "compared"]

SHEETS = 10
NAME, NUMBER, *AMOUNTS = COLUMNS
PROMPT = (
    "请把图中的资产负债表完整地转换为 JSON：一个数组，表格的每一行对应一个对象，键为“名称”、“行次”、"
    "“年初数”、“期末数”，值与图中一致，保留千分位逗号，不要遗漏任何一行。"
)


class Compared(NamedTuple):
    """Counts of a sheet: rows of the gold, found, in order, told in all; cells and right ones; amounts with a separator
    whose value is right, and of these those that kept it."""

    rows: int
    found: int
    in_order: int
    told: int
    cells: int
    right: int
    separated: int
    kept: int


def read_balance_sheets(path: Path) -> Iterable[Sample]:
    """Ten sheets, drawn here: `path` is not looked at."""
    return map(_sample, range(SHEETS))


def _sample(number: int) -> Sample:
    rows = [dict(zip(COLUMNS, line, strict=True)) for line in lines(number)]
    return Sample(
        id=f"balance-{number}",
        question=PROMPT,
        media=(ImagePart(DrawnPicture("balance_sheet", number, balance_sheet)),),
        golds=tuple(" | ".join(row.values()) for row in rows),
        categories={"category": "2024" if number == 0 else "drawn"},
        facts={"rows": rows},
    )


def balance_sheet_prompt(sample: Sample) -> tuple[Message, ...]:
    return (Message("user", (*sample.media, TextPart(sample.question))),)


def compared(extraction: Extraction, sample: Sample) -> Compared:
    """A row is found by its number, else by its name; of two of the same the first counts."""
    golds: list[dict[str, str]] = sample.facts["rows"]
    told = _rows(extraction.value)
    places = [_place(gold, told) for gold in golds]
    pairs = [(gold, told[place]) for gold, place in zip(golds, places, strict=True) if place is not None]
    cells = [(column, gold[column], _text(row.get(column))) for gold, row in pairs for column in COLUMNS]
    right = [(gold, text) for column, gold, text in cells if _is_same(gold, text, is_amount=column in AMOUNTS)]
    separated = [(gold, text) for gold, text in right if "," in gold]
    return Compared(
        rows=len(golds),
        found=len(pairs),
        in_order=_longest_rise([place for place in places if place is not None]),
        told=len(told),
        cells=len(golds) * len(COLUMNS),
        right=len(right),
        separated=len(separated),
        kept=sum(gold == text for gold, text in separated),
    )


def _rows(value: Any) -> list[Mapping[str, Any]]:
    """Objects of a list, or of the first list that an object holds."""
    if isinstance(value, Mapping) and not any(column in value for column in COLUMNS):
        value = next((held for held in value.values() if isinstance(held, list)), None)
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, Mapping)]


def _place(gold: Mapping[str, str], told: Sequence[Mapping[str, Any]]) -> int | None:
    for column in (NUMBER, NAME):
        for place, row in enumerate(told):
            if _text(row.get(column)) == gold[column]:
                return place
    return None


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return f"{value:.2f}"
    return "".join(str(value).replace("，", ",").split()) if isinstance(value, (str, int, float)) else ""


def _is_same(gold: str, told: str, *, is_amount: bool) -> bool:
    if not is_amount:
        return told == gold
    try:
        return float(told.replace(",", "")) == float(gold.replace(",", ""))
    except ValueError:
        return False


def _longest_rise(places: Sequence[int]) -> int:
    """The most rows that stand in the right order.

    >>> _longest_rise([0, 1, 5, 2, 3])
    4
    """
    longest = [0] * (len(places) + 1)
    for end, place in enumerate(places):
        longest[end + 1] = 1 + max((longest[at + 1] for at in range(end) if places[at] < place), default=0)
    return max(longest)


def grade_balance_sheet(extraction: Extraction, sample: Sample) -> float:
    """Share of cells that are right."""
    counts = compared(extraction, sample)
    return counts.right / counts.cells


def summarise_balance_sheets(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Percent of all: cells right, rows found; of rows found, in order; of right amounts with separators, kept; rows
    that the sheet does not have, over those told."""
    counts = [compared(one.extraction, one.sample) for one in graded]

    def share(part: str, whole: str) -> float:
        parts, wholes = (sum(int(getattr(one, name)) for one in counts) for name in (part, whole))
        return 100 * parts / max(1, wholes)

    return {
        "cells": share("right", "cells"),
        "rows": share("found", "rows"),
        "order": share("in_order", "found"),
        "separators": share("kept", "separated"),
        "invented": max(0.0, 100 - share("found", "told")) if any(one.told for one in counts) else 0.0,
        "whole sheets": 100 * mean([float(one.right == one.cells) for one in counts]),
    }


CASE_BALANCE_SHEET = Benchmark(
    name="Case_BalanceSheet",
    title="Case C: a Chinese balance sheet as JSON",
    paper="",
    read=read_balance_sheets,
    prompt=balance_sheet_prompt,
    scorings=(
        Scoring(
            "official",
            1,
            json_of,
            grade_balance_sheet,
            summarise_balance_sheets,
            about="Names and numbers of rows as they are, amounts by value; rows by their number or name.",
        ),
    ),
    settings=Settings(max_tokens=2048),
    official_rows=SHEETS,
    drawn=True,
)
