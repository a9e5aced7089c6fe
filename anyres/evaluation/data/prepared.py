"""A data set as a folder of its own: data.jsonl, and each picture once in pictures/, named by its content.

Reading it is quick and needs no memory for pictures, which a TSV with gigabytes of base64 does.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from anyres.errors import DatasetError
from anyres.evaluation.data.files import read_rows
from anyres.evaluation.data.rows import Row, list_in
from anyres.processing.sniff import sniff

__all__ = ["Prepared", "prepare"]

DATA, PICTURES = "data.jsonl", "pictures"
ENDINGS = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif"}


class Prepared(NamedTuple):
    """What `prepare` wrote; `damaged` rows are left out."""

    folder: Path
    rows: int
    pictures: int
    damaged: tuple[str, ...]


def prepare(source: Path, folder: Path, *, tell: Callable[[int], None] = lambda _: None) -> Prepared:
    """Writes the rows of `source` (see read_rows) into `folder`, which must be new or empty.

    It appears when it is whole. Files that rows name stay where they are and are named by their full path.
    """
    if folder.exists() and any(folder.iterdir()):
        raise DatasetError(str(folder), "not empty", "a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        found = _write(read_rows(source), staged, folder, tell)
        if not found.rows:
            raise DatasetError(str(source), found.damaged[0] if found.damaged else "no rows", "at least one row")
        staged.chmod(0o755)  # mkdtemp makes it its owner's alone
        staged.replace(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return found


def _write(rows: Iterable[Row], staged: Path, folder: Path, tell: Callable[[int], None]) -> Prepared:
    pictures: set[str] = set()
    damaged: list[str] = []
    written = 0
    (staged / PICTURES).mkdir()
    with (staged / DATA).open("w", encoding="utf-8") as file:
        for row in rows:
            if row.damage:
                damaged.append(f"{row.name}: {row.damage}")
                continue
            values = {column: _kept(value, row, staged, pictures) for column, value in row.values.items()}
            file.write(json.dumps(values, ensure_ascii=False, default=str) + "\n")
            written += 1
            tell(written)
    return Prepared(folder, written, len(pictures), tuple(damaged))


def _kept(value: Any, row: Row, staged: Path, pictures: set[str]) -> Any:
    """Pictures become names of files; all else stays."""
    if isinstance(value, bytes):
        return _saved(value, staged, pictures)
    if isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes):
        return _saved(value["bytes"], staged, pictures)
    if isinstance(value, list):
        kept = [_kept(item, row, staged, pictures) for item in value]
        return kept[0] if len(kept) == 1 and kept != value else kept
    if isinstance(value, str) and (listed := list_in(value)):
        moved = [_moved(item, row) for item in listed]
        return moved if moved != listed else value
    return _moved(value, row)


def _moved(value: Any, row: Row) -> Any:
    """A relative path to a file beside the rows is written in full, since the rows move away from it."""
    if not isinstance(value, str) or not 0 < len(value) < 256 or "\n" in value or "\0" in value:
        return value
    path = row.folder / value
    return str(path.resolve()) if "." in value and path.is_file() else value


def _saved(data: bytes, staged: Path, pictures: set[str]) -> str:
    name = hashlib.sha256(data).hexdigest()[:24] + ENDINGS.get(sniff(data[:4096]).key.upper(), "")
    if name not in pictures:
        (staged / PICTURES / name).write_bytes(data)
        pictures.add(name)
    return f"{PICTURES}/{name}"
