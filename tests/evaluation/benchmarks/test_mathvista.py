"""MathVista is read from its published layouts and asked as the authors ask."""

import json
from pathlib import Path

import pytest

from anyres.chat import TextPart
from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.benchmarks import benchmark_of
from anyres.evaluation.benchmarks.mathvista import MATHVISTA, official_query
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.sample import Reply
from tests.evaluation.shared_data import rows, shared

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def test_the_authors_rows_and_prompts() -> None:
    """Of each row the prompt that the authors sent, made from its fields alone."""
    read = read_samples(MATHVISTA, shared("mathvista-testmini/questions.jsonl"))
    assert (len(read.samples), read.broken) == (MATHVISTA.official_rows, ())
    for sample in read.samples:
        facts = {name: value for name, value in sample.facts.items() if name != "query"}
        made = official_query(type(sample)(sample.id, sample.question, options=sample.options, facts=facts))
        assert made == sample.facts["query"]
    assert sum(bool(sample.options) for sample in read.samples) == 540


def test_the_hub_and_the_kit(tmp_path: Path) -> None:
    row = rows("mathvista-testmini/questions.jsonl")[2]
    (tmp_path / "testmini.json").write_text(json.dumps({row["pid"]: row | {"image": "images/3.jpg"}}), "utf-8")
    (one,) = read_samples(MATHVISTA, tmp_path / "testmini.json").samples
    assert one.media[0].image == tmp_path / "images/3.jpg"
    assert (one.id, one.options, one.golds) == ("3", ("135°", "140°", "145°", "150°"), ("145°",))
    assert one.categories["task"] == "geometry problem solving"

    header = "index\timage\tquestion\tchoices\tanswer\tquestion_type\tanswer_type\ttask\tskills"
    cells = (
        f"1\t{PIXEL}\tHint: Please answer.\tNone\t3\tfree_form\tinteger\tmath word problem\t['arithmetic reasoning']"
    )
    (tmp_path / "MathVista_MINI.tsv").write_text(f"{header}\n{cells.replace('None', '')}\n", "utf-8")
    (two,) = read_samples(MATHVISTA, tmp_path / "MathVista_MINI.tsv").samples
    assert official_query(two) == "Hint: Please answer."
    assert isinstance(two.media[0].image, bytes)
    assert two.facts["skills"] == ["arithmetic reasoning"]


def test_prompt_and_judge() -> None:
    sample = read_samples(MATHVISTA, shared("mathvista-testmini/questions.jsonl")).samples[1]
    (message,) = MATHVISTA.prompt(sample)
    assert message.parts[-1] == TextPart(
        sample.facts["query"] + "\nPlease try to answer the question with short words or phrases if possible."
    )
    judge = next(scoring for scoring in MATHVISTA.scorings if scoring.ask_judge)
    assert judge.ask_judge is not None
    (asked,) = judge.ask_judge(sample, "about 250 {g}")
    assert "about 250 {g}" in asked.parts[0].text
    assert judge.extract(Reply(" 250\n"), sample) == Extraction("250", "the judge's words")


def test_figures() -> None:
    read = read_samples(MATHVISTA, shared("mathvista-testmini/questions.jsonl")).samples
    flags = {row["pid"]: row["correct"] for row in rows("mathvista-testmini/outputs_bard.jsonl")}
    graded = [Graded(sample, Extraction("", ""), float(flags[sample.id])) for sample in read]
    figures = MATHVISTA.scorings[0].summarise(graded)
    assert next(iter(figures.items())) == ("overall", 34.8)
    statistical = [flags[sample.id] for sample in read if "statistical reasoning" in sample.facts["skills"]]
    assert len(statistical) == 301
    assert figures["statistical reasoning"] == pytest.approx(100 * sum(statistical) / 301)
    assert benchmark_of("mathvista_mini") is MATHVISTA
