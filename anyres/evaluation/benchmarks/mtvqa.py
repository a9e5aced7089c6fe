"""MTVQA: questions about text in pictures, in nine languages, asked in the language of the picture.

Paper: arXiv 2405.11985.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from anyres.evaluation.benchmark import Benchmark, Scoring, Target
from anyres.evaluation.data.files import read_rows
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.data.samples import each_of
from anyres.evaluation.extraction.short_answer import stripped_answer
from anyres.evaluation.metrics.containment import mtvqa_holds_gold, mtvqa_is_gold
from anyres.evaluation.metrics.text import summarise_mtvqa
from anyres.evaluation.prompts import short_answer_prompt
from anyres.evaluation.published import DYNAMIC, PAPER, README, SIZES, targets
from anyres.evaluation.sample import Sample

__all__ = ["MTVQA"]

LANGUAGES = {"AR": 20.7, "DE": 36.5, "FR": 44.1, "IT": 42.8, "JA": 21.6, "KO": 37.4, "RU": 15.6, "TH": 17.7, "VI": 41.6}


def read_mtvqa(path: Path) -> Iterator[Sample]:
    """Published rows hold several pairs of question and answer about one picture, VLMEvalKit's one each."""
    return each_of(map(mtvqa_samples, read_rows(path)))


def mtvqa_samples(row: Row) -> tuple[Sample, ...]:
    """A sample for each pair of a row."""
    if not row.has("qa_pairs"):
        return (_sample(row, row.text("index", "id"), row.text("question"), row.text("answer")),)
    name = row.text("id", "index")
    pairs = [_pair(row, pair) for pair in row.items("qa_pairs")]
    return tuple(_sample(row, f"{name}_{number}", *pair) for number, pair in enumerate(pairs))


def _pair(row: Row, pair: Any) -> tuple[str, str]:
    if not isinstance(pair, Mapping) or not {"question", "answer"} <= pair.keys():
        raise row.wrong(repr(pair)[:80], "objects with question and answer", columns=("qa_pairs",))
    return str(pair["question"]), str(pair["answer"])


def _sample(row: Row, name: str, question: str, answer: str) -> Sample:
    media = row.needed_pictures("image", "image_path")
    return Sample(
        id=name,
        question=question.strip(),
        media=media,
        golds=(answer,),
        cluster=row.optional("id") if row.has("qa_pairs") else picture_cluster(media) or name,
        categories={"category": row.text("lang", "language", "category").upper()},
    )


MTVQA = Benchmark(
    name="MTVQA",
    title="MTVQA, test",
    paper="https://arxiv.org/abs/2405.11985",
    read=read_mtvqa,
    prompt=short_answer_prompt,
    scorings=(
        Scoring(
            "official",
            1,
            stripped_answer,
            mtvqa_holds_gold,
            summarise_mtvqa,
            about="The gold is part of the answer, in lower case and without full stops.",
        ),
        Scoring(
            "strict",
            1,
            stripped_answer,
            mtvqa_is_gold,
            summarise_mtvqa,
            about="The answer is the gold, in lower case and without full stops.",
        ),
    ),
    settings=DYNAMIC,
    targets=(
        *targets(18.1, 25.6, 30.9, source=README),
        *(Target(SIZES[2], value, PAPER, figure=language) for language, value in LANGUAGES.items()),
    ),
    aliases=("MTVQA_TEST",),
)
