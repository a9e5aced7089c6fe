"""Pages of PDF documents: their size, what is on them, and what is no document."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from anyres.errors import MediaError, MissingDependencyError
from anyres.processing.document import open_document
from tests.server.media.files import pdf


def ink(picture: Image.Image) -> tuple[int, int, int, int] | None:
    """The box around what is dark."""
    return Image.fromarray(np.asarray(picture.convert("L")) < 128).getbbox()


def test_pages_are_drawn_at_200_dots_an_inch() -> None:
    document = open_document(pdf(("first", "second")), name="x.pdf")
    assert document.pages == 2
    first = document.page(0, max_pixels=10**7)
    assert (first.mode, first.size) == ("RGB", (834, 556))
    assert first.getpixel((0, 0)) == (255, 255, 255)
    left, top, right, bottom = ink(first) or (0, 0, 0, 0)
    assert 20 * 200 / 72 - 3 < left < 20 * 200 / 72 + 12  # the text begins 20 points from the left
    assert 0 < top < bottom < 556 - 70 * 200 / 72
    assert right < 834
    assert ink(document.page(1, max_pixels=10**7)) != ink(first)
    document.close()


@pytest.mark.parametrize(("width", "height"), [(612, 792), (14_400, 14_400), (10, 3000), (200_000, 100)])
def test_large_pages_stay_within_the_limit(width: float, height: float) -> None:
    document = open_document(pdf(("x",), width, height), name="x.pdf")
    picture = document.page(0, max_pixels=1_000_000)
    assert picture.width * picture.height <= 1_000_000 + 2 * 1000 + picture.width + picture.height
    asked, drawn = width / height, picture.width / picture.height
    assert drawn == pytest.approx(asked, rel=0.3)


def filled_form() -> bytes:
    """A document with one text field, whose look is stored with it."""
    look = "BT /F1 36 Tf 10 10 Td (filled) Tj ET"
    field = "<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/V(filled)/F 4/Rect[20 20 280 80]/P 4 0 R/AP<</N 7 0 R>>>>"
    box = "/BBox[0 0 260 60]/Resources<</Font<</F1 3 0 R>>>>"
    drawn = f"<</Type/XObject/Subtype/Form{box}/Length {len(look)}>>stream\n{look}\nendstream"
    return pdf(("",), catalog="/AcroForm<</Fields[6 0 R]>>", page="/Annots[6 0 R]", more=(field, drawn))


def test_what_was_filled_in_is_drawn() -> None:
    box = ink(open_document(filled_form(), name="x.pdf").page(0, max_pixels=10**7))
    assert box is not None
    assert box[1] > 556 / 2  # in the lower half, where the field is


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "x.pdf: cut off or damaged"),
        (b"%PDF-1.7\n", "x.pdf: cut off or damaged"),
        (b"hello", "x.pdf: cut off or damaged"),
        (pdf(())[:-30], "x.pdf: "),
        (pdf(()), "x.pdf: cut off or damaged"),  # or so PDFium says
    ],
)
def test_what_is_no_document(data: bytes, words: str) -> None:
    with pytest.raises(MediaError) as caught:
        open_document(data, name="x.pdf")
    assert str(caught.value).startswith(words)
    assert "0x" not in str(caught.value)


def test_a_page_that_is_a_line() -> None:
    document = open_document(pdf(("x",), 1e7, 1e-6), name="x.pdf")
    with pytest.raises(MediaError, match=r"x\.pdf: page 1 "):
        document.page(0, max_pixels=10**6)


def test_without_pypdfium2(monkeypatch: pytest.MonkeyPatch) -> None:
    modules: dict[str, Any] = __import__("sys").modules
    monkeypatch.setitem(modules, "pypdfium2", None)
    with pytest.raises(MissingDependencyError, match=r"needs pypdfium2, .* pip install anyres\[documents\]"):
        open_document(pdf(), name="x.pdf")
