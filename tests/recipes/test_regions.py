"""Regions: the cells that named boxes lie in, and how places are spelled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.tiny.places import BOX, CENTRES, CHANGE, MOTION
from recipes.tiny.regions import Region, box_at, box_text, clip_dense, dense_of, found, point_text, shares

unhurried = settings(deadline=None)
sides = st.integers(2, 8).map(lambda cells: 28 * cells)


@st.composite
def boxes_in_pictures(draw: st.DrawFn) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """A box of at least 6 pixels inside of a picture."""
    size = (draw(sides), draw(sides))
    x, y = draw(st.integers(0, size[1] - 6)), draw(st.integers(0, size[0] - 6))
    return (x, y, draw(st.integers(x + 6, size[1])), draw(st.integers(y + 6, size[0]))), size


@unhurried
@given(boxes_in_pictures())
def test_shares_add_up_to_the_area(made: tuple[tuple[float, float, float, float], tuple[int, int]]) -> None:
    box, size = made
    assert shares(box, size).sum() * 28 * 28 == pytest.approx((box[2] - box[0]) * (box[3] - box[1]))
    assert shares(box, size).max() <= 1


@unhurried
@given(boxes_in_pictures())
def test_the_box_is_told_where_it_is_clicked(made: tuple[tuple[float, float, float, float], tuple[int, int]]) -> None:
    box, size = made
    asked = Region("asked", box)
    whole = Region("whole", (0, 0, size[1], size[0]))
    dense = dense_of([asked, whole], size, asked=asked)
    x, y = point_text(box, size)[14:-12].split(",")
    assert box_at(dense, size, (int(x), int(y))) == pytest.approx(box, abs=1e-2)
    assert dense.names is not None
    assert any("asked" in cell for cell in dense.names)
    assert dense.places is not None
    assert dense.places[:, CENTRES].sum() == 2


def test_a_small_region_is_told_before_the_one_around_it() -> None:
    around, inside, size = Region("window", (0, 0, 112, 112)), Region("button", (28, 28, 56, 56)), (112, 112)
    dense = dense_of([inside, around], size)
    assert box_at(dense, size, (375, 375)) == pytest.approx(inside.box)
    assert box_at(dense, size, (900, 900)) == pytest.approx(around.box)
    covered = dense_of([inside, around], size, asked=around)
    assert box_at(covered, size, (375, 375)) == pytest.approx(around.box)
    assert dense.names is not None
    assert set(dense.names[5]) == {"window", "button"}
    assert dense.names[0] == ("window",)


def test_nothing_is_told_of_empty_cells_and_of_what_lies_outside() -> None:
    dense = dense_of([Region("a", (0, 0, 28, 28)), Region("gone", (90, 90, 120, 120))], (56, 56))
    assert dense.names == (("a",), (), (), ())
    assert box_at(dense, (56, 56), (999, 999)) is None
    assert dense.places is not None
    assert dense.places[:, CENTRES].tolist() == [1, 0, 0, 0]


def test_a_clip_tells_motion_and_change() -> None:
    still, moving = Region("still", (0, 0, 28, 28)), Region("moving", (28, 0, 56, 28))
    later = moving._replace(box=(33, 2, 61, 30))
    new = Region("new", (56, 28, 84, 56))
    dense = clip_dense([[still, moving], [still, later, new], [still, new], [new]], (56, 84))
    assert dense.names is not None
    assert dense.places is not None
    assert len(dense.names) == 12
    assert dense.places[1, MOTION].tolist() == pytest.approx([0.5, 0.2])
    assert dense.places[0, MOTION].tolist() == [0, 0]
    assert dense.places[5, CHANGE] == 1
    assert dense.places[6, CHANGE] == -1
    assert dense.names[6] == ("still",)
    assert dense.places[11, CHANGE] == 0
    assert np.isnan(dense.places[7, BOX]).all()


def test_things_of_one_name_keep_apart_in_a_clip() -> None:
    first, second = Region("cat", (0, 0, 28, 28), 0), Region("cat", (56, 0, 84, 28), 1)
    dense = clip_dense([[first, second], [first, second._replace(box=(46, 0, 74, 28))]], (28, 84))
    assert dense.places is not None
    assert dense.places[0, MOTION].tolist() == [0, 0]
    assert dense.places[1, MOTION].tolist() == [-1, 0]


@unhurried
@given(boxes_in_pictures())
def test_places_are_spelled_within_their_range(made: tuple[tuple[float, float, float, float], tuple[int, int]]) -> None:
    box, size = made
    numbers = [int(one) for one in box_text(box, size)[13:-11].replace("(", "").replace(")", "").split(",")]
    assert all(0 <= one <= 999 for one in numbers)
    assert numbers[0] == pytest.approx(box[0] * 1000 / size[1], abs=1)
    assert numbers[3] == pytest.approx(box[3] * 1000 / size[0], abs=1)
    point = [int(one) for one in point_text(box, size)[14:-12].split(",")]
    assert numbers[0] <= point[0] <= numbers[2]
    assert numbers[1] <= point[1] <= numbers[3]


def test_several_boxes_follow_one_name() -> None:
    assert found("cat", [(0, 0, 28, 28), (28, 28, 56, 56)], (56, 56)) == (
        "<|object_ref_start|>cat<|object_ref_end|>"
        "<|box_start|>(0,0),(500,500)<|box_end|><|box_start|>(500,500),(999,999)<|box_end|>"
    )
