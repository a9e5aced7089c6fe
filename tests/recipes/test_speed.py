"""The speed of the factory, measured with a clock that tests hold."""

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.tiny.assets import Assets
from recipes.tiny.mixture import Task
from recipes.tiny.preview import chosen_tasks
from recipes.tiny.scenes import LARGEST
from recipes.tiny.speed import Rate, main, measure, mixed, rounded, samples, table

FAST, SLOW = Task("line", "x", "make_fast", 0.75), Task("page", "x", "make_slow", 0.25, opens=0.3)


def ticks(step: float) -> Iterator[float]:
    return (step * number for number in count())


@given(st.floats(0.01, 2), st.floats(0.01, 3))
def test_rates_are_what_is_made_over_what_it_takes(step: float, seconds: float) -> None:
    clock = ticks(step)
    rate, tokens = measure(iter([5] * 10_000), seconds=seconds, clock=lambda: next(clock))
    assert rate == pytest.approx(1 / step)
    assert tokens == pytest.approx(5 / step)


def test_a_clock_that_stands_still_is_waited_for() -> None:
    clock = iter([1.0, 1.0, 1.0, 1.5])
    assert measure(iter([2] * 9), seconds=0.0, clock=lambda: next(clock)) == (6.0, 12.0)


def test_the_first_sample_is_not_counted() -> None:
    clock = ticks(1.0)
    _, tokens = measure(iter([1000, 1, 1, 1]), seconds=3, clock=lambda: next(clock))
    assert tokens == 1


def test_samples_are_those_of_the_task() -> None:
    (task,) = chosen_tasks(["shape"])
    found = samples(task, 0.5, split="train", assets=Assets.open())
    assert all(4 <= next(found) <= LARGEST**2 for _ in range(5))


def test_the_table_has_a_row_for_each_task() -> None:
    rates = [Rate("a b", level, 10.0 * (level + 1), 100.0) for level in (1.0, 0.0)] + [Rate("c d", 0.0, 1234.5, 0.25)]
    rates.append(Rate("c d", 1.0, 0.5, 99_999.0))
    assert table(rates).splitlines() == [
        "| task | samples/s at 0 | tokens/s at 0 | samples/s at 1 | tokens/s at 1 |",
        "|---|---|---|---|---|",
        "| a b | 10 | 100 | 20 | 100 |",
        "| c d | 1,230 | 0.25 | 0.5 | 100,000 |",
    ]


@given(st.floats(0.01, 1e6))
def test_rounding_is_near(rate: float) -> None:
    assert float(rounded(rate).replace(",", "")) == pytest.approx(rate, rel=0.006)


def test_the_mixture_takes_the_time_of_its_parts() -> None:
    rates = [Rate("line fast", 0.5, 100.0, 1000.0), Rate("page slow", 0.5, 1.0, 200.0)]
    # 0.75 of 0.01 s and 0.25 of 1 s; 0.75 of 10 tokens and 0.25 of 200
    assert mixed(rates, (FAST, SLOW)) == ["the mixture at 0.5: 3.9 samples/s, 223 tokens/s"]


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--tasks", "shape", "--difficulties", "0.1", "0.9", "--seconds", "0.01", "--repeats", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| task | samples/s at 0.1")
    assert lines[2].startswith("| shape shapes | ")
    assert len(lines) == 3
