"""Boxes and points on a picture, as a user sees them: `draw`."""

from collections.abc import Iterable
from contextlib import suppress

from PIL import Image, ImageDraw, ImageFont, ImageOps

from anyres.grounding import Box, Point

__all__ = ["COLOURS", "FONTS", "draw"]

_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

MAX_NAME = 40  # characters of a label that are drawn
COLOURS = ("#e6194b", "#0a7d32", "#1f4fd8", "#b35900", "#7a1fa2", "#007a87", "#c2187a", "#5d6b00")
"""Dark enough for white letters on them."""
FONTS = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial Unicode.ttf", "msyh.ttc", "arial.ttf")
"""Common fonts of many scripts, the one with most first; Pillow looks where the system keeps them."""


def draw(picture: Image.Image, marks: Iterable[Box | Point]) -> Image.Image:
    """A new RGB picture, upright, with the boxes and points on it: a colour for each label, lines as the size asks.

    Marks in thousandths and in pixels of the upright picture may be mixed. Names in other scripts than Latin need a
    font of this system that has them; without one their characters are empty squares.
    """
    upright = ImageOps.exif_transpose(picture).convert("RGB")
    pen = ImageDraw.Draw(upright)
    width = max(2, round(min(upright.size) / 200))
    colours: dict[str, str] = {}
    in_pixels = [_as_pixels(mark, upright) for mark in marks]
    font = _font(max(11, 7 * width), in_pixels)
    for mark in in_pixels:
        colour = colours.setdefault(mark.label, COLOURS[len(colours) % len(COLOURS)])
        _outline(pen, mark, colour, width)
    for mark in in_pixels:  # names last, so that no line crosses them
        if mark.label:
            _name(pen, mark, colours[mark.label], font, upright.size)
    return upright


def _as_pixels(mark: Box | Point, picture: Image.Image) -> Box | Point:
    return mark if mark.space == "pixels" else mark.to_pixels(width=picture.width, height=picture.height)


def _font(size: int, marks: Iterable[Box | Point]) -> _Font:
    """Pillow's own, which has Latin letters, or the first of FONTS where a name needs others."""
    if not all(char < "\u0250" for mark in marks for char in mark.label):
        for name in FONTS:
            with suppress(OSError):
                return ImageFont.truetype(name, size)
    return ImageFont.load_default(size)


def _outline(pen: ImageDraw.ImageDraw, mark: Box | Point, colour: str, width: int) -> None:
    """The line in its colour between two thin white ones: one of them is seen on any ground."""
    rim = max(1, width // 2)
    if isinstance(mark, Point):
        for reach, fill in ((2 * width + rim, "white"), (2 * width, colour)):
            pen.ellipse((mark.x - reach, mark.y - reach, mark.x + reach, mark.y + reach), fill=fill)
        return
    x1, y1, x2, y2 = (round(edge) for edge in mark.edges)
    pen.rectangle((x1 - rim, y1 - rim, x2 + rim, y2 + rim), outline="white", width=width + 2 * rim)
    pen.rectangle((x1, y1, x2, y2), outline=colour, width=width)


def _name(
    pen: ImageDraw.ImageDraw,
    mark: Box | Point,
    colour: str,
    font: _Font,
    size: tuple[int, int],
) -> None:
    """White letters on a plate of the mark's colour: above the mark where there is room, else just inside of it."""
    label = " ".join(mark.label.split())
    label = label if len(label) <= MAX_NAME else label[: MAX_NAME - 1] + "…"
    left, top, right, bottom = pen.textbbox((0, 0), label, font=font)
    pad = 3
    wide, high = right - left + 2 * pad, bottom - top + 2 * pad
    x, y = (mark.x, mark.y) if isinstance(mark, Point) else mark.edges[:2]
    x = min(max(x, 0), max(size[0] - wide, 0))
    y = min(y - high if y >= high else max(y, 0), max(size[1] - high, 0))
    pen.rectangle((x, y, x + wide - 1, y + high - 1), fill=colour)
    pen.text((x + pad - left, y + pad - top), label, fill="white", font=font)
