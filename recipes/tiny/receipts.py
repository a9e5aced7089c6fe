"""Pictures of receipts, invoices, forms and cards in layouts of our own: their fields as JSON, or one of them."""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from recipes.tiny.assets import LANGUAGES, Assets
from recipes.tiny.bill_layout import receipt_rows, set_invoice, set_receipt
from recipes.tiny.bills import Bill, languages, make_bill
from recipes.tiny.example import Example
from recipes.tiny.fonts import Face
from recipes.tiny.forms import make_form
from recipes.tiny.paper import CELL, Paper, Pen, asked, em_at, face_for, pick, room, theme
from recipes.tiny.table_layout import choose_style
from recipes.tiny.tables import sum_chain

__all__ = ["make_receipt"]

ALL = ("Write the {kind} as JSON with {keys}.", "Give {keys} of the {kind} as JSON.", "Extract {keys} as JSON.")
FIELD: Mapping[str, tuple[str, ...]] = {
    "seller": ("Who is the seller?", "Which shop is it?", "What is the name of the shop?"),
    "address": ("What is the address of the shop?", "Where is the shop?"),
    "number": ("What is the number of the {kind}?", "Which number does the {kind} have?"),
    "date": ("What is the date?", "When was it printed?", "Which date is on the {kind}?"),
    "time": ("What is the time?", "At what time was it bought?"),
    "due": ("When is it due?", "By when must it be paid?"),
    "buyer": ("Who is the customer?", "To whom is the {kind} addressed?"),
    "subtotal": ("What is the subtotal?", "How much is it before tax?"),
    "tax": ("How much is the tax?", "What is the tax?"),
    "total": ("What is the total?", "How much is to be paid?", "What is the total amount?"),
    "cash": ("How much cash was given?", "How much was paid?"),
    "change": ("How much is the change?", "How much change was given?"),
}
ITEM = ("How much is {name}?", "What does the {kind} say for {name}?", "What is the amount for {name}?")
SUM = ("Add up the amounts step by step.", "What do the items cost together? Show the steps.")
RECEIPT_KEYS = ("seller", "address", "number", "date", "time", "subtotal", "tax", "total", "cash", "change")
INVOICE_KEYS = ("seller", "address", "number", "date", "due", "buyer", "subtotal", "tax", "total")
ABSENT = {"number": "number", "date": "date", "time": "time", "due": "due date", "buyer": "customer", "tax": "tax",
          "change": "change", "cash": "cash", "subtotal": "subtotal", "address": "address"}  # fmt: skip


def keys_at(rng: np.random.Generator, keys: Sequence[str], difficulty: float) -> list[str]:
    """The fields that a bill prints: few at first."""
    share = 0.15 + 0.75 * difficulty
    chosen = [key for key in keys if rng.random() < share]
    if not {"total", "date", "seller"} & set(chosen):
        chosen.append(pick(rng, ("total", "date", "seller")))
    return [key for key in chosen if key not in ("cash", "change")] + [
        key for key in ("cash", "change") if "total" in chosen and "cash" in chosen and key in keys
    ]


def named(keys: Sequence[str]) -> str:
    """`seller, date and total`.

    >>> named(["seller", "date", "total"]), named(["date"])
    ('seller, date and total', 'date')
    """
    return " and ".join([", ".join(keys[:-1]), keys[-1]]) if len(keys) > 1 else keys[0]


def json_task(
    rng: np.random.Generator, bill: Bill, kind: str, parts: Sequence[str], asked_keys: Sequence[str]
) -> tuple[str, str]:
    """(question, answer): some fields, null for one that is not there, and the printed `parts` of the goods."""
    wanted = [key for key in bill.fields if rng.random() < 0.7] or list(bill.fields)[-1:]
    missing = [key for key in asked_keys if key not in bill.fields]
    if missing and rng.random() < 0.15:
        wanted.append(pick(rng, missing))
    answer: dict[str, object] = {key: bill.fields.get(key) for key in wanted}
    if bill.items and rng.random() < 0.5:
        answer["items"] = [{part: getattr(item, part) for part in parts} for item in bill.items]
    question = pick(rng, ALL).format(kind=kind, keys=named(list(answer)))
    return question, json.dumps(answer, ensure_ascii=False)


def field_task(rng: np.random.Generator, bill: Bill, kind: str) -> tuple[str, str]:
    """(question, answer) about one field or one of the goods; now and then about a field that is not there."""
    missing = [key for key in ABSENT if key not in bill.fields and not (kind == "receipt" and key in ("due", "buyer"))]
    if missing and rng.random() < 0.08:
        key = pick(rng, missing)
        return pick(rng, FIELD[key]).format(kind=kind), f"There is no {ABSENT[key]} on it."
    if bill.items and rng.random() < 0.4:
        item = pick(rng, bill.items)
        return pick(rng, ITEM).format(kind=kind, name=item.name), item.amount
    key = pick(rng, tuple(bill.fields))
    return pick(rng, FIELD[key]).format(kind=kind), bill.fields[key]


def summable(bill: Bill) -> bool:
    """Whether the amounts are few and plain enough to be added up in an answer."""
    return 2 <= len(bill.items) <= 5 and all(
        item.amount.strip("$£¥").replace(".", "", 1).isdecimal() for item in bill.items
    )


def draw_receipt(
    rng: np.random.Generator, bill: Bill, families: Sequence[Sequence[Face]], difficulty: float
) -> tuple[Paper | None, tuple[str, ...]]:
    """A strip (None where it does not fit) and the parts of the goods that are printed."""
    way = pick(rng, ("before", "below", "plain"))
    rows = receipt_rows(rng, bill, way, pick(rng, ("-", "=", "*", "", "")))
    face = face_for(rng, families, bill.text + "x-=*", difficulty=difficulty)
    colours = theme(rng, 0.5 * difficulty)
    parts = ("quantity", "name", "amount") if way == "before" else ("name", "amount")
    if face is None:
        return None, parts
    pen = Pen(face, em_at(rng, difficulty), colours.ink)
    return set_receipt(rng, rows, pen, colours, room(difficulty) * CELL * CELL), parts


def draw_invoice(
    rng: np.random.Generator, bill: Bill, families: Sequence[Sequence[Face]], difficulty: float
) -> tuple[Paper | None, tuple[str, ...]]:
    """An invoice (None where it does not fit) and the parts of the goods that are printed."""
    style, parts = choose_style(rng, bill.text + ":", families, difficulty), ("name", "quantity", "price", "amount")
    if style is None:
        return None, parts
    most = room(difficulty) * CELL * CELL
    return set_invoice(rng, bill, style, difficulty=difficulty, most_pixels=most), parts


def draw_bill(
    rng: np.random.Generator, kind: str, *, split: str, difficulty: float, assets: Assets
) -> tuple[Bill, tuple[str, ...], Paper]:
    """A bill that fits, the parts of its goods that are printed, and its picture."""
    all_keys, draw = (RECEIPT_KEYS, draw_receipt) if kind == "receipt" else (INVOICE_KEYS, draw_invoice)
    count, most_keys = int(rng.integers(1, 4 + round(14 * difficulty))), len(all_keys)
    longest = 6 + round(20 * difficulty)
    while True:
        language = pick(rng, languages(assets, split))
        keys = keys_at(rng, all_keys, difficulty)
        keys = keys if most_keys > 5 else [key for key in keys if key not in ("cash", "change")][-most_keys:]
        bill = make_bill(rng, count, keys, longest=longest, split=split, assets=assets, language=language)
        families: Sequence[Sequence[Face]] = assets.families(LANGUAGES[language], split)
        if kind == "receipt" and language == "en" and rng.random() < 0.5:
            families = assets.families("receipt", split) or families
        paper, parts = draw(rng, bill, families, difficulty)
        if paper is not None:
            return bill, parts, paper
        count, most_keys, longest = max(1, count - 1), max(1, most_keys - 2), max(4, longest - 1)


def make_receipt(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """A receipt, an invoice, a form or a card: `receipt-json`, `receipt-field`, `receipt-sum`, `invoice-json`, ..."""
    if rng.random() < 0.25:
        difficulty *= float(rng.random())
    if rng.random() < 0.4:
        return make_form(rng, split=split, difficulty=difficulty, assets=assets)
    kind = "invoice" if difficulty > 0.25 and rng.random() < 0.35 else "receipt"
    bill, parts, paper = draw_bill(rng, kind, split=split, difficulty=difficulty, assets=assets)
    sheet = paper.sheet(rng, difficulty * float(rng.random()))
    (question, answer), what, metric = bill_task(rng, bill, kind, parts)
    return asked(
        sheet,
        question,
        answer,
        task=f"{kind}-{what}",
        metric=metric,
        language=bill.language,
        further=lambda rng: bill_task(rng, bill, kind, parts)[0],
    )


def bill_task(
    rng: np.random.Generator, bill: Bill, kind: str, parts: Sequence[str]
) -> tuple[tuple[str, str], str, str]:
    """(question, answer), what it is, and how it is scored: a sum, a field, or several fields as JSON."""
    draw = float(rng.random())
    if draw < 0.12 and summable(bill):
        return (pick(rng, SUM), sum_chain([item.amount.strip("$£¥") for item in bill.items])), "sum", "number"
    if draw < 0.5:
        return field_task(rng, bill, kind), "field", "exact"
    return json_task(rng, bill, kind, parts, RECEIPT_KEYS if kind == "receipt" else INVOICE_KEYS), "json", "json"
