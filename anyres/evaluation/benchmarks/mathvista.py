"""MathVista testmini: 1,000 questions about figures, from 28 sources; choices and short answers.

Paper: arXiv 2310.02255, https://mathvista.github.io. Qwen2-VL's authors, as those of MathVista, had a language model
take the answer out of the words: that is the scoring "judge".
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from anyres.chat import Message
from anyres.evaluation.benchmark import Benchmark, Graded, Scoring
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.extraction.mathvista import judged_prediction_of, official_prediction_of, own_prediction_of
from anyres.evaluation.metrics.exact import by_category, is_gold
from anyres.evaluation.metrics.groups import percent
from anyres.evaluation.prompts import short_answer_prompt
from anyres.evaluation.published import DYNAMIC, targets
from anyres.evaluation.sample import LETTERS, Sample

__all__ = ["MATHVISTA", "official_query"]

CHOICE = "multi_choice"
LETTER_HINT = "Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end."
HINTS = {
    ("integer", None): "an integer answer and provide the final value, e.g., 1, 2, 3, at the end.",
    ("float", 1): "a floating-point number with one decimal place and provide the final value, e.g., 1.2, 1.3, 1.4, "
    "at the end.",
    ("float", 2): "a floating-point number with two decimal places and provide the final value, e.g., 1.23, 1.34, "
    "1.45, at the end.",
    ("list", None): "a Python list as an answer and provide the final list, e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the "
    "end.",
}
KINDS = ("task", "context", "category", "grade", "source", "language")
JUDGE = """A student answered a question about a picture. Write down the answer that the student gives, and nothing
else. {form} Do not solve the question yourself. If the student gives no answer, write nothing.

Question:
{query}

The student's words:
{raw}

The student's answer:"""
JUDGE_FORMS = {
    "choice": "It is the letter of one of the choices, as A.",
    "integer": "It is a whole number, as 12, without a unit.",
    "float": "It is a decimal number, as 1.25, without a unit.",
    "list": "It is a Python list, as [1, 2, 3].",
    "text": "It is a word or a few words.",
}


def read_mathvista(path: Path) -> Iterable[Sample]:
    """The hub's parquet, the authors' JSON, JSONL of the same columns, or VLMEvalKit's TSV."""
    return samples_of_rows(path, _sample)


def _sample(row: Row) -> Sample:
    options = row.texts("choices")
    answer_type = row.text("answer_type")
    precision = row.whole("precision") if row.has("precision") else None
    pictures = row.pictures("decoded_image", "image") if row.has("decoded_image", "image") else ()
    details = row.value("metadata")
    details = Row(row.name, details) if isinstance(details, Mapping) else row
    facts = {
        "answer_type": answer_type,
        "precision": precision,
        "unit": row.optional("unit"),
        "skills": list(details.texts("skills")),
        "query": row.optional("query"),
    }
    return Sample(
        id=row.text("pid", "index", "id"),
        question=row.text("question"),
        media=pictures,
        options=options,
        golds=(row.text("answer"),) if row.has("answer") else (),
        cluster=picture_cluster(pictures),
        categories={kind: details.optional(kind) for kind in KINDS},
        facts=facts,
    )


def official_query(sample: Sample) -> str:
    """The authors' zero-shot prompt: a hint about the form of the answer, the question, the choices."""
    if sample.facts.get("query"):
        return str(sample.facts["query"])
    if sample.question.startswith("Hint: "):  # VLMEvalKit's TSV has the prompt as the question
        return sample.question
    hint = LETTER_HINT
    if not sample.options:
        form = HINTS.get((sample.facts["answer_type"], sample.facts["precision"]))
        hint = "Please answer the question" + (f" requiring {form}" if form else ".")
    unit = f" (Unit: {sample.facts['unit']})" if sample.facts.get("unit") else ""
    choices = "".join(f"\n({name}) {option}" for name, option in zip(LETTERS, sample.options, strict=False))
    query = f"Hint: {hint}\nQuestion: {sample.question}{unit}" + (f"\nChoices:{choices}" if choices else "")
    return query.strip()


def mathvista_prompt(sample: Sample) -> tuple[Message, ...]:
    return short_answer_prompt(Sample(sample.id, official_query(sample), sample.media))


def ask_judge(sample: Sample, raw: str) -> tuple[Message, ...]:
    """What the student answered, in a few words; in our wording."""
    form = JUDGE_FORMS["choice" if sample.options else str(sample.facts["answer_type"])]
    return (Message("user", JUDGE.format(form=form, query=official_query(sample), raw=raw)),)


def summarise_mathvista(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Percent right overall, by task, by skill (a question may need several) and by context."""
    skills = sorted({skill for one in graded for skill in one.sample.facts.get("skills", ())})
    of_skill = {skill: [one for one in graded if skill in one.sample.facts.get("skills", ())] for skill in skills}
    return {
        "overall": percent(graded),
        **by_category(graded, "task"),
        **{skill: percent(some) for skill, some in of_skill.items()},
        **by_category(graded, "context"),
    }


MATHVISTA = Benchmark(
    name="MathVista",
    title="MathVista testmini: mathematics in figures",
    paper="https://arxiv.org/abs/2310.02255",
    read=read_mathvista,
    prompt=mathvista_prompt,
    scorings=(
        Scoring(
            "official",
            1,
            official_prediction_of,
            is_gold,
            summarise_mathvista,
            about="The authors' script with --quick_extract: no language model, so that no number is read "
            "out of words; a choice becomes the option with the fewest edits.",
        ),
        Scoring(
            "strict",
            1,
            own_prediction_of,
            is_gold,
            summarise_mathvista,
            about="Letters, boxed and stated numbers are read by rules; an answer that names no option is none.",
        ),
        Scoring(
            "judge",
            1,
            judged_prediction_of,
            is_gold,
            summarise_mathvista,
            about="A judge shortens the answer, then as official: what published figures are made by.",
            ask_judge=ask_judge,
        ),
    ),
    settings=DYNAMIC,
    targets=targets(43.0, 58.2, 70.5, scoring="judge", split="testmini", n=1000),
    official_rows=1000,
    aliases=("MathVista_MINI", "mathvista_testmini"),
)
