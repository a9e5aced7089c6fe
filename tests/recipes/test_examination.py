"""The examination with models that know the answers, or nothing."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.chat import Answer, GenerationOptions, ImagePart, Message, TextPart, Usage
from recipes.tiny import examination
from recipes.tiny.conversation import about_clip, about_pictures
from recipes.tiny.examination import commonest, examine, grey, held_out, main, page_of, readings, scored
from recipes.tiny.example import Dense, Example
from recipes.tiny.mixture import TASKS
from recipes.tiny.readers import Page
from recipes.tiny.regions import Region, dense_of, found, point_text
from recipes.tiny.report_card import rows_of, share_of
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
    outcomes = examine(Knowing(examples), SHAPES, difficulty=0.2, count=12)
    assert [one.task for one in outcomes] == [one.task for one in examples]
    assert all(one.whole and one.told.right == one.told.of and one.blind.right <= 0 for one in outcomes)
    assert [one.refusal for one in outcomes] == [one.answer.startswith("There is no ") for one in examples]
    assert any(one.refusal for one in outcomes)
    assert all(row.figure == 1 and row.blind == 0 for row in rows_of(outcomes))


def test_the_commonest_answer_of_training_is_no_answer_to_lines() -> None:
    told = commonest(SHAPES, 0.5)
    assert told["shape-present"] in ("yes", "no")
    assert told["shape-count"].isdigit()
    outcomes = examine(Knowing(list(lines(8))), LINES, difficulty=0.5, count=8)
    assert share_of(one.commonest for one in outcomes) < 0.3


def lines(count: int) -> list[Example]:
    return [one for one, _ in zip(held_out(LINES, 0.5), range(count), strict=False)]


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
    line, chinese, other = (
        example_of("abc", "characters", task="line"),
        example_of("中", "exact", task="word"),
        example_of("abc", "characters", task="formula"),
    )
    assert page_of(line) == Page(FRAME, "en")
    assert page_of(other) is None

    def read(pages: Sequence[Page]) -> list[str | None]:
        return ["abd", None][: len(pages)]

    told = readings(read, [other, line, other, chinese])
    assert told == {1: "abd"}, "the second one is not in a language of the reader"
    assert scored(told[1], line).right == 2
    assert readings(read, [other]) == {}


def test_readers_stand_beside_the_model() -> None:
    examples = lines(5)
    told = examine(
        Knowing(examples), LINES, difficulty=0.5, count=5, readers={"echo": lambda pages: ["x"] * len(pages)}
    )
    assert all(one.readers.keys() == {"echo"} for one in told)
    (row,) = [row for row in rows_of(told) if row.metric == "characters"]
    assert row.figure == 1
    assert row.readers["echo"] < 0.3


def test_the_command_writes_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = [one for one, _ in zip(held_out(SHAPES, 0.3), range(4), strict=False)]
    monkeypatch.setattr(examination.anyres, "load", lambda folder: Knowing(examples))
    monkeypatch.setattr(examination, "installed_readers", lambda python: ({}, {"tesseract": "install it"}))
    (tmp_path / "notes.txt").write_text("Two cores.\n")
    given_options = [
        "--tasks",
        "shapes",
        "--difficulties",
        "0.3",
        "--samples",
        "4",
        "--notes",
        str(tmp_path / "notes.txt"),
    ]
    main([str(tmp_path), *given_options])
    card = json.loads((tmp_path / "card.json").read_text())
    assert (
        sum(row["samples"] for row in card["rows"] if row["task"].startswith("shape-") and row["language"] == "all")
        == 4
    )
    assert card["notes"] == "Two cores."
    assert card["absent_readers"] == {"tesseract": "install it"}
    assert "tesseract was not there (install it)" in (tmp_path / "CARD.md").read_text()
    assert "at 0.3:" in capsys.readouterr().out


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


def score(told: Sequence[str], examples: Sequence[Example]) -> float:
    return share_of(scored(text, example) for text, example in zip(told, examples, strict=True))


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
