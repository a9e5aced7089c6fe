"""Other programs that read print, to stand beside the checkpoint: tesseract and rapidocr, where they are installed."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anyres.errors import MissingDependencyError

__all__ = ["Page", "Reader", "installed_readers", "rapidocr_reader", "tesseract_reader"]

SCRIPT = Path(__file__).with_name("rapidocr_folder.py")
LINE_ROWS = 3
"""Rows of 28 pixels up to which a picture is one line."""
LANGUAGES = {"en": "eng", "de": "deu", "fr": "fra", "es": "spa", "it": "ita", "pt": "por", "vi": "vie", "ru": "rus",
             "el": "ell", "zh": "chi_sim", "ja": "jpn", "ko": "kor", "ar": "ara"}  # fmt: skip
"""ISO 639-1 -> tesseract's name."""
LATIN = "+".join(LANGUAGES[one] for one in ("en", "de", "fr", "es", "it", "pt"))
"""For lines in any of these, which tesseract reads with all their models at once; the language is called "latin"."""


class Page(NamedTuple):
    """A picture uint8 [H, W, 3] of print in a language."""

    picture: NDArray[np.uint8]
    language: str


Reader = Callable[[Sequence[Page]], list[str | None]]
"""What each page says; None where the program does not know the language."""


def installed_readers(rapidocr_python: str | None = None) -> tuple[dict[str, Reader], dict[str, str]]:
    """(readers by name, why others are absent). `rapidocr_python` is an interpreter that has rapidocr."""
    readers: dict[str, Reader] = {}
    absent: dict[str, str] = {}
    if shutil.which("tesseract"):
        readers["tesseract"] = tesseract_reader()
    else:
        absent["tesseract"] = "apt-get install tesseract-ocr tesseract-ocr-all"
    if rapidocr_python or find_spec("rapidocr"):
        readers["rapidocr"] = rapidocr_reader(rapidocr_python or sys.executable)
    else:
        absent["rapidocr"] = "pip install rapidocr onnxruntime in a virtual environment, --rapidocr its python"
    return readers, absent


def tesseract_reader() -> Reader:
    """One block of text a page, or one line where it is no higher; with the installed languages."""
    listed = output(["tesseract", "--list-langs"])
    known = frozenset(listed.split())

    def read(pages: Sequence[Page]) -> list[str | None]:
        return [tesseract(page, known) for page in pages]

    return read


def tesseract(page: Page, known: frozenset[str]) -> str | None:
    """What tesseract reads; texts without a language are read as English ones."""
    name = LATIN if page.language == "latin" else LANGUAGES.get(page.language or "en", "")
    if not set(name.split("+")) <= known:
        return None
    mode = "7" if page.picture.shape[0] <= LINE_ROWS * 28 else "6"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.png"
        Image.fromarray(page.picture).save(path)
        return output(["tesseract", str(path), "-", "--psm", mode, "-l", name]).strip()


def rapidocr_reader(python: str) -> Reader:
    """rapidocr with the models of its package (Chinese, Japanese, Latin script), one process for all pages."""

    def read(pages: Sequence[Page]) -> list[str | None]:
        with tempfile.TemporaryDirectory() as folder:
            for number, page in enumerate(pages):
                Image.fromarray(page.picture).save(Path(folder) / f"{number:06}.png")
            told: Mapping[str, str] = json.loads(output([python, str(SCRIPT), folder]).splitlines()[-1])
        return [told[f"{number:06}.png"] for number in range(len(pages))]

    return read


def output(command: list[str]) -> str:
    """What a program prints; MissingDependencyError with its last words where it fails."""
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603, programs of the caller
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise MissingDependencyError(
            command[0], words[-1] if words else f"exit code {done.returncode}", "a working one"
        )
    return done.stdout.decode(errors="replace")
