"""Receipts, invoices, forms and cards: every value of an answer is printed, and the sums add up."""

import json
import re
from collections import Counter
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.tiny import bills, forms, receipts
from recipes.tiny.assets import LANGUAGES, Assets
from recipes.tiny.bill_layout import Row, invoice_grid, is_rule, receipt_rows, set_invoice, set_receipt
from recipes.tiny.bills import Bill, make_bill
from recipes.tiny.example import Example
from recipes.tiny.forms import Field
from recipes.tiny.paper import Paper, Pen, theme
from recipes.tiny.receipts import field_task, json_task, make_receipt
from recipes.tiny.table_layout import choose_style
from tests.recipes.samples import letters, same

ASSETS = Assets.open()
FACE = ASSETS.families("latin", "train")[0][0]
LATIN = [language for language in bills.LABELS if LANGUAGES[language] == "latin"]
seeds = st.integers(0, 2**32 - 1)
levels = st.floats(0, 1)
few = settings(max_examples=25, deadline=None)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def made(seed: int, difficulty: float, split: str = "train") -> Example:
    return make_receipt(generator(seed), split=split, difficulty=difficulty, assets=ASSETS)


def bill_of(seed: int, keys: tuple[str, ...] = receipts.RECEIPT_KEYS, language: str = "en", count: int = 4) -> Bill:
    return make_bill(generator(seed), count, keys, longest=14, split="train", assets=ASSETS, language=language)


def amount(text: str, language: str) -> Decimal:
    """A printed amount as a number, by the custom of the language."""
    digits = re.sub(r"[^\d.,-]", "", text)
    plain = digits.replace(",", "") if language in ("en", "zh") else digits.replace(".", "").replace(",", ".")
    return Decimal(plain)


def printed(paper: Paper) -> str:
    """All printed words, line by line."""
    return " ".join(word.text for word in paper.words)


# ---- contents ----


@few
@given(seeds, st.sampled_from(sorted(bills.LABELS)), st.integers(1, 9))
def test_sums_add_up(seed: int, language: str, count: int) -> None:
    bill = bill_of(seed, language=language, count=count)
    total = sum(amount(item.amount, language) for item in bill.items)
    for item in bill.items:
        assert amount(item.price, language) * int(item.quantity) == amount(item.amount, language)
    fields = {key: amount(bill.fields[key], language) for key in ("subtotal", "tax", "total", "cash", "change")}
    assert fields["subtotal"] == total
    assert fields["subtotal"] + fields["tax"] == fields["total"]
    assert fields["cash"] - fields["total"] == fields["change"] > 0
    assert len({item.name.lower() for item in bill.items}) == len(bill.items)


def test_only_the_asked_fields_are_there() -> None:
    assert set(bill_of(1, ("date", "total")).fields) == {"date", "total"}


def test_a_bill_without_goods_still_has_a_total() -> None:
    assert amount(bill_of(3, ("total",), count=0).fields["total"], "en") > 0


def test_splits_share_no_goods_or_titles() -> None:
    def sold(language: str, split: str) -> set[str]:
        carts = (bills.products(generator(seed), 9, language, split=split, longest=14) for seed in range(20))
        return {name.lower() for cart in carts for name in cart}

    for language in bills.LABELS:
        goods = [sold(language, split) for split in ("train", "held_out")]
        assert goods[0].isdisjoint(goods[1])
        assert goods[0]
        assert goods[1]


@pytest.mark.parametrize(("value", "comma", "text"), [("1234.5", False, "$1,234.50"), ("1234.5", True, "$1.234,50")])
def test_money(value: str, comma: bool, text: str) -> None:
    assert bills.Money("${}", comma).text(Decimal(value)) == text


@few
@given(seeds, st.sampled_from(["en", "de", "zh"]))
def test_dates_are_days(seed: int, language: str) -> None:
    numbers = [int(part) for part in re.findall(r"\d+", bills.date(generator(seed), language))]
    assert 2 <= len(numbers) <= 3
    assert all(1 <= number <= 31 or 2005 <= number <= 2030 for number in numbers)


# ---- layout ----


@few
@given(seeds, st.sampled_from(["before", "below", "plain"]), st.sampled_from(LATIN))
def test_a_receipt_prints_all_of_its_fields(seed: int, way: str, language: str) -> None:
    rng, bill = generator(seed), bill_of(seed, language=language)
    rows = receipt_rows(rng, bill, way, "-")
    paper = set_receipt(rng, rows, Pen(FACE, 16, (0, 0, 0)), theme(rng, 0.0), 10**7)
    assert paper is not None
    text = printed(paper)
    for value in (*bill.fields.values(), *(item.name for item in bill.items), *(item.amount for item in bill.items)):
        assert value in text, value
    assert all(word.box[0] >= 0 and word.box[2] <= paper.width + 1 for word in paper.words)
    assert all(word.box[1] >= 0 and word.box[3] <= paper.height + 1 for word in paper.words)


@few
@given(seeds, levels)
def test_an_invoice_prints_all_of_its_fields(seed: int, difficulty: float) -> None:
    rng, bill = generator(seed), bill_of(seed, receipts.INVOICE_KEYS)
    style = choose_style(rng, bill.text + ":", ASSETS.families("latin", "train"), difficulty)
    assert style is not None
    paper = set_invoice(rng, bill, style, difficulty=difficulty, most_pixels=10**7)
    assert paper is not None
    text = printed(paper)
    for value in (*bill.fields.values(), *(part for item in bill.items for part in item)):
        assert value in text, value
    boxes = [word.box for word in paper.words]
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    beside = [a[2] <= b[0] + 1 or b[2] <= a[0] + 1 or a[3] <= b[1] + 2 or b[3] <= a[1] + 2 for a, b in pairs]
    assert all(beside), "words overlap"
    assert all(box[0] >= 0 and box[2] <= paper.width + 1 for box in boxes)


def test_too_large_papers_are_refused() -> None:
    rng, bill = generator(), bill_of(0)
    assert set_receipt(rng, [Row("a", "b")], Pen(FACE, 20, (0, 0, 0)), theme(rng, 0.0), 100) is None
    style = choose_style(rng, bill.text, ASSETS.families("latin", "train"), 0.0)
    assert style is not None
    assert set_invoice(rng, bill, style, difficulty=0.0, most_pixels=100) is None


def test_rules_are_no_text() -> None:
    assert is_rule(Row("-"))
    assert is_rule(Row(""))
    assert not is_rule(Row("a"))
    assert not is_rule(Row("-", "5"))
    rng = generator()
    paper = set_receipt(rng, [Row("a", "b"), Row("-"), Row("c", "d")], Pen(FACE, 20, (0, 0, 0)), theme(rng, 0.0), 10**6)
    assert paper is not None
    assert printed(paper) == "a b c d"


def test_an_invoices_table_is_its_goods() -> None:
    bill = bill_of(5, receipts.INVOICE_KEYS)
    assert invoice_grid(bill).rows == tuple(tuple(item) for item in bill.items)


# ---- questions ----


@few
@given(seeds)
def test_json_answers_are_the_fields(seed: int) -> None:
    bill = bill_of(seed, ("seller", "date", "total"))
    text, answer = json_task(generator(seed), bill, "receipt", ("name", "amount"), receipts.RECEIPT_KEYS)
    found = json.loads(answer)
    for key, value in found.items():
        assert key in text
        if key == "items":
            assert value == [{"name": item.name, "amount": item.amount} for item in bill.items]
        else:
            assert value == bill.fields.get(key)


@few
@given(seeds)
def test_fields_are_asked_for_by_their_own_questions(seed: int) -> None:
    bill = bill_of(seed, ("seller", "date", "total"))
    text, answer = field_task(generator(seed), bill, "receipt")
    keys = [key for key, questions in receipts.FIELD.items() if text in [q.format(kind="receipt") for q in questions]]
    named = [item for item in bill.items if item.name in text]
    if answer.startswith("There is no "):
        assert keys[0] not in bill.fields
    elif named:
        assert answer in [item.amount for item in named]
    else:
        assert answer == bill.fields[keys[0]]


def test_forms_answer_with_their_values() -> None:
    fields = [Field("Name", "Ann Lee"), Field("Phone", ""), Field("Paid", "yes", ("yes", "no"))]
    for seed in range(80):
        text, answer, metric = forms.form_task(generator(seed), fields, "en")
        if metric == "json":
            found = json.loads(answer)
            assert found.items() <= {"Name": "Ann Lee", "Phone": None, "Paid": "yes"}.items()
        elif answer.startswith("There is no field"):
            assert not any(field.label in text for field in fields)
        else:
            label = next(field.label for field in fields if field.label in text)
            assert answer == {"Name": "Ann Lee", "Phone": "It is empty.", "Paid": "yes"}[label]


def crossed(paper: Paper, box: tuple[int, int, int, int]) -> bool:
    """Whether there is ink inside of a check box."""
    x1, y1, x2, y2 = box
    inside = np.asarray(paper.image)[y1 + 3 : y2 - 3, x1 + 3 : x2 - 3]
    return bool((inside < 128).any())


@pytest.mark.parametrize("value", ["yes", "no"])
def test_the_box_of_the_value_is_ticked(value: str) -> None:
    pen, colours = Pen(FACE, 24, (0, 0, 0)), theme(generator(1), 0.0)._replace(paper=(255, 255, 255), ink=(0, 0, 0))
    style = forms.Style(pen, pen, pen, colours, above=False, place="plain", columns=1, band=False, photo="", colon="")
    paper = Paper((56, 280), (255, 255, 255))
    forms.print_options(paper, Field("Paid", value, ("yes", "no")), (10, 40), style)
    size = round(pen.rise)
    second = round(10 + pen.width("yes") + 2.2 * 24)
    ticked = [crossed(paper, (x, 40 - size, x + size, 40)) for x in (10, second)]
    assert ticked == [value == "yes", value == "no"]


# ---- pictures ----


def texts_of(value: object) -> list[str]:
    """All texts of a JSON value, keys left out."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in texts_of(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts_of(part)]
    return [value] if isinstance(value, str) else []


@few
@given(seeds, levels, st.sampled_from(["train", "held_out"]))
def test_answers_follow_from_the_picture(seed: int, difficulty: float, split: str) -> None:
    example = made(seed, difficulty, split)
    seen = letters(example)
    if example.metric == "json":
        texts = texts_of(json.loads(example.answer))
    elif example.task.endswith("-sum"):
        steps = [sum(map(Decimal, step.split("+"))) for step in example.answer.split(" = ")]
        assert len(set(steps)) == 1
        texts = [example.answer.split(" = ")[0].replace("+", "")]
    else:
        texts = [] if example.answer.startswith(("There is no", "It is empty")) else [example.answer]
    missing = Counter("".join(texts).replace(" ", "")) - seen
    assert not missing, (example.task, example.answer, missing)


@few
@given(seeds, levels)
def test_shapes(seed: int, difficulty: float) -> None:
    example = made(seed, difficulty)
    height, width, _ = example.messages[0].parts[0].image.shape  # type: ignore[union-attr]
    dense = example.dense[0]
    assert (height % 28, width % 28) == (0, 0)
    assert height * width <= 784 * 1000
    assert dense is not None
    assert dense.letters is not None
    assert len(dense.letters) == height * width // 784


def test_easy_papers_are_small() -> None:
    sizes = [made(seed, 0.0).messages[0].parts[0].image.size // 3 // 784 for seed in range(40)]  # type: ignore[union-attr]
    assert max(sizes) <= 30


def test_same_seed_same_paper() -> None:
    for seed in range(10):
        assert same(made(seed, 0.5), made(seed, 0.5))


def test_all_tasks_are_made() -> None:
    tasks = Counter(made(seed, 0.6).task for seed in range(150))
    kinds = {"receipt-json", "receipt-field", "invoice-json", "invoice-field", "form-json", "form-field"}
    assert kinds <= set(tasks)
    assert any(task.endswith("-sum") for task in tasks)


def test_answers_cannot_be_guessed() -> None:
    for difficulty in (0.0, 0.5):
        answers = Counter(made(seed, difficulty).answer for seed in range(100))
        assert answers.most_common(1)[0][1] <= 6, answers.most_common(3)
