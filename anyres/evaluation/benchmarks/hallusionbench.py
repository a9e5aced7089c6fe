"""HallusionBench: yes/no questions about figures, about the same figures altered, and without them.

Paper: arXiv 2310.14566.
"""

from functools import partial

from anyres.evaluation.benchmark import Benchmark, Extraction, Scoring
from anyres.evaluation.data.rows import Row
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.extraction.yes_no import vlmevalkit_yes_no_of, yes_no
from anyres.evaluation.metrics.exact import is_gold
from anyres.evaluation.metrics.hallusion import (
    UNCERTAIN,
    hallusion_grade,
    summarise_hallusion,
    summarise_hallusion_pictures,
)
from anyres.evaluation.prompts import yes_no_prompt
from anyres.evaluation.published import DYNAMIC, README, targets
from anyres.evaluation.sample import Reply, Sample

__all__ = ["HALLUSIONBENCH"]

GOLDS = {"1": "yes", "0": "no", "yes": "yes", "no": "no"}
IN_INDEX = 3  # set, figure and question end the index of VLMEvalKit's rows


def hallusion_sample(row: Row) -> Sample:
    """Published rows (subcategory, set_id, ...) and VLMEvalKit's, whose index ends with set, figure and question."""
    kind, part, place = _place(row)
    given = row.optional("gt_answer", "answer").strip().lower()
    if given not in GOLDS:
        raise row.wrong(repr(given), "0, 1, No or Yes", columns=("gt_answer", "answer"))
    return Sample(
        id=row.optional("index") or "_".join((kind, part, *place)),
        question=row.text("question").strip(),
        media=row.pictures("image", "filename", "image_path"),
        golds=(GOLDS[given],),
        cluster="_".join((kind, part, place[0])),
        categories={"category": kind, "l2-category": part},
        facts={"figure": place[1], "question": place[2]},
    )


def _place(row: Row) -> tuple[str, str, tuple[str, ...]]:
    """Category, subcategory, and set, figure and question."""
    kind, part = row.text("category"), row.text("subcategory", "l2-category")
    if row.has("set_id"):
        return kind, part, (row.text("set_id"), row.text("figure_id"), row.text("question_id"))
    place = tuple(row.text("index").split("_")[-IN_INDEX:])
    if len(place) < IN_INDEX:
        raise row.wrong(repr(row.text("index")), "an index that ends with _set_figure_question", columns=("index",))
    return kind, part, place


def official_answer(reply: Reply, sample: Sample) -> Extraction:
    """Yes, no, or uncertain for words that say neither: the authors ask GPT-4 which of the three an answer is."""
    found = yes_no(reply.text)
    return Extraction(UNCERTAIN, found.rule) if found.value is None and reply.text.strip() else found


HALLUSIONBENCH = Benchmark(
    name="HallusionBench",
    title="HallusionBench",
    paper="https://arxiv.org/abs/2310.14566",
    read=partial(samples_of_rows, sample_of=hallusion_sample),
    prompt=yes_no_prompt,
    scorings=(
        Scoring(
            "official",
            1,
            official_answer,
            hallusion_grade,
            summarise_hallusion,
            about="All 1129 rows; without a figure what is neither yes nor no is right. By rules, where GPT-4 judged.",
        ),
        Scoring(
            "strict",
            1,
            vlmevalkit_yes_no_of,
            is_gold,
            summarise_hallusion_pictures,
            about="As VLMEvalKit, whose figures were published: the 951 rows with a picture, yes or no.",
        ),
    ),
    settings=DYNAMIC,
    targets=targets(41.7, 50.6, 58.1, source=README, scoring="strict", n=951),
    official_rows=1129,
)
