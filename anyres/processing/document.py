"""Pages of a PDF document as pictures."""

from types import ModuleType
from typing import Any

from PIL import Image

from anyres.errors import MediaError, MissingDependencyError

__all__ = ["Document", "open_document"]

_POINTS = 72  # an inch
_DPI = 200  # printed text of 6 points is 17 pixels high
_WHOLE = "a complete, undamaged PDF document without a password"


class Document:
    """An open document; its pages are drawn when they are asked for."""

    def __init__(self, pdf: Any, name: str) -> None:
        self._pdf = pdf
        self.name = name
        self.pages = len(pdf)

    def page(self, number: int, *, max_pixels: int) -> Image.Image:
        """One page from 0, RGB on white, 200 dots an inch or as many as `max_pixels` allow."""
        try:
            page = self._pdf[number]
            width, height = page.get_size()
            if not (width > 0 and height > 0):  # false for NaN
                raise MediaError(self.name, f"page {number + 1} has no area", "pages with one")
            scale = min(_DPI / _POINTS, (max_pixels / (width * height)) ** 0.5)
            if min(width, height) * scale < 1:
                raise MediaError(self.name, f"page {number + 1} is a line", "pages that are one pixel wide at least")
            drawn: Image.Image = page.render(scale=scale).to_pil().convert("RGB")
        except (RuntimeError, ValueError):  # what pypdfium2 raises; OverflowError cannot be
            raise MediaError(self.name, f"page {number + 1} is damaged", _WHOLE) from None
        return drawn

    def close(self) -> None:
        self._pdf.close()


def open_document(data: bytes, *, name: str) -> Document:
    """A PDF document; MediaError when it is damaged or locked, MissingDependencyError without pypdfium2."""
    pdfium = _pdfium(name)
    try:
        pdf = pdfium.PdfDocument(data)
        pdf.init_forms()  # else what was filled into them is not drawn
    except (pdfium.PdfiumError, RuntimeError, ValueError) as error:
        seen = "locked with a password" if "password" in str(error).lower() else "cut off or damaged"
        raise MediaError(name, seen, _WHOLE) from None
    if len(pdf) == 0:
        raise MediaError(name, "0 pages", "a document with pages")
    return Document(pdf, name)


def _pdfium(name: str) -> ModuleType:
    try:
        import pypdfium2
    except ImportError:
        raise MissingDependencyError(
            name, "reading PDF needs pypdfium2, which is not installed", "pip install anyres[documents]"
        ) from None
    return pypdfium2  # type: ignore[no-any-return]
