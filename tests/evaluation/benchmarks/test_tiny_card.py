"""The card of the embedded checkpoint: its questions as files, scored to the same figures as by the recipe."""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anyres.chat import Answer, GenerationOptions, ImagePart, Message, VideoPart
from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Graded
from anyres.evaluation.benchmarks.tiny_card import TINY_CARD
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.metrics.examination import METRICS
from anyres.evaluation.sample import Reply, Sample
from recipes.tiny import scores
from recipes.tiny.clips import STAGES
from recipes.tiny.conversation import about_pictures
from recipes.tiny.examination import examine, held_out
from recipes.tiny.mixture import TASKS
from recipes.tiny.questions import rows_of_examination, write
from recipes.tiny.report_card import rows_of

COUNT = 6
OFFICIAL = TINY_CARD.scorings[0]
CHOSEN = [task for task in TASKS if task.name in ("shapes", "shape-clip")]
DIFFICULTIES = (0.2, 0.6)
FRAME = np.zeros((56, 84, 3), np.uint8)
places = st.tuples(*[st.integers(0, 999)] * 4).map(lambda p: "({},{}),({},{})".format(*p))
tables = st.lists(st.lists(st.sampled_from(["a", "b", "1"]), min_size=2, max_size=2), min_size=1, max_size=3).map(
    lambda rows: "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], ["---"] * 2, *rows[1:]])
)
objects = st.dictionaries(st.sampled_from("abc"), st.integers(0, 3) | st.lists(st.sampled_from("xy"), max_size=2)).map(
    json.dumps
)
numbers = st.sampled_from(["12", "1,200.5 kg", "3 + 4 = 7", "none", "8"])
texts = places | tables | objects | numbers | st.text("abc ", max_size=8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    rows = rows_of_examination(folder, COUNT, ["shapes", "shape-clip"], DIFFICULTIES)
    assert write(folder, rows) == 2 * COUNT * len(DIFFICULTIES)
    return folder


def graded(samples: Sequence[Sample], answers: Sequence[str]) -> list[Graded]:
    found = []
    for sample, answer in zip(samples, answers, strict=True):
        extraction = OFFICIAL.extract(Reply(answer), sample)
        found.append(Graded(sample, extraction, OFFICIAL.grade(extraction, sample)))
    return found


def test_the_questions_are_those_of_the_card(exported: Path) -> None:
    """Pixel by pixel, as the recipe asks them."""
    samples = read_samples(TINY_CARD, exported).samples
    originals = [one for task in CHOSEN for d in DIFFICULTIES for one in islice(held_out(task, d), COUNT)]
    for sample, original in zip(samples, originals, strict=True):
        (message,) = TINY_CARD.prompt(sample)
        medium, question = message.parts
        drawn, asked = original.messages[0].parts
        assert question == asked
        files = medium.video if isinstance(medium, VideoPart) else [medium.image]
        frames = drawn.video if isinstance(drawn, VideoPart) else [drawn.image]
        assert all(np.array_equal(Image.open(file), frame) for file, frame in zip(files, frames, strict=True))
        assert isinstance(medium, VideoPart) == (original.task.removeprefix("shape-") in STAGES)
        assert sample.golds == (original.answer,)


class Says:
    """A model that answers questions with what is wanted of them, spoilt; about grey pictures, with nothing."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = iter([*texts, *("" for _ in texts)])

    def chat_batch(self, conversations: Sequence[Sequence[Message]], *, options: GenerationOptions) -> list[Answer]:
        assert options.temperature == 0.0
        return [Answer(next(self.texts), "stop") for _ in conversations]


def test_figures_are_those_of_the_card(exported: Path) -> None:
    """Of right answers, of none, and of answers with mistakes."""
    samples = read_samples(TINY_CARD, exported).samples
    originals = {(task, d): [*islice(held_out(task, d), COUNT)] for task in CHOSEN for d in DIFFICULTIES}
    for spoil in (lambda a: a, lambda _: "", lambda a: a[:-1] + "7", lambda a: "x" * 3 * len(a)):
        figures = OFFICIAL.summarise(graded(samples, [spoil(sample.golds[0]) for sample in samples]))
        outcomes = [
            outcome
            for (task, d), of_task in originals.items()
            for outcome in examine(Says([spoil(one.answer) for one in of_task]), task, difficulty=d, count=COUNT)
        ]
        told = {f"{row.task} at {row.difficulty:g}: {row.metric}": 100 * row.figure for row in rows_of(outcomes)}
        for name in figures.keys() - {"overall"}:
            assert figures[name] == pytest.approx(told[name])


@pytest.mark.parametrize("metric", scores.METRICS)
@given(texts, texts, st.booleans())
def test_every_metric_is_the_recipes(metric: str, told: str, answer: str, is_chart: bool) -> None:
    if metric == "json":
        try:
            json.loads(answer)
        except ValueError:
            answer = "{}"
    task = "chart-value" if is_chart else "x"
    example = about_pictures(task, [FRAME], ("?", answer), dense=[None], metric=metric)
    if metric == "point" and scores.places(answer) and scores.places(told):
        return  # needs a drawn target; see the test of exported points
    part = scores.METRICS[metric](told, example)
    wanted = {"answer": answer} | ({"near": scores.NEAR} if is_chart else {})
    if part.of:
        assert METRICS[metric](told, wanted) == pytest.approx(part.right / part.of)


def test_boxes_and_counts_of_drawn_shapes(tmp_path: Path) -> None:
    """Boxes and points among drawn shapes, whose targets are exported with them."""
    rows = [*rows_of_examination(tmp_path, 6, ["shapes"], [0.2])]
    write(tmp_path, iter(rows))
    read = read_samples(TINY_CARD, tmp_path)
    assert (len(read.samples), read.broken) == (len(rows), ())
    assert all(one.score == 1 for one in graded(read.samples, [sample.golds[0] for sample in read.samples]))
    assert all(one.score <= 0 for one in graded(read.samples, ["?"] * len(rows)))
    assert all(isinstance(TINY_CARD.prompt(sample)[-1], Message) for sample in read.samples)


def test_points() -> None:
    wanted = {"answer": "(500,500)", "box": [10, 10, 50, 40], "size": [100, 50]}
    assert [METRICS["point"](told, wanted) for told in ("(110,210)", "(90,210)", "no", "")] == [1, 0, 0, 0]
    assert METRICS["point"]("There is no x.", {"answer": "There is no x."}) == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"metric": "taste"}, "'taste'"),
        ({"messages": []}, "at least one message"),
        ({"messages": ["hello"]}, "objects with role and parts"),
        ({"messages": [{"role": "user", "parts": ["x"]}]}, "objects with text, image or frames"),
        ({"answer": ""}, "answer"),
    ],
)
def test_broken_rows_are_told(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    messages = [{"role": "user", "parts": [{"image": "a.png", "max_pixels": 784}, {"text": "?"}]}]
    row = {"id": "1", "row": "line", "metric": "exact", "answer": "a", "messages": messages}
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(row) + "\n", "utf-8")
    (sample,) = read_samples(TINY_CARD, path).samples
    assert sample.media == (ImagePart(tmp_path / "a.png", max_pixels=784),)
    path.write_text(json.dumps(row | change) + "\n", "utf-8")
    with pytest.raises(DatasetError, match=told):
        read_samples(TINY_CARD, path)
