"""Saves that a crash cannot damage: written beside, synced, marked COMPLETE, and renamed in one go.

A save is a folder `step-00000500`. Killed at any moment, a run finds the last one whose mark says that all of it is
there; older ones are deleted only afterwards.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from anyres.errors import CheckpointError

__all__ = ["complete_saves", "save"]

MARK = "COMPLETE"
NAME = re.compile(r"step-(\d{8,})")
UNFINISHED = ".saving-"


def save(folder: Path, step: int, write: Callable[[Path], None], *, keep: int) -> Path:
    """The new save of `step`, which `write` fills; keeps the last `keep`. CheckpointError if it cannot be written."""
    final = folder / f"step-{step:08d}"
    staging = folder / f"{UNFINISHED}{final.name}"
    try:
        _clear(folder)
        staging.mkdir(parents=True)
        write(staging)
        _mark(staging)
        _remove(final)
        staging.rename(final)
        _sync(folder)
        for old in complete_saves(folder)[:-keep]:
            _remove(old)
    except OSError as error:
        raise CheckpointError(str(final), f"cannot be written ({error})", "a folder with room to write in") from None
    return final


def complete_saves(folder: Path) -> list[Path]:
    """The whole saves in a folder, oldest first.

    >>> complete_saves(Path("no such folder"))
    []
    """
    named = [path for path in folder.glob("step-*") if NAME.fullmatch(path.name)]
    return sorted((path for path in named if _is_complete(path)), key=lambda path: int(path.name[5:]))


def _is_complete(path: Path) -> bool:
    """Every file of the mark is there with its size."""
    try:
        sizes = json.loads((path / MARK).read_text(encoding="utf-8"))
        return all((path / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _mark(staging: Path) -> None:
    files = sorted(path for path in staging.rglob("*") if path.is_file())
    for path in files:
        _sync(path)
    sizes = {path.relative_to(staging).as_posix(): path.stat().st_size for path in files}
    (staging / MARK).write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")
    _sync(staging / MARK)
    _sync(staging)


def _clear(folder: Path) -> None:
    """What an earlier crash left."""
    for path in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path)


def _remove(path: Path) -> None:
    """The mark first: a save that is half gone must not look whole."""
    if path.exists():
        (path / MARK).unlink(missing_ok=True)
        shutil.rmtree(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
