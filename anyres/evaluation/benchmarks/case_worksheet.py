"""Case A: twenty expressions on a photographed worksheet, each to be read and worked out step by step.

The first sheet is that of a hand comparison of 2024, in which Qwen2-VL-7B had one of twenty wrong (102×99 = 10102) and
MiniCPM-V-2.6-int4 four. Reading, steps and result are figures of their own.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from anyres.chat import ImagePart, Message, TextPart
from anyres.evaluation.benchmark import Benchmark, Extraction, Graded, Scoring, Settings
from anyres.evaluation.cases.drawn import DrawnPicture
from anyres.evaluation.cases.worksheet import expressions, worksheet
from anyres.evaluation.extraction.chains import chains_of, plain_expression
from anyres.evaluation.metrics.arithmetic import evaluate
from anyres.evaluation.metrics.groups import mean
from anyres.evaluation.sample import Sample

__all__ = ["CASE_WORKSHEET", "Worked", "worked"]

SHEETS = 10
PROMPT = (
    "This is a worksheet of {} expressions, in rows from left to right. Work out each of them step by step. Answer "
    "with one numbered line for each, the expression and its steps joined by =, as in: 1. 2+3×4 = 2+12 = 14"
)


class Worked(NamedTuple):
    """What of an expression is right, 0 or 1: that it was read, each step after it, the result; and how many steps."""

    reading: float
    right_steps: int
    steps: int
    result: float


def read_worksheets(path: Path) -> Iterable[Sample]:
    """Ten sheets, drawn here: `path` is not looked at."""
    return map(_sample, range(SHEETS))


def _sample(number: int) -> Sample:
    wanted = [text for row in expressions(number) for text in row]
    return Sample(
        id=f"sheet-{number}",
        question=PROMPT.format(len(wanted)),
        media=(ImagePart(DrawnPicture("worksheet", number, worksheet)),),
        golds=tuple(f"{text} = {evaluate(text)}" for text in wanted),
        categories={"category": "2024" if number == 0 else "drawn"},
        facts={"expressions": wanted},
    )


def worksheet_prompt(sample: Sample) -> tuple[Message, ...]:
    return (Message("user", (*sample.media, TextPart(sample.question))),)


def worked(extraction: Extraction, sample: Sample) -> list[Worked]:
    """Of each expression of the sheet, in its order."""
    wanted: list[str] = sample.facts["expressions"]
    chains = _assigned(extraction.value or [], [plain_expression(text) for text in wanted])
    return [_worked(chain, text) for chain, text in zip(chains, wanted, strict=True)]


def _assigned(chains: Sequence[Any], wanted: Sequence[str]) -> list[list[str]]:
    """A chain for each expression: the one that begins with it, else the one of its number or, without numbers, its
    place. A line that was left out takes no other from its place."""
    found: list[list[str]] = [[] for _ in wanted]
    rest = []
    for place, (number, parts) in enumerate(chains):
        same = [spot for spot, text in enumerate(wanted) if text == parts[0] and not found[spot]]
        if same:
            found[same[0]] = parts
        else:
            rest.append((number - 1 if number else place, parts))
    for spot, parts in rest:
        if 0 <= spot < len(wanted) and not found[spot]:
            found[spot] = parts
    return found


def _worked(parts: Sequence[str], wanted: str) -> Worked:
    """A step is right when it has the value of the one before it."""
    if not parts:
        return Worked(0.0, 0, 0, 0.0)
    values = [evaluate(part) for part in parts]
    right = sum(one is not None and one == other for one, other in pairwise(values))
    is_result = values[-1] is not None and values[-1] == evaluate(wanted) and parts[-1].replace(",", "").isdecimal()
    return Worked(float(parts[0] == plain_expression(wanted)), right, len(parts) - 1, float(is_result))


def grade_worksheet(extraction: Extraction, sample: Sample) -> float:
    """Share of results that are right."""
    return mean([one.result for one in worked(extraction, sample)])


def summarise_worksheets(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Percent of all expressions: results, readings, both with every step; and of all steps that were written."""
    items = [item for one in graded for item in worked(one.extraction, one.sample)]
    steps = max(1, sum(item.steps for item in items))
    return {
        "result": 100 * mean([item.result for item in items]),
        "reading": 100 * mean([item.reading for item in items]),
        "steps": 100 * sum(item.right_steps for item in items) / steps,
        "all right": 100
        * mean([float(item.reading * item.result and item.right_steps == item.steps) for item in items]),
        "answered": 100 * mean([float(item.steps > 0) for item in items]),
    }


CASE_WORKSHEET = Benchmark(
    name="Case_Worksheet",
    title="Case A: a worksheet of twenty expressions",
    paper="",
    read=read_worksheets,
    prompt=worksheet_prompt,
    scorings=(
        Scoring(
            "official",
            1,
            chains_of,
            grade_worksheet,
            summarise_worksheets,
            about="The last part of a chain is the expression's value; each step has the value of the one before it.",
        ),
    ),
    settings=Settings(max_tokens=2048),
    official_rows=SHEETS,
    drawn=True,
)
