"""Every kind of bad input through the command line: exit code 2, one line, no traceback, nothing on stdout."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Run, encoded, png_header

GREY = Image.new("L", (90, 60), 128)
PNG = encoded(GREY)
ESCAPES = "evil\x1b[2J\r\n.png"

FILES: dict[str, bytes] = {
    "empty.png": b"",
    "unreadable.jpg": bytes(range(128, 256)) * 9,
    "cut.png": PNG[: len(PNG) // 2],
    "strip.png": encoded(Image.new("L", (1200, 3))),
    "long.png": encoded(Image.new("1", (100_000, 1))),
    "bomb.png": png_header(20_000, 20_000),
    "logo.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "logo.svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "layers.psd": b"8BPS\0\1" + bytes(50),
    "text.png": b"hello, this is text\n",
    "playlist.png": b"ffconcat version 1.0\nfile secret.png\n",
    "page.pdf": b"%PDF-1.7\n",
    ESCAPES: b"",
}
CLIPS: dict[str, bytes] = {
    "empty.mp4": b"",
    "one.gif": encoded(GREY, "GIF"),
    "still.png": PNG,
    "playlist.mp4": b"ffconcat version 1.0\nfile secret.ts\n",
    "stream.m3u8": b"#EXTM3U\n/etc/hostname\n",
    "text.mp4": b"hello, this is text\n",
    "cut.mp4": b"\0\0\0\x18ftypmp42" + bytes(40),
}
SMALL: dict[str, tuple[int, int]] = {"1x1": (1, 1), "1x28": (28, 1), "27x27": (27, 27), "3x3": (3, 3)}


def refused(run: Run, *arguments: str | Path, words: str = "") -> str:
    result = run(*arguments)
    assert result.exit_code == 2, (result.stdout, result.stderr)
    assert result.stdout == ""
    assert result.stderr.startswith("anyres: ")
    assert result.stderr.count("\n") == 1
    assert "; allowed: " in result.stderr
    assert "Traceback" not in result.stderr
    assert "\x1b" not in result.stderr
    assert "0x7" not in result.stderr  # no memory addresses
    assert words in result.stderr
    return result.stderr


@pytest.mark.parametrize("name", FILES, ids=[ascii(name) for name in FILES])
def test_bad_picture(name: str, run: Run, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    shown = "evil" if name == ESCAPES else name
    refused(run, "ask", path, "What?", "-m", checkpoint, words=shown)
    refused(run, "inspect", path, "-m", checkpoint, words=shown)


@pytest.mark.parametrize("name", CLIPS)
def test_bad_clip(name: str, run: Run, checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("av")
    path = tmp_path / name
    path.write_bytes(CLIPS[name])
    refused(run, "ask", "What?", "--video", path, "-m", checkpoint, words=name)
    refused(run, "inspect", "--video", path, "-m", checkpoint, words=name)


@pytest.mark.parametrize("size", SMALL.values(), ids=SMALL)
def test_small_pictures_are_enlarged_not_refused(
    size: tuple[int, int], run: Run, checkpoint: Path, tmp_path: Path
) -> None:
    path = tmp_path / "small.png"
    Image.new("RGB", size).save(path)
    result = run("ask", path, "What?", "-m", checkpoint, "--max-tokens", "1", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["usage"]["image_tokens"] >= 4


def test_not_there_and_not_a_file(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    for command, *words in (("ask", "What?"), ("inspect",)):
        refused(run, command, tmp_path / "none.png", *words, "-m", checkpoint, words="none.png: no such file")
        refused(run, command, tmp_path, *words, "-m", checkpoint, words="a folder")
        refused(run, command, "x" * 5000, *words, "-m", checkpoint, words="no such file")
        refused(run, command, "http://127.0.0.1:9/a.png", *words, "-m", checkpoint, words="a.png")
        refused(run, command, "gopher://example.org/a.png", *words, "-m", checkpoint, words="gopher")
        refused(run, command, "data:image/png;base64,!!", *words, "-m", checkpoint, words="not valid base64")


def test_empty_stdin(run: Run, checkpoint: Path) -> None:
    refused(run, "ask", "-", "What?", "-m", checkpoint, words="0 bytes")


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        (("--fps", "0"), "fps: 0.0"),
        (("--fps", "nan"), "fps: nan"),
        (("--fps", "-1"), "fps: -1.0"),
        (("--fps", "2", "--nframes", "4"), "fps, nframes: both set"),
        (("--nframes", "1"), "nframes: 1"),
        (("--nframes", "400"), "nframes: 400 frames of a clip that has 8"),
        (("--start", "5"), "start, end"),
        (("--start", "0.5", "--end", "0.2"), "start, end"),
        (("--total-pixels", "0"), "total_pixels: 0"),
        (("--min-pixels", "900", "--max-pixels", "800"), "min_pixels: 900"),
        (("--resized-height", "56"), "only one of them"),
    ],
)
def test_bad_knobs(knobs: tuple[str, ...], words: str, run: Run, checkpoint: Path, clip: Path) -> None:
    refused(run, "ask", "What?", "--video", clip, *knobs, "-m", checkpoint, words=words)
    refused(run, "inspect", "--video", clip, *knobs, "-m", checkpoint, words=words)


def test_prompt_longer_than_the_context(run: Run, checkpoint: Path) -> None:
    refused(run, "ask", "word " * 3000, "-m", checkpoint, words="at most 1024 positions")


def broken(checkpoint: Path, folder: Path, name: str, content: bytes | None) -> Path:
    """A copy of the checkpoint in which one file is other or gone."""
    copy = folder / "broken"
    shutil.copytree(checkpoint, copy)
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(content)
    return copy


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", None),
        ("model.safetensors", b""),
        ("model.safetensors", b"\xff" * 64),
        ("config.json", None),
        ("config.json", b"{"),
        ("config.json", b"[]"),
        ("config.json", b'{"model_type": "llama"}'),
        ("config.json", b'{"hidden_size": 65, "num_attention_heads": 4}'),
        ("tokenizer.json", b"{}"),
        ("preprocessor_config.json", b"nonsense"),
    ],
)
def test_damaged_checkpoint(name: str, content: bytes | None, run: Run, checkpoint: Path, tmp_path: Path) -> None:
    copy = broken(checkpoint, tmp_path, name, content)
    refused(run, "ask", "Hello", "-m", copy)
    refused(run, "verify", copy)


def test_cut_weights(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    whole = (checkpoint / "model.safetensors").read_bytes()
    copy = broken(checkpoint, tmp_path, "model.safetensors", whole[: len(whole) // 2])
    refused(run, "ask", "Hello", "-m", copy, words="model.safetensors")


def test_unknown_models(run: Run, photo: Path) -> None:
    for name, words in (("org/none", "anyres pull org/none"), ("none", "no such folder"), ("\x1b[2J", "\\x1b[2J")):
        refused(run, "ask", "Hello", "-m", name, words=words)
        refused(run, "inspect", photo, "-m", name, words=words)
        refused(run, "verify", name, words=words)


@pytest.mark.parametrize("command", [("ask", "What?"), ("chat",), ("serve",)])
def test_a_draft_that_is_not_there(command: tuple[str, ...], run: Run, checkpoint: Path, tmp_path: Path) -> None:
    """Said before anything is opened or served."""
    refused(run, *command, "-m", checkpoint, "--draft", tmp_path / "none", words="none")
