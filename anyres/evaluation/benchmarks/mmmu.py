"""MMMU: college questions from 30 subjects, some with several pictures, some open.

Paper: arXiv 2311.16502.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from anyres.chat import ImagePart, Message
from anyres.evaluation.benchmark import Benchmark, Extraction, Scoring
from anyres.evaluation.choices import options_of
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.extraction.letters import letter_of
from anyres.evaluation.extraction.mmmu import mmmu_answer_of
from anyres.evaluation.extraction.numbers import number_in
from anyres.evaluation.extraction.short_answer import plain_words, short_answer_of
from anyres.evaluation.metrics.exact import is_gold
from anyres.evaluation.metrics.mmmu import discipline_of, mmmu_grade, summarise_mmmu
from anyres.evaluation.prompts import asked, choice_text
from anyres.evaluation.published import DYNAMIC, README, REPRODUCED, targets
from anyres.evaluation.sample import Reply, Sample

__all__ = ["MMMU", "all_pictures"]

NAME = re.compile(r"(?:dev|validation|test)_(.+)_\d+")
PICTURES = tuple(f"image_{number}" for number in range(1, 8))
OPEN = "open"


def read_mmmu(path: Path) -> Iterator[Sample]:
    """Without the questions of the dev split, which VLMEvalKit's file holds as well: they are for examples."""
    return filter(_is_counted, samples_of_rows(path, mmmu_sample))


def mmmu_sample(row: Row) -> Sample:
    """Published rows hold pictures in image_1 to image_7 and options as the text of a list; VLMEvalKit's, columns."""
    name = row.text("id", "index")
    options = () if row.optional("question_type") == OPEN else options_of(row)
    media = all_pictures(row)
    gold = row.letter("answer", options=options) if options else ""
    named = NAME.fullmatch(name)
    subject = named[1] if named else row.optional("category", "subject")
    discipline = discipline_of(subject) or row.optional("l2-category")
    kinds = {"category": subject, "l2-category": discipline, "split": row.optional("split") or name.split("_")[0]}
    return Sample(
        id=name,
        question=row.text("question").strip(),
        media=media,
        options=options,
        golds=((gold,) if gold else ()) if options else row.texts("answer"),
        cluster=picture_cluster(media) or name,
        categories={kind: value for kind, value in kinds.items() if value or kind == "split"},
    )


def all_pictures(row: Row) -> tuple[ImagePart, ...]:
    """Those of `image` and of image_1 to image_7, of which there must be one."""
    columns = [column for column in ("image", *PICTURES) if row.has(column)]
    if not columns:
        raise row.wrong("nothing", "a picture", columns=("image", "image_1"))
    return tuple(part for column in columns for part in row.pictures(column))


def ask(sample: Sample) -> tuple[Message, ...]:
    """All pictures, then hint-free question and options; the ending is English always."""
    return asked(sample, choice_text(sample, chinese=False))


def strict_answer(reply: Reply, sample: Sample) -> Extraction:
    """The letter by our rules, or of an open question its short answer."""
    return letter_of(reply, sample) if sample.options else short_answer_of(reply, sample)


def strict_grade(extraction: Extraction, sample: Sample) -> float:
    """1 if the letter is the gold, or the open answer is the gold: the same words, or the same number to two places."""
    if sample.options or extraction.value is None:
        return is_gold(extraction, sample)
    return float(any(_is_same(extraction.value, gold) for gold in sample.golds))


def _is_counted(sample: Sample) -> bool:
    return sample.categories["split"] != "dev"


def _is_same(answer: str, gold: str) -> bool:
    said, meant = number_in(answer), number_in(gold)
    if said is not None and meant is not None:
        return round(said, 2) == round(meant, 2)
    return plain_words(answer) == plain_words(gold)


MMMU = Benchmark(
    name="MMMU",
    title="MMMU, validation",
    paper="https://arxiv.org/abs/2311.16502",
    read=read_mmmu,
    prompt=ask,
    scorings=(
        Scoring(
            "official",
            1,
            mmmu_answer_of,
            mmmu_grade,
            summarise_mmmu,
            about="The official parser, but where it draws a letter at random there is no answer here.",
        ),
        Scoring(
            "strict",
            1,
            strict_answer,
            strict_grade,
            summarise_mmmu,
            about="Letters by our rules; an open answer must be the gold, where the official one only holds it.",
        ),
    ),
    settings=DYNAMIC,
    targets=(
        *targets(41.1, 54.1, 64.5, source=README, n=900),
        *targets(None, 50.56, source=f"{REPRODUCED}#628", n=900),
    ),
    official_rows=900,
    aliases=("MMMU_DEV_VAL", "MMMU_VAL", "MMMU_TEST"),
)
