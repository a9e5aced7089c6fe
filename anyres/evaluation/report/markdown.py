"""The report as Markdown, to be pasted into an issue or a model card."""

from collections.abc import Sequence

from anyres.evaluation.report.results import Result
from anyres.evaluation.report.tables import Cell, Table, make_tables

__all__ = ["make_markdown"]

SPECIAL = "\\`*_{}[]<>|#~$&"
LONGEST = 200  # characters of a cell


def make_markdown(results: Sequence[Result], *, title: str, about: str) -> str:
    """All tables; text of others is shown as it is, not as markup."""
    parts = [f"# {_plain(title)}", _plain(about), *(_table(table) for table in make_tables(results))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(table: Table) -> str:
    lines = [
        f"## {table.title}",
        "",
        _row(table.heading),
        "|" + "---|" * len(table.heading),
        *(_row(row) for row in table.rows),
    ]
    return "\n".join([*lines, "", _plain(table.note)] if table.note else lines)


def _row(cells: Sequence[Cell]) -> str:
    return "| " + " | ".join("-" if cell is None else _plain(f"{cell}") for cell in cells) + " |"


def _plain(text: str) -> str:
    """On one line, with nothing in it that means something to Markdown or HTML.

    >>> _plain("a|b <script>")
    'a\\\\|b \\\\<script\\\\>'
    """
    line = " ".join(text.split())
    cut = line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
    return "".join(f"\\{char}" if char in SPECIAL else char for char in cut)
