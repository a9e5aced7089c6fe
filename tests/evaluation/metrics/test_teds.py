"""TEDS equals the authors' script on the pairs they ship, and holds to the bounds of a likeness on any table."""

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.evaluation.metrics.teds import teds
from tests.evaluation.shared_data import rows as shared_rows

cells = st.text("ab1 &<é", max_size=6)
tables = st.lists(st.lists(cells, min_size=1, max_size=4), min_size=1, max_size=4)


def page(rows: list[list[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<html><body><table>{body}</table></body></html>"


def test_the_published_pairs() -> None:
    """A model's real tables; values of the source project's script."""
    demo, *others = shared_rows("pubtabnet-examples/teds_pairs.jsonl")
    whole = [teds(pair["pred_html"], pair["gold_html"]) for pair in (demo, *others)]
    structure = [teds(pair["pred_html"], pair["gold_html"], structure_only=True) for pair in (demo, *others)]
    assert whole[0] == pytest.approx(0.9781765018607124, abs=1e-12)
    assert sum(whole[1:]) / 20 == pytest.approx(0.899678114795296, abs=1e-12)
    assert sum(structure[1:]) / 20 == pytest.approx(0.936099866072122, abs=1e-12)
    assert whole == pytest.approx([pair["teds"] for pair in (demo, *others)], abs=1e-12)
    assert structure == pytest.approx([pair["teds_structure_only"] for pair in (demo, *others)], abs=1e-12)


@given(tables, tables)
def test_it_is_a_likeness(first: list[list[str]], second: list[list[str]]) -> None:
    there, back = teds(page(first), page(second)), teds(page(second), page(first))
    assert there == pytest.approx(back)
    assert there <= 1.0
    assert teds(page(first), page(first)) == 1.0
    assert teds(page(first), page(second), structure_only=True) >= there - 1e-12


@pytest.mark.parametrize("told", ["", "no table", "<p>1</p>", "<td>1</td>", "| a |", "<table"])
def test_no_table_is_worth_nothing(told: str) -> None:
    assert teds(told, page([["1"]])) == teds(page([["1"]]), told) == 0.0


@pytest.mark.parametrize(
    ("told", "worth"),
    [
        ("<table><tr><td>1</td><td>2</td></tr></table>", 1.0),
        ("<TABLE><TR><TD>1<TD>2</TABLE>", 1.0),  # tags that HTML lets one leave out
        ("<div><table><tr><td>1</td><td>2</td></tr></table></div>", 1.0),
        ("text <table border=1><tr><td class='x'>1</td><td>2</td></tr></table> more", 1.0),
        ("<table><tr><td colspan='2'>1</td></tr></table>", 1 - 2 / 3),  # renamed at full price, one deleted
        ("<table><tr><td colspan=two>1</td><td>2</td></tr></table>", 1.0),  # no number: 1
        ("<table><tr><td>1</td><th>2</th></tr></table>", 1 - 1 / 3),
        ("<table><tr><td><b>1</b></td><td>2</td></tr></table>", 1 - (2 / 3) / 4),  # <b> and </b> of three tokens
    ],
)
def test_by_hand(told: str, worth: float) -> None:
    """Against a row of two cells: tr and two td are three nodes."""
    assert teds(told, page([["1", "2"]])) == pytest.approx(worth)


def test_hostile_tables_are_read() -> None:
    one = page([["1"]])
    assert teds("<table>" * 5000 + "<td>" * 5000 + "<b>" * 5000, one) < 0.01
    assert teds("<table>" + "</td></tr></table>" * 50, one) == 0.0
