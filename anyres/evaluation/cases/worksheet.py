"""Worksheets of twenty expressions: that of 2024, on which models were first compared by hand, and others like it."""

import random
from fractions import Fraction

from anyres.evaluation.cases.sheet import Sheet
from anyres.evaluation.metrics.arithmetic import evaluate

__all__ = ["EXPRESSIONS", "expressions", "worksheet"]

EXPRESSIONS = (
    ("175-75+25", "65+35×13", "725-(125+237)", "(114+166)÷35"),
    ("432÷(9×8)", "189-60+40", "47+236+64", "5+25×44"),
    ("102×99", "8+2×125", "645-180-245", "630×[840÷(240-212)]"),
    ("138×25×4", "1500-32×45", "25×(24+16)", "8100÷4÷75"),
    ("(12+24+80)×50", "83×102-83×2", "50×(34×4)×3", "1437×27+27×563"),
)
ROWS, COLUMNS = len(EXPRESSIONS), len(EXPRESSIONS[0])
LARGEST = 100_000
WIDTH, HEIGHT, SIZE = 1240, 720, 26


def expressions(number: int) -> tuple[tuple[str, ...], ...]:
    """Those of a sheet, row by row. Sheet 0 is that of 2024; all values are whole numbers from 0."""
    if number == 0:
        return EXPRESSIONS
    drawn = random.Random(number)  # noqa: S311 - not for secrets
    return tuple(tuple(_expression(drawn) for _ in range(COLUMNS)) for _ in range(ROWS))


def worksheet(number: int) -> bytes:
    """Its picture, as photographed."""
    sheet = Sheet(WIDTH, HEIGHT)
    sheet.write("Work out, step by step", WIDTH / 2, 40, size=34, align="middle")
    for row, line in enumerate(expressions(number)):
        for column, text in enumerate(line):
            sheet.write(f"{text} =", 60 + column * 290, 140 + row * 110, size=SIZE)
    sheet.photograph(number)
    return sheet.file()


def _expression(drawn: random.Random) -> str:
    """One whose value is a whole number from 0 and not too large, and whose divisions leave nothing."""
    while True:
        a, b, c = drawn.randint(2, 400), drawn.randint(2, 99), drawn.randint(2, 99)
        text = drawn.choice(
            (
                f"{a + b}-{b}+{c}",
                f"{a}+{b}×{c}",
                f"{a + b + c}-({b}+{c})",
                f"({a * c - b}+{b})÷{c}",
                f"{b * c * 6}÷({b}×{c})",
                f"{b}×{c}",
                f"{a}+{b}+{c}",
                f"{a * 9}-{b}×{c}",
                f"{b}×({c}+{a})",
                f"{a}×[{b * c}÷({b + c}-{c})]",
                f"{a}×{b}+{b}×{c}",
            )
        )
        value = evaluate(text)
        if isinstance(value, Fraction) and value.denominator == 1 and 0 <= value <= LARGEST:
            return text
