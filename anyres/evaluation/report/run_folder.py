"""The records of one or more runs, with the data they were about: what a report is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anyres.errors import AnyresError, DatasetError
from anyres.evaluation.benchmark import Benchmark
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.record import Record
from anyres.evaluation.report.results import Answers
from anyres.evaluation.run.plan import read_plan
from anyres.evaluation.run.record_file import RecordFile
from anyres.evaluation.run.sources import DataSource
from anyres.evaluation.run.variant import variant_of
from anyres.evaluation.sample import Sample

__all__ = ["Asked", "ReadRuns", "read_runs"]


@dataclass(frozen=True)
class Asked:
    """A benchmark that was run: its samples and all answers. `broken` rows were not asked."""

    benchmark: Benchmark
    data: str
    samples: tuple[Sample, ...]
    broken: tuple[DatasetError, ...]
    answers: tuple[Answers, ...]


@dataclass(frozen=True)
class ReadRuns:
    """`refused` benchmarks cannot be scored, `damaged` lines are no records; both say why."""

    asked: tuple[Asked, ...]
    refused: tuple[str, ...]
    damaged: tuple[str, ...]


def read_runs(folders: Sequence[Path], *, tell: Callable[[str], None] = lambda _: None) -> ReadRuns:
    """All benchmarks of the runs, each once; a model that is in several runs is named with each run's folder.

    DatasetError where a folder is no run's, or nothing was answered.
    """
    found: dict[str, Asked] = {}
    refused: list[str] = []
    damaged: list[str] = []
    for folder in folders:
        plan = read_plan(folder)
        for source in plan.data:
            tell(f"Reading {source.benchmark} ...")
            try:
                asked = _asked(source, folder, plan.limit, damaged)
            except AnyresError as error:
                refused.append(f"{source.benchmark}: {error}")
                continue
            if asked.answers:
                before = found.get(source.benchmark)
                found[source.benchmark] = asked if before is None else _joined(before, asked, folder)
    if not found:
        raise DatasetError(str(folders[0]), refused[0] if refused else "no records", "a run with records")
    return ReadRuns(tuple(found.values()), tuple(dict.fromkeys(refused)), tuple(damaged))


def _asked(source: DataSource, folder: Path, limit: int | None, damaged: list[str]) -> Asked:
    benchmark = source.open()
    samples, broken = read_samples(benchmark, Path(source.path))
    answers = []
    for path in sorted((folder / "records" / benchmark.name).glob("*.jsonl")):
        file = RecordFile(path)
        file.refresh()
        damaged += file.damaged
        if file.records:
            answers.append(_answers(file.records, samples, limit))
    answers.sort(key=lambda one: (one.variant != "", one.model, one.variant))
    return Asked(benchmark, source.path, samples, broken, tuple(answers))


def _answers(records: dict[str, Record], samples: Sequence[Sample], limit: int | None) -> Answers:
    """With the samples of its variant; a run with a limit, whose records may be of an earlier one without."""
    first = next(iter(records.values()))
    asked = tuple(variant_of(first.variant).samples(samples))
    if limit is not None:
        within = {one.id for one in variant_of(first.variant).samples(samples[:limit])}
        asked = tuple(one for one in asked if one.id in within or one.id in records)
    return Answers(first.model, first.variant, asked, records)


def _joined(before: Asked, after: Asked, folder: Path) -> Asked:
    taken = {(one.model, one.variant) for one in before.answers}
    fresh = [
        one._replace(model=f"{one.model} [{folder.name}]") if (one.model, one.variant) in taken else one
        for one in after.answers
    ]
    return replace(before, answers=(*before.answers, *fresh))
