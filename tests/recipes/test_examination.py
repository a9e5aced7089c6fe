"""The examination with models that know the answers, or nothing."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.chat import Answer, GenerationOptions, ImagePart, Message, TextPart, Usage
from recipes.tiny import examination
from recipes.tiny.conversation import about_clip, about_pictures
from recipes.tiny.examination import Row, examine, grey, held_out, picture_of, score, write_report
from recipes.tiny.example import Dense, Example
from recipes.tiny.mixture import TASKS
from recipes.tiny.regions import Region, dense_of, found, point_text
from recipes.tiny.scores import METRICS, grid

SHAPES = next(task for task in TASKS if task.maker == "make_shapes")
LINES = next(task for task in TASKS if task.maker == "make_line")
FRAME = np.zeros((56, 84, 3), np.uint8)


class Knowing:
    """Answers rightly while it sees something."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.rest = list(examples)

    def chat_batch(self, conversations: Sequence[Sequence[Message]], *, options: GenerationOptions) -> Sequence[Answer]:
        assert options.temperature == 0
        told = []
        for conversation, example in zip(conversations, self.rest, strict=True):
            assert conversation[-1].role == "user"
            seen = any(np.ptp(frame) > 0 for frame in frames_of(conversation))
            told.append(Answer(example.answer if seen else "?", "stop", Usage(1, 0, 0)))
        return told


def frames_of(conversation: Sequence[Message]) -> list[np.ndarray]:
    parts = [part for message in conversation for part in message.parts if not isinstance(part, TextPart)]
    return [frame for part in parts for frame in ([part.image] if isinstance(part, ImagePart) else part.video)]


def example_of(answer: str, metric: str, dense: Dense | None = None, task: str = "x") -> Example:
    return about_pictures(task, [FRAME], ("?", answer), dense=[dense], metric=metric)


def test_who_knows_gets_all_and_who_sees_nothing_little() -> None:
    examples = [one for one, _ in zip(held_out(SHAPES, 0.2), range(12), strict=False)]
    rows = examine(Knowing(examples), SHAPES, difficulty=0.2, count=12)
    assert sum(row.samples for row in rows) == 12
    assert all(row.figure == 1 and row.blind == 0 for row in rows)
    assert {row.task for row in rows} == {one.task for one in examples}


def test_held_out_examples_are_always_the_same() -> None:
    first, again = (next(held_out(LINES, 0.5)) for _ in range(2))
    assert first.answer == again.answer


def test_grey_pictures_keep_their_size_and_questions() -> None:
    clip = about_clip("x", [FRAME] * 4, ("Moves?", "no"), dense=None)
    for one in (example_of("a", "exact"), clip):
        blind = grey(one)
        assert [frame.shape for frame in frames_of(blind.messages)] == [
            frame.shape for frame in frames_of(one.messages)
        ]
        assert all((frame == 128).all() for frame in frames_of(blind.messages))
        assert blind.messages[0].parts[-1] == one.messages[0].parts[-1]
        assert not any((frame == 128).any() for frame in frames_of(one.messages))


# ---- readers ----


def test_readers_are_asked_where_all_print_is_the_answer() -> None:
    whole = example_of("abc", "characters", Dense(letters=("a", "bc", *[""] * 4)))
    part = example_of("a", "characters", Dense(letters=("a", "bc", *[""] * 4)))
    assert picture_of(whole) is FRAME
    assert picture_of(part) is None
    assert examination.readable([whole])
    assert not examination.readable([whole, part])
    assert not examination.readable([replace(whole, metric="exact")])
    assert examination.read_score(lambda picture, language: "abd", [whole]) == pytest.approx(2 / 3)


def test_no_reader_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination.shutil, "which", lambda name: None)
    monkeypatch.setattr(examination, "find_spec", lambda name: None)
    assert examination.installed_readers() == {}


# ---- metrics ----


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_the_wanted_answer_is_right_and_nothing_is_not(metric: str) -> None:
    dense = dense_of([Region("star", (28, 0, 56, 28))], (56, 84))
    answers = {
        "json": '{"total": 3, "items": [{"name": "tea"}, {"name": "milk"}]}',
        "cells": "| a | b |\n|---|---|\n| 1 | 2 |",
        "box": found("star", [(28, 0, 56, 28)], (56, 84)),
        "point": point_text((28, 0, 56, 28), (56, 84)),
        "number": "3 + 4 = 7",
    }
    example = example_of(answers.get(metric, "yes"), metric, dense)
    assert score([example.answer], [example]) == 1
    assert score([""], [example]) == 0
    assert score(["nonsense"], [example]) < 0.3


def test_characters_count_over_all() -> None:
    examples = [example_of("abcd", "characters"), example_of("ab", "characters")]
    assert score(["abxd", "ab"], examples) == pytest.approx(5 / 6)
    assert score(["x" * 50, "ab"], examples) == 0


@pytest.mark.parametrize(
    ("told", "task", "right"),
    [("about 104", "chart-value", 1), ("106", "chart-value", 0), ("104", "count", 0), ("7 + 93 = 100", "sum", 1)],
)
def test_numbers_are_near_in_charts_only(told: str, task: str, right: float) -> None:
    assert score([told], [example_of("100", "number", task=task)]) == right


def test_fields_of_json() -> None:
    example = example_of('{"a": "1", "b": {"c": "2"}}', "json")
    assert score(['{"b": {"c": "2"}, "a": "1"}'], [example]) == 1
    assert score(['{"a": "1"}'], [example]) == pytest.approx(2 / 3)
    assert score(['{"a": "1"'], [example]) == 0


def test_cells_are_right_where_they_stand() -> None:
    example = example_of("| a | b |\n|---|---|\n| 1 | 2 |", "cells")
    assert score(["| a | b |\n|:--|--:|\n| 1 | 3 |"], [example]) == 0.75
    assert score(["| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"], [example]) == pytest.approx(4 / 6)


@given(st.lists(st.lists(st.text("abc1", min_size=1, max_size=3), min_size=2, max_size=2), min_size=1, max_size=4))
def test_tables_are_read_back(rows: list[list[str]]) -> None:
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    assert grid(text) == {(r, c): cell for r, row in enumerate(rows) for c, cell in enumerate(row)}


def test_boxes_are_found_once_each() -> None:
    two = found("star", [(0, 0, 28, 28), (56, 28, 84, 56)], (56, 84))
    example = example_of(two, "box")
    assert score([found("star", [(0, 0, 28, 28)], (56, 84))], [example]) == pytest.approx(2 / 3)
    assert score([found("star", [(0, 0, 28, 28)] * 2, (56, 84))], [example]) == pytest.approx(0.5)
    assert score([found("star", [(0, 28, 28, 56)], (56, 84))], [example]) == 0


def test_points_lie_in_the_box_that_is_asked_for() -> None:
    dense = dense_of([Region("a", (0, 0, 28, 28)), Region("b", (28, 0, 84, 28))], (56, 84))
    example = example_of(point_text((28, 0, 84, 28), (56, 84)), "point", dense)
    assert score([point_text((30, 2, 34, 8), (56, 84))], [example]) == 1
    assert score([point_text((0, 0, 28, 28), (56, 84))], [example]) == 0


# ---- the report ----


def test_the_report_holds_every_row(tmp_path: Path) -> None:
    rows = [
        Row("line", "en", 0.2, "characters", 3, 0.5, 0.0, {"tesseract": 0.9}),
        Row("box", "", 1, "box", 2, 1, 0, {}),
    ]
    write_report(tmp_path, rows)
    told = json.loads((tmp_path / "examination.json").read_text())
    assert [one["task"] for one in told] == ["line", "box"]
    text = (tmp_path / "examination.md").read_text()
    assert "| line | en | 0.2 | characters | 3 | 50.0 % | 0.0 % | 90.0 % |" in text
    assert "| box | - | 1 | box | 2 | 100.0 % | 0.0 % | - |" in text
