"""Notes: what is asked can be answered from what is printed, and the teachers tell what lies in the cells."""

import json

import numpy as np
import pytest

from recipes.tiny.factory import make_sample
from recipes.tiny.fonts import builtin_fonts
from recipes.tiny.lines import CELL, IGNORED, SLOTS
from recipes.tiny.notes import FURTHER, KEYS, NOTE_SIZES, Note, held_out, make_note
from recipes.tiny.scenes import make_scene


def note(seed: int, split: str = "train", size: tuple[int, int] | None = None, difficulty: float = 0.7) -> Note:
    rng = np.random.default_rng(seed)
    return make_note(rng, split=split, difficulty=difficulty, size=size, fonts=builtin_fonts())


@pytest.mark.parametrize("size", NOTE_SIZES)
def test_every_size_can_be_printed(size: tuple[int, int]) -> None:
    one = note(sum(size), size=size)
    assert one.frame.shape == (*size, 3)
    assert one.frame.dtype == np.uint8
    assert len(one.asked) == 1 + FURTHER
    assert len(one.cells) == len(one.order) == size[0] // CELL * (size[1] // CELL) <= 36


def test_answers_stand_in_the_picture() -> None:
    fields = refusals = whole = 0
    for seed in range(60):
        one = note(seed)
        printed = "".join(sorted("".join(letter for cell in one.cells for letter in cell)))
        for question, answer in one.asked:
            if answer.startswith("There is no "):
                refusals += 1
                key = answer.removeprefix("There is no ").removesuffix(".")
                assert key in question
            elif answer.startswith("{"):
                found = json.loads(answer)
                whole += 1
                assert all(set("".join(pair).replace(" ", "")) <= set(printed) for pair in found.items())
            else:
                fields += 1
                assert set(answer.replace(" ", "").replace("\n", "")) <= set(printed)
    assert min(fields, refusals, whole) > 20


def test_cells_tell_the_reading_order() -> None:
    for seed in range(30):
        one = note(seed, size=(84, 280))
        read = next((answer for question, answer in one.asked if "all" in question and answer[:1] != "{"), None)
        for letters, place in zip(one.cells, one.order, strict=True):
            assert len(letters) <= SLOTS
            assert (place == IGNORED) == (not letters)
            if read is not None and letters and place < 60:
                assert letters[0] == read[place]


def test_held_out_keys_are_never_trained() -> None:
    held = {key.lower() for key in KEYS if held_out(key)}
    assert 5 < len(held) < len(KEYS) / 2
    for seed in range(80):
        for _, answer in note(seed).asked:
            if answer.startswith("{"):
                assert not held & {key.lower() for key in json.loads(answer)}


def test_a_note_as_a_sample_of_the_factory() -> None:
    first = make_sample("note", split="held_out", seed=3, difficulty=0.5, size=(56, 280), fonts=builtin_fonts())
    again = make_sample("note", split="held_out", seed=3, difficulty=0.5, size=(56, 280), fonts=builtin_fonts())
    assert np.array_equal(first.frames[0], again.frames[0])
    assert (first.question, first.answer, first.order) == (again.question, again.answer, again.order)
    assert first.cells is not None
    assert first.order is not None
    assert len(first.further) == FURTHER
    assert len(first.order) == len(first.cells) == 20


def test_all_or_all_but_one_or_two_are_of_the_kind() -> None:
    for seed in range(40):
        scene = make_scene(np.random.default_rng(seed), task="most", difficulty=1.0, size=None)
        things = int(scene.places[:, 4].sum())
        first = scene.asked[0]
        assert first.spread is not None
        assert int(first.answer) == sum(first.spread)
        assert things - int(first.answer) in (0, 1, 2)
        assert 3 <= things <= 6
