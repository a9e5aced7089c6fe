"""The card of version 0: rows ask for what they say, answers and other readers are scored alike."""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from anyres.chat import Answer, GenerationOptions, Message
from recipes.tiny import card
from recipes.tiny.card import ROWS, Row, measure, samples_of, write_card
from recipes.tiny.factory import Sample
from recipes.tiny.readers import Page

NOTE = Row("note: fields", ("note",), 0.4, "fields", None, asked="fields")
LINE = Row("line", ("line",), 0.4, "characters", 0.97)


class Knows:
    """Answers with what is wanted; about grey pictures with nothing."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.answers = iter([*(one.answer for one in samples), *("" for _ in samples)])

    def chat_batch(self, conversations: Sequence[Sequence[Message]], *, options: GenerationOptions) -> list[Answer]:
        assert options.temperature == 0.0
        return [Answer(next(self.answers), "stop") for _ in conversations]


def sample(task: str, question: str, answer: str) -> Sample:
    return Sample(task, (np.zeros((28, 56, 3), np.uint8),), question, answer, None)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """What the factory gives, one after the other."""
    samples = [
        sample("note", "Tax?", "1.20"),
        sample("note", "Write it as JSON.", '{"Tax": "1.20"}'),
        sample("note", "Read all lines.", "Tax 1.20"),
        sample("note", "Sum?", "There is no Sum."),
    ]
    monkeypatch.setattr(card, "sample_of", lambda row, seed: samples[seed % 4])
    monkeypatch.setattr(card, "commonest", lambda row: "1.20")
    return samples


@pytest.mark.parametrize(("asked", "place"), [("value", 0), ("fields", 1), ("all", 2), ("absent", 3)])
def test_rows_of_notes_ask_for_one_thing(asked: str, place: int, drawn: list[Sample]) -> None:
    row = Row("note", ("note",), 0.4, "exact", None, asked=asked)
    assert list(islice(samples_of(row), 2)) == [drawn[place]] * 2


def test_who_knows_all_and_who_sees_nothing(drawn: list[Sample]) -> None:
    told = measure(Knows([drawn[1]] * 3), NOTE, 3)
    assert (told["figure"], told["blind"], told["commonest"], told["readers"]) == (1.0, 0.0, 0.0, {})


def test_readers_stand_only_beside_rows_that_read_all(drawn: list[Sample]) -> None:
    def reader(pages: Sequence[Page]) -> list[str | None]:
        assert all(page.language == "latin" for page in pages)
        return ["Tax 1.2", None]

    told = measure(
        Knows(drawn[2:3] * 2), Row("all", ("note",), 0.4, "characters", None, asked="all"), 2, {"own": reader}
    )
    assert told["readers"] == {"own": round(7 / 16, 4)}
    assert measure(Knows(drawn[1:2]), NOTE, 1, {"own": reader})["readers"] == {}
    assert LINE.reads_all
    assert not NOTE.reads_all


def test_names_of_rows_differ() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert all(row.metric in card.METRICS for row in ROWS)


def test_the_files(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"name": "line", "target": 0.97, "figure": 0.5, "blind": 0.0, "commonest": 0.1, "readers": {"own": 0.25}},
        {"name": "box", "target": None, "figure": 1.0, "blind": 0.0, "commonest": 0.0, "readers": {}},
    ]
    write_card(tmp_path, rows, 3, "Notes.")
    assert json.loads((tmp_path / "card.json").read_text())["rows"] == rows
    lines = (tmp_path / "CARD.md").read_text().splitlines()
    assert "| what | figure | target | blind | commonest | own |" in lines
    assert "| line | 50.0 % | 97.0 % | 0.0 % | 10.0 % | 25.0 % |" in lines
    assert "| box | 100.0 % | - | 0.0 % | 0.0 % | - |" in lines
    assert lines[-1] == "Notes."
