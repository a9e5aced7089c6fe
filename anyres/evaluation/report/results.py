"""What a report shows: each model in each way on each benchmark, beside the others and what was published."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Benchmark, Graded, Scoring, Target
from anyres.evaluation.metrics.circular import summarise_circular
from anyres.evaluation.record import Record
from anyres.evaluation.run.variant import MARK
from anyres.evaluation.sample import Sample
from anyres.evaluation.scoring import Counts, count, graded
from anyres.evaluation.statistics import (
    DRAWS,
    Difference,
    Drawn,
    Interval,
    Verdict,
    bootstrap,
    difference,
    holm,
    intervals,
    verdict,
)

__all__ = ["Answers", "Duel", "Entry", "Result", "ScoredBy", "make_result", "target_of"]

CIRCULAR = "circular"
INSTRUCT = re.compile(r"-(instruct|chat|it|awq|gptq.*|int4|int8)\b.*$")


class Answers(NamedTuple):
    """The records of a model in one way, by id, and the samples that were meant."""

    model: str
    variant: str
    samples: Sequence[Sample]
    records: Mapping[str, Record]


@dataclass(frozen=True)
class ScoredBy:
    """What one scoring makes of them."""

    scoring: Scoring
    graded: tuple[Graded, ...]
    figures: Mapping[str, Interval]
    drawn: Drawn

    @property
    def headline(self) -> Interval | None:
        return next(iter(self.figures.values()), None)


@dataclass(frozen=True)
class Entry:
    """A model in one way. `visual_tokens` and `latency_s` are means over what was answered."""

    answers: Answers
    counts: Counts
    by: Mapping[str, ScoredBy]
    visual_tokens: float
    latency_s: float

    @property
    def name(self) -> str:
        """As `tiny` or `tiny (blind)`."""
        return f"{self.answers.model} ({self.answers.variant})" if self.answers.variant else self.answers.model

    @property
    def tokens_per_s(self) -> float:
        """Tokens written, over the seconds of the answers one by one."""
        done = [record for record in self.answers.records.values() if record.outcome == "answered"]
        seconds = sum(record.latency_s for record in done)
        return sum(record.completion_tokens for record in done) / seconds if seconds else 0.0


class Duel(NamedTuple):
    """Two models in the headline of one scoring. `p_adjusted` takes the other duels of the benchmark into account."""

    scoring: str
    first: str
    second: str
    difference: Difference
    p_adjusted: float


class Checked(NamedTuple):
    """The verdict of a model against a target of its name; `part` is how much was asked, where that is not all."""

    entry: str
    scoring: str
    verdict: Verdict
    part: str = ""

    @property
    def is_part(self) -> bool:
        return bool(self.part)


@dataclass(frozen=True)
class Result:
    """All about one benchmark."""

    benchmark: Benchmark
    data: str
    samples: tuple[Sample, ...]
    broken: tuple[DatasetError, ...]
    entries: tuple[Entry, ...]
    duels: tuple[Duel, ...]
    checked: tuple[Checked, ...]

    @property
    def plain(self) -> tuple[Entry, ...]:
        """Entries of the benchmark as it is, without controls and sweeps."""
        return tuple(entry for entry in self.entries if not entry.answers.variant)

    @property
    def official(self) -> Scoring:
        """The first scoring: that of the headline."""
        return self.benchmark.scorings[0]


def make_result(
    benchmark: Benchmark,
    answers: Sequence[Answers],
    *,
    data: str = "",
    samples: Sequence[Sample] = (),
    broken: Sequence[DatasetError] = (),
    draws: int = DRAWS,
    tell: Callable[[str], None] = lambda _: None,
) -> Result:
    """Scores all answers and compares the plain ones in pairs. `tell` hears what is being computed."""
    entries = []
    for one in answers:
        tell(f"{benchmark.name}: {one.model} {one.variant}".rstrip())
        entries.append(_entry(benchmark, one, draws))
    plain = [entry for entry in entries if not entry.answers.variant]
    tell(f"{benchmark.name}: comparing")
    return Result(
        benchmark=benchmark,
        data=data,
        samples=tuple(samples),
        broken=tuple(broken),
        entries=tuple(entries),
        duels=tuple(duel for scoring in benchmark.scorings for duel in _duels(scoring, plain, draws)),
        checked=tuple(one for entry in plain for one in _checked(benchmark, entry)),
    )


def target_of(target: Target, model: str) -> bool:
    """Whether a target is that of a model, whatever folder or owner its name has before it.

    >>> target_of(Target("Qwen2-VL-2B", 43.0, "README"), "Qwen/Qwen2-VL-2B-Instruct-AWQ")
    True
    >>> target_of(Target("Qwen2-VL-2B", 43.0, "README"), "Qwen2.5-VL-2B")
    False
    """
    name = model.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1].lower()
    return INSTRUCT.sub("", name) == INSTRUCT.sub("", target.model.lower())


def _entry(benchmark: Benchmark, answers: Answers, draws: int) -> Entry:
    by = {}
    answers = _grouped(answers) if answers.variant == CIRCULAR else answers
    for scoring in benchmark.scorings:
        scoring = replace(scoring, summarise=summarise_circular, unit="%") if answers.variant == CIRCULAR else scoring
        scored = tuple(graded(scoring, answers.samples, answers.records))
        drawn = bootstrap(scoring, scored, draws=draws)
        by[scoring.name] = ScoredBy(scoring, scored, intervals(scoring, scored, drawn=drawn), drawn)
    done = [one for one in answers.records.values() if one.outcome == "answered"]
    judge = next((scoring for scoring in benchmark.scorings if scoring.ask_judge is not None), None)
    return Entry(
        answers=answers,
        counts=count(answers.samples, answers.records, by[benchmark.scorings[0].name].graded, judge=judge),
        by=by,
        visual_tokens=sum(one.visual_tokens for one in done) / max(1, len(done)),
        latency_s=sum(one.latency_s for one in done) / max(1, len(done)),
    )


def _grouped(answers: Answers) -> Answers:
    """The rotations of a question belong together, and not to another question about the same picture."""
    samples = [replace(one, cluster=one.id.rsplit(MARK, 1)[0]) for one in answers.samples]
    return answers._replace(samples=samples)


def _duels(scoring: Scoring, entries: Sequence[Entry], draws: int) -> list[Duel]:
    found = []
    for first, second in combinations(entries, 2):
        ours, theirs = first.by[scoring.name], second.by[scoring.name]
        drawn = ours.drawn, theirs.drawn
        seen = difference(scoring, ours.graded, theirs.graded, draws=draws, drawn=drawn)
        if seen is not None:
            found.append((first.name, second.name, seen))
    adjusted = holm([seen.p for _, _, seen in found])
    return [Duel(scoring.name, *one, p) for one, p in zip(found, adjusted, strict=True)]


def _part(benchmark: Benchmark, entry: Entry) -> str:
    """Of a circular benchmark its groups count."""
    rows, groups = benchmark.official_rows, benchmark.official_groups
    if groups is not None:
        ids = entry.answers.records.keys()
        asked = len({sample.cluster for sample in entry.answers.samples if sample.id in ids})
        return f"{asked:,} of {groups:,} groups" if asked < groups else ""
    asked = entry.counts.asked
    return f"{asked:,} of {rows:,} rows" if rows is not None and asked < rows else ""


def _checked(benchmark: Benchmark, entry: Entry) -> list[Checked]:
    """A part of the benchmark is told to be one: its figure is of other samples than the published one."""
    part = _part(benchmark, entry)
    return [
        Checked(entry.name, target.scoring, verdict(target, scored.figures[target.figure], n=len(scored.graded)), part)
        for target in benchmark.targets
        if target_of(target, entry.answers.model)
        and (scored := entry.by.get(target.scoring)) is not None
        and target.figure in scored.figures
    ]
