"""Scores that are others than when they were recorded: a rule was changed since."""

from collections.abc import Iterator
from typing import NamedTuple

from anyres.evaluation.report.results import Result

__all__ = ["Change", "changes_of"]

SAME = 1e-9


class Change(NamedTuple):
    """A sample whose score a scoring now gives otherwise."""

    benchmark: str
    model: str
    variant: str
    scoring: str
    sample: str
    before: float
    now: float
    version_before: int
    version_now: int
    rule_before: str
    rule_now: str


def changes_of(result: Result) -> Iterator[Change]:
    """In the order of the samples. Scorings that a record does not know changed nothing."""
    for entry in result.entries:
        for name, scored in entry.by.items():
            for one in scored.graded:
                before = entry.answers.records[one.sample.id].scores.get(name)
                if before is None or abs(float(before["score"]) - one.score) <= SAME:
                    continue
                yield Change(
                    benchmark=result.benchmark.name,
                    model=entry.answers.model,
                    variant=entry.answers.variant,
                    scoring=name,
                    sample=one.sample.id,
                    before=float(before["score"]),
                    now=one.score,
                    version_before=int(before["version"]),
                    version_now=scored.scoring.version,
                    rule_before=str(before["rule"]),
                    rule_now=one.extraction.rule,
                )
