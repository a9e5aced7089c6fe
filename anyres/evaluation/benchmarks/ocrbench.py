"""OCRBench: a thousand questions about text in pictures, a point each.

Paper: arXiv 2305.07895. Many of its pictures are tiny, and a large minimum of pixels ruins them (Qwen2-VL's table 7).
"""

from functools import partial

from anyres.evaluation.benchmark import Benchmark, Scoring
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.extraction.short_answer import stripped_answer
from anyres.evaluation.metrics.containment import FORMULA, FORMULAS, holds_gold, is_gold_text
from anyres.evaluation.metrics.text import summarise_ocrbench
from anyres.evaluation.prompts import short_answer_prompt
from anyres.evaluation.published import DYNAMIC, PAPER, README, REPRODUCED, targets
from anyres.evaluation.sample import Sample

__all__ = ["OCRBENCH"]


def ocrbench_sample(row: Row) -> Sample:
    """Published rows (dataset_name, type), those of the hub (dataset, question_type) and VLMEvalKit's (category)."""
    media = row.needed_pictures("image", "image_path")
    source = row.optional("dataset_name", "dataset")
    name = row.optional("id", "index") or row.name
    category = FORMULA if source == FORMULAS else row.text("type", "question_type", "category")
    return Sample(
        id=name,
        question=row.text("question").strip(),
        media=media,
        golds=row.texts("answers", "answer"),
        cluster=picture_cluster(media) or name,
        categories={"category": category} | ({"source": source} if source else {}),
    )


OCRBENCH = Benchmark(
    name="OCRBench",
    title="OCRBench",
    paper="https://arxiv.org/abs/2305.07895",
    read=partial(samples_of_rows, sample_of=ocrbench_sample),
    prompt=short_answer_prompt,
    scorings=(
        Scoring(
            "official",
            1,
            stripped_answer,
            holds_gold,
            summarise_ocrbench,
            unit="points",
            about="A gold is part of the answer: 'There are 12 items' is right for 1. See strict, and answer length.",
        ),
        Scoring(
            "strict",
            1,
            stripped_answer,
            is_gold_text,
            summarise_ocrbench,
            unit="points",
            about="The answer is a gold, without case.",
        ),
    ),
    settings=DYNAMIC,
    targets=(
        *targets(794, 845, 877, source=README, n=1000),
        *targets(809, 866, 877, source=PAPER, n=1000),
        *targets(780, 840, source=f"{REPRODUCED}#27", n=1000),
    ),
    official_rows=1000,
)
