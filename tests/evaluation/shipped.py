"""Real answers of real models, from the shared data, as samples and records: MathVista's three models, MMMU's two."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from anyres.chat import Message
from anyres.evaluation.benchmark import Benchmark, Extraction, Graded, Scoring
from anyres.evaluation.benchmarks.mathvista import MATHVISTA
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.record import Record
from anyres.evaluation.report.results import Answers
from anyres.evaluation.sample import Reply, Sample

DATA = Path(__file__).parents[2] / "../shared/data"
QUESTIONS = DATA / "mathvista-testmini/questions.jsonl"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data is not here")
MODELS = {"bard": "Bard", "llava_llama_2_13b": "LLaVA-LLaMA-2-13B", "random_guess": "random guess"}


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def mathvista() -> list[Answers]:
    """With the extraction of the source project's language model as the judge's words."""
    samples = read_samples(MATHVISTA, QUESTIONS).samples
    queries = {sample.id: sample.facts["query"] for sample in samples}
    found = []
    for stem, name in MODELS.items():
        told = lines(DATA / f"mathvista-testmini/outputs_{stem}.jsonl")
        records = {
            one["pid"]: Record(
                one["pid"],
                "MathVista",
                name,
                "key",
                queries[one["pid"]],
                raw=one["response"] or "",
                judge="gpt-4",
                judged=one["extraction"] or "",
            )
            for one in told
        }
        found.append(Answers(name, "", samples, records))
    return found


def letter(reply: Reply, sample: Sample) -> Extraction:
    return Extraction(reply.text or None, "the shipped parse")


def is_gold(found: Extraction, sample: Sample) -> float:
    return float(found.value in sample.golds)


def by_subject(graded: Sequence[Graded]) -> Mapping[str, float]:
    subjects: dict[str, list[float]] = {"overall": []}
    for one in graded:
        for name in ("overall", one.sample.categories["subject"]):
            subjects.setdefault(name, []).append(one.score)
    return {name: 100 * sum(scores) / len(scores) for name, scores in subjects.items()}


def prompt(sample: Sample) -> tuple[Message, ...]:
    return (Message("user", sample.question),)


SHIPPED = Scoring("official", 1, letter, is_gold, by_subject)
CHOICES = Benchmark("MMMU choices", "MMMU, choices", "", lambda path: (), prompt, (SHIPPED,), official_rows=847)


def mmmu() -> list[Answers]:
    """The 847 choices, as the source project parsed them."""
    found = []
    for name in ("qwen_vl", "llava1.5_13b"):
        told = [one for one in lines(DATA / f"mmmu-val/outputs_{name}.jsonl") if one["index2ans"]]
        samples = [
            Sample(one["id"], one["id"], golds=(one["answer"],), categories={"subject": one["subject"]}) for one in told
        ]
        records = {one["id"]: Record(one["id"], "MMMU", name, "key", one["id"], raw=one["parsed"]) for one in told}
        found.append(Answers(name, "", samples, records))
    return found
