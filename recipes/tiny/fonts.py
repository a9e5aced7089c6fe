"""The faces that print is set in: font files, and Pillow's own face."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

__all__ = ["Face", "FontSet", "builtin_fonts", "coverage", "loaded"]


@dataclass(frozen=True)
class Face:
    """One font file; `path` None is the face built into Pillow."""

    name: str
    family: str
    path: Path | None
    plain: bool

    def at(self, size: int) -> ImageFont.FreeTypeFont:
        """The face with an em of `size` pixels."""
        return loaded(self.path, size)

    def covers(self, text: str) -> bool:
        """Whether the face draws every character of `text`."""
        return set(text) <= coverage(self.path)


@dataclass(frozen=True)
class FontSet:
    """The faces of each split; families never appear on both sides."""

    train: tuple[tuple[Face, ...], ...]
    held_out: tuple[tuple[Face, ...], ...]

    def families(self, split: str) -> tuple[tuple[Face, ...], ...]:
        """The faces of `split` ("train" or "held_out"), grouped by family."""
        return self.held_out if split == "held_out" else self.train


@lru_cache(maxsize=512)
def loaded(path: Path | None, size: int) -> ImageFont.FreeTypeFont:
    """An opened font, kept because opening costs as much as drawing a word."""
    if path is None:
        font = ImageFont.load_default(size)
        assert isinstance(font, ImageFont.FreeTypeFont)
        return font
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=1024)
def coverage(path: Path | None) -> frozenset[str]:
    """The characters up to U+20FF that the face draws, and not as its "missing" box; the blank always counts."""
    font = loaded(path, 24)
    missing = bytes(font.getmask(chr(0xE1234)))
    codes = (*range(0x21, 0x7F), *range(0xA1, 0x180), *range(0x2010, 0x2040), 0x20AC)
    shapes = ((chr(code), bytes(font.getmask(chr(code)))) for code in codes)
    return frozenset(" ") | {char for char, shape in shapes if any(shape) and shape != missing}


def builtin_fonts() -> FontSet:
    """Pillow's own face on both sides: for tests on machines without the packages."""
    face = Face("Aileron", "builtin", None, plain=True)
    return FontSet(train=((face,),), held_out=((face,),))
