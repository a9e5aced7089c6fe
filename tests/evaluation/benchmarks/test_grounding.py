"""RefCOCO and ScreenSpot: published layouts, hits by hand, the mean over splits and groups."""

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from anyres.chat import TextPart
from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Graded
from anyres.evaluation.benchmarks.refcoco import PUBLISHED, REFCOCO
from anyres.evaluation.benchmarks.screenspot import SCREENSPOT
from anyres.evaluation.data.samples import read_samples
from anyres.evaluation.sample import Reply, Sample

OFFICIAL = REFCOCO.scorings[0]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    on_its_side = Image.new("RGB", (200, 100))
    exif = Image.Exif()
    exif[0x0112] = 6
    on_its_side.save(tmp_path / "b.jpg", exif=exif)
    return tmp_path


def write(folder: Path, name: str, *rows: dict[str, object]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_the_hub_form(pictures: Path) -> None:
    """One row, several expressions: each is a question; folder and file tell the split."""
    row = {"question_id": "7", "image": str(pictures / "a.png"), "answer": ["red ball", "the ball"]}
    path = write(pictures, "RefCOCOplus/testA-00000-of-00001.jsonl", row | {"bbox": [20, 10, 60, 40]})
    one, two = read_samples(REFCOCO, path).samples
    assert (one.id, two.id, two.question) == ("refcoco+_testA/7/0", "refcoco+_testA/7/1", "the ball")
    assert one.cluster == two.cluster != ""
    assert one.facts == {"width": 200, "height": 100, "box": [20, 10, 80, 50]}
    assert REFCOCO.prompt(two)[0].parts[-1] == TextPart("Find the ball.")
    assert set(PUBLISHED) == {target.split for target in REFCOCO.targets}


@pytest.mark.parametrize(
    ("columns", "split"),
    [
        ({"dataset": "refcoco", "split": "val"}, "refcoco_val"),
        ({"split": "refcocog_test"}, "refcocog_test"),
        ({"dataset": "RefCOCO+", "split": "testB"}, "refcoco+_testB"),
        ({"split": "refcoco_testA"}, "refcoco_testA"),
        ({}, "refcoco"),
    ],
)
def test_splits_by_columns(pictures: Path, columns: dict[str, object], split: str) -> None:
    row = {"image": "a.png", "expression": "it", "bbox_xyxy": [0, 0, 5, 5]} | columns
    (sample,) = read_samples(REFCOCO, write(pictures, "rows.jsonl", row)).samples
    assert sample.categories["split"] == split


def test_other_layouts(pictures: Path) -> None:
    """Qwen-VL's JSONL, and VLMEvalKit's TSV, whose `answer` is the box and whose question may be a prompt already."""
    qwen = {"image": "a.png", "sent": "red ball", "bbox": [20, 10, 80, 50], "width": 400, "height": 200}
    (one,) = read_samples(REFCOCO, write(pictures, "refcoco_testB.jsonl", qwen)).samples
    assert (one.question, one.categories["split"]) == ("red ball", "refcoco_testB")
    assert one.facts == {"width": 400, "height": 200, "box": [20, 10, 80, 50]}
    data = base64.b64encode((pictures / "a.png").read_bytes()).decode()
    head = "index\timage\tquestion\tanswer\tsplit\tbbox_x1\tbbox_y1\tbbox_x2\tbbox_y2\twidth\theight"
    rows = [
        f"{n}\t{data}\t{text}\t[20, 10, 80, 50]\tRefCOCO+_val\t20\t10\t80\t50\t200\t100"
        for n, text in enumerate(("the ball", "Give the bounding box of the ball."))
    ]
    (pictures / "RefCOCO.tsv").write_text("\n".join([head, *rows]) + "\n", "utf-8")
    two, three = read_samples(REFCOCO, pictures / "RefCOCO.tsv").samples
    assert (two.categories["split"], two.facts["box"]) == ("refcoco+_val", [20, 10, 80, 50])
    prompts = [REFCOCO.prompt(sample)[0].parts[-1].text for sample in (two, three)]
    assert prompts == ["Find the ball.", "Give the bounding box of the ball."]


def test_upright_sizes(pictures: Path) -> None:
    row = {"image": "b.jpg", "expression": "it", "bbox": [0, 0, 5, 5]}
    (sample,) = read_samples(REFCOCO, write(pictures, "rows.jsonl", row)).samples
    assert (sample.facts["width"], sample.facts["height"]) == (100, 200)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"bbox": [1, 2, 3]}, "3 numbers"),
        ({"bbox": [1, 2, 0, 4]}, "a box with an area"),
        ({"bbox": ["x", 2, 3, 4]}, "a number"),
        ({"image": "none.png"}, "none.png"),
        ({"image": "https://example.org/a.png"}, "columns width and height"),
        ({"expression": ""}, "an expression"),
    ],
)
def test_broken_rows_are_told_and_the_rest_is_read(pictures: Path, change: dict[str, object], told: str) -> None:
    row = {"image": "a.png", "expression": "it", "bbox": [0, 0, 5, 5]}
    read = read_samples(REFCOCO, write(pictures, "rows.jsonl", row | change, row | {"id": "2"}))
    assert [sample.id for sample in read.samples] == ["refcoco/2"]
    assert told in str(read.broken[0])


def sample(split: str, box: list[float]) -> Sample:
    return Sample(split, "?", categories={"split": split}, facts={"width": 1000, "height": 1000, "box": box})


def graded(one: Sample, text: str) -> Graded:
    extraction = OFFICIAL.extract(Reply(text), one)
    return Graded(one, extraction, OFFICIAL.grade(extraction, one))


def test_hits_and_figures() -> None:
    """Exactly half is a hit; without a pixel added, as VOC does, (0,0),(10,5) is 0.5 and not 66/121."""
    half = graded(sample("refcoco_val", [0, 0, 10, 10]), "(0,0),(10,5)")
    less = graded(sample("refcoco_val", [0, 0, 1000, 1000]), "(0,0),(1000,499)")
    none = graded(sample("refcoco_val", [0, 0, 10, 10]), "I see it.")
    best_is_second = graded(sample("refcocog_val", [0, 0, 10, 10]), "(90,90),(99,99) (0,0),(10,10)")
    assert [one.score for one in (half, less, none, best_is_second)] == [1, 0, 0, 0]
    figures = OFFICIAL.summarise([half, less, none, best_is_second])
    assert figures["overall"] == pytest.approx((100 / 3 + 0) / 2)
    assert figures["refcoco_val"] == pytest.approx(100 / 3)
    assert figures["mean IoU"] == pytest.approx(100 * (0.5 + 0.499) / 4)


def test_screenspot(pictures: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (400, 200)).save(buffer, "PNG")
    rows = [
        {"img_filename": "a.png", "bbox": [20, 10, 60, 40], "instruction": "close", "data_type": "icon"}
        | {"data_source": "ios"},
        {"image": "a.png", "bbox": [0.1, 0.1, 0.4, 0.5], "instruction": "open", "data_type": "text"}
        | {"data_source": "gitlab", "id": "w1"},
    ]
    one, two = read_samples(SCREENSPOT, write(pictures, "rows.jsonl", *rows)).samples
    assert one.facts["box"] == pytest.approx([20, 10, 80, 50])
    assert two.facts["box"] == pytest.approx([20, 10, 80, 50])
    assert (one.categories["category"], two.categories["category"]) == ("mobile icon", "web text")
    scoring = SCREENSPOT.scorings[0]
    told = [scoring.extract(Reply(text), one) for text in ("(250,300)", "(0,0),(500,600)", "(900,900)", "?")]
    assert [scoring.grade(extraction, one) for extraction in told] == [1, 1, 0, 0]
    grades = [Graded(one, told[0], 1.0), Graded(one, told[2], 0.0), Graded(two, told[0], 1.0)]
    figures = scoring.summarise(grades)
    assert figures == {
        "overall": 75,
        "mobile icon": 50,
        "web text": 100,
        "of all samples": pytest.approx(200 / 3),
    }


def test_screenspot_of_the_kit(pictures: Path) -> None:
    data = base64.b64encode((pictures / "a.png").read_bytes()).decode()
    text = f"index\timage\tquestion\tbbox\tdata_type\tcategory\n1\t{data}\tclose\t[20, 10, 60, 40]\ticon\tdesktop\n"
    (pictures / "ScreenSpot_Desktop.tsv").write_text(text, "utf-8")
    (sample,) = read_samples(SCREENSPOT, pictures / "ScreenSpot_Desktop.tsv").samples
    assert (sample.facts["box"], sample.categories["category"]) == ([20, 10, 80, 50], "desktop icon")
    reply = Reply("pyautogui.click(x=0.25, y=0.3)", coordinates="unit")
    assert SCREENSPOT.scorings[0].extract(reply, sample).value == pytest.approx([50, 30])


def test_screenspot_without_a_box(pictures: Path) -> None:
    row = {"image": "a.png", "instruction": "close", "data_type": "icon"}
    with pytest.raises(DatasetError, match="0 numbers"):
        read_samples(SCREENSPOT, write(pictures, "rows.jsonl", row))
