"""MM-Vet: 218 open questions that need several capabilities at once, graded by a judge.

Paper: arXiv 2308.02490. The published figures were judged by GPT-4-Turbo with the authors' prompt; ours says the
same in other words, so name the judge beside the score.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial

from anyres.chat import Message
from anyres.evaluation.benchmark import Benchmark, Extraction, Graded, Scoring
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.metrics.groups import percent
from anyres.evaluation.prompts import plain_prompt
from anyres.evaluation.published import DYNAMIC, README, targets
from anyres.evaluation.sample import Reply, Sample

__all__ = ["MMVET"]

CAPABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")
FOLDER = "images"
GRADE = re.compile(r"\s*(?:\*\*)?(0(?:\.\d+)?|1(?:\.0+)?)(?![\d.]*\d)")
JUDGE = """\
Grade how right an answer is, from 0.0 (wrong) to 1.0 (fully right), in steps of 0.1. Reply with the number alone.
In what is expected, <AND> joins parts that must all be in the answer, each of which is worth its share, and <OR> joins
parts of which one is enough. Other words with the same meaning are as good.

Question: What are the two even numbers?
Expected: 4 <AND> 8
Answer: It is 4.
Grade: 0.5

Question: Where was this taken?
Expected: New York <OR> NYC
Answer: In NYC, I think.
Grade: 1.0

Question: {question}
Expected: {gold}
Answer: {answer}
Grade:"""


def mmvet_sample(row: Row) -> Sample:
    """The published mm-vet.json with its folder of images, or VLMEvalKit's rows."""
    published = row.has("imagename")
    here = Row(row.name, {"image": f"{FOLDER}/{row.text('imagename')}"}, row.folder) if published else row
    media = here.needed_pictures("image", "image_path")
    name = row.text("index", "id", "question_id")
    needed = row.texts("capability", "category")
    return Sample(
        id=name,
        question=row.text("question").strip(),
        media=media,
        golds=(row.text("answer"),),
        cluster=row.optional("imagename") or picture_cluster(media) or name,
        categories={"category": ",".join(part.strip() for one in needed for part in one.split(","))} if needed else {},
    )


def ask_grade(sample: Sample, answer: str) -> tuple[Message, ...]:
    """The judge sees no picture."""
    gold = " ".join(sample.golds[0].replace("<AND>", " <AND> ").replace("<OR>", " <OR> ").split())
    return (Message("user", JUDGE.format(question=sample.question, gold=gold, answer=answer)),)


def grade_in(reply: Reply, sample: Sample) -> Extraction:
    """The number that the judge's reply begins with; None where it is none from 0 to 1."""
    found = GRADE.match(reply.text)
    return Extraction(float(found[1]), "the judge's number") if found else Extraction(None, "the judge gave no number")


def given_grade(extraction: Extraction, sample: Sample) -> float:
    """What the judge gave."""
    return 0.0 if extraction.value is None else float(extraction.value)


def summarise_mmvet(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Over all questions, and over those that need each capability, alone or with others."""
    needing = {
        name: [one for one in graded if name in one.sample.categories.get("category", "").split(",")]
        for name in CAPABILITIES
    }
    return {"overall": percent(graded), **{name: percent(ones) for name, ones in needing.items() if ones}}


MMVET = Benchmark(
    name="MMVet",
    title="MM-Vet",
    paper="https://arxiv.org/abs/2308.02490",
    read=partial(samples_of_rows, sample_of=mmvet_sample),
    prompt=plain_prompt,
    scorings=(
        Scoring(
            "judge",
            1,
            grade_in,
            given_grade,
            summarise_mmvet,
            about="A judge's grade from 0 to 1; a reply without a number is no grade.",
            ask_judge=ask_grade,
        ),
    ),
    settings=DYNAMIC,
    targets=targets(49.5, 62.0, 74.0, source=README, scoring="judge", n=218),
    official_rows=218,
    aliases=("MM-Vet",),
)
