"""Tables as HTML: read into elements as a browser's parser would, closing what was left open."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

__all__ = ["Element", "find_tables", "read_html"]

VOID = frozenset(("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"))
PAGE = frozenset(("html", "body"))
UNSEEN = frozenset(("head", "script", "style", "title"))
CELLS = frozenset(("td", "th"))
SECTIONS = frozenset(("thead", "tbody", "tfoot"))
ENDS = {
    **dict.fromkeys(CELLS, CELLS),
    "tr": CELLS | {"tr"},
    **dict.fromkeys(SECTIONS, CELLS | {"tr"} | SECTIONS),
    "p": frozenset(("p",)),
    "table": frozenset(("p",)),
}
"""Which open elements a new one of this name ends."""


@dataclass
class Element:
    """A tag with its attributes, and in order its texts and elements."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    items: "list[str | Element]" = field(default_factory=list)

    @property
    def elements(self) -> "list[Element]":
        return [item for item in self.items if isinstance(item, Element)]

    @property
    def text(self) -> str:
        """All text in it, in order.

        >>> read_html("<td>10 <sup>3</sup>/l</td>").text
        '10 3/l'
        """
        return "".join(item if isinstance(item, str) else item.text for item in self.items)

    def descendants(self) -> "Iterator[Element]":
        """All elements in it, in the order of the text."""
        for element in self.elements:
            yield element
            yield from element.descendants()


def read_html(text: str) -> Element:
    """The page's body; `html` and `body` themselves are optional, what stands in `head` is left out.

    >>> [cell.text for cell in read_html("<table><tr><td>a &amp; b<td>c").descendants() if cell.tag == "td"]
    ['a & b', 'c']
    """
    builder = _Builder()
    builder.feed(text)
    builder.close()
    return builder.body


def find_tables(body: Element) -> list[Element]:
    """Tables that stand in the body itself, or else the outermost ones, wherever they stand."""
    direct = [element for element in body.elements if element.tag == "table"]
    return direct or [table for element in body.elements for table in find_tables(element)]


class _Builder(HTMLParser):
    """Puts each piece into the innermost open element. Deeper than DEEPEST, elements become siblings."""

    DEEPEST = 200

    def __init__(self) -> None:
        super().__init__()
        self.body = Element("body")
        self._open = [self.body]
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unseen += tag in UNSEEN
        if self._unseen or tag in PAGE:
            return
        for ended in self._inside_table():
            if ended.tag in ENDS.get(tag, ()):
                self._close(ended)
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].items.append(element)
        if tag not in VOID and len(self._open) < self.DEEPEST:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag in UNSEEN:
            self._unseen = max(0, self._unseen - 1)
            return
        for ended in self._inside_table(with_table=tag == "table"):
            if ended.tag == tag:
                self._close(ended)
                return

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self._open[-1].items.append(data)

    def _inside_table(self, *, with_table: bool = False) -> list[Element]:
        """Open elements, innermost first, up to the table around them: tags inside of a table end nothing outside."""
        found: list[Element] = []
        for element in reversed(self._open[1:]):
            if element.tag == "table":
                return [*found, element] if with_table else found
            found.append(element)
        return found

    def _close(self, element: Element) -> None:
        del self._open[next(place for place, one in enumerate(self._open) if one is element) :]
