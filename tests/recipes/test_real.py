"""The page of answers on real material: boxes lie in the pictures, answers are compared as they should be."""

from pathlib import Path

import pytest
from PIL import Image

from recipes.tiny import real
from recipes.tiny.real import PIECES, Piece, Told, page_text, summary

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def test_how_rows_are_broken_does_not_count() -> None:
    piece = Piece(real.ROWS, real.SCAN, None, "Read all the text.", "one two\nthree")
    assert Told(piece, "one\ntwo three").right
    assert not Told(piece, "one two thee").right
    assert Told(piece, "one two thee").edits == 1


def test_the_page_shows_what_is_wrong() -> None:
    right, wrong = PIECES[0], PIECES[1]
    told = [Told(right, right.answer), Told(wrong, "Over | the")]
    text = page_text(told)
    assert f"`{right.answer}` |  |" in text
    assert f"`Over \\| the` | `{wrong.answer}` |" in text
    assert summary(told).startswith(f"{real.LINES}: 1 of 2 right")


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the real pictures")
def test_boxes_lie_in_their_pictures() -> None:
    for piece in PIECES:
        assert (DATA / piece.file).is_file()
        if piece.box is not None:
            with Image.open(DATA / piece.file) as picture:
                width, height = picture.size
            left, top, right, bottom = piece.box
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
