"""How receipts and invoices are set."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recipes.tiny.bills import Bill
from recipes.tiny.example import Box
from recipes.tiny.grids import Grid
from recipes.tiny.paper import Colour, Paper, Pen, Theme, rounded
from recipes.tiny.table_layout import Frame, Style, column_widths, print_table


class Row(NamedTuple):
    """A line of a receipt: text at the left and at the right, or one in the middle; "---" as a rule."""

    left: str = ""
    right: str = ""
    middle: str = ""
    big: bool = False


def item_rows(bill: Bill, way: str) -> list[Row]:
    """The goods: `Milk 3.00`, `2 x Milk 3.00`, or the quantity and price on a line of their own."""
    rows = []
    for item in bill.items:
        if way == "below" and item.quantity != "1":
            rows += [Row(item.name), Row(f"  {item.quantity} x {item.price}", item.amount)]
        elif way == "before":
            rows.append(Row(f"{item.quantity} x {item.name}", item.amount))
        else:
            rows.append(Row(item.name, item.amount))
    return rows


def receipt_rows(rng: np.random.Generator, bill: Bill, way: str, rule: str) -> list[Row]:
    """A receipt from the shop's name to the thanks."""
    fields, labels = bill.fields, bill.labels
    rows = [Row(middle=fields["seller"], big=True)] if "seller" in fields else []
    rows += [Row(middle=fields["address"])] if "address" in fields else []
    if rng.random() < 0.3 and len(fields) > 3:
        rows.append(Row(middle=labels["receipt"]))
    if "number" in fields:
        rows.append(Row(labels["number"], fields["number"]))
    if "date" in fields and "time" in fields and rng.random() < 0.5:
        rows.append(Row(fields["date"], fields["time"]))
    else:
        rows += [Row(labels[key], fields[key]) for key in ("date", "time") if key in fields]
    rows += [Row(rule)] if rows and bill.items else []
    rows += item_rows(bill, way)
    sums = [key for key in ("subtotal", "tax", "total", "cash", "change") if key in fields]
    rows += [Row(rule)] if rows and sums and rng.random() < 0.7 else []
    rows += [Row(labels[key], fields[key], big=key == "total" and len(rows) > 4) for key in sums]
    if rng.random() < 0.3 and len(rows) > 8:
        rows.append(Row(middle=labels["thanks"]))
    return rows


def set_receipt(
    rng: np.random.Generator, rows: Sequence[Row], pen: Pen, colours: Theme, most_pixels: int
) -> Paper | None:
    """Prints the rows on a strip as narrow as they allow; None where they need more than `most_pixels`."""
    large = pen._replace(size=round(pen.size * float(rng.uniform(1.0, 1.35))))
    pens = [large if row.big else pen for row in rows]
    pitch = pen.size * float(rng.uniform(1.15, 1.5))
    margin = pen.size * float(rng.uniform(0.2, 0.8))
    gap = pen.size * float(rng.uniform(0.8, 2.5))
    widths = [
        max(own.width(row.middle), own.width(row.left) + own.width(row.right) + gap * bool(row.right))
        for row, own in zip(rows, pens, strict=True)
        if not is_rule(row)
    ]
    heights = [pitch * own.size / pen.size * (0.7 if is_rule(row) else 1) for row, own in zip(rows, pens, strict=True)]
    size = rounded(sum(heights) + 2 * margin * (len(rows) > 1)), rounded(max(widths) + 2 * margin)
    if size[0] * size[1] > most_pixels:
        return None
    paper = Paper(size, colours.paper)
    y = (size[0] - sum(heights)) * float(rng.uniform(0.3, 0.7))
    for row, own, height in zip(rows, pens, heights, strict=True):
        print_row(paper, row, own, (margin, y, size[1] - margin, y + height), colours.rule)
        y += height
    return paper


def is_rule(row: Row) -> bool:
    """Whether the row is a line across the paper: dashes, stars, or one stroke ("")."""
    return not row.middle and not row.right and set(row.left) <= set("-*=_")


def print_row(paper: Paper, row: Row, pen: Pen, box: Box, rule: Colour) -> None:
    """One row between the margins."""
    baseline = pen.baseline(box[1], box[3] - box[1])
    if is_rule(row):
        middle = (box[1] + box[3]) / 2
        if row.left in ("", "_"):
            paper.rule((box[0], middle), (box[2], middle), rule)
            return
        count = int((box[2] - box[0]) / max(1.0, pen.width(row.left)))
        font = pen.face.at(pen.size)
        paper.draw.text((round(box[0]), round(baseline)), row.left * count, fill=pen.ink, font=font, anchor="ls")
        return
    if row.middle:
        paper.write(row.middle, ((box[0] + box[2]) / 2, baseline), pen, anchor="m")
    paper.write(row.left.strip(), (box[0] + pen.width(" ") * (len(row.left) - len(row.left.lstrip())), baseline), pen)
    if row.right:
        paper.write(row.right, (box[2], baseline), pen, anchor="r")


def side_by_side(rng: np.random.Generator, bill: Bill, difficulty: float) -> tuple[list[Row], list[Row]]:
    """The left and the right block of an invoice's head."""
    fields, labels = bill.fields, bill.labels
    left = [Row(fields[key], big=key == "seller") for key in ("seller", "address") if key in fields]
    if "buyer" in fields:
        left += [Row(), Row(labels["buyer"] + ":"), Row(fields["buyer"])]
    right = [Row(labels["invoice"], big=True)] if rng.random() < 0.4 + 0.6 * difficulty else []
    right += [Row(labels[key], fields[key]) for key in ("number", "date", "due") if key in fields]
    return (left, right) if rng.random() < 0.75 else (right, left)


class Block(NamedTuple):
    """Rows that are printed under each other, with the widths of their two columns."""

    rows: list[Row]
    first: float
    second: float

    @property
    def width(self) -> float:
        """All of it."""
        return self.first + self.second


def pen_of(row: Row, style: Style) -> Pen:
    """What its left text is printed with."""
    return style.head._replace(size=round(style.pen.size * 1.2), ink=style.theme.accent) if row.big else style.pen


def block_of(rows: list[Row], style: Style) -> Block:
    """The block with columns as wide as their longest text."""
    pen = style.pen
    single = max((pen_of(row, style).width(row.left) for row in rows if not row.right), default=0.0)
    first = max((pen.width(row.left) + 0.8 * pen.size for row in rows if row.right), default=0.0)
    second = max((pen.width(row.right) for row in rows), default=0.0)
    return Block(rows, first, max(second, single - first))


def print_block(paper: Paper, block: Block, at: tuple[float, float], pitch: float, style: Style) -> None:
    """Prints the block with its upper left corner `at`."""
    for index, row in enumerate(block.rows):
        pen = pen_of(row, style)
        baseline = pen.baseline(at[1] + index * pitch, pitch)
        paper.write(row.left, (at[0], baseline), pen)
        if row.right:
            paper.write(row.right, (at[0] + block.first, baseline), pen)


def invoice_grid(bill: Bill) -> Grid:
    """The goods as a table; a wide one shows quantities and prices, too."""
    header = tuple(bill.labels[key] for key in ("name", "quantity", "price", "amount"))
    rows = tuple((item.name, item.quantity, item.price, item.amount) for item in bill.items)
    return Grid("", (), header, rows, (False,) * 4, bill.language)


def set_invoice(
    rng: np.random.Generator, bill: Bill, style: Style, *, difficulty: float, most_pixels: int
) -> Paper | None:
    """Head in two blocks, the goods as a table, the sums below it at the right; None where that is too large."""
    grid, pen = invoice_grid(bill), style.pen
    pitch, row = pen.size * 1.35, pen.size + 2 * style.pad_y
    left, right = (block_of(rows, style) for rows in side_by_side(rng, bill, difficulty))
    sums = block_of(
        [Row(bill.labels[k], bill.fields[k]) for k in ("subtotal", "tax", "total") if k in bill.fields], style
    )
    margin = pen.size * float(rng.uniform(0.4, 1.2))
    widths = column_widths(grid, style)
    width = max(sum(widths), left.width + right.width + 1.5 * pen.size)
    lines = max(len(left.rows), len(right.rows))
    height = (lines + 0.5 * (lines > 0)) * pitch + (len(grid.rows) + 1) * row + (len(sums.rows) + 0.3) * pitch
    size = rounded(height + 2 * margin), rounded(width + 2 * margin)
    if size[0] * size[1] > most_pixels:
        return None
    paper = Paper(size, style.theme.paper)
    inner = size[1] - 2 * margin
    top = margin + (size[0] - height - 2 * margin) / 2
    print_block(paper, left, (margin, top), pitch, style)
    print_block(paper, right, (margin + inner - right.width, top), pitch, style)
    top += (lines + 0.5 * (lines > 0)) * pitch
    widths[0] += inner - sum(widths)
    xs = tuple(margin + float(x) for x in np.cumsum([0, *widths]))
    ys = tuple(top + row * index for index in range(len(grid.rows) + 2))
    print_table(paper, grid, style, Frame(xs, ys, 1))
    print_block(paper, sums, (xs[-1] - style.pad_x - sums.width, ys[-1] + 0.3 * pitch), pitch, style)
    return paper
