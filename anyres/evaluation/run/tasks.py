"""The tasks of a plan, with what of the data is broken and what cannot be run at all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from anyres.errors import AnyresError, DatasetError
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.run.plan import Plan
from anyres.evaluation.run.task import Task
from anyres.evaluation.run.variant import PLAIN

__all__ = ["Tasks", "tasks_of"]


@dataclass
class Tasks:
    """`tasks` stand by model, so that each is loaded once. `broken` rows are left out and named; `refused` are
    benchmarks whose data cannot be read, by name."""

    tasks: list[Task] = field(default_factory=list)
    broken: list[tuple[str, DatasetError]] = field(default_factory=list)
    refused: list[tuple[str, AnyresError]] = field(default_factory=list)
    empty: list[Task] = field(default_factory=list)


def tasks_of(plan: Plan, folder: Path, *, tell: Callable[[str], None] = lambda _: None) -> Tasks:
    """Reads the data of every benchmark once. A variant that has nothing to ask is among the `empty`."""
    found = Tasks()
    samples = {}
    for source in plan.data:
        tell(f"Reading {source.benchmark} ...")
        try:
            benchmark = source.open()
            read = read_samples(benchmark, Path(source.path))
        except AnyresError as error:
            found.refused.append((source.benchmark, error))
            continue
        found.broken += [(benchmark.name, error) for error in read.broken]
        samples[source.benchmark] = (benchmark, read.samples[: plan.limit])
    for spec, (benchmark, mine), variant in product(plan.models, samples.values(), plan.variants):
        task = Task(benchmark, mine, spec, folder, variant, plan.overrides)
        (found.tasks if task.asked or variant == PLAIN else found.empty).append(task)
    return found
