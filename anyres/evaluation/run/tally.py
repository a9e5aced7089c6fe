"""How far a task is and what the score is so far, for whoever watches."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.record import Record
from anyres.evaluation.run.alarms import alarms, is_due
from anyres.evaluation.run.task import Task
from anyres.evaluation.statistics import Interval, intervals

__all__ = ["Tally"]

DRAWS = 200  # of the bootstrap of a running score
SHARE = 0.05  # of the time that running scores may take


@dataclass
class Tally:
    """Counts of a task. `known` were answered before this sitting, `asked` now, of which `cached` cost nothing."""

    task: Task
    known: int = 0
    asked: int = 0
    cached: int = 0
    alarms: list[str] = field(default_factory=list)
    latest: list[Record] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic
    _records: dict[str, Record] = field(default_factory=dict)
    _ids: frozenset[str] = frozenset()
    _began: float | None = None
    _last: float = 0.0
    _figure: tuple[str, Interval] | None = None
    _due: float = 0.0

    def __post_init__(self) -> None:
        self._ids = frozenset(sample.id for sample in self.task.asked)

    @property
    def total(self) -> int:
        return len(self._ids)

    @property
    def records(self) -> dict[str, Record]:
        return self._records

    @property
    def done(self) -> int:
        return len(self._records)

    @property
    def failed(self) -> int:
        return sum(one.outcome == "failed" for one in self._records.values())

    @property
    def judge_failed(self) -> int:
        return sum(bool(one.judge_error) for one in self._records.values())

    @property
    def per_s(self) -> float:
        """Samples a second that the model answered in this sitting, from its beginning to the last."""
        if self._began is None:
            return 0.0
        return (self.asked - self.cached) / max(1e-9, self._last - self._began)

    @property
    def left_s(self) -> float | None:
        """Seconds to expect; None before anything was asked."""
        return (self.total - self.done) / self.per_s if self.per_s else None

    def know(self, records: Iterable[Record]) -> None:
        """What was there before."""
        mine = {one.id: one for one in records if one.id in self._ids}
        self._records.update(mine)
        self.known = len(self._records)

    def add(self, records: Iterable[Record]) -> list[str]:
        """What has come, nothing at the beginning; new alarms in words."""
        before = self.asked
        self.latest = [one for one in records if one.id in self._ids]
        self._began = self.clock() if self._began is None else self._began
        if any(not one.judge for one in self.latest):
            self._last = self.clock()
        for one in self.latest:
            self.asked += not one.judge
            self.cached += one.cached and not one.judge
            self._records[one.id] = one
        if not is_due(before, self.asked):
            return []
        fresh = [text for text in alarms(list(self._records.values())) if text not in self.alarms]
        self.alarms += fresh
        return fresh

    def figure(self, *, now: bool = False) -> tuple[str, Interval] | None:
        """The headline so far with its interval, as it was when last computed, unless `now`."""
        started = self.clock()
        if self._records and (now or started >= self._due):
            self._figure = self._computed()
            took = self.clock() - started
            self._due = self.clock() + took / SHARE
        return self._figure

    def _computed(self) -> tuple[str, Interval] | None:
        scoring = self.task.benchmark.scorings[0]
        scored = [
            Graded(sample, Extraction(one["value"], one["rule"]), one["score"])
            for sample in self.task.asked
            if sample.id in self._records and (one := self._records[sample.id].scores.get(scoring.name)) is not None
        ]
        return next(iter(intervals(scoring, scored, draws=DRAWS).items()), None) if scored else None
