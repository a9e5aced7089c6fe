"""HTML is read as a browser would, whatever a model leaves out."""

from hypothesis import given
from hypothesis import strategies as st

from anyres.evaluation.metrics.table_html import Element, find_tables, read_html

TAGS = "<table> </table> <tr> </tr> <td> </td> <th> <b> </b> <thead> </tbody> <br> <html> <head> </head> <style> <p>"
pieces = st.sampled_from([*TAGS.split(), "a", " ", "&amp;", "<td colspan=2>", "<!-- x -->"])


def shape(element: Element) -> str:
    inside = "".join(item if isinstance(item, str) else shape(item) for item in element.items)
    return f"{element.tag}({inside})"


@given(st.lists(pieces, max_size=30).map("".join) | st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    body = read_html(text)
    assert all(one.tag == "table" for one in find_tables(body))
    for element in body.descendants():
        if element.tag == "tr":
            assert all(one.tag != "tr" for one in element.elements)  # rows only inside of a table of their own


def test_what_is_left_open_is_closed() -> None:
    text = "<table><thead><tr><th>a<th>b<tbody><tr><td>1<td>2<tr><td>3</table>end"
    assert shape(read_html(text)) == "body(table(thead(tr(th(a)th(b)))tbody(tr(td(1)td(2))tr(td(3))))end)"


def test_tables_in_cells_are_their_own() -> None:
    text = "<table><tr><td><table><tr><td>1</table>2<td>3</table>"
    assert shape(read_html(text)) == "body(table(tr(td(table(tr(td(1)))2)td(3))))"


def test_the_head_is_no_content() -> None:
    text = "<html><head><style>td {}</style><title>t</title></head><body><table></table></body></html>"
    assert shape(read_html(text)) == "body(table())"


def test_ends_that_nothing_began_are_nothing() -> None:
    assert shape(read_html("</td></b>a<table></p></td><tr></table></tr>")) == "body(atable(tr()))"
