"""MathVision is read from its published layout and asked with its choices."""

import json
from pathlib import Path

import pytest

from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.benchmarks.mathvision import MATHVISION
from anyres.evaluation.data.samples import read_samples

ROWS = [  # of the published testmini
    {"id": "4", "question": "How many different digits can you find in this picture?\n<image1>", "options": []},
    {"id": "6", "question": "In which picture?\n<image1>", "options": ["A", "B", "C", "D", "E"], "answer": "D"},
    {"id": "71", "question": "Which letters?\n<image1>", "options": ["GDA", "ADG", "GAD", "GAG", "DAD"], "answer": "D"},
]
SHARED = {"solution": None, "level": 1, "subject": "counting", "image": "images/4.jpg", "answer": "6"}


def written(folder: Path, *rows: dict[str, object]) -> Path:
    path = folder / "test.jsonl"
    path.write_text("".join(json.dumps(SHARED | row) + "\n" for row in rows), "utf-8")
    return path


def test_the_published_rows(tmp_path: Path) -> None:
    read = read_samples(MATHVISION, written(tmp_path, *ROWS)).samples
    assert [sample.golds for sample in read] == [("6",), ("D",), ("D",)]
    assert read[0].media[0].image == tmp_path / "images/4.jpg"
    texts = [MATHVISION.prompt(sample)[0].parts[-1].text for sample in read]
    assert "Choices" not in texts[0]
    assert "Choices" not in texts[1]  # they are in the picture
    assert "\nChoices:\n(A) GDA\n(B) ADG\n(C) GAD\n(D) GAG\n(E) DAD\n" in texts[2]
    figures = MATHVISION.scorings[0].summarise([Graded(sample, Extraction("", ""), 1.0) for sample in read])
    assert figures == {"overall": 100, "counting": 100, "level 1": 100}


def test_a_gold_that_is_no_option_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"test.jsonl:1: answer: 'F'"):
        read_samples(MATHVISION, written(tmp_path, ROWS[1] | {"answer": "F"}))
