"""The loop that asks a model what is missing, keeps each answer the moment it is there, and shares with others."""

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import NamedTuple, Protocol

from anyres.errors import AnyresError
from anyres.evaluation.models.query import AskedModel, Query, Told
from anyres.evaluation.record import Record
from anyres.evaluation.run.answer_cache import AnswerCache, is_repeatable
from anyres.evaluation.run.claims import Claims
from anyres.evaluation.run.key import Digests, Keyed
from anyres.evaluation.run.record_file import RecordFile
from anyres.evaluation.run.task import Task
from anyres.evaluation.sample import Sample

__all__ = ["Answering", "Asker", "Work"]

PATIENCE_S = 0.5  # between two looks at whether it is to stop


class Work(Protocol):
    """What is asked about each sample: the benchmark's question (`Answering`), or a judge (`Judging`)."""

    @property
    def task(self) -> Task: ...
    def claim(self, sample: Sample) -> str:
        """The name under which one process takes it."""
        ...

    def query(self, sample: Sample, known: Record | None) -> Query | None:
        """None where there is nothing to ask."""
        ...

    def is_done(self, known: Record | None, keyed: Keyed) -> bool: ...
    def record(self, asked: "Asked", told: Told, model: AskedModel, *, cached: bool) -> Record: ...


class Asked(NamedTuple):
    """A question on its way."""

    sample: Sample
    query: Query
    keyed: Keyed
    known: Record | None


class Answering:
    """The benchmark's own question. What failed in this sitting, since `since`, is not asked again in it; what failed
    in an earlier one is."""

    def __init__(self, task: Task, *, since: float = 0.0) -> None:
        self.task = task
        self._since = since

    def claim(self, sample: Sample) -> str:
        return sample.id

    def query(self, sample: Sample, known: Record | None) -> Query | None:
        del known
        return self.task.query(sample)

    def is_done(self, known: Record | None, keyed: Keyed) -> bool:
        if known is None or known.key != keyed.key:
            return False
        return known.outcome == "answered" or known.at >= self._since > 0

    def record(self, asked: Asked, told: Told, model: AskedModel, *, cached: bool) -> Record:
        return replace(self.task.record(asked.sample, asked.query, asked.keyed, told, model), cached=cached)


class Asker:
    """Asks all of a work that nobody has answered, `model.at_once` together.

    `tell` is called with records once they are on the disk. `run` gives the samples that other processes are at; their
    answers are in the file when these are done, and theirs to take when they are killed. When `stop` says so nothing
    more is asked, and what is under way is waited for.
    """

    def __init__(
        self,
        work: Work,
        model: AskedModel,
        *,
        cache: AnswerCache | None = None,
        tell: Callable[[Sequence[Record]], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._work = work
        self._model = model
        self._cache = cache
        self._tell = tell
        self._stop = stop
        self._digests = Digests()
        self.file = RecordFile(work.task.path)
        self._left: deque[Sample] = deque()
        self._elsewhere: list[Sample] = []
        self._flying: dict[Future[Told], Asked] = {}
        self._landed: list[tuple[Asked, Told, bool]] = []

    def run(self, samples: Sequence[Sample]) -> list[Sample]:
        """Those that are with others."""
        self._identity = self._model.identity  # of what is not there: the task's failure, and no sample's
        self._left.extend(samples)
        self._claims = Claims(self._work.task.claims_path)
        pool = ThreadPoolExecutor(self._model.at_once, thread_name_prefix="anyres-asking")
        try:
            while (self._left and not self._stop()) or self._flying or self._landed:
                self._fill(pool)
                self._collect()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            self._claims.close()
        return self._elsewhere

    def _fill(self, pool: ThreadPoolExecutor) -> None:
        room = self._model.at_once
        while self._left and len(self._flying) + len(self._landed) < room and not self._stop():
            self._begin(self._left.popleft(), pool)

    def _begin(self, sample: Sample, pool: ThreadPoolExecutor) -> None:
        """Claims it first, then looks whether it is answered: the other way round, it could be answered in between."""
        if not self._claims.take(self._work.claim(sample)):
            self._elsewhere.append(sample)
            return
        self.file.refresh()
        known = self.file.records.get(sample.id)
        query = self._work.query(sample, known)
        if query is None:
            self._claims.give(self._work.claim(sample))
            return
        told, asked = self._looked_up(Asked(sample, query, Keyed("", ()), known))
        if self._work.is_done(known, asked.keyed):
            self._claims.give(self._work.claim(sample))
        elif told is not None:
            self._landed.append((asked, told, told.answer is not None))
        else:
            self._flying[pool.submit(self._model.ask, query)] = asked

    def _looked_up(self, asked: Asked) -> tuple[Told | None, Asked]:
        """With its key, and what was told before; a picture that cannot be read is a failure without a question."""
        try:
            keyed = self._digests.keyed(asked.query, self._identity)
        except AnyresError as error:
            words = f"{type(error).__name__}: {error}"
            return Told(None, words), asked._replace(keyed=Keyed(hashlib.sha256(words.encode()).hexdigest(), ()))
        repeatable = self._cache is not None and is_repeatable(asked.query.options)
        kept = self._cache.get(keyed.key) if self._cache is not None and repeatable else None
        return kept, asked._replace(keyed=keyed)

    def _collect(self) -> None:
        """Writes down what has come; waits for it where nothing has."""
        timeout = 0.0 if self._landed else PATIENCE_S
        done, _ = wait(self._flying, timeout=timeout, return_when=FIRST_COMPLETED) if self._flying else ((), ())
        self._landed += [(self._flying.pop(future), future.result(), False) for future in done]
        if not self._landed:
            return
        records = [self._work.record(asked, told, self._model, cached=cached) for asked, told, cached in self._landed]
        self.file.append(records)
        for asked, told, cached in self._landed:
            self._claims.give(self._work.claim(asked.sample))
            if self._cache is not None and not cached and is_repeatable(asked.query.options):
                self._cache.put(asked.keyed.key, told)
        self._landed.clear()
        self._tell(records)
