"""The report as CSV files and as one XLSX workbook, none of whose cells is ever a formula."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from anyres.errors import MissingDependencyError
from anyres.evaluation.report.inert import inert_cell, sheet_cell
from anyres.evaluation.report.results import Result
from anyres.evaluation.report.tables import Cell, make_tables, sample_rows

__all__ = ["write_csv", "write_sheet", "write_xlsx"]

SAMPLES = "samples"
SUSPECT = ("=", "+", "-", "@", "#")  # formulas, and error values as #N/A


def write_csv(results: Sequence[Result], folder: Path) -> list[Path]:
    """A file for each table, and samples.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [_csv(folder / f"{table.name}.csv", [table.heading, *table.rows]) for table in make_tables(results)]
    return [*written, _csv(folder / f"{SAMPLES}.csv", sample_rows(results))]


def write_xlsx(results: Sequence[Result], path: Path) -> Path:
    """A sheet for each table, and one of samples. Needs openpyxl."""
    sheets = [(table.name, [table.heading, *table.rows]) for table in make_tables(results)]
    return write_sheet(path, [*sheets, (SAMPLES, sample_rows(results))])


def write_sheet(path: Path, sheets: Sequence[tuple[str, Iterable[Sequence[Cell]]]]) -> Path:
    """A workbook of sheets by name. Texts beyond what a cell holds are cut, and say so."""
    try:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
    except ImportError:
        raise MissingDependencyError(
            str(path), "XLSX needs openpyxl, which is missing", "pip install 'anyres[evaluation]'"
        ) from None
    book = Workbook(write_only=True)
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append([_cell(WriteOnlyCell, sheet, value) for value in row])
    book.save(path)
    return path


def _cell(kind: Any, sheet: Any, value: Cell) -> Any:
    """Text is told to be text, and marked as quoted, so that it stays text when the cell is edited."""
    if not isinstance(value, str):
        return value
    text = sheet_cell(value)
    if not text.lstrip().startswith(SUSPECT):
        return text
    cell = kind(sheet, value=text)
    cell.data_type = "s"
    cell.quotePrefix = True
    return cell


def _csv(path: Path, rows: Iterable[Sequence[Cell]]) -> Path:
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # with the mark, spreadsheets read it as UTF-8
        writer = csv.writer(file)
        writer.writerows([inert_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return path
