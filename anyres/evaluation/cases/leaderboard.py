"""Leaderboards of twenty models and fifteen columns, with a head of two levels, dashes and asterisks."""

import random
from collections.abc import Sequence

from anyres.evaluation.cases.sheet import Sheet, Span, text_width

__all__ = ["GROUPS", "columns", "leaderboard", "rows"]

GROUPS = (
    ("Model", ("Name", "Size")),
    ("Reading", ("Doc", "Chart", "Info", "Text")),
    ("Reasoning", ("Math", "MMMU", "Star")),
    ("Video", ("Long", "Short", "Ego")),
    ("Other", ("Real", "Hallu", "Mean")),
)
SYLLABLES = ("Al", "Bo", "Cir", "Del", "Ex", "Fa", "Gor", "Hel", "In", "Ju", "Kal", "Lu", "Mir", "No", "Or", "Pax")
MODELS, MISSING, STARRED = 20, 0.12, 0.08
SIZE, PAD, EDGE = 18, 18, 30


def columns() -> tuple[str, ...]:
    """Both levels of the head in one.

    >>> columns()[:3], len(columns())
    (('Model / Name', 'Model / Size', 'Reading / Doc'), 15)
    """
    return tuple(f"{group} / {name}" for group, names in GROUPS for name in names)


def rows(number: int) -> tuple[tuple[str, ...], ...]:
    """The cells below the head. A dash stands for no value, an asterisk behind one for a remark."""
    drawn = random.Random(f"leaderboard {number}")  # noqa: S311 - not for secrets
    names = drawn.sample([first + second.lower() for first in SYLLABLES for second in SYLLABLES], MODELS)
    sizes = ("2B", "7B", "8B", "13B", "34B", "72B")
    return tuple(
        (f"{name}-VL-{drawn.randint(1, 3)}", drawn.choice((*sizes, "-")), *(_cell(drawn) for _ in range(13)))
        for name in names
    )


def leaderboard(number: int) -> bytes:
    """Its picture."""
    below, names = rows(number), [name for _, some in GROUPS for name in some]
    widths = [max(text_width(text, SIZE) for text in column) + PAD for column in zip(names, *below, strict=True)]
    high = round(SIZE * 1.7)
    sheet = Sheet(sum(widths) + 2 * EDGE, (len(below) + 2) * high + 2 * EDGE)
    groups = [Span(group, len(some), "middle") for group, some in GROUPS]
    heads = [Span(name, align="middle") for name in names]
    sheet.table([groups, heads, *map(_spans, below)], EDGE, EDGE, widths=widths, size=SIZE)
    return sheet.file()


def _spans(row: Sequence[str]) -> list[Span]:
    return [Span(text, align="left" if column == 0 else "middle") for column, text in enumerate(row)]


def _cell(drawn: random.Random) -> str:
    if drawn.random() < MISSING:
        return "-"
    return f"{drawn.uniform(20, 96):.1f}" + "*" * (drawn.random() < STARRED)
