"""Where examples come from: files of rows, or any object that makes an example from its number."""

import json
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from anyres.errors import DatasetError
from anyres.training.rows import example_of_row
from anyres.training.supervision import TrainingExample

__all__ = ["Dataset", "Order", "Source"]


class Source(Protocol):
    """Examples by number, always the same one for the same number; sent to the workers by pickle.

    `length` None means without end: any number from 0 has its example.
    """

    @property
    def length(self) -> int | None: ...

    def example(self, index: int) -> TrainingExample: ...


class Dataset:
    """The rows of JSON (one array) and JSONL files, one file behind the other.

    Only where lines begin is kept in memory of JSONL; a row is parsed when it is asked for, so a damaged line costs
    its own sample and no more. An example is called `train.jsonl:17`: its file and line, or place in the array.
    """

    def __init__(self, paths: tuple[Path, ...], *, media_folder: Path | None = None) -> None:
        if not paths:
            raise DatasetError("data.files", "no files", "JSON or JSONL files")
        self.paths, self.media_folder = paths, media_folder
        self._files = [_open(path) for path in paths]
        self._ends = list(accumulate(file.length for file in self._files))
        if self.length == 0:
            raise DatasetError(", ".join(map(str, paths)), "no rows", "at least one")

    def __reduce__(self) -> Any:
        """A worker opens the files again."""
        return _reopened, (self.paths, self.media_folder)

    @property
    def length(self) -> int:
        return self._ends[-1]

    def example(self, index: int) -> TrainingExample:
        """DatasetError for a line that is no JSON, MessageError for a row that is no conversation."""
        number = bisect_right(self._ends, index)
        row = index - (self._ends[number - 1] if number else 0)
        path, file = self.paths[number], self._files[number]
        name = f"{path.name}:{file.line(row)}"
        return example_of_row(file.row(row, name), name=name, folder=self.media_folder or path.parent)


class Order:
    """Which row is the sample of a number: epoch by epoch, each shuffled in its own way.

    >>> order = Order(3, seed=0, shuffle=False)
    >>> [order.row(number) for number in range(5)]
    [0, 1, 2, 0, 1]
    """

    def __init__(self, length: int | None, *, seed: int, shuffle: bool) -> None:
        self.length, self.seed, self.shuffle = length, seed, shuffle

    def row(self, number: int) -> int:
        if self.length is None:
            return number
        epoch, place = divmod(number, self.length)
        return int(_permutation(self.length, self.seed, epoch)[place]) if self.shuffle else place


@lru_cache(maxsize=2)
def _permutation(length: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(length)


class _Array:
    """A JSON file that holds one array."""

    def __init__(self, path: Path, text: bytes) -> None:
        try:
            rows = json.loads(text)
        except ValueError as error:
            raise DatasetError(str(path), f"no JSON ({error})", "an array of rows, or one row a line") from None
        self._rows: list[Any] = rows
        self.length = len(rows)

    def line(self, row: int) -> int:
        return row + 1

    def row(self, row: int, name: str) -> Any:
        del name
        return self._rows[row]


class _Lines:
    """A file with a row of JSON on each line that is not blank."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines, starts, start = [], [], 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    lines.append(number)
                    starts.append(start)
                start += len(line)
        self._lines, self._starts = np.array(lines, dtype=np.int64), np.array(starts, dtype=np.int64)
        self.length = len(lines)

    def line(self, row: int) -> int:
        return int(self._lines[row])

    def row(self, row: int, name: str) -> Any:
        with self._path.open("rb") as file:
            file.seek(int(self._starts[row]))
            line = file.readline()
        try:
            return json.loads(line)
        except ValueError as error:  # no JSON, or bytes that are no UTF-8
            raise DatasetError(name, f"no JSON ({error})", "one row a line") from None


def _open(path: Path) -> _Array | _Lines:
    try:
        with path.open("rb") as file:
            head = file.read(1024).lstrip()
        return _Array(path, path.read_bytes()) if head.startswith(b"[") else _Lines(path)
    except OSError as error:
        raise DatasetError(str(path), f"cannot be read ({error.strerror})", "a JSON or JSONL file") from None


def _reopened(paths: tuple[Path, ...], media_folder: Path | None) -> Dataset:
    return Dataset(paths, media_folder=media_folder)
