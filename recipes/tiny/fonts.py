"""The faces that lines are printed in: a pinned list of families from Debian packages.

A family of the list is one design: metric twins and clones (Arimo, Nimbus Sans, TeX Gyre Heros ...) share an entry, so
a held-out family has no twin among the trained ones.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from PIL import ImageFont

from anyres.errors import MissingDependencyError

FONT_ROOTS = (Path("/usr/share/fonts"), Path("/usr/share/texmf/fonts/opentype/public"))


class Family(NamedTuple):
    """One design: the file name stems (before the first `-`) that belong to it, and the packages they come from."""

    name: str
    stems: tuple[str, ...]
    packages: tuple[str, ...]
    held_out: bool = False
    plain: bool = True
    """Upright and ordinary enough for the easiest lines."""


FAMILIES = (
    Family(
        "grotesque",
        (
            "LiberationSans",
            "Arimo",
            "NimbusSans",
            "texgyreheros",
            "FreeSans",
            "FreeSansBold",
            "FreeSansOblique",
            "FreeSansBoldOblique",
        ),
        ("fonts-liberation", "fonts-croscore", "fonts-urw-base35", "fonts-texgyre", "fonts-freefont-ttf"),
    ),
    Family(
        "grotesque narrow",
        ("LiberationSansNarrow", "NimbusSansNarrow", "texgyreheroscn"),
        ("fonts-liberation", "fonts-urw-base35", "fonts-texgyre"),
    ),
    Family(
        "times",
        (
            "LiberationSerif",
            "Tinos",
            "NimbusRoman",
            "texgyretermes",
            "FreeSerif",
            "FreeSerifBold",
            "FreeSerifItalic",
            "FreeSerifBoldItalic",
        ),
        ("fonts-liberation", "fonts-croscore", "fonts-urw-base35", "fonts-texgyre", "fonts-freefont-ttf"),
    ),
    Family(
        "courier",
        ("NimbusMonoPS", "texgyrecursor", "FreeMono", "FreeMonoBold", "FreeMonoOblique", "FreeMonoBoldOblique"),
        ("fonts-urw-base35", "fonts-texgyre", "fonts-freefont-ttf"),
    ),
    Family("cousine", ("LiberationMono", "Cousine"), ("fonts-liberation", "fonts-croscore")),
    Family("palatino", ("P052", "texgyrepagella"), ("fonts-urw-base35", "fonts-texgyre")),
    Family("schoolbook", ("C059", "texgyreschola"), ("fonts-urw-base35", "fonts-texgyre")),
    Family("bookman", ("URWBookman", "texgyrebonum"), ("fonts-urw-base35", "fonts-texgyre"), held_out=True),
    Family("avantgarde", ("URWGothic", "texgyreadventor"), ("fonts-urw-base35", "fonts-texgyre")),
    Family("chancery", ("Z003", "texgyrechorus"), ("fonts-urw-base35", "fonts-texgyre"), plain=False),
    Family("dejavu sans", ("DejaVuSans",), ("fonts-dejavu",)),
    Family("dejavu condensed", ("DejaVuSansCondensed",), ("fonts-dejavu",)),
    Family("dejavu serif", ("DejaVuSerif", "DejaVuSerifCondensed"), ("fonts-dejavu",)),
    Family("dejavu mono", ("DejaVuSansMono", "Hack"), ("fonts-dejavu", "fonts-hack")),
    Family("roboto", ("Roboto",), ("fonts-roboto-unhinted",)),
    Family("roboto condensed", ("RobotoCondensed",), ("fonts-roboto-unhinted",)),
    Family("open sans", ("OpenSans", "NotoSans", "NotoSansDisplay"), ("fonts-open-sans", "fonts-noto-core")),
    Family("noto serif", ("NotoSerif", "NotoSerifDisplay"), ("fonts-noto-core",)),
    Family("lato", ("Lato", "Carlito"), ("fonts-lato", "fonts-crosextra-carlito"), held_out=True),
    Family(
        "libertine",
        (
            "LinLibertine_R",
            "LinLibertine_RI",
            "LinLibertine_RB",
            "LinLibertine_RBI",
            "LinLibertine_RZ",
            "LinLibertine_RZI",
            "LinLibertine_DR",
        ),
        ("fonts-linuxlibertine",),
    ),
    Family("biolinum", ("LinBiolinum_R", "LinBiolinum_RB", "LinBiolinum_RI"), ("fonts-linuxlibertine",)),
    Family("libertine mono", ("LinLibertine_M",), ("fonts-linuxlibertine",)),
    Family("gentium", ("GentiumPlus", "GentiumBookPlus"), ("fonts-sil-gentiumplus",), held_out=True),
    Family("cantarell", ("Cantarell",), ("fonts-cantarell",), held_out=True),
    Family("inconsolata", ("Inconsolata",), ("fonts-inconsolata",)),
    Family("fira code", ("FiraCode",), ("fonts-firacode",)),
    Family("jetbrains mono", ("JetBrainsMono",), ("fonts-jetbrains-mono",), held_out=True),
    Family("ocr a", ("OCRA", "OCRABold", "OCRACondensed", "OCRAItalic"), ("fonts-ocr-a",), plain=False),
    Family("ocr b", ("OCRB",), ("fonts-ocr-b",)),
    Family("comic neue", ("ComicNeue",), ("fonts-comic-neue",), plain=False),
    Family("caladea", ("Caladea",), ("fonts-crosextra-caladea",), held_out=True),
    Family("garamond", ("EBGaramond08", "EBGaramond12"), ("fonts-ebgaramond",)),
    Family("quicksand", ("Quicksand",), ("fonts-quicksand",)),
    Family("junicode", ("JunicodeTwoBeta",), ("fonts-junicode",)),
)
TOO_THIN = ("Thin", "Hairline", "ExtraLight")
SLANTED = ("italic", "oblique", "bdita", "_ri", "_rbi", "_rzi")


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


@lru_cache(maxsize=1)
def system_fonts() -> FontSet:
    """The pinned families as installed; MissingDependencyError names the packages when one family has no file."""
    files: dict[str, dict[str, Path]] = {}
    for path in sorted(found for root in FONT_ROOTS for found in root.rglob("*.[ot]tf")):
        files.setdefault(path.stem.split("-")[0], {})[path.stem] = path
    families = [(family, faces_of(family, files)) for family in FAMILIES]
    if empty := [family for family, faces in families if not faces]:
        packages = " ".join(sorted({package for family in FAMILIES for package in family.packages}))
        raise MissingDependencyError(
            "fonts", f"no file of the families {', '.join(f.name for f in empty)}", f"apt-get install {packages}"
        )
    return FontSet(
        train=tuple(faces for family, faces in families if not family.held_out),
        held_out=tuple(faces for family, faces in families if family.held_out),
    )


def faces_of(family: Family, files: dict[str, dict[str, Path]]) -> tuple[Face, ...]:
    """The readable faces of one family among `files` (stem before the first dash -> stem -> path)."""
    found = {name: path for stem in family.stems for name, path in files.get(stem, {}).items()}
    return tuple(
        Face(name, family.name, path, family.plain and not any(mark in name.lower() for mark in SLANTED))
        for name, path in sorted(found.items())
        if not any(mark in name for mark in TOO_THIN)
    )


def builtin_fonts() -> FontSet:
    """Pillow's own face on both sides: for tests on machines without the packages."""
    face = Face("Aileron", "builtin", None, plain=True)
    return FontSet(train=((face,),), held_out=((face,),))
