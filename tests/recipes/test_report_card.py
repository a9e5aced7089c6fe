"""Rows of the card, their intervals, and the files."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.cli.card import read_card
from recipes.tiny.report_card import ALL, REFUSAL, Outcome, percent, rows_of, share_of, target_of, wilson, write_card
from recipes.tiny.scores import Part


def outcome(
    task: str = "line",
    language: str = "en",
    metric: str = "characters",
    right: float = 3.0,
    of: float = 4.0,
    **more: object,
) -> Outcome:
    plain = Outcome(task, language, 0.5, metric, Part(right, of), Part(0.0, of), Part(1.0, of), right == of, False, {})
    return plain._replace(**more)


# Wilson's intervals as tabulated for statsmodels' proportion_confint(method="wilson").
@pytest.mark.parametrize(
    ("right", "samples", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (97, 100, 0.9155, 0.9897),
        (60, 60, 0.9398, 1.0),
        (1, 200, 0.0009, 0.0278),
    ],
)
def test_intervals_are_those_of_others(right: int, samples: int, low: float, high: float) -> None:
    assert wilson(right / samples, samples) == pytest.approx((low, high), abs=5e-4)


@given(st.floats(0, 1), st.integers(1, 5000))
def test_an_interval_holds_its_figure_and_narrows(share: float, samples: int) -> None:
    low, high = wilson(share, samples)
    assert 0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1
    closer = wilson(share, 4 * samples)
    assert closer[1] - closer[0] < high - low


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0.1, 50)), max_size=9))
def test_shares_are_shares(parts: list[tuple[float, float]]) -> None:
    assert 0 <= share_of(Part(right, of) for right, of in parts) <= 1


def test_rows_of_languages_and_whole_answers() -> None:
    told = [outcome(), outcome(right=4.0), outcome(language="zh", right=0.0, of=2.0)]
    rows = {(row.metric, row.language): row for row in rows_of(told)}
    assert set(rows) == {(metric, language) for metric in ("characters", "whole") for language in (ALL, "en", "zh")}
    assert rows["characters", ALL].figure == pytest.approx(7 / 10)
    assert rows["characters", "en"].figure == pytest.approx(7 / 8)
    assert rows["whole", ALL].figure == pytest.approx(1 / 3)
    assert rows["whole", "zh"].figure == 0
    assert rows["whole", ALL].target == 0.97
    assert rows["whole", "zh"].target == 0.9
    assert rows["characters", ALL].target is None
    assert rows["characters", ALL].commonest == pytest.approx(3 / 10)
    assert rows["whole", ALL].samples == 3


def test_difficulties_and_metrics_are_kept_apart() -> None:
    told = [outcome(metric="exact"), outcome(metric="exact", difficulty=1.0), outcome(metric="number")]
    assert [(row.metric, row.difficulty, row.samples) for row in rows_of(told)] == [
        ("exact", 0.5, 1),
        ("exact", 1.0, 1),
        ("number", 0.5, 1),
    ]


def test_readers_count_over_what_they_read() -> None:
    told = [outcome(readers={"tesseract": Part(4.0, 4.0)}), outcome(), outcome(readers={"tesseract": Part(2.0, 4.0)})]
    row, whole = rows_of(told)
    assert row.readers == {"tesseract": pytest.approx(6 / 8)}
    assert whole.readers == {"tesseract": pytest.approx(1 / 2)}


def test_refusals_have_a_row_over_all_tasks() -> None:
    told = [
        outcome("box", metric="exact", right=1, of=1, refusal=True),
        outcome("page", metric="exact", of=1, right=0, refusal=True),
    ]
    row = rows_of(told)[-1]
    assert (row.task, row.samples, row.figure, row.target) == (REFUSAL, 2, 0.5, 0.9)


def test_targets() -> None:
    assert target_of("clip-timer", "exact", ALL) == 0.85
    assert target_of("receipt-json", "json", ALL) == 0.9
    assert target_of("receipt-json", "json", "zh") is None


def test_the_files(tmp_path: Path) -> None:
    told = [outcome(readers={"tesseract": Part(1.0, 4.0)}), outcome("box", "", "box", 1.0, 1.0)]
    write_card(tmp_path / "new", rows_of(told), notes="Two cores.", absent={"rapidocr": "pip install it"})
    card = json.loads((tmp_path / "new" / "card.json").read_text())
    assert card["rows"][0]["figure"] == 0.75
    assert card["rows"][0]["readers"] == {"tesseract": 0.25}
    assert card["rows"][0]["low"] < 0.75 < card["rows"][0]["high"]
    assert read_card(tmp_path / "new") == card, "what `anyres card` reads"
    text = (tmp_path / "new" / "CARD.md").read_text()
    assert "| line | all | 0.5 | characters | 1 | 75.0 % | " in text
    assert text.count("rapidocr was not there (pip install it).") == 1
    assert "*box*: boxes whose overlap" in text
    assert "*cells*" not in text
    assert text.endswith("\nTwo cores.\n")
    header = next(line for line in text.splitlines() if line.startswith("| task"))
    assert header.endswith("| blind | commonest | tesseract |")
    assert all(line.count("|") == header.count("|") for line in text.splitlines() if line.startswith("|"))


@given(st.floats(0, 1))
def test_percentages(value: float) -> None:
    assert float(percent(value).removesuffix(" %")) == pytest.approx(100 * value, abs=0.051)
