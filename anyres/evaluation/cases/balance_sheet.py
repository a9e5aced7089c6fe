"""Balance sheets in Chinese: the assets of that of 2024, on which rows were left out, and others of the same form."""

import random
from typing import NamedTuple

from anyres.evaluation.cases.sheet import Sheet, Span

__all__ = ["COLUMNS", "Line", "balance_sheet", "lines"]

COLUMNS = ("名称", "行次", "年初数", "期末数")


class Line(NamedTuple):
    """A row: its name, its number, the amounts at the beginning and at the end, as they are written."""

    name: str
    number: str
    opening: str
    closing: str


PUBLISHED = (
    Line("货币资金", "1", "62,469.37", "52,453.02"),
    Line("短期投资", "2", "0.00", "0.00"),
    Line("应收票据", "3", "0.00", "0.00"),
    Line("应收股利", "4", "0.00", "0.00"),
    Line("应收利息", "5", "0.00", "0.00"),
    Line("应收账款", "6", "25,811.80", "33,979.70"),
    Line("其他应收款", "7", "0.00", "0.00"),
    Line("预付账款", "8", "0.00", "0.00"),
    Line("应收补贴款", "9", "0.00", "0.00"),
    Line("存货", "10", "2,394.00", "4,251.00"),
    Line("待摊费用", "11", "0.00", "0.00"),
    Line("一年内到期的长期债权投资", "21", "0.00", "0.00"),
    Line("其他流动资产", "24", "0.00", "0.00"),
    Line("流动资产合计", "31", "90675.17", "90683.72"),
)
EMPTY = 0.5
"""Share of lines without an amount."""
WIDTH, HEIGHT, SIZE = 1000, 860, 26
WIDTHS = (420, 100, 190, 190)


def lines(number: int) -> tuple[Line, ...]:
    """The rows of a sheet. Sheet 0 is that of 2024, whose sums are written without separators."""
    if number == 0:
        return PUBLISHED
    drawn = random.Random(f"balance {number}")  # noqa: S311 - not for secrets
    cents = [[_cents(drawn), _cents(drawn)] for _ in PUBLISHED[:-1]]
    sums = [sum(column) for column in zip(*cents, strict=True)]
    amounts = [*([_money(one) for one in row] for row in cents), [_money(one) for one in sums]]
    return tuple(Line(line.name, line.number, *row) for line, row in zip(PUBLISHED, amounts, strict=True))


def balance_sheet(number: int) -> bytes:
    """Its picture."""
    sheet = Sheet(WIDTH, HEIGHT)
    sheet.write("资产负债表", WIDTH / 2, 40, size=40, align="middle")
    sheet.write("金额单位：元", WIDTH - 50, 110, size=SIZE, align="right")
    head = [Span(title, align="middle") for title in COLUMNS]
    rows = [
        [
            Span(line.name),
            Span(line.number, align="middle"),
            Span(line.opening, align="right"),
            Span(line.closing, align="right"),
        ]
        for line in lines(number)
    ]
    sheet.table([head, *rows], 50, 150, widths=WIDTHS, size=SIZE)
    sheet.photograph(2000 + number)
    return sheet.file()


def _cents(drawn: random.Random) -> int:
    return 0 if drawn.random() < EMPTY else drawn.randint(100, 9_999_999)


def _money(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02}"
