"""Words of models, made harmless for the programs that open a report."""

import re

__all__ = ["LONGEST_CELL", "inert_cell", "sheet_cell"]

LONGEST_CELL = 32_767
"""Characters a cell of a spreadsheet holds; the whole text is in the records."""
CUT = " ... (cut: the whole text is in the records)"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")
ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def inert_cell(text: str) -> str:
    """A cell of a CSV file that no spreadsheet program takes for a formula; numbers stay numbers.

    >>> inert_cell("=1+1"), inert_cell("-3.5"), inert_cell("B")
    ("'=1+1", '-3.5', 'B')
    """
    clean = ILLEGAL.sub("\ufffd", text)
    if clean.lstrip(" ").startswith(FORMULA) and not _is_number(clean):
        return f"'{clean}"
    return clean


def sheet_cell(text: str) -> str:
    """A text that an XLSX cell can hold. It has to be written as text; then no leading character matters."""
    clean = ILLEGAL.sub("\ufffd", text)
    return clean if len(clean) <= LONGEST_CELL else clean[: LONGEST_CELL - len(CUT)] + CUT


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d+)?", text) is not None
