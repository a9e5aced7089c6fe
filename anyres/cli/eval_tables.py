"""The tables of a report on the terminal."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from anyres.cli.terminal import cell, write_line, write_table

if TYPE_CHECKING:
    from anyres.evaluation.report.results import Result
    from anyres.evaluation.report.tables import Table

__all__ = ["show_tables"]


def show_tables(results: "Sequence[Result]", names: Collection[str]) -> None:
    """Those of these names that have rows."""
    from anyres.evaluation.report.tables import make_tables

    for table in make_tables(results):
        if table.name in names:
            _show(table)


def _show(table: "Table") -> None:
    from rich.table import Table as RichTable

    numeric = [all(isinstance(row[place], (int, float)) for row in table.rows) for place in range(len(table.heading))]
    drawn = RichTable(title=cell(table.title), title_justify="left", box=None, pad_edge=False)
    for name, right in zip(table.heading, numeric, strict=True):
        drawn.add_column(cell(name), justify="right" if right else "left")
    for row in table.rows:
        drawn.add_row(*(cell("-" if value is None else f"{value}") for value in row))
    write_table(drawn)
    write_line("")
