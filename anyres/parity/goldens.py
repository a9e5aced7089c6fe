"""Golden numbers: npz files made by the original programs, shipped here and beside checkpoints that have their own."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from anyres.errors import CheckpointError

__all__ = ["CHECKPOINT_GOLDEN", "SHIPPED", "Arrays", "ragged", "read_goldens", "split"]

SHIPPED = Path(__file__).parent / "goldens"
CHECKPOINT_GOLDEN = "golden.npz"  # in a checkpoint's own folder

Arrays = dict[str, np.ndarray[Any, Any]]


def read_goldens(path: Path) -> Arrays:
    """All arrays of a file; CheckpointError when it is missing or damaged. Pickles in it are never opened."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise CheckpointError(str(path), "no such file", "a file of golden numbers") from None
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error):
        raise CheckpointError(str(path), "damaged", "a complete npz file without pickles") from None


def ragged(name: str, rows: list[np.ndarray[Any, Any]]) -> Arrays:
    """Rows of different lengths as two arrays of a file: all values, and where each row ends."""
    ends = np.cumsum([len(row) for row in rows])
    return {name: np.concatenate(rows), f"{name}_ends": ends.astype(np.int64)}


def split(arrays: Arrays, name: str) -> Iterator[np.ndarray[Any, Any]]:
    """The rows that `ragged` joined.

    >>> [row.tolist() for row in split(ragged("a", [np.arange(2), np.arange(3)]), "a")]
    [[0, 1], [0, 1, 2]]
    """
    start = 0
    for end in arrays[f"{name}_ends"].tolist():
        yield arrays[name][start:end]
        start = end
