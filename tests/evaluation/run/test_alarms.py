"""Alarms after 50 samples, and the counts and scores of a run under way."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from anyres.evaluation.record import Record
from anyres.evaluation.run.alarms import alarms
from anyres.evaluation.run.tally import Tally
from tests.evaluation.run.small import sums, task


def records(count: int, change: Callable[[int, Record], Record]) -> list[Record]:
    def one(number: int) -> Record:
        scores = {"official": {"version": 1, "value": "x", "rule": "whole", "score": float(number % 2)}}
        return Record(str(number), "Sums", "adder", "k", "p", raw=f"answer {number}", scores=scores)

    return [change(number, one(number)) for number in range(count)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _, one: replace(one, raw="A"), "60 of 60 answers are 'A'"),
        (lambda n, one: replace(one, raw="A" if n else "B"), "59 of 60 answers are 'A'"),
        (lambda n, one: replace(one, raw="" if n % 4 == 0 else one.raw), "15 of 60 are empty, as 0"),
        (lambda n, one: replace(one, finish_reason="length") if n % 3 == 1 else one, "20 of 60 were cut"),
        (lambda n, one: replace(one, finish_reason="repetition") if n % 3 == 1 else one, "said the same again"),
        (lambda n, one: replace(one, outcome="failed", raw="") if n % 3 == 0 else one, "20 of 60 failed, as 0"),
        (
            lambda n, one: replace(one, scores={"official": {"value": None, "rule": "none", "score": 0.0}}),
            "60 of 60 say nothing that the official extraction reads",
        ),
    ],
)
def test_degenerate_answers_are_told(change: Callable[[int, Record], Record], words: str) -> None:
    assert any(words in text for text in alarms(records(60, change)))
    assert alarms(records(49, change)) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda _, one: one,
        lambda n, one: replace(one, raw="AB"[n % 2]),
        lambda n, one: replace(one, raw="" if n % 10 == 0 else one.raw),
        lambda _, one: replace(one, raw="yes", scores={"official": {"value": "yes", "rule": "", "score": 1.0}}),
        lambda _, one: replace(one, scores={"official": {"value": None, "rule": "not judged", "score": 0.0}}),
    ],
)
def test_honest_answers_raise_no_alarm(change: Callable[[int, Record], Record]) -> None:
    assert alarms(records(200, change)) == []


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def scored(number: int, score: float, **more: object) -> Record:
    scores = {"official": {"version": 1, "value": "x", "rule": "whole", "score": score}}
    return Record(str(number), "Sums", "adder", "k", "p", raw=str(number), scores=scores, **more)  # type: ignore[arg-type]


def test_a_tally_counts_and_tells_the_time_left(tmp_path: Path) -> None:
    clock = Clock()
    tally = Tally(task(tmp_path, samples=sums(100)), clock=clock)
    tally.know([scored(number, 1.0) for number in range(10)] + [scored(999, 1.0)])
    assert (tally.total, tally.known, tally.done, tally.left_s) == (100, 10, 10, None)
    tally.add(())
    clock.now += 10
    tally.add([scored(number, 0.0) for number in range(10, 30)])
    tally.add([scored(number, 0.0, cached=True) for number in range(30, 40)])
    assert (tally.asked, tally.cached, tally.done) == (30, 10, 40)
    assert tally.per_s == 2.0
    assert tally.left_s == 30.0
    name, interval = tally.figure(now=True)  # type: ignore[misc]
    assert (name, interval.value) == ("overall", 25.0)
    assert 10 < interval.low < 25 < interval.high < 42
    tally.add([replace(scored(10, 0.0), judge="j", judge_error="EndpointError")])
    assert (tally.asked, tally.judge_failed, tally.failed) == (30, 1, 0)


def test_an_alarm_is_told_once(tmp_path: Path) -> None:
    tally = Tally(task(tmp_path, samples=sums(300)))
    told: list[str] = []
    for number in range(300):
        told += tally.add([replace(scored(number, 0.0), raw="A")])
    assert told == ["50 of 50 answers are 'A'", "100 of 100 answers are 'A'", "200 of 200 answers are 'A'"]
