"""Copies of real pictures are found, different ones are not, and blank ones only where they are equal."""

import io
from pathlib import Path

import pytest
from PIL import Image

from anyres.chat import ImagePart
from anyres.evaluation.data.leaks import NEAR, find_leaks, picture_bits
from anyres.evaluation.sample import Sample
from tests.evaluation.shipped import DATA, needs_data

PHOTOS = sorted((DATA / "photos").glob("*.*g")) + sorted((DATA / "mmbench-samples/images").glob("*.jpg"))


def small_jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    small = picture.resize((picture.width * 2 // 3, picture.height * 2 // 3))
    small.save(file, "JPEG", quality=60)
    return file.getvalue()


@needs_data
def test_copies_of_real_pictures_and_no_others(tmp_path: Path) -> None:
    for path in PHOTOS:
        with Image.open(path) as picture:
            (tmp_path / f"{path.stem}.jpg").write_bytes(small_jpeg(picture.convert("RGB")))
    samples = [Sample(path.stem, "?", (ImagePart(path),)) for path in PHOTOS]
    found = find_leaks(samples, tmp_path)
    assert {(leak.sample, leak.file.stem) for leak in found} >= {(path.stem, path.stem) for path in PHOTOS[1:9]}
    assert all(leak.sample == leak.file.stem for leak in found)
    assert len(found) >= len(PHOTOS) - 2, "one or two of hardly any contrast are the same only pixel by pixel"


def test_blank_pictures_are_the_same_only_pixel_by_pixel(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), "white").save(tmp_path / "white.png")
    (tmp_path / "broken.png").write_bytes(b"no")
    (tmp_path / "notes.txt").write_text("x")

    def sample(name: str, size: int, colour: str) -> Sample:
        file = io.BytesIO()
        Image.new("RGB", (size, size), colour).save(file, "PNG")
        return Sample(name, "?", (ImagePart(file.getvalue()),))

    samples = [sample("same", 40, "white"), sample("larger", 41, "white"), sample("grey", 40, "grey")]
    broken = Sample("broken", "?", (ImagePart(b"no"),))
    assert [(leak.sample, leak.bits) for leak in find_leaks([*samples, broken], tmp_path)] == [("same", 0)]
    assert find_leaks(samples, tmp_path / "none") == []


@pytest.mark.parametrize("angle", [90, 180])
def test_a_turned_picture_is_another(angle: int) -> None:
    gradient = Image.linear_gradient("L").rotate(90)
    assert (picture_bits(gradient) != picture_bits(gradient.rotate(angle))).sum() > NEAR
