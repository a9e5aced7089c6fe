"""What a run leaves to read: `curve.csv`, TensorBoard events, and `rejected.jsonl`, the rows that were left out.

A run that goes on from a save first drops what was written after it, so every step and every row stands once.
"""

import csv
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyres.training.loader import Rejection
from anyres.training.tensorboard import EventFile

__all__ = ["Curves", "Meter", "Quarantine"]

DIGITS = 6


class Curves:
    """`curve.csv` and TensorBoard events in `folder`, from step `step` on."""

    def __init__(self, folder: Path, *, step: int) -> None:
        self._path = folder / "curve.csv"
        rows = [row for row in _rows(self._path) if int(row["step"]) <= step]
        self._columns = list(dict.fromkeys(name for row in rows for name in row))
        if self._path.exists():
            _rewrite(self._path, lambda path: _write_csv(path, self._columns, rows))
        self._events = EventFile(folder, step=step)

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """A row; a figure that was never seen before becomes a new column."""
        row = {"step": str(step)} | {name: f"{value:.{DIGITS}g}" for name, value in figures.items()}
        new = [name for name in row if name not in self._columns]
        if new:
            self._columns += new
            rows = _rows(self._path)
            _rewrite(self._path, lambda path: _write_csv(path, self._columns, [*rows, row]))
        else:
            with self._path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self._columns, restval="").writerow(row)
        self._events.add(step, figures)

    def close(self) -> None:
        self._events.close()


@dataclass
class Meter:
    """Means of figures over the steps between two rows of the curves.

    >>> meter = Meter()
    >>> meter.add({"loss": 1.0})
    >>> meter.add({"loss": 2.0, "box": 3.0})
    >>> meter.take(), meter.take()
    ({'loss': 1.5, 'box': 3.0}, {})
    """

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


class Quarantine:
    """`rejected.jsonl` in `folder`, of the samples with a number below `cursor`."""

    def __init__(self, folder: Path, *, cursor: int) -> None:
        self.path = folder / "rejected.jsonl"
        kept = [one for one in _objects(self.path) if one["number"] < cursor]
        self._known = {one["row"] for one in kept}
        if self.path.exists():
            _rewrite(self.path, lambda path: path.write_text("".join(map(_line, kept)), encoding="utf-8"))

    def add(self, rejections: Iterable[Rejection]) -> None:
        """Each bad row once, however many epochs meet it."""
        for number, rejected in rejections:
            if rejected.row not in self._known:
                self._known.add(rejected.row)
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(_line({"number": number, **rejected._asdict()}))


def _rows(path: Path) -> list[dict[str, str]]:
    """Whole rows; a last one that was cut off has no step or too few cells."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        text = file.read()
    whole = text[: text.rfind("\n") + 1]
    return [{name: cell for name, cell in row.items() if cell} for row in csv.DictReader(whole.splitlines())]


def _write_csv(path: Path, columns: list[str], rows: Iterable[Mapping[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _objects(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _rewrite(path: Path, write: Callable[[Path], object]) -> None:
    """The old file or the new one, never a part."""
    beside = path.with_name(f".{path.name}.new")
    write(beside)
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(path)
