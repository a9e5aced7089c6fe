"""From records to scores: what each answer says, how right it is, how many say nothing. No model is asked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from anyres.evaluation.benchmark import Extraction, Graded, Scoring
from anyres.evaluation.record import Record
from anyres.evaluation.sample import Reply, Sample

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
    out what it should judge and has not; what it need not be asked about, and all others, read the raw answer.
    """
    found = (_graded(scoring, sample, record) for sample in samples if (record := records.get(sample.id)) is not None)
    return [one for one in found if one is not None]


def count(
    samples: Sequence[Sample], records: Mapping[str, Record], scored: Sequence[Graded], *, judge: Scoring | None = None
) -> Counts:
    """`scored` is what `graded` gave for them by rules, `judge` the scoring by a judge if there is one."""
    ids = {sample.id: sample for sample in samples}
    asked = [record for record in records.values() if record.id in ids]
    answered = [record for record in asked if record.outcome == "answered"]
    unread = sum(one.extraction.value is None for one in scored)
    return Counts(
        samples=len(samples),
        asked=len(asked),
        failed=len(asked) - len(answered),
        unread=unread - sum(one.extraction.rule.startswith(FAILED) for one in scored),
        cut=sum(record.finish_reason in ("length", "repetition") for record in answered),
        unjudged=sum(_reply(judge, ids[one.id], one) is None for one in answered) if judge else 0,
        no_gold=sum(not sample.golds for sample in samples),
        strays=len(records) - len(asked),
    )


def _reply(scoring: Scoring, sample: Sample, record: Record) -> Reply | None:
    """What is read: the raw answer, or the judge's words about it; None where a judge has yet to speak."""
    by_rules = scoring.ask_judge is None or not scoring.ask_judge(sample, record.raw)
    return record.reply if by_rules else record.judgement


def _graded(scoring: Scoring, sample: Sample, record: Record) -> Graded | None:
    if record.outcome == "failed":
        return Graded(sample, Extraction(None, f"{FAILED}: {record.error}"), 0.0)
    reply = _reply(scoring, sample, record)
    if reply is None:
        return None
    extraction = scoring.extract(reply, sample)
    return Graded(sample, extraction, 0.0 if extraction.value is None else scoring.grade(extraction, sample))
