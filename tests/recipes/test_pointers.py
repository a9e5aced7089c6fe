"""Where the characters of answers stand, against what the factory says of each cell by itself."""

from collections.abc import Iterator

import numpy as np
import pytest

from anyres.chat import ImagePart
from recipes.tiny.example import Example, Word
from recipes.tiny.lines import CELL, IGNORED, reading_order
from recipes.tiny.mixture import TASKS, example_of, opened_assets
from recipes.tiny.pointers import along_line, in_words

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
    cells = in_words(example.answer, dense.words, (height, width))
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


def test_of_words_printed_twice_the_next_is_taken_or_none() -> None:
    assert in_words("a", ROW, SIZE).tolist() == [IGNORED]
    assert in_words("b a", ROW, SIZE).tolist() == [1, IGNORED, 2]
    assert in_words("b, a", ROW, SIZE).tolist()[0] == 1
    assert in_words("a b a", ROW, SIZE).tolist() == [0, IGNORED, 1, IGNORED, 2]


def test_what_is_not_printed_has_no_place() -> None:
    assert set(in_words("nothing of it", ROW, SIZE).tolist()) == {IGNORED}
    assert in_words("", ROW, SIZE).tolist() == []
    assert in_words("a", (), SIZE).tolist() == [IGNORED]


def test_bytes_of_a_character_share_its_cell() -> None:
    words = (Word("né", (0.0, 0.0, 56.0, 20.0)),)
    assert in_words("né", words, SIZE).tolist() == [0, 1, 1]


def test_words_beyond_the_edge_are_in_the_outermost_cells() -> None:
    words = (Word("ab", (-40.0, -9.0, 400.0, -2.0)),)
    assert in_words("ab", words, SIZE).tolist() == [2, 3]


def test_along_a_line_each_character_is_in_the_cell_that_began_last() -> None:
    letters = ("ab", "", "c", "de")
    assert along_line("ab cde", reading_order(letters, "ab cde", 4)).tolist() == [0, 0, 0, 2, 3, 3]
