"""What a run answers while it goes on."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from anyres.chat import Answer, GenerationOptions, Message, Usage
from anyres.training.saves import complete_saves
from recipes.tiny import validation
from recipes.tiny.course import Course, parser
from recipes.tiny.mixture import GROUPS, TASKS, opened_assets
from recipes.tiny.scale import SCALES, new_model, write_start
from recipes.tiny.validation import LARGEST, Validation

CHECKPOINT = Path("anyres/checkpoints/tiny")
EASY = tuple(task for task in TASKS if task.group in ("line", "shape"))
LEVELS = dict.fromkeys(GROUPS, 0.2)
SMALL = [
    "--scale",
    "smoke",
    "--tokenizer",
    str(CHECKPOINT),
    "--tasks",
    "line",
    "shape",
    "--device",
    "cpu",
    "--workers",
    "0",
]
SMALL += [
    "--threads",
    "1",
    "--packs",
    "1",
    "--tokens",
    "500",
    "--patches",
    "500",
    "--warmup-steps",
    "2",
    "--save-minutes",
    "0",
]


class Knowing:
    """Answers what it was told to."""

    texts: Sequence[str] = ()

    def __init__(self, *given: object, **named: object) -> None:
        del given, named

    def chat_batch(self, conversations: Sequence[Sequence[Message]], *, options: GenerationOptions) -> Sequence[Answer]:
        assert options.max_tokens == validation.MOST_TOKENS
        told, type(self).texts = self.texts[: len(conversations)], self.texts[len(conversations) :]
        return [Answer(text, "stop", Usage(1, 0, 0)) for text in told]


def made(folder: Path, minutes: float = 1.0, clock: Sequence[float] = (0.0,)) -> Validation:
    ticks = iter(clock)
    return Validation(
        folder, EASY, assets=opened_assets(None), samples=3, minutes=minutes, reading="line", clock=lambda: next(ticks)
    )


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    write_start(folder, SCALES["smoke"], tokenizer=CHECKPOINT)
    return folder


def test_rounds_come_when_they_are_due(start: Path) -> None:
    one = made(start, 2.0, (0.0, 119.0, 120.0))
    assert [one.due, one.due] == [False, True]
    assert not made(start, 0.0, (0.0, 1e9)).due


def test_questions_are_the_same_at_the_same_levels(start: Path) -> None:
    first, again = (made(start).examples(LEVELS) for _ in range(2))
    assert first.keys() == {"line", "shape"}
    assert [len(found) for found in first.values()] == [3, 3]
    assert [one.answer for one in first["line"]] == [one.answer for one in again["line"]]


def test_difficulty_is_that_of_the_group_but_bounded(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = validation.example_of

    def spy(task: object, rng: object, **named: object) -> object:
        seen.append((named["difficulty"], named["split"]))
        return real(task, rng, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(validation, "example_of", spy)
    made(start).examples({**LEVELS, "line": 0.3, "shape": 1.0})
    assert set(seen) == {(0.3, "held_out"), (LARGEST, "held_out")}


def test_figures_are_shares_of_what_is_right(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = made(start, clock=(0.0, 100.0, 107.0, 107.0))
    asked = one.examples(LEVELS)
    Knowing.texts = [*(example.answer for example in asked["line"]), *("nonsense" for _ in asked["shape"])]
    monkeypatch.setattr(validation, "LocalChatModel", Knowing)
    figures = one.figures(new_model(start), LEVELS)
    assert figures == {"valid line": 1.0, "valid shape": 0.0, "valid seconds": 7.0}
    assert not one.due


def run(out: Path, *more: str) -> Course:
    course = Course(parser().parse_args(["--out", str(out), *SMALL, *more]))
    course.run()
    return course


def test_a_run_is_the_same_with_and_without(tmp_path: Path) -> None:
    run(tmp_path / "plain", "--steps", "3", "--validate-minutes", "0")
    run(tmp_path / "valid", "--steps", "3", "--validate-minutes", "1e-9", "--validate-samples", "1")
    plain, valid = (
        torch.load(complete_saves(tmp_path / name)[-1] / "training_state.pt", weights_only=True)
        for name in ("plain", "valid")
    )
    assert all(torch.equal(plain["model"][name], valid["model"][name]) for name in plain["model"])
    assert torch.equal(plain["random"], valid["random"])
    with (tmp_path / "valid" / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = [row for row in rows if row.get("valid line")]
    assert told
    assert all(0 <= float(row["valid line"]) <= 1 and float(row["valid seconds"]) > 0 for row in told)
    assert "valid" not in (tmp_path / "plain" / "curve.csv").read_text()
