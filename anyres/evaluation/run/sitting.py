"""One sitting of one process: it asks what is missing of every task, and judges, until nothing is left or it is told
to stop."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from anyres.disk_cache import DiskCache
from anyres.errors import AnyresError
from anyres.evaluation.models.opening import open_model
from anyres.evaluation.models.query import AskedModel
from anyres.evaluation.models.spec import ModelSpec
from anyres.evaluation.record import Record
from anyres.evaluation.run.answer_cache import AnswerCache
from anyres.evaluation.run.asking import Answering, Asker, Work
from anyres.evaluation.run.judging import Judging
from anyres.evaluation.run.task import Task
from anyres.evaluation.sample import Sample

__all__ = ["Sitting", "Tell"]

Tell = Callable[[Task, Sequence[Record]], None]
PAUSE_S = 0.2  # between two looks at what others are at


@dataclass
class Sitting:
    """`refused` holds, by title, tasks that could not be run and why; the others go on.

    `share` is where in the samples this process begins, 0 to 1: several begin apart. `tell` is told of a task's
    beginning by no records.
    """

    since: float
    disk: DiskCache | None = None
    share: float = 0.0
    tell: Tell = lambda *_: None
    stop: Callable[[], bool] = lambda: False
    refused: dict[str, AnyresError] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    _model: AskedModel | None = None
    _spec: ModelSpec | None = None

    def run(self, tasks: Sequence[Task], judge: ModelSpec | None = None, *, infer: bool = True) -> None:
        """Answers first, then the judge's turn."""
        try:
            if infer:
                self._all([(Answering(task, since=self.since), task.spec) for task in tasks])
            if judge is not None:
                judged = [task for task in tasks if task.judged_by is not None]
                self._all([(Judging(task, judge.name, since=self.since), judge) for task in judged])
        finally:
            self._close()

    def _all(self, works: Sequence[tuple[Work, ModelSpec]]) -> None:
        """Each once; then again what other processes were at, until it is done or theirs no longer."""
        left = [(work, spec, self._turned(work.task.asked)) for work, spec in works]
        while left and not self.stop():
            left = [(work, spec, self._ask(work, spec, samples)) for work, spec, samples in left]
            left = [one for one in left if one[2]]
            time.sleep(PAUSE_S if left else 0)

    def _turned(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        begin = int(len(samples) * self.share)
        return (*samples[begin:], *samples[:begin])

    def _ask(self, work: Work, spec: ModelSpec, samples: Sequence[Sample]) -> Sequence[Sample]:
        cache = None if self.disk is None else AnswerCache(self.disk)
        task = work.task
        try:
            model = self._opened(spec)
            asker = Asker(work, model, cache=cache, tell=lambda records: self.tell(task, records), stop=self.stop)
            self.tell(task, ())
            elsewhere = asker.run(samples)
        except AnyresError as error:
            self.refused[task.title] = error
            return ()
        self.damaged += [one for one in asker.file.damaged if one not in self.damaged]
        return elsewhere

    def _opened(self, spec: ModelSpec) -> AskedModel:
        """One model at a time."""
        if self._model is None or self._spec != spec:
            self._close()
            self._model, self._spec = open_model(spec, self.disk), spec
        return self._model

    def _close(self) -> None:
        if self._model is not None:
            self._model.close()
        self._model = self._spec = None
