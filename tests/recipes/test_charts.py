"""Charts: values are measured in the pixels, and answers are recomputed from the data."""

import json
import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.tiny import chart_data, charts
from recipes.tiny.assets import Assets
from recipes.tiny.chart_data import LEVELS, Chart, make_data, shares, shuffles, values
from recipes.tiny.chart_draw import HELD_OUT_PALETTES, PALETTES, Look, Plot, draw_chart, nice_step, ticks
from recipes.tiny.chart_matplotlib import HELD_OUT_STYLES, STYLES, draw_with_matplotlib, has_matplotlib, remember
from recipes.tiny.charts import (
    absent_task,
    extreme_task,
    json_of,
    make_chart,
    make_task,
    order_task,
    pair_task,
    table_of,
    value_task,
)
from recipes.tiny.example import Example
from recipes.tiny.paper import Paper, Pen, Theme
from tests.recipes.samples import question, same

ASSETS = Assets.open()
FACE = ASSETS.families("latin", "train")[0][0]
PLAIN = Theme((255, 255, 255), (0, 0, 0), (128, 128, 128), (230, 230, 230), (0, 0, 120))
COLOURS = ((255, 0, 0), (0, 160, 0), (0, 0, 255), (200, 0, 200))
LOOK = Look(Pen(FACE, 14, (0, 0, 0)), PLAIN, COLOURS, grid=False, axis=True, frame="none", thick=0.6, legend="side")
BARS = Chart("bar", "", "", ("Ann", "Bob", "Cid"), ("",), ((12.0, 5.0, 20.0),), (), 0, labelled=False)
TWO = Chart(
    "line", "", "", ("1990", "1991", "1992"), ("Tea", "Rum"), ((1.0, 9.0, 4.0), (8.0, 2.0, 6.0)), (), 0, labelled=False
)
PIE = Chart("pie", "", "", ("A", "B", "C"), ("",), ((50.0, 30.0, 20.0),), (), 0, labelled=True)
POINTS = Chart("scatter", "", "", ("A", "B"), ("",), ((3.0, 9.0),), (5.0, 2.0), 0, labelled=False)
seeds = st.integers(0, 2**32 - 1)
levels = st.floats(0, 1)
few = settings(max_examples=25, deadline=None)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def made(seed: int, difficulty: float, split: str = "train") -> Example:
    return make_chart(generator(seed), split=split, difficulty=difficulty, assets=ASSETS)


def where(paper: Paper, colour: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) of all pixels of a colour."""
    found = (np.asarray(paper.image) == np.array(colour)).all(axis=2)
    return np.nonzero(found)


def tick_places(paper: Paper, *, along: bool) -> dict[float, float]:
    """The number of each tick and the middle of its print, along the axis."""
    numbers = [word for word in paper.words if re.fullmatch(r"\d+", word.text)]
    middle = (0, 2) if along else (1, 3)
    return {float(word.text): (word.box[middle[0]] + word.box[middle[1]]) / 2 for word in numbers}


# ---- pictures ----


@few
@given(st.lists(st.integers(1, 20), min_size=2, max_size=4, unique=True), st.sampled_from(["bar", "hbar"]))
def test_bars_end_at_their_values_by_the_printed_axis(numbers: list[int], kind: str) -> None:
    names = ("Ann", "Bob", "Cid", "Dan")[: len(numbers)]
    chart = BARS._replace(kind=kind, categories=names, values=(tuple(map(float, numbers)),))
    paper = draw_chart(chart, (224, 280), LOOK)
    assert paper is not None
    places = tick_places(paper, along=kind == "hbar")
    low, high = min(places), max(places)
    for value, colour in zip(numbers, COLOURS, strict=False):
        rows, columns = where(paper, colour)
        end = columns.max() + 1 if kind == "hbar" else rows.min()
        read = low + (end - places[low]) / (places[high] - places[low]) * (high - low)
        assert abs(read - value) <= 0.03 * high + 0.2


def test_pie_slices_have_their_shares() -> None:
    paper = draw_chart(PIE, (168, 280), LOOK)
    assert paper is not None
    legend = min(word.box[0] for word in paper.words) - 20
    areas = [(where(paper, colour)[1] < legend).sum() for colour in COLOURS[:3]]
    assert np.array(areas) / sum(areas) == pytest.approx([0.5, 0.3, 0.2], abs=0.02)


def test_points_lie_at_their_values() -> None:
    paper = draw_chart(POINTS, (224, 280), LOOK)
    assert paper is not None
    rows, columns = where(paper, COLOURS[0])
    names = {word.text: word.box for word in paper.words if word.text in "AB"}
    left, right = columns < columns.mean(), columns >= columns.mean()
    assert rows[left].mean() < rows[right].mean(), "B is higher and further left"
    assert names["B"][0] < names["A"][0]
    assert abs((names["B"][0] + names["B"][2]) / 2 - columns[left].mean()) <= 2


@few
@given(seeds, levels, st.sampled_from(chart_data.KINDS), st.integers(2, 8))
def test_names_are_printed_once_and_inside(seed: int, difficulty: float, kind: str, count: int) -> None:
    rng = generator(seed)
    chart = make_data(rng, kind, count=count, split="train", difficulty=difficulty, assets=ASSETS)
    paper = draw_chart(chart, (420, 560), LOOK._replace(palette=PALETTES[0]))
    if paper is None:
        return
    words = Counter(word.text for word in paper.words)
    for name in (*chart.categories, *chart.series, chart.title, chart.amount):
        assert all(words[part] >= 1 for part in name.split())
    if chart.labelled:
        for value in chart.values[0]:
            assert words[chart.text(value) + chart.unit] >= 1
    assert all(word.box[0] >= -1 and word.box[2] <= 561 and word.box[3] <= 421 for word in paper.words)


def test_texts_without_room_are_refused() -> None:
    long = BARS._replace(categories=("Constantinople", "Byzantium", "Istanbul"))
    assert draw_chart(long, (84, 84), LOOK) is None
    assert draw_chart(BARS._replace(title="A title that is far too long for it"), (84, 84), LOOK) is None
    assert draw_chart(PIE, (28, 84), LOOK) is None


@given(st.floats(0.5, 5000), st.integers(2, 6))
def test_steps_cover_the_span_with_round_numbers(span: float, count: int) -> None:
    step = nice_step(span, count)
    assert step * count >= span * 0.998
    assert f"{step:e}"[0] in "125"


def test_ticks_start_at_zero() -> None:
    paper = draw_chart(BARS, (224, 280), LOOK)
    assert paper is not None
    numbers = sorted(tick_places(paper, along=False))
    assert numbers[0] == 0
    assert numbers[-1] >= 20
    assert len(set(np.diff(numbers))) == 1
    plot = charts_plot()
    assert ticks(plot) == [0.0, 5.0, 10.0]


def charts_plot() -> Plot:
    """A plot from 0 to 10 in steps of 5."""
    return Plot((0, 0, 10, 10), 0.0, 10.0, 5.0)


# ---- data ----


@few
@given(seeds, st.integers(2, 12), levels, st.booleans())
def test_values_differ_and_can_be_read(seed: int, count: int, difficulty: float, labelled: bool) -> None:
    found, places = values(generator(seed), count, difficulty=difficulty, labelled=labelled)
    assert len(set(found)) == count
    assert all(value > 0 and round(value, places) == value for value in found)
    if not labelled:
        step = np.diff(np.sort(found)).min()
        assert max(found) / step <= max(LEVELS, count) + 0.01


@few
@given(seeds, st.integers(2, 8))
def test_shares_add_up(seed: int, count: int) -> None:
    parts = shares(generator(seed), count)
    assert sum(parts) == 100
    assert len(set(parts)) == count
    assert min(parts) >= 4


@given(st.integers(0, 2**32), st.integers(2, 6), st.integers(1, 3))
def test_no_series_hides_another(seed: int, length: int, count: int) -> None:
    first = tuple(float(value) for value in range(length))
    rows = shuffles(generator(seed), first, count)
    assert rows[0] == first
    assert len(set(rows)) == len(rows) == min(count, math.factorial(length))
    assert all(sorted(row) == sorted(first) for row in rows)


def test_held_out_looks_are_never_trained() -> None:
    assert set(PALETTES).isdisjoint(HELD_OUT_PALETTES)
    assert set(STYLES).isdisjoint(HELD_OUT_STYLES)
    for split, allowed in (("train", PALETTES), ("held_out", HELD_OUT_PALETTES)):
        for seed in range(12):
            look = charts.choose_look(generator(seed), BARS, difficulty=0.5, split=split, assets=ASSETS)
            assert set(look.palette) in [set(palette) for palette in allowed]


# ---- questions ----


def test_values_are_looked_up() -> None:
    for seed in range(20):
        task = value_task(generator(seed), BARS)
        name = next(name for name in BARS.categories if name in task.question)
        assert task.answer == {"Ann": "12", "Bob": "5", "Cid": "20"}[name]
        task = value_task(generator(seed), TWO)
        series = next(index for index, name in enumerate(TWO.series) if name in task.question)
        place = next(index for index, name in enumerate(TWO.categories) if name in task.question)
        assert task.answer == f"{TWO.values[series][place]:.0f}"


def test_extremes_pairs_and_orders() -> None:
    assert {t.answer for seed in range(20) if (t := extreme_task(generator(seed), BARS))} == {"Cid", "Bob"}
    for seed in range(20):
        larger = pair_task(generator(seed), BARS, "larger")
        assert larger is not None
        first, second = re.findall("Ann|Bob|Cid", larger.question)
        size = dict(zip(BARS.categories, BARS.values[0], strict=True))
        assert larger.answer == max(first, second, key=size.__getitem__)
        gap = pair_task(generator(seed), BARS, "difference")
        assert gap is not None
        high, low, rest = map(int, re.findall(r"\d+", gap.answer))
        assert high - low == rest > 0
        trend = pair_task(generator(seed), TWO._replace(series=("",), values=TWO.values[:1]), "trend")
        assert trend is not None
        ends = dict(zip(TWO.categories, TWO.values[0], strict=True))
        start, stop = re.findall(r"\d{4}", trend.question)
        assert trend.answer == ("It rises." if ends[stop] > ends[start] else "It falls.")
    order = order_task(generator(), BARS)
    assert order is not None
    assert json.loads(order.answer) == ["Cid", "Ann", "Bob"]


def test_what_a_chart_lacks_is_said_to_be_absent() -> None:
    task = absent_task(generator(), BARS, "Zoe")
    assert task is not None
    assert "Zoe" in task.question
    assert task.answer == "There is no Zoe in the chart."
    assert absent_task(generator(), BARS, "bo") is None
    kinds = {make_task(generator(seed), BARS, "Zoe").kind for seed in range(80)}
    assert {"absent", "value", "table"} <= kinds


def test_near_values_are_not_compared() -> None:
    close = BARS._replace(values=((100.0, 99.0, 101.0),))
    assert all(extreme_task(generator(seed), close) is None for seed in range(9))
    assert all(pair_task(generator(seed), close, "larger") is None for seed in range(9))
    assert order_task(generator(), close) is None


def test_all_of_the_data() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table_of(TWO).split("\n")]
    assert rows == [["", "Tea", "Rum"], ["---"] * 3, ["1990", "1", "8"], ["1991", "9", "2"], ["1992", "4", "6"]]
    assert json.loads(json_of(TWO)) == {
        "1990": {"Tea": "1", "Rum": "8"},
        "1991": {"Tea": "9", "Rum": "2"},
        "1992": {"Tea": "4", "Rum": "6"},
    }
    assert json.loads(json_of(PIE)) == {"A": "50%", "B": "30%", "C": "20%"}
    assert json.loads(json_of(POINTS)) == {"A": ["5", "3"], "B": ["2", "9"]}


@pytest.mark.parametrize("chart", [BARS, TWO, PIE, POINTS])
def test_every_chart_has_a_question(chart: Chart) -> None:
    for seed in range(30):
        task = make_task(generator(seed), chart, "Zoe")
        assert task.question
        assert task.answer
        assert "{" not in task.question


@few
@given(seeds, levels, st.sampled_from(["train", "held_out"]))
def test_samples(seed: int, difficulty: float, split: str) -> None:
    example = made(seed, difficulty, split)
    height, width, _ = example.messages[0].parts[0].image.shape  # type: ignore[union-attr]
    dense = example.dense[0]
    assert (height % 28, width % 28) == (0, 0)
    assert height * width <= 784 * 1000
    assert dense is not None
    assert dense.letters is not None
    assert len(dense.letters) == height * width // 784
    assert example.task.startswith("chart-")
    if example.task == "chart-compare":
        assert not Counter(example.answer.replace(" ", "")) - Counter("".join(dense.letters))


def test_easy_charts_are_small() -> None:
    sizes = [made(seed, 0.0).messages[0].parts[0].image.size // 3 // 784 for seed in range(40)]  # type: ignore[union-attr]
    assert max(sizes) <= 35


def test_same_seed_same_chart() -> None:
    for seed in range(10):
        assert same(made(seed, 0.3), made(seed, 0.3))


def test_the_answer_does_not_depend_on_who_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def sheet(_chart: Chart, size: tuple[int, int], _look: Look, *, split: str, style: int) -> Paper:
        return Paper(size, (255, 255, 255))

    monkeypatch.setattr(charts, "draw_with_matplotlib", sheet)
    answers = []
    for there in (True, False):
        monkeypatch.setattr(charts, "has_matplotlib", lambda there=there: there)
        answers.append([(question(example), example.answer) for seed in range(20) if (example := made(seed, 0.9))])
    assert answers[0] == answers[1]


def test_texts_of_matplotlib_are_remembered_letter_by_letter() -> None:
    paper = Paper((28, 84), (255, 255, 255))
    remember(paper, "ab cd", (5.0, 10.0, 55.0, 20.0))
    remember(paper, "outside", (70.0, 10.0, 120.0, 20.0))
    assert [word.text for word in paper.words] == ["ab", "cd"]
    assert "".join(paper.sheet().letters) == "abcd"


@pytest.mark.skipif(not has_matplotlib(), reason="matplotlib is not installed")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("chart", [BARS, TWO, PIE, POINTS, BARS._replace(kind="hbar", labelled=True)])
@pytest.mark.parametrize("split", ["train", "held_out"])
def test_matplotlib_prints_the_names(chart: Chart, split: str) -> None:
    paper = draw_with_matplotlib(chart, (280, 420), LOOK, split=split, style=1)
    printed = {word.text for word in paper.words}
    assert set(chart.categories) <= printed
    assert np.asarray(paper.image).std() > 5


def test_answers_cannot_be_guessed() -> None:
    answers = Counter(example.answer for seed in range(150) if (example := made(seed, 0.1)).task == "chart-value")
    assert answers.most_common(1)[0][1] <= 0.2 * sum(answers.values())
