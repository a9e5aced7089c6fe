"""Files that are dropped on a terminal arrive as text, in as many forms as there are terminals."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anyres.cli.dragging import as_path, dropped_files, media_kind

NAMES = ("a.png", "my picture.png", "it's.png", "größe 字.png", "a(1)&b.png", 'say "a".png')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dropped")
    for name in NAMES:
        Image.new("L", (8, 8)).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    (folder / "fake.png").write_text("no picture")
    (folder / "clip.avi").write_bytes(b"RIFF\0\0\0\0AVI LIST")
    return folder


def backslashed(path: Path) -> str:
    return "".join(f"\\{char}" if char in " '\"()&" else char for char in str(path))


@pytest.mark.parametrize("name", NAMES)
def test_every_form_of_a_dropped_file(name: str, folder: Path) -> None:
    path = folder / name
    forms = [shlex.quote(str(path)), backslashed(path), path.as_uri()]
    forms += [f"'{path}'"] * ("'" not in name) + [f'"{path}"'] * ('"' not in name)
    for form in forms:
        for line in (form, f"{form} What is this?", f"What is {form} about?", f"  {form}  "):
            text, files = dropped_files(line)
            assert [one.path for one in files] == [path], line
            assert [one.kind for one in files] == ["image"]
            assert text == line.replace(form, "").replace("  ", " ").strip()


def test_several_and_a_clip(folder: Path) -> None:
    text, files = dropped_files(f"'{folder / 'a.png'}' {folder / 'clip.avi'} compare")
    assert [one.kind for one in files] == ["image", "video"]
    assert text == "compare"


@pytest.mark.parametrize(
    "line",
    [
        "What is in a.png?",
        "either/or",
        "/nowhere/a.png",
        "'quoted words'",
        "a.png",
        "file:///etc/passwd",
        "file://server/share/a.png",
        "/etc/passwd",
        "~nobody-of-this-name/a.png",
        "/" + "x" * 5000,
        "/\x00",
        "it's /",
        "/dev/zero",
        "",
    ],
)
def test_all_other_text_stays_as_it_is(line: str) -> None:
    assert dropped_files(line) == (line, [])


def test_files_that_are_no_pictures_stay_text(folder: Path) -> None:
    for name in ("notes.txt", "fake.png"):
        assert dropped_files(f"{folder / name} what?") == (f"{folder / name} what?", [])


def test_a_path_inside_a_word_is_no_drop(folder: Path) -> None:
    line = f"x{folder / 'a.png'} and {folder / 'a.png'}x"
    assert dropped_files(line) == (line, [])


def test_home_and_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    assert dropped_files("~/a.png")[1][0].path == folder / "a.png"
    assert dropped_files("./a.png what?") == ("what?", [(Path("a.png"), "image")])


@given(st.text(max_size=60))
def test_anything_typed_is_taken(line: str) -> None:
    text, files = dropped_files(line)
    assert files or text == line


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (r"C:\Users\me\a.png", r"C:\Users\me\a.png"),
        ('"C:\\my pictures\\a.png"', r"C:\my pictures\a.png"),
        ("file://localhost/a%20b.png", "/a b.png"),
        ("  /a.png ", "/a.png"),
    ],
)
def test_paths_of_commands(text: str, path: str) -> None:
    assert as_path(text) == Path(path)


def test_kinds_by_bytes(folder: Path) -> None:
    assert media_kind(folder) is None
    assert media_kind(folder / "a.png") == "image"
    assert media_kind(folder / "clip.avi") == "video"
