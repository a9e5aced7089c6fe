"""What `draw` paints: seen on any ground, in the right place, upright."""

import io

import pytest
from PIL import Image

from anyres import drawing
from anyres.drawing import draw
from anyres.grounding import Box, Point

GROUNDS = ("black", "white", "#808080", *drawing.COLOURS)


@pytest.mark.parametrize("ground", GROUNDS)
def test_drawings_are_seen_on_any_ground(ground: str) -> None:
    """Along each edge some line differs from the ground by much, and so do letters from their plate."""
    picture = Image.new("RGB", (200, 160), ground)
    drawn = draw(picture, [Box(40, 50, 120, 100, "cat"), Point(160, 120)])
    assert picture.getcolors() == [(200 * 160, picture.getpixel((0, 0)))]
    for strip in ((70, 45, 71, 55), (70, 95, 71, 105), (35, 80, 45, 81), (115, 80, 125, 81), (155, 115, 165, 125)):
        assert contrast(drawn.crop(strip), picture.getpixel((0, 0))) > 120
    plate = drawn.crop((41, 33, 58, 45))
    assert {(255, 255, 255)} < {colour for _, colour in plate.getcolors()}
    assert drawn.getpixel((80, 75)) == picture.getpixel((0, 0))


def contrast(part: Image.Image, ground: tuple[int, ...]) -> int:
    return max(max(abs(a - b) for a, b in zip(colour, ground, strict=True)) for _, colour in part.getcolors())


def test_lines_grow_with_the_picture() -> None:
    def line(side: int) -> int:
        drawn = draw(Image.new("RGB", (side, side)), [Box(side // 4, side // 4, side // 2, side // 2)])
        row = [drawn.getpixel((x, side // 3)) for x in range(3 * side // 8)]
        return sum(pixel != (0, 0, 0) for pixel in row)

    assert line(2000) > 2 * line(400)


def test_same_names_have_the_same_colour() -> None:
    drawn = draw(
        Image.new("RGB", (300, 100)), [Box(10, 30, 60, 90, "a"), Box(110, 30, 160, 90, "b"), Box(210, 30, 260, 90, "a")]
    )
    first, second, third = (drawn.getpixel((x, 60)) for x in (10, 110, 210))
    assert first == third != second


def test_thousandths_are_drawn_where_their_pixels_are() -> None:
    picture = Image.new("RGB", (300, 200))
    marks = [Box(100, 200, 500, 700, "a", "thousandths"), Point(800, 900, "b", "thousandths")]
    pixels = [mark.to_pixels(width=300, height=200) for mark in marks]
    assert draw(picture, marks).tobytes() == draw(picture, pixels).tobytes()


def test_turned_pictures_are_drawn_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (90, 60)).save(file, "PNG", exif=exif)
    drawn = draw(Image.open(file), [Box(40, 70, 59, 89)])
    assert drawn.size == (60, 90)
    assert drawn.crop((36, 66, 60, 90)).getbbox() is not None
    assert drawn.crop((0, 0, 30, 60)).getbbox() is None


@pytest.mark.parametrize("size", [(1, 1), (5, 400), (28, 28)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "I;16"])
def test_odd_pictures_and_marks_are_drawn(size: tuple[int, int], mode: str) -> None:
    marks = [
        Box(-50, -50, 9000, 9000, "x" * 500),
        Box(1, 1, 1, 1, "two\nlines"),
        Point(-5, 1e6, "out"),
        Point(0, 0, "أحمر 按钮"),
    ]
    assert draw(Image.new(mode, size), marks).size == size


def test_without_a_font_of_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "FONTS", ("no such font.ttf",))
    drawn = draw(Image.new("RGB", (90, 90)), [Box(20, 40, 60, 80, "кнопка")])
    assert drawn.getbbox() is not None
