"""MathVision (MATH-V): 3,040 questions of mathematics competitions with pictures, 16 subjects, 5 levels.

Paper: arXiv 2402.14804, https://mathvision-cuhk.github.io. Its first script is the scoring "official"; that it compares
two decimals, so that 0.33 is a third, is a rule which "strict" does not share.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from anyres.chat import Message
from anyres.evaluation.benchmark import Benchmark, Graded, Scoring
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.extraction.mathvision import official_answer_of, own_answer_of
from anyres.evaluation.metrics.exact import by_category
from anyres.evaluation.metrics.groups import percent
from anyres.evaluation.metrics.mathvision import is_answer, is_official_answer
from anyres.evaluation.prompts import short_answer_prompt
from anyres.evaluation.published import DYNAMIC, targets
from anyres.evaluation.sample import LETTERS, Sample

__all__ = ["MATHVISION"]


def read_mathvision(path: Path) -> Iterable[Sample]:
    """The authors' JSONL with its folder of pictures, the hub's parquet, or VLMEvalKit's TSV."""
    return samples_of_rows(path, _sample)


def _sample(row: Row) -> Sample:
    pictures = row.pictures("decoded_image", "image") if row.has("decoded_image", "image") else ()
    options = row.texts("options", "choices")
    gold = row.optional("answer")
    if options and gold and gold not in LETTERS[: len(options)]:
        raise row.wrong(repr(gold), f"one of {LETTERS[: len(options)]}", columns=("answer",))
    return Sample(
        id=row.text("id", "index"),
        question=row.text("question"),
        media=pictures,
        options=options,
        golds=(gold,) if gold else (),
        cluster=picture_cluster(pictures),
        categories={"category": row.optional("subject", "category"), "level": row.optional("level")},
    )


def mathvision_prompt(sample: Sample) -> tuple[Message, ...]:
    """The question, and its options as "(A) ..."; options that are bare letters stand in the picture."""
    options = [] if sample.options == tuple(sample.letters) else list(zip(LETTERS, sample.options, strict=False))
    listed = "".join(f"\n({name}) {option}" for name, option in options)
    text = sample.question + (f"\nChoices:{listed}" if listed else "")
    return short_answer_prompt(Sample(sample.id, text, sample.media))


def summarise_mathvision(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Percent right overall, by subject and by level."""
    levels = by_category(graded, "level")
    return {
        "overall": percent(graded),
        **by_category(graded, "category"),
        **{f"level {level}": value for level, value in levels.items()},
    }


MATHVISION = Benchmark(
    name="MathVision",
    title="MathVision: competition mathematics with pictures",
    paper="https://arxiv.org/abs/2402.14804",
    read=read_mathvision,
    prompt=mathvision_prompt,
    scorings=(
        Scoring(
            "official",
            1,
            official_answer_of,
            is_official_answer,
            summarise_mathvision,
            about="The authors' evaluate.py: last box, stated answer or the whole; letter, option's text or value to "
            "two decimals.",
        ),
        Scoring(
            "strict",
            1,
            own_answer_of,
            is_answer,
            summarise_mathvision,
            about="Letters by our rules, the last number where nothing is stated; values to a millionth.",
        ),
    ),
    settings=DYNAMIC,
    targets=targets(12.4, 16.3, 25.9, n=3040),
    official_rows=3040,
    aliases=("MATH-V", "MathVision_test"),
)
