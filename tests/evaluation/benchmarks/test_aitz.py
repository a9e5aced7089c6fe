"""AITZ: a real episode, actions by hand, and what the authors' script has wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.benchmarks.aitz import AITZ
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.extraction.actions import action_of
from anyres.evaluation.metrics.actions import gesture, is_right_action, is_right_action_of_aitw, is_right_type
from anyres.evaluation.sample import Reply, Sample
from anyres.grounding import Box
from tests.evaluation.shared_data import rows, shared

OFFICIAL, LENIENT = AITZ.scorings


def episode() -> tuple[Sample, ...]:
    return read_samples(AITZ, shared("aitz-episode/episode.jsonl")).samples


def test_the_real_episode() -> None:
    samples = episode()
    assert [sample.facts["action"] for sample in samples] == [
        {"type": "press", "button": "home"},
        {"type": "scroll", "direction": "up"},
        {"type": "tap", "point": pytest.approx([0.607 * 270, 0.497 * 600], abs=0.3)},
        {"type": "stop"},
    ]
    point = samples[2].facts["action"]["point"]
    inside = [edges for edges in samples[2].facts["elements"] if Box(*edges).contains(Box(*point, *point).centre)]
    assert inside == []  # the gold lies in no element
    assert len({sample.cluster for sample in samples}) == 1
    text = AITZ.prompt(samples[1])[1].parts[-1].text
    assert text.startswith('Task: open app "Clock" (install if not already installed)\nDone so far:\n1. press ')
    assert "Nothing has been done" in AITZ.prompt(samples[0])[1].parts[-1].text


def told(sample: Sample) -> str:
    """The record itself as a model would write it; of a tap a box around the point."""
    action = dict(sample.facts["action"])
    if action["type"] == "tap":
        x, y = action.pop("point")
        box = Box(x - 8, y - 8, x + 8, y + 8).to_thousandths(width=sample.facts["width"], height=sample.facts["height"])
        action["box"] = list(box.edges)
    name = action.pop("type")
    return f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(action)}}}\n</tool_call>'


def graded(samples: tuple[Sample, ...], answers: list[str]) -> list[Graded]:
    found = []
    for sample, answer in zip(samples, answers, strict=True):
        extraction = OFFICIAL.extract(Reply(answer), sample)
        found.append(Graded(sample, extraction, OFFICIAL.grade(extraction, sample)))
    return found


def test_the_record_itself_is_right() -> None:
    samples = episode()
    figures = OFFICIAL.summarise(graded(samples, [told(sample) for sample in samples]))
    assert (figures["TM"], figures["EM"], figures["success"], figures["progress"]) == (100, 100, 100, 100)


def test_one_miss_ends_the_progress() -> None:
    samples = episode()
    answers = [told(sample) for sample in samples]
    answers[1] = "I scroll down."
    figures = OFFICIAL.summarise(graded(samples, answers))
    assert (figures["TM"], figures["EM"], figures["success"], figures["progress"]) == (100, 75, 0, 25)
    answers[1] = "I do not know."
    figures = OFFICIAL.summarise(graded(samples, answers))
    assert (figures["TM"], figures["no action"]) == (75, 25)
    assert OFFICIAL.summarise([]) == {"EM": 0, "TM": 0, "success": 0, "progress": 0, "no action": 0}


def test_the_published_layout(tmp_path: Path) -> None:
    """Lists as JSON strings, paths of another machine, an episode a file in folders."""
    steps = []
    for row in rows("aitz-episode/episode.jsonl"):
        strings = {key: json.dumps(row[key]) for key in row if key.startswith("ui_") or key.endswith("_yx")}
        steps.append(row | strings | {"image": f"/data/aitz/test/x/{row['image']}"})
        steps[-1].pop("width"), steps[-1].pop("height")
        (tmp_path / "test/x").mkdir(parents=True, exist_ok=True)
        (tmp_path / "test/x" / row["image"]).write_bytes((shared("aitz-episode") / row["image"]).read_bytes())
    (tmp_path / "test/x/episode.json").write_text(json.dumps(steps), "utf-8")
    read = read_samples(AITZ, tmp_path).samples
    assert [sample.facts for sample in read] == [sample.facts for sample in episode()]
    assert read[0].media[0].image == tmp_path / "test/x" / "step_0.png"


@pytest.mark.parametrize(
    ("touch", "lift", "action"),
    [
        ((0.53, 0.52), (0.5, 0.5), {"type": "tap", "point": [50, 100]}),
        ((0.5, 0.5), (0.5, 0.545), {"type": "scroll", "direction": "right"}),
        ((0.8, 0.5), (0.2, 0.5), {"type": "scroll", "direction": "up"}),
        ((0.2, 0.5), (0.8, 0.6), {"type": "scroll", "direction": "down"}),
        ((0.5, 0.9), (0.5, 0.1), {"type": "scroll", "direction": "left"}),
        ((0.1, 0.1), (0.1 + 0.455, 0.1 + 0.5), {"type": "scroll", "direction": "down"}),  # 0.91 of |dx|
        ((0.1, 0.1), (0.1 + 0.445, 0.1 + 0.5), {"type": "scroll", "direction": "right"}),
    ],
)
def test_gestures(touch: tuple[float, float], lift: tuple[float, float], action: dict[str, Any]) -> None:
    assert gesture(touch, lift, width=100, height=200) == action


def step(action: dict[str, Any], *elements: list[float]) -> Sample:
    return Sample("1", "?", facts={"action": action, "elements": list(elements), "width": 100, "height": 200})


TAP = step({"type": "tap", "point": [50, 100]}, [40, 90, 60, 110], [0, 0, 100, 200])
ALONE = step({"type": "tap", "point": [50, 100]})


@pytest.mark.parametrize(
    ("sample", "action", "official", "aitw"),
    [
        (ALONE, {"box": [45, 95, 55, 105]}, 1, 1),
        (ALONE, {"box": [51, 101, 71, 121]}, 1, 1),  # enlarged 1.2 times it holds the point
        (ALONE, {"box": [53, 103, 73, 123]}, 0, 0),
        (ALONE, {"box": [0, 0, 10, 10]}, 0, 0),  # and not (0, 0), with which the authors' script compares
        (TAP, {"box": [40, 70, 61, 99]}, 1, 1),
        (TAP, {"box": [0, 0, 100, 200]}, 1, 1),
        (ALONE, {"point": [50, 100]}, 0, 1),  # a point needs an element
        (TAP, {"point": [39, 89]}, 1, 1),
        (ALONE, {"point": [50, 127]}, 0, 1),  # 0.135 of the screen
        (ALONE, {"point": [50, 129]}, 0, 0),
    ],
)
def test_taps(sample: Sample, action: dict[str, Any], official: float, aitw: float) -> None:
    extraction = Extraction({"type": "tap"} | action, "")
    assert is_right_type(extraction, sample) == 1
    assert is_right_action(extraction, sample) == official
    assert is_right_action_of_aitw(extraction, sample) == aitw


@pytest.mark.parametrize(
    ("text", "right"),
    [("clock", 1), ("Clock ", 1), ("open clock now", 1), ("clok", 1), ("time", 0), ("", 0)],
)
def test_texts(text: str, right: float) -> None:
    """An empty text is part of every other and right for the authors' script; not here."""
    assert (
        is_right_action(Extraction({"type": "type", "text": text}, ""), step({"type": "type", "text": "clock"}))
        == right
    )


@pytest.mark.parametrize(
    ("answer", "action"),
    [
        ('{"name": "press", "arguments": {"button": "HOME"}}', {"type": "press", "button": "home"}),
        ('{"action": "press_back"}', {"type": "press", "button": "back"}),
        ('✿FUNCTION✿: swipe\n✿ARGS✿: {"direction": "up"}', {"type": "scroll", "direction": "up"}),
        ('{"name": "type", "arguments": {"text": "a b"}}', {"type": "type", "text": "a b"}),
        ('{"name": "click", "arguments": {"point": [500, 500]}}', {"type": "tap", "point": [50, 100]}),
        ('{"name": "tap", "arguments": {"box": "(0,0),(500,500)"}}', {"type": "tap", "box": [0, 0, 50, 100]}),
        ("tap <|box_start|>(0,0),(500,500)<|box_end|>", {"type": "tap", "box": [0, 0, 50, 100]}),
        ("(500,500)", {"type": "tap", "point": [50, 100]}),
        ("Scroll up to see more", {"type": "scroll", "direction": "up"}),
        ('input text "hello"', {"type": "type", "text": "hello"}),
        ("press the back button", {"type": "press", "button": "back"}),
        ("stop and set the query as completed", {"type": "stop"}),
        ('{"name": "scroll", "arguments": {"direction": "sideways"}}', None),
        ('{"name": "tap", "arguments": {}}', None),
        ("tap the clock", None),
        ("I cannot see", None),
    ],
)
def test_answers(answer: str, action: dict[str, Any] | None) -> None:
    assert action_of(Reply(answer), ALONE).value == action


def test_broken_steps_are_told_and_the_rest_is_read(tmp_path: Path) -> None:
    good = rows("aitz-episode/episode.jsonl")[0] | {"image": str(shared("aitz-episode/step_0.png"))}
    changes: list[dict[str, object]] = [
        {"result_action_type": 9},
        {"result_action_type": 4},  # a gesture without points
        {"ui_positions": "[1,"},
        {"ui_positions": [[1, 2, 3]]},
        {"image": "none.png", "width": None},
        {},
    ]
    path = tmp_path / "e.jsonl"
    path.write_text(
        "".join(json.dumps(good | change | {"step_id": n}) + "\n" for n, change in enumerate(changes)), "utf-8"
    )
    read = read_samples(AITZ, path)
    assert [sample.facts["step"] for sample in read.samples] == [5]
    assert len(read.broken) == 5
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no episodes"):
        read_samples(AITZ, tmp_path / "empty")
