"""Case B: the fields of a photographed document as JSON, scored field by field."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anyres.chat import ImagePart, Message, TextPart
from anyres.evaluation.benchmark import Benchmark, Extraction, Graded, Scoring, Settings
from anyres.evaluation.cases.drawn import DrawnPicture
from anyres.evaluation.cases.invoice import FIELDS, invoice, invoice_fields
from anyres.evaluation.extraction.json_answers import json_of
from anyres.evaluation.metrics.groups import mean, percent
from anyres.evaluation.sample import Sample

__all__ = ["CASE_INVOICE", "right_fields"]

INVOICES = 10
PROMPT = "Write the fields of this invoice as one JSON object, each value as it is printed. The keys are: {}."


def read_invoices(path: Path) -> Iterable[Sample]:
    """Ten invoices, drawn here: `path` is not looked at."""
    return map(_sample, range(INVOICES))


def _sample(number: int) -> Sample:
    fields = invoice_fields(number)
    return Sample(
        id=f"invoice-{number}",
        question=PROMPT.format(", ".join(FIELDS)),
        media=(ImagePart(DrawnPicture("invoice", number, invoice)),),
        golds=tuple(f"{name}: {value}" for name, value in fields.items()),
        facts={"fields": fields},
    )


def invoice_prompt(sample: Sample) -> tuple[Message, ...]:
    return (Message("user", (*sample.media, TextPart(sample.question))),)


def right_fields(extraction: Extraction, sample: Sample, *, by_value: bool = False) -> dict[str, float]:
    """Of each field 1 where it is as printed; `by_value`, where it is the same but for case, blanks and separators."""
    told = extraction.value
    if isinstance(told, list):
        told = next((item for item in told if isinstance(item, Mapping)), None)
    given: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    fields: Mapping[str, str] = sample.facts["fields"]
    form = _loose if by_value else _text
    return {name: float(name in given and form(given[name]) == form(gold)) for name, gold in fields.items()}


def _text(value: Any) -> str:
    return " ".join(str(value).split()) if isinstance(value, (str, int, float)) else ""


def _loose(value: Any) -> str:
    text = "".join(_text(value).lower().replace(",", "").split())
    try:
        return f"{float(text):.2f}"
    except ValueError:
        return text


def grade_as_printed(extraction: Extraction, sample: Sample) -> float:
    """Share of fields as printed."""
    return mean(list(right_fields(extraction, sample).values()))


def grade_by_value(extraction: Extraction, sample: Sample) -> float:
    """Share of fields with the right value."""
    return mean(list(right_fields(extraction, sample, by_value=True).values()))


def summarise_fields(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Percent of fields right, documents without a mistake, answers that are JSON."""
    return {
        "fields": percent(graded),
        "documents": 100 * mean([float(one.score == 1) for one in graded]),
        "JSON": 100 * mean([float(one.extraction.value is not None) for one in graded]),
    }


CASE_INVOICE = Benchmark(
    name="Case_Invoice",
    title="Case B: fields of a document as JSON",
    paper="",
    read=read_invoices,
    prompt=invoice_prompt,
    scorings=(
        Scoring("official", 1, json_of, grade_as_printed, summarise_fields, about="Fields as they are printed."),
        Scoring(
            "lenient",
            1,
            json_of,
            grade_by_value,
            summarise_fields,
            about="Numbers by value, texts without regard to case and blanks.",
        ),
    ),
    settings=Settings(max_tokens=512),
    official_rows=INVOICES,
    drawn=True,
)
