"""Rows to the steps of a run: prepared in order, packed from a look-ahead buffer, a step or two ahead of the trainer.

The state of the data is a global cursor: how many samples were drawn from the order, and the numbers of those that wait
in the buffer. It is the same whatever the number of workers, and belongs to the step it comes with, not to what has
been prepared since.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import NamedTuple

from torch import Tensor

from anyres.processing.image import normalise_table
from anyres.training.dataset import Order
from anyres.training.packing import Budget, PackedBatch, best_fit, collate
from anyres.training.preparing import Preparer, Recipe, Rejected
from anyres.training.supervision import TrainingSample
from anyres.training.workers import Workers

__all__ = ["Loader", "LoaderState", "Rejection", "Step", "too_many"]

STEPS_AHEAD = 2
FEWEST = 100  # rows below which a share of bad ones says little


class LoaderState(NamedTuple):
    """Samples drawn so far, the numbers of those not yet used, and how many of all were bad."""

    cursor: int = 0
    waiting: tuple[int, ...] = ()
    rejected: int = 0


class Rejection(NamedTuple):
    """A bad row, and the number it had in the order of samples."""

    number: int
    row: Rejected


@dataclass(frozen=True)
class Step:
    """The packs of one step, the rows found bad on the way to it, and the state once it is done.

    No packs: the data are at their end, or too many rows are bad.
    """

    packs: tuple[PackedBatch, ...]
    rejections: tuple[Rejection, ...]
    state: LoaderState


def too_many(state: LoaderState, share: float) -> bool:
    """Whether more rows are bad than a share allows; of the first hundred, as many as of a whole hundred.

    >>> too_many(LoaderState(20, rejected=5), 0.05), too_many(LoaderState(20, rejected=6), 0.05)
    (False, True)
    """
    return state.rejected > share * max(FEWEST, state.cursor)


class Loader:
    """Steps of `packs` packs each. `last` is the number of samples after which the data end, None for never."""

    def __init__(
        self,
        recipe: Recipe,
        order: Order,
        *,
        packs: int,
        look_ahead: int,
        workers: int,
        max_rejected: float,
        last: int | None = None,
        state: LoaderState | None = None,
    ) -> None:
        self._recipe, self._order, self._last = recipe, order, last
        self._packs, self._look_ahead, self._max_rejected = packs, look_ahead, max_rejected
        self._start = state or LoaderState()
        self._cursor, self._rejected = self._start.cursor, self._start.rejected
        preparer = Preparer(recipe)  # here too: wrong files are found before any process starts
        self._normalise_CV: Tensor = normalise_table(preparer.processor.image_config)
        self._workers = Workers(recipe, workers) if workers else None
        self._prepare = preparer
        self._results = self._prepared()
        self._waiting: list[tuple[int, TrainingSample]] = []
        self._rejections: list[Rejection] = []
        self._steps: Generator[Step, None, None] | None = None

    def __iter__(self) -> Iterator[Step]:
        """Steps until the data end; made in a thread of their own where workers prepare."""
        if self._workers is None:
            return iter(self._next, None)
        self._steps = _ahead(self._next)
        return self._steps

    def close(self) -> None:
        if self._steps is not None:
            self._steps.close()  # before the workers its thread waits for
        if self._workers is not None:
            self._workers.close()

    def _numbers(self) -> Iterator[int]:
        stop = None if self._last is None else max(0, self._last - self._start.cursor)
        return chain(self._start.waiting, islice(count(self._start.cursor), stop))

    def _prepared(self) -> Iterator[tuple[int, TrainingSample | Rejected]]:
        rows = (self._order.row(number) for number in self._numbers())
        results = map(self._prepare, rows) if self._workers is None else self._workers.results(rows)
        return zip(self._numbers(), results, strict=False)

    def _next(self) -> Step | None:
        packs = [pack for _ in range(self._packs) if (pack := self._pack()) is not None]
        rejections, self._rejections = tuple(self._rejections), []
        if not packs and not rejections:
            return None
        waiting = tuple(number for number, _ in self._waiting)
        return Step(tuple(packs), rejections, LoaderState(self._cursor, waiting, self._rejected))

    def _pack(self) -> PackedBatch | None:
        self._fill()
        chosen = best_fit([Budget(one.tokens, one.patches) for _, one in self._waiting], self._recipe.budget)
        if not chosen or too_many(LoaderState(self._cursor, rejected=self._rejected), self._max_rejected):
            return None
        pack = collate([self._waiting[index][1] for index in chosen], normalise_CV=self._normalise_CV)
        self._waiting = [one for index, one in enumerate(self._waiting) if index not in set(chosen)]
        return pack

    def _fill(self) -> None:
        while len(self._waiting) < self._look_ahead:
            state = LoaderState(self._cursor, rejected=self._rejected)
            drawn = None if too_many(state, self._max_rejected) else next(self._results, None)
            if drawn is None:
                return
            number, result = drawn
            self._cursor = max(self._cursor, number + 1)
            if isinstance(result, Rejected):
                self._rejected += 1
                self._rejections.append(Rejection(number, result))
            else:
                self._waiting.append((number, result))


def _ahead(make: Callable[[], Step | None]) -> Generator[Step, None, None]:
    """What `make` gives until it gives None, made by a thread that is some steps ahead."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="loader")
    try:
        ahead = deque(thread.submit(make) for _ in range(STEPS_AHEAD))
        while (step := ahead.popleft().result()) is not None:
            ahead.append(thread.submit(make))
            yield step
    finally:
        thread.shutdown(cancel_futures=True)
