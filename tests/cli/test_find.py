"""`anyres find`, on a fake model that says boxes, and on a random checkpoint."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageChops

from anyres.chat import Answer, GenerationOptions, ImagePart, Usage
from anyres.model_input import EncodedImage
from anyres.processing.media import open_image
from tests.cli.conftest import Run
from tests.cli.test_bad_input import CLIPS, FILES, refused

CAT = "<|object_ref_start|>cat<|object_ref_end|><|box_start|>(250,500),(500,750)<|box_end|>"


class FakeModel:
    """Opens pictures as they are and answers what it is told to."""

    name = "fake"

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts: list[ImagePart] = []
        self.questions: list[str] = []
        self.options: list[GenerationOptions] = []

    def encode(self, part: ImagePart) -> EncodedImage:
        self.parts.append(part)
        name, picture = open_image(part.image)
        size = (picture.height, picture.width)
        return EncodedImage(name, "image", (1, 2, 2), size, (28, 28), visual_MD=torch.zeros(1, 4))

    def ask(self, picture: EncodedImage, question: str, *, options: GenerationOptions) -> Answer:
        assert picture.visual_MD is not None
        self.questions.append(question)
        self.options.append(options)
        return Answer(self.text, "stop", Usage(20, 1, 0, 9), notes=(f"{picture.name}: shrunk",))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    model = FakeModel(CAT)
    monkeypatch.setattr("anyres.engine.load.load", lambda name, **knobs: model)
    return model


def found(run: Run, *arguments: str | Path, stdin: bytes | None = None) -> dict[str, Any]:
    result = run("find", *arguments, "--json", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    return dict(json.loads(result.stdout))


def test_json(run: Run, fake: FakeModel, photo: Path) -> None:
    seen = found(run, photo, "the cat")
    assert seen["boxes"] == [{"label": "cat", "x1": 22.5, "y1": 30.0, "x2": 45.0, "y2": 45.0}]
    assert (seen["points"], seen["problems"], seen["drawn"]) == ([], [], None)
    assert (seen["image"], seen["width"], seen["height"], seen["model"]) == ("photo.png", 90, 60, "fake")
    assert (seen["question"], seen["text"], seen["finish_reason"]) == ("Find the cat.", CAT, "stop")
    assert (seen["usage"]["prompt_tokens"], seen["notes"]) == (21, ["photo.png: shrunk"])
    assert fake.questions == ["Find the cat."]


def test_table_for_people(run: Run, fake: FakeModel, photo: Path) -> None:
    fake.text = CAT + "<|object_ref_start|>an ear<|object_ref_end|><|box_start|>(100,200)<|box_end|>"
    result = run("find", photo, "cat")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines == [
        ["name", "x1", "y1", "x2", "y2"],
        ["cat", "22", "30", "45", "45"],
        ["an", "ear", "9", "12", "-", "-"],
    ]
    assert result.stderr == "note: photo.png: shrunk\n"
    assert run("find", photo, "cat", "--quiet").stderr == ""


def test_nothing_found_is_no_error(run: Run, fake: FakeModel, photo: Path) -> None:
    fake.text = "There is no cat."
    result = run("find", photo, "cat")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing found; the answer is: There is no cat.\n" in result.stderr
    assert found(run, photo, "cat")["boxes"] == []


def test_what_cannot_be_read_is_told(run: Run, fake: FakeModel, photo: Path) -> None:
    fake.text = f"{CAT}<|box_start|>(1,2"
    result = run("find", photo, "cat")
    assert result.exit_code == 0
    assert (
        f"note: no <|box_end|>; 0 places in '<|box_start|>(1,2', at character {len(CAT)} of the answer" in result.stderr
    )
    (problem,) = found(run, photo, "cat")["problems"]
    assert problem == {"position": len(CAT), "seen": "<|box_start|>(1,2", "reason": "no <|box_end|>; 0 places"}


def test_answers_are_not_obeyed(run: Run, fake: FakeModel, photo: Path) -> None:
    for text in ("\x1b[2J", "<|box_start|>\x1b[2J", CAT.replace("cat", "[red]\x1b[2J\n")):
        fake.text = text
        result = run("find", photo, "cat")
        assert result.exit_code == 0
        assert "\x1b" not in result.stdout + result.stderr
    assert "[red]\\x1b[2J  22" in result.stdout  # neither markup nor a command


def test_knobs_and_words_reach_the_model(run: Run, fake: FakeModel, photo: Path) -> None:
    run(
        "find",
        photo,
        "cat",
        "--question",
        "Where is {}?",
        "--max-tokens",
        "9",
        "--max-pixels",
        "4000",
        "--min-pixels",
        "9",
    )
    assert fake.questions == ["Where is cat?"]
    assert fake.options == [GenerationOptions(max_tokens=9)]
    assert fake.parts == [ImagePart(photo, 9, 4000)]


def test_drawing(run: Run, fake: FakeModel, photo: Path, tmp_path: Path) -> None:
    target = tmp_path / "found.png"
    result = run("find", photo, "cat", "--draw", target)
    assert result.stderr.endswith(f"drawn: {target}\n")
    with Image.open(photo) as before, Image.open(target) as after:
        changed = ImageChops.difference(before.convert("RGB"), after).getbbox()
        assert after.size == before.size
    assert changed is not None
    left, _, right, lower = changed
    assert (abs(left - 22) <= 2, abs(right - 46) <= 3, abs(lower - 46) <= 2) == (True, True, True)
    assert found(run, photo, "cat", "--draw", target)["drawn"] == str(target)


def test_a_turned_photo_is_drawn_upright_once(run: Run, fake: FakeModel, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path, target = tmp_path / "turned.jpg", tmp_path / "found.png"
    Image.new("RGB", (90, 60)).save(path, exif=exif)
    seen = found(run, path, "cat", "--draw", target)
    assert (seen["width"], seen["height"]) == (60, 90)
    with Image.open(target) as drawn:
        assert drawn.size == (60, 90)
        assert drawn.crop((0, 70, 60, 90)).getbbox() is None
        assert drawn.crop((13, 43, 32, 70)).getbbox() is not None


def test_stdin_is_read_once(run: Run, fake: FakeModel, photo: Path, tmp_path: Path) -> None:
    target = tmp_path / "found.png"
    by_stdin = found(run, "-", "cat", "--draw", target, stdin=photo.read_bytes())
    from_stdin = target.read_bytes()
    by_path = found(run, photo, "cat", "--draw", target)
    assert target.read_bytes() == from_stdin
    assert by_stdin["boxes"] == by_path["boxes"]
    assert by_stdin["image"] == "stdin"
    assert found(run, photo.as_uri(), "cat")["image"] == "photo.png"


@pytest.mark.parametrize(
    ("name", "words"),
    [("no/such/found.png", "cannot be written"), ("found.nonsense", "names no format"), ("found", "names no format")],
)
def test_drawings_that_cannot_be_written(
    name: str, words: str, run: Run, fake: FakeModel, photo: Path, tmp_path: Path
) -> None:
    refused(run, "find", photo, "cat", "--draw", tmp_path / name, words=words)


BAD = {name: content for name, content in {**FILES, **CLIPS}.items() if name not in ("still.png", "one.gif")}


@pytest.mark.parametrize("name", BAD, ids=ascii)
def test_bad_picture(name: str, run: Run, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(BAD[name])
    refused(run, "find", path, "cat", "-m", checkpoint, words="evil" if "evil" in name else name)


def test_bad_words(run: Run, checkpoint: Path, photo: Path) -> None:
    refused(run, "find", photo, "", "-m", checkpoint, words="what: ''")
    refused(run, "find", photo, "cat", "--question", "Where?", "-m", checkpoint, words="question: 'Where?'")
    refused(run, "find", photo, "cat", "-m", "org/none", words="anyres pull org/none")
    refused(run, "find", "none.png", "cat", "-m", checkpoint, words="none.png: no such file")
    refused(run, "find", "-", "cat", "-m", checkpoint, words="0 bytes")
    refused(run, "find", photo, "cat", "--max-tokens", "0", "-m", checkpoint, words="max_tokens: 0")
    refused(
        run, "find", photo, "cat", "--min-pixels", "900", "--max-pixels", "800", "-m", checkpoint, words="min_pixels"
    )
    assert run("find", photo).exit_code == 2
    assert run("find", photo, "cat", "dog").exit_code == 2


def test_a_random_checkpoint(run: Run, checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    """Its words mean nothing, but all of the way is gone."""
    target = tmp_path / "found.png"
    seen = found(run, photo, "cat", "-m", checkpoint, "--max-tokens", "12", "--dtype", "float32", "--draw", target)
    assert (seen["width"], seen["height"]) == (90, 60)
    assert seen["usage"]["image_tokens"] > 0
    assert seen["usage"]["completion_tokens"] <= 12
    with Image.open(io.BytesIO(target.read_bytes())) as drawn:
        assert drawn.size == (90, 60)


def test_help(run: Run) -> None:
    result = run("find", "--help")
    assert result.exit_code == 0
    assert "    anyres find screenshot.png" in result.stdout
    assert "find" in run("--help").stdout
