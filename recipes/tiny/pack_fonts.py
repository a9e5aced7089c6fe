"""Packs the faces of all scripts into `fonts.zip`: cut down to the characters the factory prints, without hints.

Needs apt-get, npm and `pip install fonttools brotli`. Whole designs are held out, about one in five of each script;
designs and sources are the tables in sources/.
"""

import io
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from recipes.tiny.assets import FONTS, INDEX
from recipes.tiny.font_sources import Design, designs, packages
from recipes.tiny.packages import opened

__all__ = ["build", "charset"]

DROPPED = (  # noqa: SIM905, tags read best in a row
    "FFTM PfEd BDF prop DSIG GDEF GSUB GPOS meta STAT morx kerx EBDT EBLC EBSC JSTF MATH VORG vhea vmtx LTSH VDMX hdmx "
    "gasp COLR CPAL"
).split()
ALPHABETS = (
    range(0x20, 0x7F), range(0xA0, 0x250), range(0x1EA0, 0x1EFA), range(0x370, 0x400), range(0x400, 0x460),
    range(0x490, 0x492), range(0x2010, 0x2040), range(0x20A0, 0x20BF), range(0x2190, 0x2194),
)  # fmt: skip
SLANTED = ("ital", "obli", "bdita", "slanted", "_ri")
SIGNS = "№™℃≈≠≤≥−∞∑√∆∂°·•◦■□▪▲△▼▶◆○●★☆☐☑☒✓✔✗♪"


class Cut(NamedTuple):
    """A face cut down: where it came from in the index, and its bytes."""

    line: str
    file: str
    content: bytes


def rows(codec: str, first: int, last: int) -> str:
    """The characters of the rows `first`..`last` of a 94x94 national set, by its EUC codec.

    >>> rows("gb2312", 16, 16)[:3]
    '啊阿埃'
    """
    return "".join(
        bytes([0xA0 + row, 0xA0 + column]).decode(codec, errors="ignore")
        for row in range(first, last + 1)
        for column in range(1, 95)
    )


def charset(scripts: Sequence[str]) -> frozenset[str]:
    """What a face that serves `scripts` keeps: level 1 of the national sets for Han, kana with kanji, and hangul."""
    found = {chr(code) for codes in ALPHABETS for code in codes} | set(SIGNS)
    if "han" in scripts:
        found |= set(rows("gb2312", 1, 3) + rows("gb2312", 16, 55))
    if "kana" in scripts:
        found |= set(rows("euc_jp", 1, 5) + rows("euc_jp", 16, 47))
    if "hangul" in scripts:
        found |= set(rows("euc_kr", 1, 3) + rows("euc_kr", 16, 40))
    if "arabic" in scripts:
        found |= {chr(code) for code in (*range(0x600, 0x700), *range(0xFB50, 0xFE00), *range(0xFE70, 0xFEFF))}
    return frozenset(found)


def build(out: Path) -> None:
    """Writes `out`/fonts.zip."""
    root = opened(packages("font_packages.tsv"), Path(tempfile.gettempdir()) / "anyres-tiny-downloads")
    lines, written = [], set[str]()
    with zipfile.ZipFile(out / FONTS, "w", zipfile.ZIP_LZMA) as members:
        for face in (face for design in designs() for face in cut_faces(design, root)):
            assert face.file not in written, f"{face.file} comes from two designs"
            written.add(face.file)
            lines.append(face.line)
            members.writestr(zipfile.ZipInfo(face.file), face.content, zipfile.ZIP_LZMA)
        members.writestr(zipfile.ZipInfo(INDEX), "\n".join(lines), zipfile.ZIP_LZMA)


def cut_faces(design: Design, root: Path) -> Iterator[Cut]:
    """The faces of a design; FileNotFoundError where its package does not hold one of them."""
    for pattern in design.files:
        package, _, name = pattern.partition(":")
        name, _, number = name.partition("#")
        found = sorted((root / package).rglob(name))
        if not found:
            raise FileNotFoundError(f"{name} in {package}")
        for path in found:
            stem = f"{path.stem}-{number}" if number else path.stem
            plain = design.plain and not any(mark in stem.lower() for mark in SLANTED)
            file = f"{stem.replace(' ', '')}.ttf"
            line = "\t".join((design.split, ",".join(design.scripts), design.name, stem, "01"[plain], file))
            yield Cut(line, file, cut_down(path, int(number or 0), charset(design.scripts), design.scripts))


def cut_down(path: Path, number: int, kept: frozenset[str], scripts: Sequence[str]) -> bytes:
    """The face without hints, without other characters and, but for Arabic, without layout tables."""
    subset = import_module("fontTools.subset")
    options = subset.Options()
    options.hinting, options.notdef_outline, options.legacy_kern = False, True, True
    options.glyph_names, options.name_IDs, options.name_legacy = False, [1, 2, 4, 6], False
    options.layout_features = ["*"] if "arabic" in scripts else []
    options.drop_tables = [tag for tag in DROPPED if "arabic" not in scripts or tag[0] != "G"]
    options.font_number, options.ignore_missing_unicodes, options.desubroutinize = number, True, False
    font = subset.load_font(str(path), options)
    for partner in with_latin(path):
        font = merged(font, subset.load_font(str(partner), options))
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[ord(char) for char in kept])
    subsetter.subset(font)
    font.flavor = None
    target = io.BytesIO()
    font.save(target)
    return target.getvalue()


def with_latin(path: Path) -> list[Path]:
    """npm packages keep the Latin letters of an East Asian face in a file of their own."""
    for script in ("chinese-simplified", "korean", "japanese"):
        if f"-{script}-" in path.name:
            return [path.with_name(path.name.replace(script, "latin"))]
    return []


def merged(font: Any, latin: Any) -> Any:
    """`font` with the letters of `latin`, which is in the same units."""
    merge, subset = import_module("fontTools.merge"), import_module("fontTools.subset")
    files = []
    for one in (font, latin):
        options = subset.Options()
        options.hinting, options.layout_features, options.drop_tables = False, [], DROPPED
        cutter = subset.Subsetter(options)
        taken = {ord(" "), *range(0x21, 0x250)}
        wanted = set(one.getBestCmap())
        cutter.populate(unicodes=wanted & taken if one is latin else wanted - taken)
        cutter.subset(one)
        one.flavor = None
        target = io.BytesIO()
        one.save(target)
        target.seek(0)
        files.append(target)
    whole = merge.Merger().merge(files)
    head, dated, whole.recalcTimestamp = whole["head"], latin["head"], False  # the same bytes every time
    head.created, head.modified = dated.created, dated.modified
    return whole
