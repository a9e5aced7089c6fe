"""Rows of a file or folder, whichever of the common formats it is in."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anyres.errors import DatasetError, MissingDependencyError
from anyres.evaluation.data.rows import Row
from anyres.evaluation.data.tsv import read_tsv

__all__ = ["FORMATS", "read_rows"]

BATCH = 64  # rows of a parquet file in memory at once
PREFERRED = "data"  # the name without ending that settles which of several files of a folder is meant


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a TSV, CSV, JSONL, JSON or parquet file, or of the one such file in a folder.

    Shards of parquet in a folder are one data set. Rows that cannot be read come damaged, see Row; DatasetError where
    the file as a whole cannot be.
    """
    for file in _files(path):
        yield from FORMATS[file.suffix.lower()](file)


def read_jsonl(path: Path) -> Iterator[Row]:
    """An object a line; empty lines are skipped."""
    with _told(path), path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _row_of_line(line, f"{path.name}:{number}", path.parent)


def read_json(path: Path) -> Iterator[Row]:
    """A list of objects, an object with such a list under `data`, or objects under their ids."""
    with _told(path):
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    if isinstance(found, dict):
        found = found["data"] if isinstance(found.get("data"), list) else list(_with_ids(found))
    if not isinstance(found, list):
        raise DatasetError(str(path), f"a JSON {type(found).__name__}", "a list of objects")
    for number, item in enumerate(found, start=1):
        yield _row(item, f"{path.name}[{number}]", path.parent)


def read_parquet(path: Path) -> Iterator[Row]:
    """Needs pyarrow. Pictures are bytes, or objects of bytes and path."""
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise MissingDependencyError(
            str(path), "parquet files need pyarrow, which is missing", "pip install 'anyres[evaluation]'"
        ) from None
    number = 0
    try:
        for batch in ParquetFile(path).iter_batches(batch_size=BATCH):
            for values in batch.to_pylist():
                number += 1
                yield Row(f"{path.name}:{number}", values, path.parent)
    except (OSError, pyarrow.ArrowException) as error:
        raise DatasetError(str(path), f"not readable ({error})", "a parquet file") from None


FORMATS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": read_tsv,
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
    ".tsv": read_tsv,
}
"""Readers by the ending of a file's name."""


def _files(path: Path) -> list[Path]:
    if path.is_file():
        if path.suffix.lower() not in FORMATS:
            raise DatasetError(str(path), f"a name ending in {path.suffix!r}", " ".join(FORMATS))
        return [path]
    if not path.is_dir():
        raise DatasetError(str(path), "no such file or folder", "data of " + " ".join(FORMATS))
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in FORMATS and file.is_file())
    if len(found) > 1 and any(file.suffix.lower() != ".parquet" for file in found):
        found = [file for file in found if file.stem == PREFERRED]
    if not found or (len(found) > 1 and any(file.suffix.lower() != ".parquet" for file in found)):
        seen = f"{len(found)} files that could be the data"
        raise DatasetError(str(path), seen, f"one file of {' '.join(FORMATS)}, or one named {PREFERRED}")
    return found


def _with_ids(found: dict[str, Any]) -> Iterable[Any]:
    return ({"id": key, **value} if isinstance(value, dict) else value for key, value in found.items())


def _row_of_line(line: str, name: str, folder: Path) -> Row:
    try:
        return _row(json.loads(line), name, folder)
    except ValueError as error:
        return Row(name, {}, folder, f"not JSON ({error})")


def _row(item: Any, name: str, folder: Path) -> Row:
    if not isinstance(item, dict):
        return Row(name, {}, folder, f"a JSON {type(item).__name__} instead of an object")
    return Row(name, item, folder)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(str(path), f"cannot be read ({error.strerror})", "a file that can be read") from None
    except ValueError as error:  # UnicodeDecodeError is one
        raise DatasetError(str(path), f"not readable ({error})", "JSON in UTF-8") from None
