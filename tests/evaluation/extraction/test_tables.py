"""Tables in answers: HTML, Markdown, cut off, among words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.evaluation.extraction.tables import markdown_to_html, table_of
from anyres.evaluation.metrics.table_cells import cell_counts, grid
from anyres.evaluation.sample import Reply, Sample

SAMPLE = Sample("1", "?")
cells = st.text("abc 1*_|<&-", max_size=5).map(str.strip)
tables = st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=5)


def markdown(rows: list[list[str]], *, rule: bool = True) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|---|:-:|", *lines[1:]] if rule else lines)


@given(tables)
def test_markdown_comes_back(rows: list[list[str]]) -> None:
    bold = [[cell for cell in row if "**" in cell or "__" in cell] for row in rows]
    read = grid(markdown_to_html(f"Here it is:\n\n{markdown(rows)}\n\nThat is all."))
    if not any(bold):
        assert read == [[" ".join(cell.split()) for cell in row] for row in rows]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("<table><tr><td>1</td></tr></table>", [["1"]]),
        ("```html\n<TABLE><tr><td>1</td><td>2", [["1", "2"]]),  # cut off
        ("a | b\n--|--\n1 | 2", [["a", "b"], ["1", "2"]]),  # without outer bars
        ("> | a | b |\n> |---|---|\n> | 1 |  |", [["a", "b"], ["1", ""]]),
        ("| **a** | b |\n|-|-|\n| 3* | - |", [["a", "b"], ["3*", "-"]]),
        ("|a|b|\n|1|2|", [["a", "b"], ["1", "2"]]),  # no rule
        ("|---|---|", []),
        ("a | b", []),
        ("no table", []),
        ("", []),
    ],
)
def test_by_hand(text: str, rows: list[list[str]]) -> None:
    told = table_of(Reply(text), SAMPLE)
    assert grid(told.value or "") == rows
    assert (told.value is None) == (rows == [])


def test_cells_over_several_places_stand_in_each() -> None:
    text = (
        "<table><tr><td rowspan=2>a</td><td colspan=2>b</td></tr><tr><td>c</td><td>d</td></tr>"
        "<tr><th>e</th><td>f<br>g</td><td></td></tr></table>"
    )
    assert grid(text) == [["a", "b", "b"], ["a", "c", "d"], ["e", "fg", ""]]
    assert grid("<table><tr><td colspan=99999999 rowspan=99999>a</td></tr></table>")[0][:2] == ["a"]


@given(tables, tables)
def test_counts_have_bounds(first: list[list[str]], second: list[list[str]]) -> None:
    one, other = markdown_to_html(markdown(first)), markdown_to_html(markdown(second))
    counts = cell_counts(one, other)
    assert 0 <= counts.right <= min(counts.gold, counts.told)
    assert cell_counts(one, one).accuracy in (0, 1)
    assert counts.right == cell_counts(other, one).right


def test_left_out_rows_cost_their_own_cells() -> None:
    rows = [[str(10 * row + column) for column in range(2)] for row in range(10)]
    whole = markdown_to_html(markdown(rows))
    assert cell_counts(markdown_to_html(markdown(rows[:3] + rows[5:])), whole).accuracy == 0.8
    assert cell_counts(markdown_to_html(markdown(rows[::-1])), whole).right == 2  # one row can stay in order
    assert cell_counts(markdown_to_html(markdown([*rows, *rows])), whole).accuracy == 0.5  # what was invented counts
    assert cell_counts("", whole).accuracy == 0
