"""A whole run: what is there already, one process or several, what came of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anyres.disk_cache import DiskCache
from anyres.errors import AnyresError, DatasetError
from anyres.evaluation.record import Record
from anyres.evaluation.run.plan import Plan, write_plan
from anyres.evaluation.run.record_file import RecordFile, read_records
from anyres.evaluation.run.sitting import Sitting
from anyres.evaluation.run.tally import Tally
from anyres.evaluation.run.task import Task
from anyres.evaluation.run.tasks import Tasks, tasks_of
from anyres.evaluation.run.workers import Workers

__all__ = ["Outcome", "Watcher", "run_plan"]

POLL_S = 0.3


class Watcher:
    """Whoever watches a run; this one does nothing."""

    def begin(self, tallies: Sequence[Tally]) -> None:
        """Before the first question."""

    def note(self, text: str) -> None:
        """Something that must be known: an alarm, a process that was killed."""

    def came(self, tally: Tally) -> None:
        """Records have come."""

    def reading(self, text: str) -> None:
        """What is being read."""


@dataclass
class Outcome:
    """What came of a run. `refused` holds what could not be run, by name; `stopped` that it was told to."""

    tasks: Tasks
    tallies: list[Tally] = field(default_factory=list)
    refused: dict[str, AnyresError] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    stopped: bool = False
    seconds: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Every sample is answered, and judged where there is a judge."""
        missing = any(tally.done < tally.total or tally.failed or tally.judge_failed for tally in self.tallies)
        return not (missing or self.refused or self.tasks.broken or self.stopped)


def run_plan(
    plan: Plan,
    folder: Path,
    *,
    disk: DiskCache | None = None,
    processes: int = 1,
    infer: bool = True,
    watcher: Watcher | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Asks what is missing in `folder` and gives account. DatasetError where nothing of the plan can be run."""
    watcher = watcher or Watcher()
    started, since = time.monotonic(), time.time()
    tasks = tasks_of(plan, folder, tell=watcher.reading)
    if not tasks.tasks and tasks.refused:
        raise tasks.refused[0][1]
    if not tasks.tasks:
        raise DatasetError("run", "nothing to ask", "data and variants that go together")
    write_plan(plan, folder)
    outcome = Outcome(tasks, [_known(task) for task in tasks.tasks], dict(tasks.refused))
    run = _Run(plan, folder, outcome, since, disk, infer, watcher, stop)
    watcher.begin(outcome.tallies)
    if processes == 1:
        run.here()
    else:
        run.apart(processes)
    outcome.stopped = stop()
    outcome.seconds = time.monotonic() - started
    return outcome


def _known(task: Task) -> Tally:
    """What earlier sittings answered; what failed in them is asked again."""
    tally = Tally(task)
    tally.know(one for one in read_records(task.path).values() if one.outcome == "answered")
    return tally


@dataclass
class _Run:
    plan: Plan
    folder: Path
    outcome: Outcome
    since: float
    disk: DiskCache | None
    infer: bool
    watcher: Watcher
    stop: Callable[[], bool]

    def here(self) -> None:
        """In this process."""
        tallies = {tally.task.path: tally for tally in self.outcome.tallies}
        sitting = Sitting(
            since=self.since,
            disk=self.disk,
            tell=lambda task, records: _add(tallies[task.path], records, self.watcher),
            stop=self.stop,
        )
        sitting.run(self.outcome.tasks.tasks, self.plan.judge, infer=self.infer)
        self.outcome.refused |= sitting.refused
        self.outcome.damaged += sitting.damaged

    def apart(self, processes: int) -> None:
        """In others; the records tell how far they are."""
        files = [(tally, RecordFile(tally.task.path)) for tally in self.outcome.tallies]
        for _, file in files:
            file.refresh()
        with self._workers(processes) as workers:
            told = False
            while workers.alive(restart=not told):
                if self.stop() and not told:
                    workers.stop()
                    told = True
                _look(files, self.watcher)
                time.sleep(POLL_S)
            _look(files, self.watcher)
            refused, self.outcome.damaged = workers.said()
        self.outcome.refused |= refused

    def _workers(self, processes: int) -> Workers:
        return Workers(
            self.plan,
            self.folder,
            processes,
            since=self.since,
            cache=None if self.disk is None else self.disk.folder,
            infer=self.infer,
            say=self.watcher.note,
        )


def _look(files: Sequence[tuple[Tally, RecordFile]], watcher: Watcher) -> None:
    for tally, file in files:
        if records := file.refresh():
            _add(tally, records, watcher)


def _add(tally: Tally, records: Sequence[Record], watcher: Watcher) -> None:
    for text in tally.add(records):
        watcher.note(f"{tally.task.title}: {text}")
    if records:
        watcher.came(tally)
