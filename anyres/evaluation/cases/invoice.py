"""Invoices with a dozen fields, and the JSON that they say."""

import random
from datetime import date, timedelta

from anyres.evaluation.cases.sheet import Sheet, Span

__all__ = ["FIELDS", "invoice", "invoice_fields"]

FIELDS = (
    "invoice_number",
    "date",
    "due_date",
    "seller",
    "buyer",
    "order_number",
    "currency",
    "subtotal",
    "tax",
    "total",
)
SELLERS = (
    "Northwind Paper Mill",
    "Halden Optics Ltd.",
    "Casa Verde Foods",
    "Ostrava Steel Works",
    "Blue Lantern Books",
)
BUYERS = ("Institute of Geology", "Riverside Hospital", "M. Okafor & Sons", "City of Lindau", "Grand Hotel Meridian")
GOODS = ("Copy paper A4", "Lens cloth", "Olive oil 5 l", "Steel rod 12 mm", "Atlas, 3rd edition", "Delivery", "Binder")
CURRENCIES = ("EUR", "USD", "GBP", "CHF")
WIDTH, HEIGHT, SIZE = 900, 1100, 22
COLUMNS = (400, 100, 150, 150)


def invoice_fields(number: int) -> dict[str, str]:
    """What the invoice says, by field, as it is written there."""
    return _contents(number)[0]


def invoice(number: int) -> bytes:
    """Its picture."""
    fields, goods = _contents(number)
    sheet = Sheet(WIDTH, HEIGHT)
    sheet.write(fields["seller"], 50, 50, size=34)
    sheet.write("INVOICE", WIDTH - 50, 50, size=34, align="right")
    heads = ("Invoice No.", "Date", "Due date", "Order No.", "Bill to")
    values = ("invoice_number", "date", "due_date", "order_number", "buyer")
    for row, (head, value) in enumerate(zip(heads, values, strict=True)):
        sheet.write(f"{head}:", 50, 150 + row * 42, size=SIZE)
        sheet.write(fields[value], 260, 150 + row * 42, size=SIZE)
    titles = ("Item", "Qty", "Price", "Amount")
    head_row = [Span(title, align="left" if title == "Item" else "right") for title in titles]
    rows = [[Span(name), *(Span(text, align="right") for text in rest)] for name, *rest in goods]
    below = sheet.table([head_row, *rows], 50, 400, widths=COLUMNS, size=SIZE)
    for row, (head, value) in enumerate((("Subtotal", "subtotal"), ("Tax", "tax"), ("Total", "total"))):
        sheet.write(f"{head} ({fields['currency']})", 640, below + 30 + row * 42, size=SIZE, align="right")
        sheet.write(fields[value], 840, below + 30 + row * 42, size=SIZE, align="right")
    sheet.photograph(1000 + number)
    return sheet.file()


def _contents(number: int) -> tuple[dict[str, str], list[tuple[str, ...]]]:
    drawn = random.Random(f"invoice {number}")  # noqa: S311 - not for secrets
    day = date(2024, 1, 1) + timedelta(days=drawn.randrange(300))
    goods: list[tuple[str, ...]] = []
    subtotal = 0
    for name in drawn.sample(GOODS, drawn.randint(3, 6)):
        count, cents = drawn.randint(1, 40), drawn.randint(150, 30_000)
        subtotal += count * cents
        goods.append((name, str(count), _money(cents), _money(count * cents)))
    tax = subtotal * drawn.choice((7, 10, 19, 20)) // 100
    fields = {
        "invoice_number": f"{drawn.choice('ABRS')}{day.year}-{drawn.randint(1000, 9999)}",
        "date": day.isoformat(),
        "due_date": (day + timedelta(days=30)).isoformat(),
        "seller": drawn.choice(SELLERS),
        "buyer": drawn.choice(BUYERS),
        "order_number": str(drawn.randint(100_000, 999_999)),
        "currency": drawn.choice(CURRENCIES),
        "subtotal": _money(subtotal),
        "tax": _money(tax),
        "total": _money(subtotal + tax),
    }
    return fields, goods


def _money(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02}"
