"""Where things are, as the auxiliary head learns it, against the things themselves."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.tiny import clips, places
from recipes.tiny.places import (
    BOX,
    CENTRES,
    CHANGE,
    COLOUR,
    COLUMNS,
    MOTION,
    SHAPE,
    STEP,
    asked,
    changes,
    places_of,
    still,
)  # fmt: skip
from recipes.tiny.scenes import PLANS
from recipes.tiny.things import COLOURS, SHAPES, Thing, box_of
from tests.recipes.samples import drawing

SQUARE = Thing("square", "red", 14, 14, 18)
HEART = Thing("heart", "blue", 42, 14, 12)


def test_a_box_is_measured_from_the_centre_of_each_cell() -> None:
    thing = Thing("square", "red", 56, 28, 30)
    table = places_of([thing], (56, 112))
    x1, y1, x2, y2 = (side / 28 for side in box_of(thing, (56, 112)))
    for cell, row in enumerate(table):
        if np.isfinite(row[BOX]).all():
            across, down = cell % 4 + 0.5, cell // 4 + 0.5
            assert row[BOX] == pytest.approx((x1 - across, y1 - down, x2 - across, y2 - down), abs=1e-5)
    assert np.isfinite(table[:, BOX]).all(axis=1).tolist() == [False, True, True, False] * 2
    assert np.isnan(table[:, MOTION.start : CHANGE + 1]).all()


def test_the_largest_thing_of_a_cell_counts_and_centres_are_counted() -> None:
    small = Thing("star", "blue", 20, 20, 6)
    table = places_of([SQUARE, small], (28, 56))
    assert table[0, BOX] == pytest.approx(places_of([SQUARE], (28, 56))[0, BOX])
    assert table[:, CENTRES].tolist() == [2, 0]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([*PLANS]), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_every_thing_of_a_scene_has_one_centre(task: str, seed: int, difficulty: float) -> None:
    made = drawing(task, seed, difficulty)
    assert made.places is not None
    assert made.places.shape == (len(made.cells), COLUMNS)
    assert made.places.dtype == np.float32
    assert np.isnan(made.places[:, MOTION]).all(), "a picture does not tell motion"
    named = {name for cell in made.cells for name in cell}
    assert made.places[:, CENTRES].sum() >= len(named)
    assert bool(named) == bool(np.isfinite(made.places[:, BOX]).any())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_the_motion_is_the_answer(seed: int, difficulty: float) -> None:
    made = drawing("motion", seed, difficulty)
    assert made.places is not None
    right, down = np.nan_to_num(made.places[:, MOTION]).sum(axis=0)
    straight = {"left": right < 0, "right": right > 0, "up": down < 0, "down": down > 0}
    assert straight[made.answer]
    assert (right == 0) != (down == 0)


def test_what_comes_and_goes_and_moves() -> None:
    moved = Thing("square", "red", 20, 10, 18)
    assert changes([SQUARE], [moved, HEART]) == {"red square": (6, -4, 0), "blue heart": (0, 0, 1)}
    assert changes([HEART], []) == {"blue heart": (0, 0, -1)}
    table = places_of([moved, HEART], (28, 56), changes([SQUARE], [moved, HEART]))
    assert table[0, MOTION] == pytest.approx((6 / STEP, -4 / STEP))
    assert table[1, CHANGE] == 1


def test_pairs_of_a_clip_follow_each_other() -> None:
    table = clips.pair_places([[SQUARE], [HEART], [HEART], [HEART]], (28, 56))
    assert table.shape == (4, COLUMNS)
    assert table[:, CHANGE].tolist() == [-1, 1, 0, 0]
    assert np.isfinite(table[:, BOX]).all(axis=1).tolist() == [True, True, False, True]


def test_textured_clips_tell_the_motion_of_the_patch() -> None:
    for seed in range(20):
        _, _, answer, table = clips.natural_moves(np.random.default_rng(seed), (84, 84))
        assert bool((table[:, MOTION] != 0).any()) == (answer == "yes")
        assert np.isnan(table[:, BOX]).all()


def test_cells_without_things() -> None:
    table = still(3)
    assert table.shape == (3, COLUMNS)
    assert np.isnan(table[:, BOX]).all()
    assert (table[:, CENTRES : CHANGE + 1] == 0).all()
    nothing = places.places_of([], (28, 84), {})
    assert nothing[:, : CHANGE + 1] == pytest.approx(table[:, : CHANGE + 1], nan_ok=True)
    assert (nothing[:, [COLOUR, SHAPE]] == [len(COLOURS), len(SHAPES)]).all()


def test_the_referent_is_the_thing_asked_for() -> None:
    for seed in range(30):
        made = drawing("box", seed, size=(112, 140))
        assert made.referent is not None
        told = [int(number) for number in re.findall(r"\d+", made.answer)]
        assert made.referent[4] == 1
        in_picture = np.array(made.referent[:4]) * 1000 / (5, 4, 5, 4)
        assert np.abs(in_picture.clip(0, 999) - told).max() <= 1


@pytest.mark.parametrize(
    ("task", "presence"), [("absent", 0), ("colour", 1), ("shape", 1), ("order", 1), ("change", 1)]
)
def test_presence(task: str, presence: int) -> None:
    for seed in range(10):
        made = drawing(task, seed, size=(84, 84))
        assert made.referent is not None
        assert made.referent[4] == presence
        assert np.isfinite(made.referent[:4]).all() == bool(presence)


def test_yes_means_that_it_is_there() -> None:
    made = [drawing("present", seed) for seed in range(30)]
    assert {(one.answer, one.referent and one.referent[4]) for one in made} == {("yes", 1.0), ("no", 0.0)}


def test_what_moves_is_there_and_its_place_told_if_it_is_a_thing() -> None:
    placed = 0
    for seed in range(40):
        made = drawing("moves", seed)
        assert made.referent is not None
        assert made.referent[4] == (made.answer == "yes")
        assert made.answer == "yes" or np.isnan(made.referent[0])
        placed += bool(np.isfinite(made.referent[:4]).all())
    assert 4 < placed < 20


def test_counts_are_about_no_one_thing() -> None:
    made = drawing("count", 0)
    assert made.referent is not None
    assert np.isnan(made.referent).all()


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([*PLANS]), st.integers(0, 2**32 - 1))
def test_names_in_questions(task: str, seed: int) -> None:
    made = drawing(task, seed)
    colour, shape = asked(made.question)
    assert ([*COLOURS, "things"][colour] in made.question) or colour == len(COLOURS)
    assert ([*SHAPES, ""][shape]) in made.question


def test_what_is_centred_in_a_cell() -> None:
    red, ring, blue = Thing("star", "red", 20, 20, 9), Thing("ring", "red", 8, 8, 8), Thing("ring", "blue", 50, 9, 8)
    table = places_of([red, ring, blue], (28, 84))
    colours, shapes = [*COLOURS], [*SHAPES]
    assert table[:, CENTRES].tolist() == [2, 1, 0]
    assert table[:, COLOUR].tolist() == [colours.index("red"), colours.index("blue"), len(colours)]
    assert np.isnan(table[0, SHAPE]), "a star and a ring"
    assert table[1:, SHAPE].tolist() == [shapes.index("ring"), len(shapes)]
