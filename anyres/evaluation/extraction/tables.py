"""The table in an answer, as HTML, whether it was written as HTML or as Markdown."""

import html
import re

from anyres.evaluation.benchmark import Extraction
from anyres.evaluation.sample import Reply, Sample

__all__ = ["markdown_to_html", "table_of"]

TABLE = re.compile(r"<table\b.*?(?:</table\s*>|\Z)", re.IGNORECASE | re.DOTALL)
ROW = re.compile(r"^[ \t>]*\|.*\|[ \t]*$|^[^|\n]+(?:\|[^|\n]*)+$")
RULE = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?")
BAR = re.compile(r"(?<!\\)\|")
BOLD = re.compile(r"\*\*(.+?)\*\*|__(.+?)__")


def table_of(reply: Reply, sample: Sample) -> Extraction:
    """The first HTML table, cut off or not, else the first Markdown table as HTML; None without one."""
    if found := TABLE.search(reply.text):
        return Extraction(found[0], "HTML")
    written = markdown_to_html(reply.text)
    return Extraction(written or None, "Markdown" if written else "no table")


def markdown_to_html(text: str) -> str:
    """The first run of lines with bars, with the head above its rule as `thead`; "" where there is none.

    >>> markdown_to_html("|a|b|\\n|-|-|\\n|1|x \\\\| y|")
    '<table><thead><tr><td>a</td><td>b</td></tr></thead><tbody><tr><td>1</td><td>x | y</td></tr></tbody></table>'
    """
    lines = _first_run(text)
    has_rule = len(lines) > 1 and RULE.fullmatch(lines[1]) is not None
    head, body = (lines[:1], lines[2:]) if has_rule else ([], lines)
    if not any(map(_cells, (*head, *body))):
        return ""
    top = f"<thead>{''.join(map(_row, head))}</thead>" if head else ""
    return f"<table>{top}<tbody>{''.join(map(_row, body))}</tbody></table>"


def _first_run(text: str) -> list[str]:
    run: list[str] = []
    for line in text.splitlines():
        if ROW.match(line):
            run.append(line.strip(" \t>"))
        elif len(run) > 1:
            break
        else:
            run = []
    return run if len(run) > 1 else []


def _cells(line: str) -> list[str]:
    inner = line.removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [BOLD.sub(lambda bold: bold[1] or bold[2], cell.strip().replace("\\|", "|")) for cell in BAR.split(inner)]


def _row(line: str) -> str:
    return "<tr>" + "".join(f"<td>{html.escape(cell, quote=False)}</td>" for cell in _cells(line)) + "</tr>"
