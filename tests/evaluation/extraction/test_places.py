"""Boxes and points of answers, in the coordinates that are declared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.evaluation.extraction.places import box_of, box_or_list_of, point_of
from anyres.evaluation.sample import Coordinates, Reply, Sample
from anyres.grounding import Box, parse_grounding

SAMPLE = Sample("1", "?", facts={"width": 200, "height": 500})
sides = st.integers(0, 999)


@given(sides, sides, sides, sides, st.text("a2 ,", max_size=9))
def test_what_the_model_writes_is_what_grounding_reads(x: int, y: int, right: int, bottom: int, name: str) -> None:
    box = Box(min(x, right), min(y, bottom), max(x, right), max(y, bottom), name, "thousandths")
    pixels = parse_grounding(box.text).boxes[0].to_pixels(width=200, height=500)
    assert box_of(Reply(f"Here: {box.text}."), SAMPLE).value == pytest.approx(pixels.edges)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("the 2 dogs(221,423),(569,886)", [44.2, 211.5, 113.8, 443.0]),  # not [2, 221, 423, 569], as elsewhere
        ("<|object_ref_start|>2 of (3,4)<|object_ref_end|><|box_start|>(0,0),(1000,500)<|box_end|>", [0, 0, 200, 250]),
        ("(10,10),(20,20)<|box_start|>(500,0),(1000,500)<|box_end|>", [100, 0, 200, 250]),  # marks go first
        ("(500,0),(1000,500), (0,0),(1,1)", [100, 0, 200, 250]),  # the first
        ("<|box_start|>(500,0),(1000,500)", [100, 0, 200, 250]),
        ("<|box_start|>(500,0),(1000,", None),
        ("<|box_start|>(600,0),(500,500)<|box_end|>", None),  # corners swapped
        ("<|box_start|>(500,0),(1001,500)<|box_end|>", None),  # outside: never rescaled
        ("(500,0)", None),
        ("221 423 569 886", None),
        ("", None),
    ],
)
def test_official_boxes(text: str, value: list[float] | None) -> None:
    told = box_of(Reply(text), SAMPLE)
    assert told.value == (value if value is None else pytest.approx(value))


def test_several_boxes_are_told() -> None:
    assert box_of(Reply("(0,0),(10,10) (5,5),(20,20)"), SAMPLE).rule == "box, the first of 2"


@pytest.mark.parametrize(
    ("coordinates", "text"),
    [
        ("thousandths", "[100, 200, 500, 600]"),
        ("pixels", "[20, 100, 100, 300]"),
        ("unit", "[0.1, 0.2, 0.5, 0.6]"),
        ("pixels", "<|box_start|>(20,100),(100,300)<|box_end|>"),
        ("unit", "(0.1,0.2),(0.5,0.6)"),
    ],
)
def test_each_convention(coordinates: Coordinates, text: str) -> None:
    reply = Reply(text, coordinates=coordinates)
    assert box_or_list_of(reply, SAMPLE).value == pytest.approx([20, 100, 100, 300])
    assert point_of(reply, SAMPLE).value == pytest.approx([60, 200])


def test_the_scale_is_never_guessed() -> None:
    """Numbers that would fit another convention, or the gold in another one, are read in the one declared."""
    small = Reply("(1,1),(2,2)")
    assert box_of(small, SAMPLE).value == pytest.approx([0.2, 0.5, 0.4, 1.0])
    assert box_of(small._replace(coordinates="pixels"), SAMPLE).value == [1, 1, 2, 2]
    assert box_of(small._replace(coordinates="unit"), SAMPLE).value is None
    assert box_of(Reply("(150,400),(300,480)", coordinates="pixels"), SAMPLE).value is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(500,250)", [100, 125]),
        ("click on [500, 250].", [100, 125]),
        ("<|box_start|>(500,250)<|box_end|>", [100, 125]),
        ("<|box_start|>(400,200),(600,300)<|box_end|>", [100, 125]),
        ("nowhere", None),
    ],
)
def test_points(text: str, value: list[float] | None) -> None:
    assert point_of(Reply(text), SAMPLE).value == value


@given(st.text("()[],.0123456789 <|box_start|>", max_size=60), st.sampled_from(["thousandths", "pixels", "unit"]))
def test_any_answer_is_read(text: str, coordinates: Coordinates) -> None:
    for extract in (box_of, box_or_list_of, point_of):
        value = extract(Reply(text, coordinates=coordinates), SAMPLE).value
        assert value is None or all(0 <= one <= 500 for one in value)
