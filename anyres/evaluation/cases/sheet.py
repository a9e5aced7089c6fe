"""Sheets of paper: text and ruled tables in the packaged font, as picture files in memory."""

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["INK", "Sheet", "Span", "text_width"]

FONT = Path(__file__).parent / "NotoSansCJKsc-part.otf"
INK, PAPER, RULE = (25, 25, 35), (255, 255, 255), (90, 90, 100)
QUALITY = 90
LINE_HEIGHT = 1.7
"""Of a row of a table, in sizes of its letters."""


class Span(NamedTuple):
    """A cell of a table over some columns."""

    text: str
    columns: int = 1
    align: str = "left"


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONT), size, layout_engine=ImageFont.Layout.BASIC)


def text_width(text: str, size: int) -> int:
    """Pixels from its left to its right end."""
    return round(_font(size).getlength(text))


class Sheet:
    """A white picture that is drawn on, and given as a picture file."""

    def __init__(self, width: int, height: int) -> None:
        self._picture = Image.new("RGB", (width, height), PAPER)
        self._draw = ImageDraw.Draw(self._picture)
        self._is_photograph = False

    def write(self, text: str, x: float, y: float, *, size: int, align: str = "left") -> None:
        """One line; x is its left end, its middle or its right end, y the top of its letters' box."""
        anchor = {"left": "la", "middle": "ma", "right": "ra"}[align]
        self._draw.text((x, y), text, INK, _font(size), anchor=anchor)

    def table(
        self, rows: Sequence[Sequence[Span]], x: int, y: int, *, widths: Sequence[int], size: int, rules: bool = True
    ) -> int:
        """A table whose columns have these widths; gives the y below it."""
        high = round(size * LINE_HEIGHT)
        for number, row in enumerate(rows):
            self._row(row, x, y + number * high, widths=widths, size=size, high=high if rules else 0)
        return y + len(rows) * high

    def _row(self, row: Sequence[Span], x: int, y: int, *, widths: Sequence[int], size: int, high: int) -> None:
        column, pad = 0, size // 3
        for cell in row:
            wide = sum(widths[column : column + cell.columns])
            if high:
                self._draw.rectangle((x, y, x + wide, y + high), outline=RULE)
            place = {"left": x + pad, "middle": x + wide / 2, "right": x + wide - pad}[cell.align]
            self.write(cell.text, place, y + size * 0.15, size=size, align=cell.align)
            x, column = x + wide, column + cell.columns

    def photograph(self, seed: int) -> None:
        """Makes it look as a camera would have it: turned by up to a degree, unevenly lit, with grain."""
        drawn = np.random.default_rng(seed)
        turned = self._picture.rotate(drawn.uniform(-1, 1), Image.Resampling.BICUBIC, fillcolor=PAPER)
        pixels_HW3 = np.asarray(turned, np.float32)
        high, wide = pixels_HW3.shape[:2]
        slope_y, slope_x = drawn.uniform(-0.12, 0.12, 2)
        light_HW = 0.9 + slope_y * np.linspace(-1, 1, high)[:, None] + slope_x * np.linspace(-1, 1, wide)[None]
        grain_HW = drawn.standard_normal((high, wide), np.float32) * 4
        lit_HW3 = pixels_HW3 * light_HW[..., None] + grain_HW[..., None]
        self._is_photograph = True
        self._picture = Image.fromarray(lit_HW3.clip(0, 255).astype(np.uint8))

    def file(self) -> bytes:
        """PNG, or JPEG of what was photographed."""
        file = io.BytesIO()
        self._picture.save(file, "JPEG" if self._is_photograph else "PNG", quality=QUALITY)
        return file.getvalue()
