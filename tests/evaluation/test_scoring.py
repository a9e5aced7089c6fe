"""Records become scores: failures are no answers, judges are not mixed with rules, and nothing is counted twice."""

from collections.abc import Mapping, Sequence

from anyres.chat import Message
from anyres.evaluation.benchmark import Extraction, Graded, Scoring
from anyres.evaluation.record import Record
from anyres.evaluation.sample import Reply, Sample
from anyres.evaluation.scoring import Counts, count, graded


def extract(reply: Reply, sample: Sample) -> Extraction:
    if not reply.text:
        return Extraction(None, "nothing")
    return Extraction((reply.text, reply.finish_reason, reply.coordinates), "all of it")


def grade(extraction: Extraction, sample: Sample) -> float:
    return float(extraction.value is not None and extraction.value[0] in sample.golds)


def mean(scored: Sequence[Graded]) -> Mapping[str, float]:
    return {"overall": sum(one.score for one in scored) / len(scored)}


def ask(sample: Sample, raw: str) -> tuple[Message, ...]:
    return (Message("user", f"{sample.question} {raw}"),)


RULES = Scoring("official", 1, extract, grade, mean)
JUDGE = Scoring("judge", 1, extract, grade, mean, ask_judge=ask)
SAMPLES = [Sample(name, "?", golds=("yes",)) for name in "abc"] + [Sample("d", "?")]


def record(name: str, **fields: object) -> Record:
    return Record(name, "own", "tiny", "key", "?", **fields)  # type: ignore[arg-type]


def test_samples_without_a_record_are_left_out_and_failures_score_nothing() -> None:
    records = {
        "c": record("c", raw="yes", finish_reason="length", coordinates="pixels"),
        "a": record("a", outcome="failed", error="timed out", raw="yes"),
    }
    scored = graded(RULES, SAMPLES, records)
    assert [one.sample.id for one in scored] == ["a", "c"]
    assert (scored[0].extraction, scored[0].score) == (Extraction(None, "failed: timed out"), 0.0)
    assert (scored[1].extraction.value, scored[1].score) == (("yes", "length", "pixels"), 1.0)


def test_a_judge_reads_the_judge_and_rules_read_the_answer() -> None:
    records = {"a": record("a", raw="no", judged="yes"), "b": record("b", raw="yes")}
    assert [one.score for one in graded(RULES, SAMPLES, records)] == [0.0, 1.0]
    assert [(one.sample.id, one.score) for one in graded(JUDGE, SAMPLES, records)] == [("a", 1.0)]


def test_a_failure_is_one_for_the_judge_too() -> None:
    assert [one.score for one in graded(JUDGE, SAMPLES, {"a": record("a", outcome="failed")})] == [0.0]


def test_counts() -> None:
    records = {
        "a": record("a", raw="yes"),
        "b": record("b", raw="", finish_reason="length"),
        "c": record("c", outcome="failed", error="refused"),
        "x": record("x", raw="yes"),
    }
    found = count(SAMPLES, records, graded(RULES, SAMPLES, records))
    assert found == Counts(samples=4, asked=3, failed=1, unread=1, cut=1, no_gold=1, strays=1)
    assert count(SAMPLES, records, [], judge=JUDGE).unjudged == 2


def test_a_judge_who_need_not_be_asked_is_not_waited_for() -> None:
    """MMBench's judge is asked only about what rules leave open."""
    mixed = Scoring(
        "judge", 1, extract, grade, mean, ask_judge=lambda sample, raw: () if raw == "yes" else ask(sample, raw)
    )
    records = {"a": record("a", raw="yes"), "b": record("b", raw="perhaps"), "c": record("c", raw="hm", judged="yes")}
    assert [(one.sample.id, one.score) for one in graded(mixed, SAMPLES, records)] == [("a", 1.0), ("c", 1.0)]
    assert count(SAMPLES, records, [], judge=mixed).unjudged == 1
