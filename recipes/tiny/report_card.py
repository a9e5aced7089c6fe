"""The card of a checkpoint: rows of figures with their intervals, as `card.json` and `CARD.md`."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import NamedTuple

from recipes.tiny.scores import Part

__all__ = ["Outcome", "Row", "percent", "row_of", "rows_of", "target_of", "wilson", "write_card"]

Z = 1.96
"""Standard deviations of a 95 % interval."""
ALL = "all"
REFUSAL = "says what is not there"
TARGETS: Mapping[tuple[str, str, str], float] = {
    ("line", "whole", ALL): 0.97,
    ("line", "whole", "zh"): 0.9,
    ("page", "characters", ALL): 0.97,
    ("receipt-json", "json", ALL): 0.9,
    ("table-markdown", "cells", ALL): 0.9,
    ("arithmetic", "exact", ALL): 0.85,
    ("chart-value", "number", ALL): 0.75,
    ("icon-name", "exact", ALL): 0.7,
    ("ui-point", "point", ALL): 0.85,
    ("shape-count", "number", ALL): 0.9,
    ("icon-count", "number", ALL): 0.9,
    (REFUSAL, "exact", ALL): 0.9,
}
"""(task, metric, language) -> what is aimed at; all clips have CLIP."""
CLIP = 0.85
MEANINGS = {
    "characters": "1 - edits / characters",
    "whole": "answers without a mistake",
    "exact": "answers equal to the wanted one",
    "number": "the number is right; within 5 % in charts",
    "json": "F1 of the fields",
    "cells": "cells that are right where they stand",
    "box": "boxes whose overlap is half of their union, F1",
    "point": "points inside of the target",
}


class Outcome(NamedTuple):
    """One held-out question: how much of its answer was right, and of those it is compared with."""

    task: str
    language: str
    difficulty: float
    metric: str
    told: Part
    blind: Part
    commonest: Part
    whole: bool
    refusal: bool
    readers: Mapping[str, Part]


class Row(NamedTuple):
    """A line of the card; shares from 0 to 1, `low` and `high` the ends of the 95 % interval of `figure`."""

    task: str
    language: str
    difficulty: float
    metric: str
    samples: int
    figure: float
    low: float
    high: float
    target: float | None
    blind: float
    commonest: float
    readers: Mapping[str, float]


def wilson(share: float, samples: int) -> tuple[float, float]:
    """Ends of the 95 % interval of a share; of other scores from 0 to 1 it is wider than due.

    >>> [round(end, 3) for end in wilson(0.5, 100)], [round(end, 3) for end in wilson(1.0, 20)]
    ([0.404, 0.596], [0.839, 1.0])
    """
    spread = Z * Z / samples
    middle = (share + spread / 2) / (1 + spread)
    half = Z * sqrt(share * (1 - share) / samples + spread / (4 * samples)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def share_of(parts: Iterable[Part]) -> float:
    """All that is right over all there is, 0 to 1."""
    told = list(parts)
    whole = sum(part.of for part in told)
    return min(1.0, max(0.0, sum(part.right for part in told) / whole)) if whole else 0.0


def target_of(task: str, metric: str, language: str) -> float | None:
    """What a row aims at, if anything.

    >>> target_of("line", "whole", "zh"), target_of("clip-order", "exact", "all"), target_of("line", "whole", "de")
    (0.9, 0.85, None)
    """
    if task.startswith("clip-") and language == ALL:
        return CLIP
    return TARGETS.get((task, metric, language))


def row_of(outcomes: Sequence[Outcome], task: str, language: str, metric: str) -> Row:
    """One row over outcomes of one difficulty."""
    figure = share_of(one.told for one in outcomes)
    readers = {
        name: share_of(one.readers[name] for one in outcomes if name in one.readers)
        for name in dict.fromkeys(name for one in outcomes for name in one.readers)
    }
    return Row(
        task,
        language,
        outcomes[0].difficulty,
        metric,
        len(outcomes),
        figure,
        *wilson(figure, len(outcomes)),
        target_of(task, metric, language),
        share_of(one.blind for one in outcomes),
        share_of(one.commonest for one in outcomes),
        readers,
    )


def rows_of(outcomes: Sequence[Outcome]) -> list[Row]:
    """For each task and difficulty a row over all languages, then one a language; where characters count, also rows of
    whole answers; at the end rows of refusals over all tasks."""
    rows = []
    for (task, metric, _), of_task in grouped(
        outcomes, lambda one: (one.task, one.metric, str(one.difficulty))
    ).items():
        rows += with_languages(of_task, task, metric)
        if metric == "characters":
            rows += with_languages([as_whole(one) for one in of_task], task, "whole")
    refusals = [one for one in outcomes if one.refusal]
    for of_level in grouped(refusals, lambda one: (str(one.difficulty),)).values():
        rows.append(row_of(of_level, REFUSAL, ALL, "exact"))
    return rows


def with_languages(outcomes: Sequence[Outcome], task: str, metric: str) -> list[Row]:
    """The row of all languages, and one for each where there are several."""
    languages = grouped(outcomes, lambda one: (one.language,))
    rows = [row_of(outcomes, task, ALL, metric)]
    if len(languages) > 1:
        rows += [row_of(found, task, language or "-", metric) for (language,), found in sorted(languages.items())]
    return rows


def as_whole(one: Outcome) -> Outcome:
    """The outcome as a yes or no; what others made of it counts when nothing is missing."""
    readers = {name: whole(part) for name, part in one.readers.items()}
    return one._replace(
        told=Part(float(one.whole)), blind=whole(one.blind), commonest=whole(one.commonest), readers=readers
    )


def whole(part: Part) -> Part:
    """1 where all of it is right."""
    return Part(float(part.right >= part.of))


def grouped(
    outcomes: Iterable[Outcome], key: Callable[[Outcome], tuple[str, ...]]
) -> dict[tuple[str, ...], list[Outcome]]:
    """The outcomes by their key, in the order in which keys are met."""
    found: dict[tuple[str, ...], list[Outcome]] = {}
    for one in outcomes:
        found.setdefault(key(one), []).append(one)
    return found


# ---- the files ----


def write_card(folder: Path, rows: Sequence[Row], *, notes: str = "", absent: Mapping[str, str] | None = None) -> None:
    """`card.json` for programs, `anyres card` among them, and `CARD.md` for people; `absent` readers are said to be."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = [rounded(row) for row in rows]
    card = {"rows": listed, "absent_readers": dict(absent or {}), "notes": notes}
    (folder / "card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "CARD.md").write_text(card_text(rows, notes=notes, absent=absent or {}), encoding="utf-8")


def rounded(row: Row) -> dict[str, object]:
    """The row with four digits."""
    plain = {key: round(value, 4) if isinstance(value, float) else value for key, value in row._asdict().items()}
    return plain | {"readers": {name: round(value, 4) for name, value in row.readers.items()}}


def card_text(rows: Sequence[Row], *, notes: str, absent: Mapping[str, str]) -> str:
    """The card as Markdown."""
    names = sorted({name for row in rows for name in row.readers})
    head = ["task", "language", "difficulty", "measure", "samples", "figure", "95 %", "target", "blind", "commonest"]
    lines = [[*head, *names], ["---"] * (len(head) + len(names))]
    lines += [cells_of(row, names) for row in rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    used = [metric for metric in MEANINGS if any(row.metric == metric for row in rows)]
    meanings = "; ".join(f"*{metric}*: {MEANINGS[metric]}" for metric in used)
    lacking = "".join(f"\n{name} was not there ({way}).\n" for name, way in absent.items())
    return (
        f"""# Card of `tiny`, version 1

Held-out content (faces, texts, tables, drawing styles, looks never trained on), greedy answers through the public API.
Difficulty goes from 0 to 1. *95 %*: Wilson's interval. *Blind*: the same questions about grey pictures. *Commonest*:
always the likeliest training answer. {meanings}.
{lacking}
{table}

{notes}
""".rstrip()
        + "\n"
    )


def cells_of(row: Row, names: Sequence[str]) -> list[str]:
    """The cells of a row of the Markdown table."""
    interval = f"{100 * row.low:.1f}-{100 * row.high:.1f}"
    told = [row.task, row.language, f"{row.difficulty:g}", row.metric, str(row.samples), percent(row.figure), interval]
    others = [percent(row.readers.get(name)) for name in names]
    return [*told, percent(row.target), percent(row.blind), percent(row.commonest), *others]


def percent(value: float | None) -> str:
    """`97.1 %`, or `-` for nothing.

    >>> percent(0.971), percent(None)
    ('97.1 %', '-')
    """
    return "-" if value is None else f"{100 * value:.1f} %"
