"""`anyres inspect`: its numbers are the processor's."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anyres.chat import ImagePart, Message, VideoPart
from anyres.cli.inspect import inspect
from anyres.processing.processor import Processor
from tests.cli.conftest import Run, encoded
from tests.cli.test_ask import Screen


def inspected(run: Run, *arguments: str | Path, stdin: bytes | None = None) -> dict[str, Any]:
    result = run("inspect", *arguments, "--json", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_numbers_are_those_of_the_processor(run: Run, checkpoint: Path, photo: Path, clip: Path) -> None:
    parts = (ImagePart(photo, max_pixels=4000), VideoPart(clip, nframes=4, max_pixels=4000))
    prompt = Processor.from_folder(checkpoint).prepare([Message("user", parts)])
    knobs = ("--nframes", "4", "--max-pixels", "4000")
    found = inspected(run, photo, "--video", clip, *knobs, "-m", checkpoint)
    assert found["prompt_tokens"] == len(prompt.token_ids_T)
    for item, visual in zip(found["items"], prompt.visuals, strict=True):
        assert item["kind"] == visual.kind
        assert tuple(item["grid_thw"]) == visual.grid_thw
        assert item["tokens"] == visual.grid_thw[0] * visual.grid_thw[1] * visual.grid_thw[2] // 4
        assert item["upright"] == f"{visual.original_size[1]}x{visual.original_size[0]}"
        assert item["resized"] == f"{visual.resized_size[1]}x{visual.resized_size[0]}"
        assert tuple(item["frame_times_s"]) == visual.frame_times_s
        assert item["note"] == visual.note


def test_size_in_the_file_and_upright(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (90, 60)).save(path, exif=exif)
    (item,) = inspected(run, path, "-m", checkpoint)["items"]
    assert (item["encoded"], item["upright"]) == ("JPEG 90x60", "60x90")


def test_cost_is_told(run: Run, checkpoint: Path, photo: Path) -> None:
    about = inspected(run, photo, "-m", checkpoint)["about"]
    assert about["memory_bytes"] > (checkpoint / "model.safetensors").stat().st_size / 2
    assert all(about[name] > 0 for name in ("encode_s", "prefill_s", "token_s"))


def test_a_file_is_judged_by_its_bytes(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "really_a_clip.jpg"
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(6):
            output.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        output.mux(stream.encode())
    found = inspected(run, path, "-m", checkpoint, "--nframes", "4")
    assert found["items"][0]["kind"] == "video"
    assert found["items"][0]["encoded"] == "6 frames, 10 fps, 0.6 s"
    by_stdin = inspected(run, "-", "-m", checkpoint, "--nframes", "4", stdin=path.read_bytes())
    assert by_stdin["items"][0]["grid_thw"] == found["items"][0]["grid_thw"]


def test_stdin_and_addresses(run: Run, checkpoint: Path, photo: Path) -> None:
    (by_path,) = inspected(run, photo, "-m", checkpoint)["items"]
    (by_stdin,) = inspected(run, "-", "-m", checkpoint, stdin=photo.read_bytes())["items"]
    (by_uri,) = inspected(run, photo.as_uri(), "-m", checkpoint)["items"]
    assert by_uri == by_path
    assert by_stdin["name"] == "stdin"
    assert by_stdin | {"name": by_path["name"], "note": by_path["note"]} == by_path


def test_table_for_people(run: Run, checkpoint: Path, photo: Path, clip: Path) -> None:
    result = run("inspect", photo, "--video", clip, "-m", checkpoint)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["item", "in", "the", "file", "upright", "resized", "grid", "tokens"]
    assert lines[1].startswith("photo.png  PNG 90x60")
    assert "8 frames, 10 fps, 0.8 s" in lines[2]
    assert "clip.gif: 4 frames, at 0.00 0.20 0.50 0.70 s" in lines
    assert "with the chat template, without a question" in result.stdout
    assert "about " in lines[-1]
    assert "\x1b" not in result.stdout


def test_names_are_not_obeyed(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "a[red]b\x1b[2J.png"
    path.write_bytes(encoded(Image.new("L", (60, 60))))
    result = run("inspect", path, "-m", checkpoint)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "a[red]b" in result.stdout


def test_drawing(run: Run, checkpoint: Path, photo: Path, clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "grid.png"
    result = run("inspect", photo, "--draw", target, "-m", checkpoint)
    assert result.stderr == f"drawn: {target}\n"
    (item,) = inspected(run, photo, "-m", checkpoint)["items"]
    with Image.open(target) as drawn:
        assert f"{drawn.width}x{drawn.height}" == item["resized"]
    assert inspected(run, photo, "--draw", target, "-m", checkpoint)["drawn"] == str(target)


@pytest.mark.parametrize(
    ("name", "words"),
    [("no/such/grid.png", "cannot be written"), ("grid.nonsense", "names no format"), ("grid", "names no format")],
)
def test_drawings_that_cannot_be_written(
    name: str, words: str, run: Run, checkpoint: Path, photo: Path, tmp_path: Path
) -> None:
    result = run("inspect", photo, "--draw", tmp_path / name, "-m", checkpoint)
    assert result.exit_code == 2
    assert words in result.stderr


def test_one_drawing_needs_one_item(run: Run, checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    result = run("inspect", photo, photo, "--draw", tmp_path / "grid.png", "-m", checkpoint)
    assert result.exit_code == 2
    assert "--draw: 2 items; allowed: one item at a time" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "nothing to inspect"), (("-", "-"), "given more than once"), (("a.png", "--fps", "2"), "no clip is given")],
)
def test_bad_arguments(arguments: tuple[str, ...], words: str, run: Run, checkpoint: Path) -> None:
    result = run("inspect", *arguments, "-m", checkpoint)
    assert result.exit_code == 2
    assert words in result.stderr


def test_stdin_must_be_piped(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from anyres.errors import OptionError

    monkeypatch.setattr(sys, "stdin", Screen())
    with pytest.raises(OptionError, match="stdin is a terminal"):
        inspect(["-"], model=str(checkpoint))


def test_memory_tells_what_would_be_chosen(run: Run, checkpoint: Path, photo: Path) -> None:
    wide, tight = (inspected(run, photo, "-m", checkpoint, "--memory", size) for size in ("8GB", "0.51GB"))
    assert wide["memory_plan"]["format"] == "float32"
    assert wide["memory_plan"]["max_pixels"] == 1280 * 784
    assert (tight["memory_plan"]["format"], tight["dtype"]) == ("int4", "float32")
    assert tight["memory_plan"]["max_pixels"] < 1280 * 784
    assert tight["about"]["memory_bytes"] < wide["about"]["memory_bytes"]
    assert inspected(run, photo, "-m", checkpoint)["memory_plan"] is None
    lines = run("inspect", photo, "-m", checkpoint, "--memory", "8GB").stdout
    assert "within 8.0 GB: weights in float32, pictures up to 1280 visual tokens: about 0.5 GB in all" in lines


@pytest.mark.parametrize("size", ["lots", "1MB"])
def test_memory_that_cannot_be_is_one_line(size: str, run: Run, checkpoint: Path, photo: Path) -> None:
    result = run("inspect", photo, "-m", checkpoint, "--memory", size)
    assert result.exit_code == 2
    assert "memory: " in result.stderr
    assert result.stderr.count("\n") == 1
