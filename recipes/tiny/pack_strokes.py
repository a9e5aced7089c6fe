"""Packs how common Chinese characters are written, stroke by stroke, into `strokes.txt.xz`; needs npm.

A line is `split<TAB>character<TAB>strokes`, strokes by `;`, points by blanks as `x,y` in 0..255 from the upper left
corner, in the order in which they are written. Characters are those of the text pack's words, the commonest first.
"""

import json
import lzma
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from recipes.tiny.assets import Assets
from recipes.tiny.pack_texts import is_held_out
from recipes.tiny.packages import Package, opened
from recipes.tiny.strokes import ASSET

__all__ = ["build", "stroke_text"]

HANZI = Package("npm", "hanzi-writer-data", "2.0.1", "72baf3d82b114e60d6e40ea05f24d2262a05cd39d544e2f322ba2fceb7beff15")
CHARACTERS, MOST_STROKES = 1200, 15
SQUARE, TOP = 1024, 900
"""Of the source: its side, and the height that its coordinates call 0, counted from the top."""


def build(out: Path) -> None:
    """Writes `out`/strokes.txt.xz; DownloadError where the package is not the pinned one."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = opened([HANZI], Path(scratch)) / HANZI.name / "package"
        lines = list(packed(common_characters(Assets.open(out)), folder))
    (out / ASSET).write_bytes(lzma.compress("\n".join(lines).encode(), preset=9 | lzma.PRESET_EXTREME))


def common_characters(assets: Assets) -> Iterator[str]:
    """The characters of Chinese sentences, the commonest first."""
    counts = Counter(char for text in assets.sentences("zh", "train") for char in text if "一" <= char <= "鿿")
    yield from sorted(counts, key=lambda char: (-counts[char], char))


def packed(characters: Iterator[str], folder: Path) -> Iterator[str]:
    """The lines of the first CHARACTERS characters that the source knows and that have few strokes."""
    left = CHARACTERS
    for char in characters:
        path = folder / f"{char}.json"
        medians = json.loads(path.read_text(encoding="utf-8"))["medians"] if path.is_file() else []
        if left and 0 < len(medians) <= MOST_STROKES:
            left -= 1
            yield "\t".join(("held_out" if is_held_out(char) else "train", char, stroke_text(medians)))


def stroke_text(medians: Sequence[Sequence[Sequence[float]]]) -> str:
    """
    >>> stroke_text([[[0, 900], [1024, -124]], [[512, 388], [516, 900]]])
    '0,0 255,255;128,128 128,0'
    """
    return ";".join(" ".join(f"{place(x)},{place(TOP - y)}" for x, y in points) for points in medians)


def place(value: float) -> int:
    """A coordinate of the source in 0..255."""
    return min(255, max(0, round(value * 255 / SQUARE)))
