"""Processes that prepare samples. Row k goes to worker k modulo their number and results come back in the order of the
rows, so what a run learns from does not depend on how many workers there are.

A worker that is killed (out of memory, a decoder that crashes) is started again; the row it was at is tried once more
and then left out. A worker that ends by itself has met a bug, and the run ends too.
"""

import itertools
import multiprocessing as mp
import os
import pickle
import signal
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext

import torch

from anyres.errors import AnyresError
from anyres.training.preparing import Preparer, Recipe, Rejected
from anyres.training.supervision import TrainingSample

__all__ = ["Workers"]

DEPTH = 8
"""Rows that each worker is ahead of the trainer."""
NICENESS = 5  # beside a trainer on the same cores: at equal priority workers halve its speed
TRIES = 2
ENDING_S = 10.0


class Workers:
    """Call `close` when done; processes that outlive a killed trainer end by themselves."""

    def __init__(self, recipe: Recipe, count: int) -> None:
        self._workers = [_Worker(recipe) for _ in range(count)]

    def results(self, rows: Iterator[int]) -> Iterator[TrainingSample | Rejected]:
        """What each row becomes, in their order."""
        turns = itertools.cycle(self._workers)
        asked: deque[_Worker] = deque()
        for row in itertools.islice(rows, DEPTH * len(self._workers)):
            asked.append(next(turns))
            asked[-1].ask(row)
        while asked:
            yield self._next_of(asked.popleft())
            for row in itertools.islice(rows, 1):
                asked.append(next(turns))
                asked[-1].ask(row)

    def close(self) -> None:
        for worker in self._workers:
            worker.end()

    def _next_of(self, worker: "_Worker") -> TrainingSample | Rejected:
        """Takes in what any worker has ready, so that none waits with a full pipe."""
        while not worker.answers:
            ready = wait([one.connection for one in self._workers])
            for one in self._workers:
                if one.connection in ready:
                    one.receive()
        answer = worker.answers.popleft()
        if isinstance(answer, AnyresError):
            raise answer
        return answer


class _Worker:
    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._asked: deque[int] = deque()
        self._deaths: Counter[int] = Counter()
        self.answers: deque[TrainingSample | Rejected | AnyresError] = deque()
        self._start()

    def _start(self) -> None:
        context = _context()
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, self._recipe), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, row: int) -> None:
        self._asked.append(row)
        self._send(row)

    def receive(self) -> None:
        try:
            self.answers.append(pickle.loads(self.connection.recv_bytes()))  # noqa: S301 (from our own process)
        except (EOFError, ConnectionResetError):
            self._bury()
        else:
            self._asked.popleft()

    def end(self) -> None:
        self._process.terminate()
        self._process.join()
        self.connection.close()

    def _send(self, row: int) -> None:
        # A death is noticed, and the row asked for again, when its answer is waited for.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send_bytes(row.to_bytes(8))

    def _bury(self) -> None:
        self._process.join(ENDING_S)  # its pipe is closed: it is about to end, and its exit code tells why
        self.end()
        code, row = self._process.exitcode, self._asked[0]
        if code is not None and code >= 0:
            raise RuntimeError(f"a data worker ended at row {row} with exit code {code}; its traceback is above")
        self._deaths[row] += 1
        if self._deaths[row] >= TRIES:
            self._asked.popleft()
            self.answers.append(Rejected(row, f"row {row}", "killed", f"ended its process with signal {-(code or 0)}"))
        self._start()
        for waiting in self._asked:
            self._send(waiting)


def _context() -> ForkServerContext | SpawnContext:
    """Workers are forked from a server that has loaded all modules and no threads or GPU; where there is no such thing
    they are started from nothing, which takes seconds each."""
    if "forkserver" not in mp.get_all_start_methods():
        return mp.get_context("spawn")
    context = mp.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _work(connection: Connection, recipe: Recipe) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trainer, which ends its workers
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    prepare = Preparer(recipe)
    while True:
        try:
            row = int.from_bytes(connection.recv_bytes())
        except EOFError:
            return
        try:
            connection.send_bytes(pickle.dumps(_prepared(prepare, row), protocol=5))
        except BrokenPipeError:
            return


def _prepared(prepare: Preparer, row: int) -> TrainingSample | Rejected | AnyresError:
    """An error that is not the row's fault, as a missing package, is for the trainer to raise."""
    try:
        return prepare(row)
    except AnyresError as error:
        return error
