"""ChartQA: questions about charts, 1,250 by people and 1,250 made from data.

Paper: arXiv 2203.10244.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from anyres.evaluation.benchmark import Benchmark, Scoring
from anyres.evaluation.data.files import read_rows
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.extraction.short_answer import short_answer_of, stripped_answer
from anyres.evaluation.metrics.relaxed import lenient_relaxed_of, relaxed_of, strict_relaxed_of
from anyres.evaluation.metrics.text import summarise_chartqa
from anyres.evaluation.prompts import short_answer_prompt
from anyres.evaluation.published import DYNAMIC, README, REPRODUCED, targets
from anyres.evaluation.sample import Sample

__all__ = ["CHARTQA"]

FILES = {"human": "test_human.json", "augmented": "test_augmented.json"}
KINDS = {"human": "human", "0": "human", "augmented": "augmented", "machine": "augmented", "1": "augmented"}
PICTURES = "png"


def read_chartqa(path: Path) -> Iterator[Sample]:
    """The published folder (test_human.json, test_augmented.json, png), or one file of either kind of rows."""
    files = [path / name for name in FILES.values() if (path / name).exists()]
    return (
        map(chartqa_sample, chain.from_iterable(map(_of_kind, files)))
        if files
        else map(chartqa_sample, read_rows(path))
    )


def _of_kind(file: Path) -> Iterator[Row]:
    kind = next(kind for kind, name in FILES.items() if name == file.name)
    for row in read_rows(file):
        yield replace(row, values={**row.values, "type": kind}, folder=row.folder / PICTURES)


def chartqa_sample(row: Row) -> Sample:
    """Published rows (imgname, query, label), those of the hub (question, answer, type), VLMEvalKit's (split)."""
    media = row.needed_pictures("image", "imgname", "image_path")
    named = row.optional("type", "human_or_machine", "split").removeprefix("test_").removesuffix("_test")
    kind = KINDS.get(named, "")
    name = row.optional("index", "id") or row.name
    label = row.value("answer", "label")  # "[2, 3]" is one answer, a list of one holds one
    return Sample(
        id=name,
        question=row.text("question", "query").strip(),
        media=media,
        golds=row.texts("answer", "label") if isinstance(label, list) else (row.text("answer", "label"),),
        cluster=row.optional("imgname") or picture_cluster(media) or name,
        categories={"split": kind} if kind else {},
    )


CHARTQA = Benchmark(
    name="ChartQA",
    title="ChartQA, test",
    paper="https://arxiv.org/abs/2203.10244",
    read=read_chartqa,
    prompt=short_answer_prompt,
    scorings=(
        Scoring(
            "official",
            1,
            stripped_answer,
            relaxed_of,
            summarise_chartqa,
            about="pix2struct's: 2000 is right for 2015, but '$14' is wrong for 14, '95%' for 95 and 'Yes.' for Yes.",
        ),
        Scoring(
            "lenient",
            1,
            short_answer_of,
            lenient_relaxed_of,
            summarise_chartqa,
            about="Within 5 %; currency, per cent sign and commas do not matter, nor what is said before the answer.",
        ),
        Scoring(
            "strict",
            1,
            short_answer_of,
            strict_relaxed_of,
            summarise_chartqa,
            about="As the lenient one, but a gold that looks like a year must be that year.",
        ),
    ),
    settings=DYNAMIC,
    targets=(
        *targets(73.5, 83.0, 88.3, source=README, n=2500),
        *targets(72.6, 83.6, source=f"{REPRODUCED}#27", n=2500),
    ),
    official_rows=2500,
    aliases=("ChartQA_TEST",),
)
