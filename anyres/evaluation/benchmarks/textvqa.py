"""TextVQA: questions about words in photographs, each answered by ten people.

Paper: arXiv 1904.08920.
"""

from dataclasses import replace
from functools import partial

from anyres.evaluation.benchmark import Benchmark, Scoring
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.extraction.short_answer import answer_as_it_is, short_answer_of
from anyres.evaluation.metrics.exact import summarise_mean
from anyres.evaluation.metrics.vqa import vqa_accuracy_of
from anyres.evaluation.prompts import short_answer_prompt
from anyres.evaluation.published import DYNAMIC, README, REPRODUCED, targets
from anyres.evaluation.sample import Sample

__all__ = ["TEXTVQA"]

PICTURES = "train_images/{}.jpg"  # of the validation split too


def textvqa_sample(row: Row) -> Sample:
    """Published rows (question_id, image_id, ten answers) and VLMEvalKit's (index, answer)."""
    named = PICTURES.format(row.text("image_id")) if row.has("image_id") else ""
    media = replace(row, values={**row.values, "image_id": named}).needed_pictures("image", "image_path", "image_id")
    name = row.text("question_id", "index", "id")
    return Sample(
        id=name,
        question=row.text("question").strip(),
        media=media,
        golds=row.texts("answers", "answer"),
        cluster=row.optional("image_id") or picture_cluster(media) or name,
    )


TEXTVQA = Benchmark(
    name="TextVQA",
    title="TextVQA, validation",
    paper="https://arxiv.org/abs/1904.08920",
    read=partial(samples_of_rows, sample_of=textvqa_sample),
    prompt=short_answer_prompt,
    scorings=(
        Scoring(
            "official", 1, answer_as_it_is, vqa_accuracy_of, summarise_mean, about="VQA accuracy of the raw answer."
        ),
        Scoring(
            "lenient",
            1,
            short_answer_of,
            vqa_accuracy_of,
            summarise_mean,
            about='VQA accuracy of what follows "the answer is".',
        ),
    ),
    settings=DYNAMIC,
    targets=(
        *targets(79.7, 84.3, 85.5, source=README, n=5000),
        *targets(79.2, 84.4, source=f"{REPRODUCED}#27", n=5000),
    ),
    official_rows=5000,
    aliases=("TextVQA_VAL",),
)
