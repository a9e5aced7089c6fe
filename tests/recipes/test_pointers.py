"""Where the characters of answers stand, against what the factory says of each cell by itself."""

from collections.abc import Iterator

import numpy as np
import pytest

from anyres.chat import ImagePart
from recipes.tiny.example import Example, Word
from recipes.tiny.lines import CELL, IGNORED, reading_order
from recipes.tiny.mixture import TASKS, example_of, opened_assets
from recipes.tiny.pointers import IN_CELL, IN_PICTURE, IN_WORD, along_line, first_letters, in_print, print_of

BY_MAKER = {task.maker: task for task in TASKS}
SIZE = (2 * CELL, 4 * CELL)
ROW = tuple(Word(text, (28.0 * place + 2, 4.0, 28.0 * place + 26, 24.0)) for place, text in enumerate(("a", "b", "a")))


def examples(maker: str, count: int, difficulty: float) -> Iterator[Example]:
    for number in range(count):
        rng = np.random.default_rng([11, number])
        yield example_of(
            BY_MAKER[maker], rng, split="train", difficulty=difficulty, assets=opened_assets(None), languages=("en",)
        )


def told(example: Example) -> list[tuple[str, int]]:
    """Each character of the answer with its cell."""
    picture, (dense,) = example.messages[0].parts[0], example.dense
    assert isinstance(picture, ImagePart)
    assert dense is not None
    assert dense.words is not None
    height, width, _ = np.asarray(picture.image).shape
    assert dense.letters is not None
    cells = in_print(example.answer, print_of(dense.words, dense.letters, (height, width)))[:, IN_PICTURE]
    starts = np.cumsum([0, *(len(char.encode()) for char in example.answer)])[:-1]
    return [(char, int(cells[start])) for char, start in zip(example.answer, starts, strict=True)]


@pytest.mark.parametrize(("maker", "least"), [("make_page", 0.4), ("make_receipt", 0.25), ("make_arithmetic", 0.35)])
def test_what_is_pointed_at_is_there(maker: str, least: float) -> None:
    """The letters of a cell come from their own centres; a pointer from its word's box: at most a neighbour off."""
    known = right = characters = 0
    for example in examples(maker, 25, 0.5):
        (dense,) = example.dense
        assert dense is not None
        assert dense.letters is not None
        letters = dense.letters
        for char, cell in told(example):
            characters += not char.isspace()
            if cell != IGNORED:
                known += 1
                right += char in "".join(letters[max(0, cell - 1) : cell + 2])
    assert known > least * characters
    assert right > 0.94 * known


def test_a_page_that_is_read_has_all_its_places_in_order() -> None:
    read = [one for one in examples("make_page", 30, 0.2) if one.task == "page"]
    assert len(read) > 5
    whole = [one for one in read if all(cell != IGNORED for char, cell in told(one) if not char.isspace())]
    assert len(whole) > 0.7 * len(read)


def cells_in(answer: str, words: tuple[Word, ...]) -> list[int]:
    """Without knowing any letter of the cells."""
    return [int(cell) for cell in in_print(answer, print_of(words, [""] * 8, SIZE))[:, IN_PICTURE]]


def test_of_words_printed_twice_the_next_is_taken_or_none() -> None:
    assert cells_in("a", ROW) == [IGNORED]
    assert cells_in("b a", ROW) == [1, IGNORED, 2]
    assert cells_in("b, a", ROW)[0] == 1
    assert cells_in("a b a", ROW) == [0, IGNORED, 1, IGNORED, 2]


def test_what_is_not_printed_has_no_place() -> None:
    assert set(cells_in("nothing of it", ROW)) == {IGNORED}
    assert cells_in("", ROW) == []
    assert cells_in("a", ()) == [IGNORED]


def test_bytes_of_a_character_share_its_cell() -> None:
    assert cells_in("né", (Word("né", (0.0, 0.0, 56.0, 20.0)),)) == [0, 1, 1]


def test_words_beyond_the_edge_are_in_the_outermost_cells() -> None:
    assert cells_in("ab", (Word("ab", (-40.0, -9.0, 400.0, -2.0)),)) == [2, 3]


@pytest.mark.parametrize(("maker", "least"), [("make_page", 0.85), ("make_receipt", 0.9), ("make_table", 0.9)])
def test_most_letters_have_their_own_place_in_a_cell(maker: str, least: float) -> None:
    """No two the same, all of them the letters that the factory has drawn there, word by word from left to right."""
    known = letters_seen = 0
    for example in examples(maker, 25, 0.4):
        (dense,) = example.dense
        picture = example.messages[0].parts[0]
        if dense is None or dense.letters is None or dense.words is None:
            continue
        assert isinstance(picture, ImagePart)
        height, width, _ = np.asarray(picture.image).shape
        printed = print_of(dense.words, dense.letters, (height, width))
        exact = printed.places[:, IN_CELL] != IGNORED
        places = [(cell, slot) for cell, slot, _ in printed.places[exact].tolist()]
        assert len(set(places)) == len(places)
        spelled = [char for char, one in zip(printed.text, exact, strict=True) if one]
        assert [dense.letters[cell][slot] for cell, slot in places] == spelled
        words = np.split(printed.places, np.flatnonzero(printed.places[:, IN_WORD] == 0)[1:])
        assert [len(word) for word in words] == [len(word.text) for word in dense.words]
        columns = [word[:, IN_PICTURE] % (width // CELL) for word in words]
        assert all((np.diff(column) >= 0).all() for column in columns)
        known, letters_seen = known + len(places), letters_seen + len(printed.text)
    assert known > least * letters_seen


def test_a_letter_below_the_row_of_its_word_is_found_there() -> None:
    words = (Word("spot", (0.0, 10.0, 56.0, 30.0)), Word("on", (60.0, 10.0, 100.0, 30.0)))
    letters = ["so", "t", "on", "", "p", "", "", ""]
    assert print_of(words, letters, SIZE).places[:, :2].tolist() == [[0, 0], [4, 0], [0, 1], [1, 0], [2, 0], [2, 1]]


def test_a_word_with_a_letter_elsewhere_has_no_places_in_cells() -> None:
    words = (Word("see", (0.0, 4.0, 50.0, 24.0)), Word("it", (60.0, 4.0, 100.0, 24.0)))
    printed = print_of(words, ["se", "", "it", "", "", "", "", "e"], SIZE)
    assert printed.places[:, IN_CELL].tolist() == [IGNORED] * 3 + [0, 1]
    assert printed.places[:, IN_WORD].tolist() == [0, 1, 2, 0, 1]
    assert first_letters(printed.places, 8).tolist() == [IGNORED, IGNORED, 0, *[IGNORED] * 5]


def test_along_a_line_each_character_is_in_the_cell_that_began_last() -> None:
    letters = ("ab", "", "c", "de")
    places = along_line("ab cde", reading_order(letters, "ab cde", 4))
    assert places[:, IN_PICTURE].tolist() == [0, 0, IGNORED, 2, 3, 3]
    assert places[:, IN_CELL].tolist() == [0, 1, IGNORED, 0, 0, 1]
    assert places[:, IN_WORD].tolist() == [0, 1, IGNORED, 0, 1, 2]
