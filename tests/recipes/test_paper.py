"""The sheet remembers where its words and letters lie."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.chat import ImagePart
from recipes.tiny import paper as module
from recipes.tiny.fonts import builtin_fonts
from recipes.tiny.paper import (
    CELL,
    Box,
    Colour,
    Paper,
    Pen,
    Word,
    asked,
    em_at,
    face_for,
    letters_of,
    room,
    rounded,
    theme,
)

FAMILIES = builtin_fonts().train
FACE = FAMILIES[0][0]
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
texts = st.text("abcdefgHIJKL0123456789.,-+", min_size=1, max_size=12)
few = settings(max_examples=30, deadline=None)


def ink_box(frame: np.ndarray, paper: Colour = WHITE) -> Box:
    """The extent of all pixels that are not paper, found in the picture itself."""
    inked = (frame != np.array(paper)).any(axis=2)
    ys, xs = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    return float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)


@few
@given(texts, st.integers(12, 30), st.sampled_from("lmr"))
def test_a_words_box_is_where_its_ink_is(text: str, size: int, anchor: str) -> None:
    paper = Paper((84, 560), WHITE)
    box = paper.write(text, (280, 50), Pen(FACE, size, BLACK), anchor=anchor)
    seen = ink_box(paper.sheet().frame)
    assert np.abs(np.array(box) - np.array(seen)).max() <= 2
    assert paper.words == [Word(text, box)]


@pytest.mark.parametrize(("anchor", "side"), [("l", 0), ("r", 2)])
def test_anchors_name_the_end_that_is_at_the_place(anchor: str, side: int) -> None:
    box = Paper((28, 280), WHITE).write("HHH", (140, 22), Pen(FACE, 20, BLACK), anchor=anchor)
    assert abs(box[side] - 140) <= 3


def test_middle_anchor_centres() -> None:
    box = Paper((28, 280), WHITE).write("HHH HH", (140, 22), Pen(FACE, 20, BLACK), anchor="m")
    assert abs((box[0] + box[2]) / 2 - 140) <= 2


def test_words_are_split_at_blanks_and_follow_each_other() -> None:
    paper = Paper((28, 280), WHITE)
    whole = paper.write("one two  three", (4, 22), Pen(FACE, 20, BLACK))
    assert [word.text for word in paper.words] == ["one", "two", "three"]
    lefts = [word.box[0] for word in paper.words]
    assert lefts == sorted(lefts)
    assert whole == (
        paper.words[0].box[0],
        min(w.box[1] for w in paper.words),
        paper.words[2].box[2],
        max(w.box[3] for w in paper.words),
    )


@few
@given(texts, st.integers(10, 40))
def test_each_letter_lies_in_exactly_one_cell(text: str, size: int) -> None:
    paper = Paper((56, 560), WHITE)
    paper.write(text, (6, 40), Pen(FACE, size, BLACK))
    letters = paper.sheet().letters
    assert len(letters) == 2 * 20
    assert Counter("".join(letters)) == Counter(text)


def test_cells_hold_the_letters_that_are_drawn_there() -> None:
    paper = Paper((56, 56), WHITE)
    for index, char in enumerate("ABCD"):
        paper.write(char, (CELL * (index % 2) + 5, CELL * (index // 2) + 22), Pen(FACE, 20, BLACK))
    assert paper.sheet().letters == ("A", "B", "C", "D")


def test_two_lines_in_a_cell_are_read_line_by_line() -> None:
    paper = Paper((28, 28), WHITE)
    pen = Pen(FACE, 10, BLACK)
    paper.write("cd", (2, 25), pen)
    paper.write("ab", (2, 12), pen)
    assert paper.sheet().letters == ("abcd",)


def test_letters_outside_of_the_picture_are_in_no_cell() -> None:
    paper = Paper((28, 28), WHITE)
    paper.write("in", (2, 20), Pen(FACE, 12, BLACK))
    paper.write("out", (60, 20), Pen(FACE, 12, BLACK))
    assert "".join(paper.sheet().letters) == "in"


def test_points_that_a_scanner_moves_take_boxes_and_letters_along(monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(
        _rng: np.random.Generator, frame: np.ndarray, points: np.ndarray, _hardness: float, *, in_colour: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        assert not in_colour
        return np.roll(frame, CELL, axis=1), points + np.array([CELL, 0])

    monkeypatch.setattr(module, "scanned", moved)
    paper = Paper((28, 84), WHITE)
    box = paper.write("Q", (4, 22), Pen(FACE, 20, BLACK))
    sheet = paper.sheet(np.random.default_rng(0), 0.5)
    assert sheet.letters == ("", "Q", "")
    assert sheet.words[0].box == pytest.approx((box[0] + 28, box[1], box[2] + 28, box[3]))
    assert np.abs(np.array(ink_box(sheet.frame)) - np.array(sheet.words[0].box)).max() <= 2


def test_rules_and_boxes_are_drawn_where_they_are_asked_for() -> None:
    paper = Paper((28, 56), WHITE)
    paper.fill((4, 5, 20, 10), (200, 0, 0))
    paper.outline((30, 5, 50, 20), BLACK)
    paper.rule((0, 25), (55, 25), (0, 0, 200))
    frame = paper.sheet().frame
    assert (frame[5:10, 4:20] == (200, 0, 0)).all()
    assert (frame[6:19, 31:49] == 255).all()
    assert (frame[5, 30:50] == 0).all()
    assert (frame[25, :56] == (0, 0, 200)).all()


def test_a_blank_sheet_has_empty_cells() -> None:
    sheet = Paper((56, 28), WHITE).sheet(np.random.default_rng(0), 1.0)
    assert sheet.letters == ("", "")
    assert sheet.words == ()


@given(st.floats(0.1, 5000))
def test_rounded_is_the_next_multiple(pixels: float) -> None:
    assert rounded(pixels) % CELL == 0
    assert 0 <= rounded(pixels) - pixels < CELL


@given(st.floats(0, 1), st.floats(0, 1))
def test_harder_pictures_may_be_larger(one: float, two: float) -> None:
    assert room(min(one, two)) <= room(max(one, two))
    assert 30 <= room(one) <= 1000


@few
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_print_is_large_when_easy_and_colours_differ(seed: int, difficulty: float) -> None:
    rng = np.random.default_rng(seed)
    assert 20 <= em_at(rng, 0.0) <= 28
    assert 10 <= em_at(rng, difficulty) <= 28
    colours = theme(rng, difficulty)
    for ground in (colours.paper, colours.fill):
        assert abs(sum(colours.ink) - sum(ground)) > 3 * 60, colours
    assert max(abs(a - b) for a, b in zip(colours.accent, colours.paper, strict=True)) > 60, colours


def test_a_face_must_draw_the_whole_text() -> None:
    rng = np.random.default_rng(0)
    assert face_for(rng, FAMILIES, "plain text", difficulty=0.0) == FACE
    assert face_for(rng, FAMILIES, "漢字") is None
    assert face_for(rng, (), "x") is None


def test_a_question_keeps_the_pictures_own_size() -> None:
    paper = Paper((28, 56), WHITE)
    paper.write("7", (4, 22), Pen(FACE, 20, BLACK))
    example = asked(paper.sheet(), "What?", "7", task="t", metric="exact")
    part = example.messages[0].parts[0]
    assert isinstance(part, ImagePart)
    assert part.image.shape == (28, 56, 3)
    assert part.min_pixels is not None
    assert part.min_pixels <= 28 * 56 == part.max_pixels
    assert example.answer == "7"
    assert example.dense[0] is not None
    assert example.dense[0].letters == ("7", "")


def test_cells_are_row_major() -> None:
    letters = [module.Letter("a", 30, 10, 12), module.Letter("b", 3, 40, 42)]
    points = np.array([(30.0, 10.0), (3.0, 40.0)])
    assert letters_of(letters, points, (56, 56)) == ("", "a", "b", "")
