"""DocVQA and InfoVQA: questions about scanned documents and about infographics.

Papers: arXiv 2007.00398 and arXiv 2104.12756. Answers of the test splits are scored at rrc.cvc.uab.es alone.
"""

from functools import partial

from anyres.evaluation.benchmark import Benchmark, Scoring, Target
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.extraction.short_answer import answer_as_it_is, short_answer_of
from anyres.evaluation.metrics.anls import anls_of
from anyres.evaluation.metrics.exact import summarise_mean
from anyres.evaluation.metrics.text import same_words
from anyres.evaluation.prompts import short_answer_prompt
from anyres.evaluation.published import DYNAMIC, README, REPRODUCED, targets
from anyres.evaluation.sample import Sample

__all__ = ["DOCVQA", "INFOVQA"]

SCORINGS = (
    Scoring("official", 1, answer_as_it_is, anls_of, summarise_mean, about="ANLS of the raw answer."),
    Scoring("lenient", 1, short_answer_of, anls_of, summarise_mean, about='ANLS of what follows "the answer is".'),
    Scoring(
        "strict", 1, short_answer_of, same_words, summarise_mean, about="The gold's words, but for case and blanks."
    ),
)


def document_sample(row: Row) -> Sample:
    """Published rows (questionId, answers) and VLMEvalKit's (index, answer)."""
    media = row.needed_pictures("image", "image_local_name", "image_path")
    kinds = row.texts("question_types", "answer_type")
    name = row.text("questionId", "index", "id")
    return Sample(
        id=name,
        question=row.text("question").strip(),
        media=media,
        golds=row.texts("answers", "answer"),
        cluster=picture_cluster(media) or name,
        categories={"category": kinds[0]} if kinds else {},
    )


def _benchmark(name: str, title: str, paper: str, rows: int, published: tuple[Target, ...]) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        paper=paper,
        read=partial(samples_of_rows, sample_of=document_sample),
        prompt=short_answer_prompt,
        scorings=SCORINGS,
        settings=DYNAMIC,
        targets=published,
        official_rows=rows,
        aliases=(f"{name}_VAL", f"{name}_TEST"),
    )


DOCVQA = _benchmark(
    "DocVQA",
    "DocVQA, validation",
    "https://arxiv.org/abs/2007.00398",
    5349,
    (
        *targets(90.1, 94.5, 96.5, source=README, split="test", n=5188),
        *targets(88.34, 93.89, source="the authors, github.com/QwenLM/Qwen3-VL#27", split="val", n=5349),
        *targets(89.26, 93.8, source=f"{REPRODUCED}#27", split="val", n=5349),
    ),
)
INFOVQA = _benchmark(
    "InfoVQA",
    "InfographicVQA, validation",
    "https://arxiv.org/abs/2104.12756",
    2801,
    (
        *targets(65.5, 76.5, 84.5, source=README, split="test", n=3288),
        *targets(64.1, 76.1, source=f"{REPRODUCED}#27", split="val", n=2801),
    ),
)
