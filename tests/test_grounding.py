"""Boxes and points: what models really wrote, what they might, and conversions against Pillow and transformers."""

import io
import json
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps
from transformers.loss.loss_for_object_detection import box_iou

from anyres.errors import GroundingError, OptionError
from anyres.grounding import Box, Grounding, Point, Problem, find_question, parse_grounding
from anyres.processing.media import open_image

REF, REF_END = "<|object_ref_start|>", "<|object_ref_end|>"
BOX, BOX_END = "<|box_start|>", "<|box_end|>"
QUAD, QUAD_END = "<|quad_start|>", "<|quad_end|>"

sides = st.integers(1, 20_000)
thousandths = st.integers(0, 999)
labels = (
    st.text(st.characters(exclude_categories=("Cs",)), max_size=12).map(str.strip).filter(lambda text: "<|" not in text)
)


@st.composite
def boxes(draw_: st.DrawFn) -> Box:
    (x1, x2), (y1, y2) = (sorted((draw_(thousandths), draw_(thousandths))) for _ in "xy")
    return Box(x1, y1, x2, y2, draw_(labels), "thousandths")


def box(x1: float, y1: float, x2: float, y2: float, label: str = "") -> Box:
    return Box(x1, y1, x2, y2, label, "thousandths")


def point(x: float, y: float, label: str = "") -> Point:
    return Point(x, y, label, "thousandths")


# Answers of Qwen2-VL and its fine-tunes as they were published, and forms that programs around them write or leave.
PUBLISHED = {
    # The model card of OS-Copilot/OS-Atlas-Base-7B, decoded with special tokens.
    f"{REF}language switch{REF_END}{BOX}(576,12),(592,42){BOX_END}<|im_end|>": [
        box(576, 12, 592, 42, "language switch")
    ],
    # The Qwen2-VL paper, arXiv 2409.12191, section 2.2.1.
    f"{REF}the eyes on a giraffe{REF_END}{BOX}(176,106),(232,160){BOX_END}": [
        box(176, 106, 232, 160, "the eyes on a giraffe")
    ],
    # The grounding form of ms-swift's Qwen2-VL guide: the name stands in the question.
    f"{BOX}(123,235),(324,546){BOX_END}": [box(123, 235, 324, 546)],
    # Several of a kind (modelscope/ms-swift#2535), the name once.
    f"{REF}Apple{REF_END}{BOX}(475,318),(492,337){BOX_END}{BOX}(620,279),(631,301){BOX_END}": [
        box(475, 318, 492, 337, "Apple"),
        box(620, 279, 631, 301, "Apple"),
    ],
    # Spaces between the numbers and a line for each (QwenLM/Qwen3-VL#762), in thousandths here.
    f"{REF}close button{REF_END}{BOX}(769, 13), (778, 27){BOX_END}\n"
    f"{REF}OK{REF_END}{BOX}( 419,507 ),(429 , 519){BOX_END}": [
        box(769, 13, 778, 27, "close button"),
        box(419, 507, 429, 519, "OK"),
    ],
    # Boxes inside of a sentence.
    f"There is one distortion: {REF}low clarity{REF_END}{BOX}(3,5),(998,995){BOX_END} affects the (5,5) branches.": [
        box(3, 5, 998, 995, "low clarity")
    ],
    # Special tokens stripped by a server (vllm-project/vllm#27636).
    "birch tree(530,351),(602,516)(176,106),(232,160)": [box(530, 351, 602, 516), box(176, 106, 232, 160)],
    "(12,34),(56,78)": [box(12, 34, 56, 78)],
    "(12, 34), (56, 1000).": [box(12, 34, 56, 1000)],
    f"{REF}cat{REF_END}(12,34),(56,78)": [box(12, 34, 56, 78, "cat")],
    # A rotated line of text.
    f"{REF}EXIT{REF_END}{QUAD}(10,20),(90,10),(95,40),(15,50){QUAD_END}": [box(10, 10, 95, 50, "EXIT")],
    # Nothing there.
    "There is no red circle.": [],
    "": [],
    "f(x) = (a, b), (1,2,3), (1) and 4,5": [],
    '[{"bbox_2d": [10, 20, 30, 40], "label": "cat"}]': [],
}


@pytest.mark.parametrize(("text", "expected"), PUBLISHED.items())
def test_published_answers(text: str, expected: list[Box]) -> None:
    found = parse_grounding(text, strict=True)
    assert found == Grounding(tuple(expected))


POINTS = {
    f"{BOX}(348,291){BOX_END}": [
        point(348, 291)
    ],  # Action: click(start_box='<|box_start|>(x,y)<|box_end|>') of UI-TARS
    f"{REF}Save{REF_END}{BOX}(1,2){BOX_END}{BOX}(3,4){BOX_END}": [point(1, 2, "Save"), point(3, 4, "Save")],
    "Tap at (348, 291).": [point(348, 291)],
    "(1,2) and (3,4)": [point(1, 2), point(3, 4)],
}


@pytest.mark.parametrize(("text", "expected"), POINTS.items())
def test_points(text: str, expected: list[Point]) -> None:
    assert parse_grounding(text, strict=True) == Grounding(points=tuple(expected))


FINE = box(1, 2, 3, 4)
MALFORMED = {
    # text: (what is read, where the problem is, what is said of it)
    f"ab{BOX}(1,2),(3,4)": ([FINE], 2, f"no {BOX_END}"),
    f"{BOX}(1,2),(3,": ([], 0, f"no {BOX_END}; 1 place"),
    f"{BOX}(1,2)": ([], 0, f"no {BOX_END}; 1 place"),
    f"{BOX}": ([], 0, f"no {BOX_END}; 0 places"),
    f"{BOX}{BOX_END}": ([], 0, "0 places"),
    f"{BOX}nowhere{BOX_END}": ([], 0, "'nowhere' is no place; 0 places"),
    f"{BOX}(1,2) to (3,4){BOX_END}": ([FINE], 0, "'to' is no place"),
    f"{BOX}(1,2,3,4){BOX_END}": ([], 0, "'(1,2,3,4)' is no place; 0 places"),
    f"{BOX}(1,2),(3,4),(5,6){BOX_END}": ([FINE], 0, "3 places"),
    f"{BOX}(1,2),(3,4),(5,6),(7,8){BOX_END}": ([FINE, box(5, 6, 7, 8)], 0, "4 places"),
    f"{BOX}(3,4),(1,2){BOX_END}": ([FINE], 0, "corners swapped"),
    f"{BOX}(3,2),(1,4){BOX_END}": ([FINE], 0, "corners swapped"),
    f"{BOX}(1.5,2),(3,4.0){BOX_END}": ([box(1.5, 2, 3, 4)], 0, "decimals"),
    f"{BOX}(-1,2),(3,4){BOX_END}": ([], 0, "outside 0..1000"),
    f"{BOX}(1,2),(3,1001){BOX_END}": ([], 0, "outside 0..1000"),
    f"{BOX}(1,2),({'9' * 5000},4){BOX_END}": ([], 0, "outside 0..1000"),
    f"{BOX}(1769,1013),(1778,1027){BOX_END}{BOX}(1,2),(3,4){BOX_END}": ([FINE], 0, "outside 0..1000"),
    f"{REF}cat{BOX}(1,2),(3,4){BOX_END}": ([replace(FINE, label="cat")], 0, f"no {REF_END}"),
    f"cat{REF_END}{BOX}(1,2),(3,4){BOX_END}": ([FINE], 3, f"no {REF}"),
    f"{REF}cat": ([], 0, f"no {REF_END}"),
    f"cat (1,2),(3,4){BOX_END}": ([FINE], 4, f"no {BOX}"),
    f"cat{BOX_END}": ([], 3, f"no {BOX}; 0 places"),
    f"{QUAD}(1,2),(3,4){QUAD_END}": ([FINE], 0, ""),
    f"{QUAD}(1,2){QUAD_END}": ([], 0, "1 place"),
    f"{QUAD}(1,2),(3,2),(3,4){QUAD_END}": ([box(1, 2, 3, 2)], 0, "3 places"),
    f"{BOX}(1,2),(3,4){QUAD_END}": ([FINE], 0, f"no {BOX_END}"),
    "at (1,2),(3": ([], 3, "cut off; 1 place"),
    "at (1,2),": ([], 3, "cut off; 1 place"),
    "at (1,2),(3,4),(5,": ([FINE], 3, "cut off"),
    "(1,2),(3,4),(5,6)": ([FINE], 0, "3 places"),
}


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: text[:60])
def test_malformed_answers(text: str) -> None:
    read, position, reason = MALFORMED[text]
    found = parse_grounding(text)
    assert (list(found.boxes), found.points) == (read, ())
    assert [(problem.position, problem.reason) for problem in found.problems] == (
        [(position, reason)] if reason else []
    )
    if reason:
        with pytest.raises(GroundingError, match=f"at character {position}; allowed: ") as caught:
            parse_grounding(text, strict=True)
        assert len(str(caught.value)) < 300


def test_each_problem_has_its_place() -> None:
    first, second = f"{BOX}(3,4),(1,2){BOX_END}", f"{BOX}(1,2"
    found = parse_grounding(f"look: {first} and {second}")
    assert found.problems == (
        Problem(6, first, "corners swapped"),
        Problem(6 + len(first) + 5, second, f"no {BOX_END}; 0 places"),
    )


scraps = st.sampled_from(
    [REF, REF_END, BOX, BOX_END, QUAD, QUAD_END, "(", ")", ",", " ", "-", ".", "\n", "cat", "1", "999"]
)
noise = st.lists(scraps | st.integers(-9, 2000).map(str) | st.just("(1,2),(3,4)"), max_size=40).map("".join)


@given(noise | st.text(max_size=60))
def test_nothing_makes_the_lenient_parser_fail(text: str) -> None:
    found = parse_grounding(text)
    for mark in (*found.boxes, *found.points):
        assert mark.space == "thousandths"
        assert "<|box" not in mark.label
    for one in found.boxes:
        assert 0 <= one.x1 <= one.x2 <= 1000
        assert 0 <= one.y1 <= one.y2 <= 1000
    for position, seen, reason in found.problems:
        assert text[position : position + len(seen)] == seen
        assert reason
    if found.problems:
        with pytest.raises(GroundingError):
            parse_grounding(text, strict=True)
    else:
        assert parse_grounding(text, strict=True) == found


@given(st.lists(boxes(), max_size=5))
def test_what_is_written_is_read(many: list[Box]) -> None:
    """A box without a name belongs to the name before it, so these stand in front."""
    many = sorted(many, key=lambda one: bool(one.label))
    assert parse_grounding("".join(one.text for one in many), strict=True).boxes == tuple(many)


@given(labels, thousandths, thousandths)
def test_points_that_are_written_are_read(label: str, x: int, y: int) -> None:
    assert parse_grounding(point(x, y, label).text, strict=True).points == (point(x, y, label),)


@given(st.lists(boxes(), min_size=1, max_size=3), st.data(), st.booleans())
def test_a_cut_answer_gives_some_of_its_boxes_and_no_others(many: list[Box], data: st.DataObject, marks: bool) -> None:
    """No half a box becomes a point; without marks a cut behind a whole pair cannot be told from a point."""
    text = "".join(one.text for one in many)
    if not marks:
        text = ", ".join(f"({one.x1},{one.y1}),({one.x2},{one.y2})" for one in many)
    cut = text[: data.draw(st.integers(0, len(text)))]
    found = parse_grounding(cut)
    edges = [one.edges for one in many]
    assert [one.edges for one in found.boxes] == edges[: len(found.boxes)]
    assert not found.points or (not marks and cut.endswith(")"))


def test_long_answers_take_no_time() -> None:
    """Every repetition that could make a regular expression try again and again; quadratic time would take a minute."""
    for text in (
        "(1,2),",
        "(1,2)",
        "(",
        "( " + " " * 99,
        "1" * 99,
        BOX,
        REF,
        f"(1,2){BOX_END}",
        f"{BOX}(1,2),(3,4)",
        "(1,2),(",
    ):
        parse_grounding(text * 2_000)
        parse_grounding(f"{BOX}{text * 2_000}")


@given(boxes(), sides, sides)
def test_thousandths_survive_pixels(one: Box, width: int, height: int) -> None:
    assert one.to_pixels(width=width, height=height).to_thousandths(width=width, height=height) == one


@given(sides, sides, st.floats(0, 1), st.floats(0, 1), labels)
def test_pixels_survive_thousandths_within_rounding(width: int, height: int, u: float, v: float, label: str) -> None:
    """Half of a thousandth, and a whole one at the far edge, which is written 999."""
    place = Point(u * width, v * height, label)
    back = place.to_thousandths(width=width, height=height).to_pixels(width=width, height=height)
    for seen, true, side in ((back.x, place.x, width), (back.y, place.y, height)):
        bound = 0.5 if true <= 0.999 * side else 1.0
        assert abs(seen - true) <= (bound + 1e-9) * side / 1000
    assert back.label == label


def test_known_conversions() -> None:
    """The example of the OS-Atlas model card on its screenshot of 1920x1080, as round(x / 1000 * w)."""
    found = box(576, 12, 592, 42).to_pixels(width=1920, height=1080)
    assert [round(edge) for edge in found.edges] == [1106, 13, 1137, 45]
    assert Box(0, 0, 640, 480).to_thousandths(width=640, height=480).edges == (0, 0, 999, 999)
    assert Box(-9, -9, 900, 20).to_thousandths(width=640, height=480).edges == (0, 0, 999, 42)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_as_pillow_turns(orientation: int) -> None:
    """A rectangle of a stored picture is found where Pillow's exif_transpose, and our own door, put it."""
    stored = Image.new("L", (50, 30))
    ImageDraw.Draw(stored).rectangle((5, 8, 19, 11), fill=255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored.save(file, "PNG", exif=exif)
    turned = ImageOps.exif_transpose(Image.open(file))
    assert open_image(file.getvalue()).picture.size == turned.size
    size = {"width": turned.width, "height": turned.height}
    inside, upright = Box(*stored.getbbox(), "x"), Box(*turned.getbbox(), "x")
    assert inside.to_upright(orientation, **size) == upright
    assert upright.to_stored(orientation, **size) == inside
    assert turned.crop(upright.edges).getextrema() == (255, 255)


@given(boxes(), st.integers(-1, 12), sides, sides)
def test_stored_and_back(one: Box, orientation: int, width: int, height: int) -> None:
    upright = replace(one, space="pixels")
    stored = upright.to_stored(orientation, width=width, height=height)
    assert stored.to_upright(orientation, width=width, height=height) == upright
    assert stored.area == upright.area
    assert stored.label == upright.label
    centre = upright.centre.to_stored(orientation, width=width, height=height)
    assert (centre.x, centre.y) == (stored.centre.x, stored.centre.y)
    assert centre.to_upright(orientation, width=width, height=height) == upright.centre


@given(boxes(), boxes())
def test_iou_is_that_of_transformers(one: Box, other: Box) -> None:
    assume(one.area + other.area > 0)
    theirs, _ = box_iou(*(torch.tensor([each.edges], dtype=torch.float64) for each in (one, other)))
    assert one.iou(other) == pytest.approx(float(theirs), abs=1e-12)
    assert one.iou(other) == other.iou(one)


@given(boxes())
def test_a_box_and_itself(one: Box) -> None:
    assert one.iou(one) == (1.0 if one.area else 0.0)
    assert one.contains(one.centre)
    assert one.contains(point(one.x1, one.y2))
    assert not one.contains(point(one.x2 + 1, one.y2))
    assert not one.contains(point(one.x1, one.y1 - 1))
    assert one.centre.label == one.label


def test_touching_boxes_have_nothing_in_common() -> None:
    assert Box(0, 0, 10, 10).iou(Box(10, 0, 20, 10)) == 0
    assert Box(0, 0, 10, 10).iou(Box(30, 30, 40, 40)) == 0
    assert Box(5, 5, 5, 5).iou(Box(5, 5, 5, 5)) == 0


def test_thousandths_and_pixels_are_not_mixed() -> None:
    size = {"width": 9, "height": 9}
    for call in (
        lambda: FINE.iou(Box(1, 2, 3, 4)),
        lambda: FINE.contains(Point(1, 2)),
        lambda: FINE.to_thousandths(**size),
        lambda: FINE.to_stored(3, **size),
        lambda: point(1, 2).to_upright(3, **size),
        lambda: FINE.to_pixels(**size).to_pixels(**size),
        lambda: Box(1, 2, 3, 4).text,
        lambda: Point(1, 2).text,
    ):
        with pytest.raises(OptionError, match=r"in (pixels|thousandths); allowed: in (pixels|thousandths)"):
            call()


def test_impossible_marks_are_refused() -> None:
    for edges in ((3, 2, 1, 4), (1, 4, 3, 2)):
        with pytest.raises(OptionError, match="x1 at most x2"):
            Box(*edges)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(OptionError, match="finite"):
            Box(0, 0, 1, bad)
        with pytest.raises(OptionError, match="finite"):
            Point(bad, 0)


@pytest.mark.parametrize(
    ("what", "form", "question"),
    [
        ("red ball", "Find the {}.", "Find the red ball."),
        ("  the Save button ", "Find the {}.", "Find the Save button."),
        ("An apple", "Find the {}.", "Find the apple."),
        ("theatre", "Find the {}.", "Find the theatre."),
        ("the Save button", "Where is {}?", "Where is the Save button?"),
        ("{0.__class__}", "Find the {}.", "Find the {0.__class__}."),
        ("按钮", "找到{}", "找到按钮"),
    ],
)
def test_questions(what: str, form: str, question: str) -> None:
    assert find_question(what, form) == question


@pytest.mark.parametrize(
    ("what", "form"), [("", "Find the {}."), (" \n", "{}"), ("the", "Find the {}."), ("cat", "Find it")]
)
def test_questions_without_a_name(what: str, form: str) -> None:
    with pytest.raises(OptionError, match="allowed: "):
        find_question(what, form)


def test_marks_are_plain_values() -> None:
    """Hashable, comparable, and ready for JSON."""
    assert {FINE, box(1, 2, 3, 4)} == {FINE}
    assert json.loads(json.dumps(FINE.edges)) == [1, 2, 3, 4]
