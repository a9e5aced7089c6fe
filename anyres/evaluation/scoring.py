"""From records to scores: what each answer says, how right it is, how many say nothing. No model is asked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from anyres.evaluation.benchmark import Extraction, Graded, Scoring
from anyres.evaluation.record import Record
from anyres.evaluation.sample import Sample

__all__ = ["Counts", "count", "graded"]

FAILED = "failed"


@dataclass(frozen=True)
class Counts:
    """What became of the samples: `asked` have a record, of which `failed` hold an error instead of an answer.

    `unread` answers hold nothing that the extraction found, `cut` ones ended at their length, `unjudged` ones wait
    for their judge, or it failed, `no_gold` samples have no published answer, `strays` are records of samples that the
    data does not have.
    """

    samples: int
    asked: int = 0
    failed: int = 0
    unread: int = 0
    cut: int = 0
    unjudged: int = 0
    no_gold: int = 0
    strays: int = 0


def graded(scoring: Scoring, samples: Iterable[Sample], records: Mapping[str, Record]) -> list[Graded]:
    """What `scoring` makes of every sample that has a record, by id, in the order of the samples.

    A failed record is no answer, with a score of 0 and a rule that begins with "failed". A scoring by a judge leaves
    out what no judge has judged; all others read the raw answer.
    """
    return [
        _graded(scoring, sample, record)
        for sample in samples
        if (record := records.get(sample.id)) is not None and _is_ready(scoring, record)
    ]


def count(
    samples: Sequence[Sample], records: Mapping[str, Record], scored: Sequence[Graded], *, judged: bool = False
) -> Counts:
    """`scored` is what `graded` gave for them by rules, `judged` whether a judge is to speak as well."""
    ids = {sample.id for sample in samples}
    asked = [record for record in records.values() if record.id in ids]
    answered = [record for record in asked if record.outcome == "answered"]
    unread = sum(one.extraction.value is None for one in scored)
    return Counts(
        samples=len(samples),
        asked=len(asked),
        failed=len(asked) - len(answered),
        unread=unread - sum(one.extraction.rule.startswith(FAILED) for one in scored),
        cut=sum(record.finish_reason in ("length", "repetition") for record in answered),
        unjudged=sum(record.judged is None for record in answered) if judged else 0,
        no_gold=sum(not sample.golds for sample in samples),
        strays=len(records) - len(asked),
    )


def _is_ready(scoring: Scoring, record: Record) -> bool:
    return scoring.ask_judge is None or record.judged is not None or record.outcome == "failed"


def _graded(scoring: Scoring, sample: Sample, record: Record) -> Graded:
    reply = record.reply if scoring.ask_judge is None else record.judgement
    if record.outcome == "failed" or reply is None:
        return Graded(sample, Extraction(None, f"{FAILED}: {record.error}"), 0.0)
    extraction = scoring.extract(reply, sample)
    return Graded(sample, extraction, 0.0 if extraction.value is None else scoring.grade(extraction, sample))
