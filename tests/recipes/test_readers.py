"""Other readers: found or said to be absent; called as programs of their own."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from anyres.errors import MissingDependencyError
from recipes.tiny import readers
from recipes.tiny.rapidocr_folder import in_rows
from recipes.tiny.readers import Page, installed_readers, rapidocr_reader, tesseract_reader

FAKE = """
import types, sys, numpy as np
module = types.ModuleType("rapidocr")
class RapidOCR:
    def __call__(self, path):
        boxes = np.array([[[0, 0], [9, 0], [9, 9], [0, 9]]], float)
        return types.SimpleNamespace(txts=(path[-10:],), boxes=boxes)
module.RapidOCR = RapidOCR
sys.modules["rapidocr"] = module
"""


def page(text: str = "Hello world", language: str = "en") -> Page:
    picture = Image.new("RGB", (336, 56), "white")
    ImageDraw.Draw(picture).text((10, 8), text, fill="black", font=ImageFont.load_default(32))
    return Page(np.asarray(picture), language)


def box(x: float, y: float, size: float = 10) -> np.ndarray:
    return np.array([(x, y), (x + size, y), (x + size, y + size), (x, y + size)])


def test_what_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers.shutil, "which", lambda name: None)
    monkeypatch.setattr(readers, "find_spec", lambda name: None)
    found, absent = installed_readers()
    assert found == {}
    assert absent.keys() == {"tesseract", "rapidocr"}
    assert "tesseract-ocr" in absent["tesseract"]


def test_an_interpreter_that_has_rapidocr_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers.shutil, "which", lambda name: None)
    found, absent = installed_readers(sys.executable)
    assert found.keys() == {"rapidocr"}
    assert absent.keys() == {"tesseract"}


def test_all_pages_go_through_one_process(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAKE)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert rapidocr_reader(str(python))([page(), page("b")]) == ["000000.png", "000001.png"]


def test_texts_are_put_in_rows() -> None:
    found = SimpleNamespace(txts=("c", "b", "a"), boxes=np.array([box(0, 40), box(60, 3), box(0, 0)]))
    assert in_rows(found) == "a b\nc"
    assert in_rows(SimpleNamespace(txts=None, boxes=None)) == ""


def test_a_program_that_fails_is_named() -> None:
    with pytest.raises(MissingDependencyError, match=r"no such thing"):
        readers.output([sys.executable, "-c", "import sys; sys.exit('no such thing')"])


def test_a_language_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        calls.append(command)
        listed = b"List of available languages (2):\neng\nosd\n"
        return subprocess.CompletedProcess(command, 0, listed if "--list-langs" in command else b"hello\n\x0c", b"")

    monkeypatch.setattr(readers.subprocess, "run", run)
    assert tesseract_reader()([page(), page(language="zh"), page(language="")]) == ["hello", None, "hello"]
    assert [command[-1] for command in calls[1:]] == ["eng", "eng"]
    assert all("7" in command for command in calls[1:]), "one line"


@pytest.mark.skipif(not readers.shutil.which("tesseract"), reason="tesseract is not installed")
def test_tesseract_reads() -> None:
    assert tesseract_reader()([page()]) == ["Hello world"]
