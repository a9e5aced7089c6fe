"""Clocks, calendars, dice, cards and formulas: the picture shows what the answer says."""

import datetime
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.chat import ImagePart
from recipes.tiny import calendars, clocks, formulas, games
from recipes.tiny.assets import Assets
from recipes.tiny.calendars import WEEKDAYS, Month, make_calendar, question_about
from recipes.tiny.clocks import Dial, angles, choose_dial, make_clock
from recipes.tiny.formulas import Node, latex, make_equation, make_formula, measured
from recipes.tiny.games import CARDS, DICE, make_cards, make_dice, total
from recipes.tiny.paper import Paper, Pen
from tests.recipes.samples import letters, made, media, names, numbers, question, same

ASSETS = Assets.open()
FACE = ASSETS.families("latin", "train")[0][0]
MAKERS = (make_clock, make_calendar, make_dice, make_cards, make_formula)
few = settings(max_examples=20, deadline=None)
seeds, levels, splits = st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from(["train", "held_out"])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("maker", MAKERS)
def test_every_sample_is_whole(maker: object) -> None:
    @few
    @given(seeds, levels, splits)
    def check(seed: int, difficulty: float, split: str) -> None:
        example = made(maker, ASSETS, seed, difficulty, split)  # type: ignore[arg-type]
        (frame,) = media(example)[0]
        assert frame.dtype == np.uint8
        assert frame.shape[0] % 28 == frame.shape[1] % 28 == 0
        assert 4 * 784 <= frame[..., 0].size <= 1000 * 784
        dense = example.dense[0]
        assert dense is not None
        assert dense.letters is not None
        assert len(dense.letters) == frame[..., 0].size // 784
        assert dense.names is None or len(dense.names) == len(dense.letters)
        assert example.answer == example.answer.strip() != ""
        part = example.messages[0].parts[0]
        assert isinstance(part, ImagePart)

    check()


@pytest.mark.parametrize("maker", MAKERS)
def test_same_seed_same_sample(maker: object) -> None:
    assert same(made(maker, ASSETS, 4), made(maker, ASSETS, 4))  # type: ignore[arg-type]
    assert not all(same(made(maker, ASSETS, 4), made(maker, ASSETS, seed)) for seed in (5, 6, 7))  # type: ignore[arg-type]


# ---- clocks ----


@given(st.integers(1, 12), st.integers(0, 59), st.integers(0, 59) | st.none())
def test_hands_stand_where_a_clock_has_them(hour: int, minute: int, second: int | None) -> None:
    turns = angles(Dial(hour, minute, second, "plain", (), 1))
    passed = datetime.timedelta(hours=hour % 12, minutes=minute, seconds=second or 0).total_seconds()
    for turn, period in zip(turns, (43_200, 3600, 60), strict=True):
        assert turn == pytest.approx(passed % period / period)


def test_the_minute_hand_is_longer_and_points_to_its_minute() -> None:
    paper = Paper((140, 140), (255, 255, 255))
    boxes = clocks.draw_hands(paper, Dial(3, 0, None, "plain", (), 1), (70.0, 70.0), 60.0, (0, 0, 0), (200, 0, 0))
    rows, columns = np.nonzero(np.asarray(paper.image.convert("L")) < 128)
    assert 70 - rows.min() == pytest.approx(60 * clocks.LONG, abs=2), "up to 12"
    assert columns.max() - 70 == pytest.approx(60 * clocks.SHORT, abs=2), "to the right, to 3"
    assert [box.name for box in boxes] == ["hour hand", "minute hand"]
    assert boxes[0].box[0] > 70
    assert boxes[1].box[3] < 70


@given(seeds, levels)
def test_easy_clocks_show_full_and_half_hours(seed: int, difficulty: float) -> None:
    dial = choose_dial(rng(seed), split="train", difficulty=difficulty)
    assert difficulty >= 0.15 or dial.minute in (0, 30)
    assert difficulty >= 0.5 or (dial.minute % 5 == 0 and dial.second is None)
    assert dial.look != clocks.HELD_OUT_LOOK


def test_a_look_is_held_out() -> None:
    looks = {choose_dial(rng(seed), split="held_out", difficulty=0.5).look for seed in range(40)}
    assert clocks.HELD_OUT_LOOK in looks


def test_clocks_are_answered_as_times() -> None:
    for seed in range(30):
        example = made(make_clock, ASSETS, seed, 1.0)
        assert re.fullmatch(r"1?\d:[0-5]\d(:[0-5]\d)?", example.answer)
        assert (example.answer.count(":") == 2) == (example.task == "clock-second")
        assert {"hour hand", "minute hand"} & names(example)


# ---- calendars ----


@given(st.dates(datetime.date(1950, 1, 1), datetime.date(2050, 12, 31)))
def test_weekdays_are_those_of_the_calendar(day: datetime.date) -> None:
    month = Month(day.year, day.month)
    assert month.weekday(day.day) == day.weekday()
    assert day.day in month.dates(day.weekday())
    assert (datetime.date(day.year, day.month, month.days) + datetime.timedelta(1)).day == 1


@given(seeds, st.integers(0, 28))
def test_questions_about_a_month(seed: int, marked: int) -> None:
    month = Month(2026, 11)
    kind, asked, answer = question_about(rng(seed), month, marked)
    if kind == "weekday":
        day = int(re.findall(r"\d+", asked)[0])
        assert answer == datetime.date(2026, 11, day).strftime("%A")
    elif kind == "date":
        weekday = next(name for name in WEEKDAYS if name in asked)
        place = next(i for i, word in enumerate(calendars.ORDINALS) if f" {word} " in asked)
        assert datetime.date(2026, 11, int(answer)).strftime("%A") == weekday
        assert (int(answer) - 1) // 7 == place
    else:
        wanted = {"marked": str(marked), "title": "November 2026", "length": "30"}
        assert answer == wanted.get(kind, answer)
    assert kind != "marked" or marked


def test_all_days_are_printed_and_years_are_split() -> None:
    for seed in range(12):
        split = ("train", "held_out")[seed % 2]
        example = made(make_calendar, ASSETS, seed, 0.3, split)
        assert letters(example)["1"] >= 13, "the ones of 1 to 28"
        if example.task == "calendar-title":
            assert (int(example.answer[-4:]) % 5 == 3) == (split == "held_out")


# ---- dice and cards ----


@given(st.lists(st.integers(1, 6), min_size=1, max_size=7))
def test_sums_of_dice(values: list[int]) -> None:
    chain = total(values)
    assert int(chain.rpartition(" ")[2]) == sum(values)
    assert len(values) == 1 or [int(one) for one in chain.split(" = ")[0].split("+")] == values


@pytest.mark.parametrize("value", range(1, 7))
def test_a_die_has_its_dots(value: int) -> None:
    paper = Paper((112, 112), (0, 0, 0))
    shapes = games.Shapes(paper)
    games.draw_die(shapes, value, (56, 56, 40), 20.0, ((255, 255, 255), (255, 0, 0)))
    shapes.onto()
    frame = np.asarray(paper.image).astype(int)
    red = (frame[..., 0] > 200) & (frame[..., 1] < 100)
    assert red.sum() / (np.pi * (40 * 0.19) ** 2) == pytest.approx(value, rel=0.12)


def test_dice_are_told_as_they_lie() -> None:
    kinds = set()
    for seed in range(60):
        example = made(make_dice, ASSETS, seed, 0.8)
        kinds.add(example.task)
        shown = names(example)
        assert shown <= set(DICE)
        if example.task == "dice-highest":
            assert f"die of {example.answer}" in shown
        if example.task == "dice-read":
            assert {f"die of {one}" for one in example.answer.split(", ")} >= shown
        if example.task == "dice-count":
            assert int(example.answer) >= len(shown)
    assert kinds == {"dice-read", "dice-sum", "dice-count", "dice-highest"}


def test_cards_are_named_or_found_or_not_there() -> None:
    absent = 0
    for seed in range(60):
        example = made(make_cards, ASSETS, seed, 0.9)
        shown = names(example)
        assert shown <= set(CARDS)
        if example.task == "cards":
            assert set(example.answer.split(", ")) == shown
        elif example.metric == "box":
            (box,) = numbers(example.answer)
            assert box[2] - box[0] > 30
            assert (
                next(name for name in CARDS if f"{name}?" in question(example) or f"{name}." in question(example))
                in shown
            )
        else:
            absent += 1
            assert example.answer.removeprefix("There is no ").rstrip(".") not in shown
    assert absent
    assert len(CARDS) == len(set(CARDS)) == 52


def test_suits_have_their_colours() -> None:
    for suit, red in (("hearts", True), ("spades", False)):
        paper = Paper((112, 84), (0, 90, 0))
        games.draw_card(paper, f"7 of {suit}", (4, 4, 80, 108), Pen(FACE, 26, (0, 0, 0)))
        frame = np.asarray(paper.image).astype(int)
        strong = (frame[..., 0] > 150) & (frame[..., 1] < 90)
        assert bool(strong.sum() > 200) == red
        assert "".join(paper.sheet().letters) == "7"


# ---- formulas ----


def node(seed: int, difficulty: float) -> Node:
    return make_equation(rng(seed), difficulty)


@given(seeds, levels)
def test_latex_is_balanced_and_says_all_that_is_printed(seed: int, difficulty: float) -> None:
    one = node(seed, difficulty)
    text = latex(one)
    assert text.count("{") == text.count("}")
    assert text.count("(") == text.count(")")
    bare = re.sub(r"\\(frac|sqrt|cdot|times|pm) ?|[{}^_()]", "", text)
    signs = set("·×±()")
    assert sorted(bare) == sorted(char for char in formulas.printed(one) if char not in signs)


def test_latex_of_known_formulas() -> None:
    x, two, a = (Node("text", text=text) for text in ("x", "2", "a"))
    times = Node("text", text="×")
    assert latex(Node("row", (Node("index", (a, two)), times, Node("brackets", (x,))))) == "a_{2}\\times (x)"
    assert latex(Node("fraction", (Node("root", (x,)), Node("power", (a, two))))) == "\\frac{\\sqrt{x}}{a^{2}}"


@few
@given(seeds, levels)
def test_nothing_of_a_formula_leaves_its_room(seed: int, difficulty: float) -> None:
    one, pen = node(seed, difficulty), Pen(FACE, 24, (0, 0, 0))
    extent = measured(one, pen)
    size = int(extent.above + extent.below) + 12, int(extent.width) + 12
    paper = Paper(size, (255, 255, 255))
    end = formulas.print_node(paper, one, (6, 6 + extent.above), pen)
    assert end == pytest.approx(6 + extent.width)
    rows, columns = np.nonzero(np.asarray(paper.image.convert("L")) < 128)
    assert rows.min() >= 1
    assert rows.max() <= size[0] - 2
    assert columns.min() >= 1
    assert columns.max() <= size[1] - 2


def test_parts_stand_over_and_under_the_bar() -> None:
    paper, pen = Paper((112, 112), (255, 255, 255)), Pen(FACE, 24, (0, 0, 0))
    half = Node("fraction", (Node("text", text="7"), Node("text", text="3")))
    formulas.print_node(paper, half, (30, 60), pen)
    seven, three = paper.words
    assert seven.box[3] < three.box[1]
    raised = Node("power", (Node("text", text="x"), Node("text", text="8")))
    formulas.print_node(paper, raised, (80, 60), pen)
    base, small = paper.words[2:]
    assert small.box[3] < base.box[3]
    assert small.box[3] - small.box[1] < 1.1 * (seven.box[3] - seven.box[1])
