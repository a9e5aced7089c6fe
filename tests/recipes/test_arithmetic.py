"""Chains of sums are recomputed here by a calculator of the test's own."""

import re
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.tiny import arithmetic
from recipes.tiny.arithmetic import Limits, Sum, chain_of, make_arithmetic, make_sum, printed
from recipes.tiny.assets import Assets
from recipes.tiny.example import Example
from tests.recipes.samples import letters, question, same

ASSETS = Assets.open()
seeds = st.integers(0, 2**32 - 1)
levels = st.floats(0, 1)
few = settings(max_examples=30, deadline=None)
TOKEN = re.compile(r"\d+|[-+*/()]")


def value_of(text: str) -> Fraction:
    """The value of an expression in any of the printed signs; fails on what is no expression."""
    plain = text.translate(str.maketrans("×x·÷:[]", "***//()"))
    tokens = TOKEN.findall(plain)
    assert "".join(tokens) == plain, text
    value = add_up(tokens)
    assert not tokens, text
    return value


def add_up(tokens: list[str]) -> Fraction:
    value = multiply(tokens)
    while tokens and tokens[0] in "+-":
        value = value + multiply(tokens) if tokens.pop(0) == "+" else value - multiply(tokens)
    return value


def multiply(tokens: list[str]) -> Fraction:
    value = atom(tokens)
    while tokens and tokens[0] in "*/":
        value = value * atom(tokens) if tokens.pop(0) == "*" else value / atom(tokens)
    return value


def atom(tokens: list[str]) -> Fraction:
    token = tokens.pop(0)
    if token == "(":
        value = add_up(tokens)
        assert tokens.pop(0) == ")"
        return value
    return Fraction(int(token))


def made(seed: int, difficulty: float, split: str = "train") -> Example:
    return make_arithmetic(np.random.default_rng(seed), split=split, difficulty=difficulty, assets=ASSETS)


def without_number(line: str) -> str:
    return re.sub(r"^(\d+\.|\d+\)|\(\d+\)) ", "", line)


def check_chain(chain: str) -> None:
    """All terms are equal, each has one operation less than the one before, the last is a number."""
    steps = chain.split(" = ")
    values = {value_of(step) for step in steps}
    assert len(values) == 1, chain
    assert steps[-1].isdigit()
    operations = [len(re.findall(r"[-+×x*·÷/:]", step)) for step in steps]
    assert operations == list(range(len(steps) - 1, -1, -1)), chain


def test_the_calculator_of_this_test() -> None:
    assert value_of("630×[840÷(240-212)]") == 18900
    assert value_of("8:3·2") == Fraction(16, 3)
    assert value_of("9-5-3") == 1


@few
@given(seeds, st.integers(1, 4), st.integers(9, 999), st.booleans(), st.booleans())
def test_chains_hold_and_shrink(seed: int, operations: int, largest: int, brackets: bool, square: bool) -> None:
    made_sum = make_sum(np.random.default_rng(seed), Limits(operations, largest, "+-×÷", brackets))
    assert value_of(printed(made_sum, square)) == made_sum.value
    assert brackets or "(" not in printed(made_sum)
    check_chain(chain_of(made_sum, square))


@pytest.mark.parametrize(
    ("made_sum", "chain"),
    [
        (Sum(520, "+", (Sum(65), Sum(455, "×", (Sum(35), Sum(13))))), "65+35×13 = 65+455 = 520"),
        (
            Sum(363, "-", (Sum(725), Sum(362, "+", (Sum(125), Sum(237))))),
            "725-(125+237) = 725-362 = 363",
        ),
        (
            Sum(8300, "-", (Sum(8466, "×", (Sum(83), Sum(102))), Sum(166, "×", (Sum(83), Sum(2))))),
            "83×102-83×2 = 8466-83×2 = 8466-166 = 8300",
        ),
        (
            Sum(18900, "×", (Sum(630), Sum(30, "÷", (Sum(840), Sum(28, "-", (Sum(240), Sum(212))))))),
            "630×[840÷(240-212)] = 630×(840÷28) = 630×30 = 18900",
        ),
    ],
)
def test_steps_are_taken_in_the_order_of_school(made_sum: Sum, chain: str) -> None:
    assert chain_of(made_sum, square=True) == chain


@few
@given(seeds, levels)
def test_answers_are_right_and_stand_in_the_picture(seed: int, difficulty: float) -> None:
    example = made(seed, difficulty)
    seen = letters(example)
    for line in example.answer.split("\n"):
        if example.task == "arithmetic":
            check_chain(without_number(line))
            read = line.split(" = ")[0]
        elif example.task == "arithmetic-read":
            read = line
            assert value_of(without_number(line)).denominator == 1
        elif line == "All are right.":
            continue
        else:
            read, chain = line.split(": ", 1)
            check_chain(chain)
            left, given = without_number(read).rsplit("=", 1)
            assert value_of(left) != int(given), "called wrong but right"
            assert left == chain.split(" = ")[0]
        missing = Counter(read.replace(" ", "")) - seen
        assert not missing, (read, missing)


@few
@given(seeds, levels)
def test_pictures_have_whole_cells_and_fit(seed: int, difficulty: float) -> None:
    example = made(seed, difficulty)
    height, width, channels = example.messages[0].parts[0].image.shape  # type: ignore[union-attr]
    assert (height % 28, width % 28, channels) == (0, 0, 3)
    assert height * width <= 1.5 * 1000 * 784
    dense = example.dense[0]
    assert dense is not None
    assert dense.letters is not None
    assert len(dense.letters) == height * width // 784


def test_the_same_seed_gives_the_same_sheet() -> None:
    for seed in range(10):
        assert same(made(seed, 0.6), made(seed, 0.6))


def test_easy_sheets_are_small_and_ask_for_one_small_sum() -> None:
    for seed in range(40):
        example = made(seed, 0.0)
        assert len(letters(example)) <= 12
        assert example.answer.count("\n") <= 1
        assert "×" not in example.answer
        assert "(" not in without_number(example.answer)


def test_hard_sheets_have_many_lines_and_brackets() -> None:
    answers = [made(seed, 1.0).answer for seed in range(30)]
    assert max(answer.count("\n") for answer in answers) >= 9
    assert any("(" in without_number(line) for answer in answers for line in answer.split("\n"))


def test_a_single_item_is_asked_for_by_its_number() -> None:
    found = 0
    for seed in range(120):
        example = made(seed, 0.6)
        number = re.search(r"(?:number|item) (\d+)", question(example))
        if number is not None and example.task == "arithmetic":
            found += 1
            assert "\n" not in example.answer
            assert without_number(example.answer) == example.answer
    assert found >= 5


def test_answers_cannot_be_guessed() -> None:
    answers = Counter(made(seed, 0.2).answer for seed in range(80))
    assert answers.most_common(1)[0][1] <= 8


@given(seeds, st.integers(0, 99_999))
@few
def test_slips_are_near_and_not_negative(seed: int, value: int) -> None:
    given_value = arithmetic.slipped(np.random.default_rng(seed), value)
    assert given_value >= 0
    assert abs(given_value - value) <= 90
