"""Samples in order from any number of workers, and a state that is a global cursor."""

import os
import signal
from dataclasses import dataclass
from itertools import islice
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anyres.errors import MissingDependencyError
from anyres.training.dataset import Order
from anyres.training.loader import Loader, LoaderState, Step
from anyres.training.packing import Budget
from anyres.training.preparing import Recipe
from anyres.training.supervision import TrainingExample
from tests.training.conftest import Squares


def loader_of(folder: Path, source: Any, **options: Any) -> Loader:
    known = {"packs": 2, "look_ahead": 7, "workers": 0, "max_rejected": 0.05} | options
    return Loader(Recipe(folder, source, Budget(100, 120)), Order(source.length, seed=3, shuffle=True), **known)


def told(steps: list[Step]) -> list[tuple[Any, ...]]:
    """All that a step says."""
    return [
        (
            [pack.names for pack in step.packs],
            [pack.token_ids_T.tolist() for pack in step.packs],
            [None if pack.pixels_PX is None else int(pack.pixels_PX.sum()) for pack in step.packs],
            step.rejections,
            step.state,
        )
        for step in steps
    ]


def test_samples_come_in_whole_packs_and_each_once(folder: Path) -> None:
    steps = list(loader_of(folder, Squares(length=30), last=60))
    names = [name for step in steps for pack in step.packs for name in pack.names]
    assert sorted(names) == sorted(f"square{i}" for i in range(30) for _ in range(2))
    assert all(pack.size.tokens <= 100 and pack.size.patches <= 120 for step in steps for pack in step.packs)
    assert steps[-1].state == LoaderState(60)


def test_going_on_from_any_state_gives_the_same_steps(folder: Path) -> None:
    source = Squares(length=20, broken=4)
    whole = told(list(islice(loader_of(folder, source), 8)))
    for done in (1, 3, 6):
        state = LoaderState(**whole[done - 1][-1]._asdict())
        assert state.waiting
        assert told(list(islice(loader_of(folder, source, state=state), 8 - done))) == whole[done:]


def test_bad_rows_are_told_with_their_step(folder: Path) -> None:
    steps = list(islice(loader_of(folder, Squares(length=10, broken=2), last=10), 20))
    (rejection,) = [one for step in steps for one in step.rejections]
    assert rejection.row.row == 2
    assert rejection.row.reason == "square2: no such file; allowed: a picture"
    assert steps[-1].state == LoaderState(10, rejected=1)


@dataclass(frozen=True)
class Deadly(Squares):
    """Number 3 kills the process that prepares it."""

    def example(self, index: int) -> TrainingExample:
        if index == 3 and parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().example(index)


@dataclass(frozen=True)
class Faulty(Squares):
    """Number 3 meets an error that is not the row's fault."""

    error: type[Exception] = ZeroDivisionError

    def example(self, index: int) -> TrainingExample:
        if index == 3 and self.error is ZeroDivisionError:
            raise ZeroDivisionError
        if index == 3:
            raise MissingDependencyError("clip", "PyAV is not installed", "pip install anyres[video]")
        return super().example(index)


def test_workers_change_nothing_and_survive_a_kill(folder: Path) -> None:
    """Two processes give what none gives; the row that kills its worker twice is left out."""
    loader = loader_of(folder, Deadly(length=12), workers=2, max_rejected=0.5, last=12)
    try:
        steps = list(loader)
    finally:
        loader.close()
    killed = [one.row for step in steps for one in step.rejections]
    assert [(one.row, one.error) for one in killed] == [(3, "killed")]
    assert "signal 9" in killed[0].reason
    same = loader_of(folder, Squares(length=12, broken=3), max_rejected=0.5, last=12)
    for one, other in zip(told(steps), told(list(same)), strict=True):
        assert one[:3] == other[:3]
        assert one[4] == other[4]


def test_a_bug_in_a_worker_stops_the_run(folder: Path) -> None:
    loader = loader_of(folder, Faulty(length=12), workers=1)
    with pytest.raises(RuntimeError, match="data worker ended at row 3 with exit code 1"):
        list(islice(loader, 10))
    loader.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_missing_package_is_not_the_rows_fault(folder: Path, workers: int) -> None:
    loader = loader_of(folder, Faulty(length=12, error=MissingDependencyError), workers=workers)
    with pytest.raises(MissingDependencyError, match="PyAV is not installed"):
        list(islice(loader, 10))
    loader.close()


def test_close_before_the_end_leaves_no_process(folder: Path) -> None:
    loader = loader_of(folder, Squares(length=None), workers=1)
    next(iter(loader))
    processes = [one._process for one in loader._workers._workers]  # type: ignore[union-attr]
    loader.close()
    assert all(not one.is_alive() for one in processes)


def test_arrays_survive_the_way_between_processes(folder: Path) -> None:
    import pickle

    from anyres.training.preparing import Preparer
    from anyres.training.supervision import TrainingSample

    sample = Preparer(Recipe(folder, Squares(), Budget(100, 120)))(1)
    again = pickle.loads(pickle.dumps(sample, protocol=5))
    assert isinstance(sample, TrainingSample)
    assert np.array_equal(sample.pixels[0], again.pixels[0])
    assert torch.from_numpy(again.ids_T).tolist() == sample.ids_T.tolist()
