"""What the factory prints with: faces by script, and texts by language, from packs or from what is bundled.

`python -m recipes.tiny.pack` builds the packs. Without them the faces that come with matplotlib and the committed texts
serve, the same ones on every machine; then most scripts and languages have nothing at all.
"""

import hashlib
import lzma
import os
import re
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from PIL import ImageFont, features

from anyres.errors import MissingDependencyError, OptionError
from recipes.tiny.fonts import Face, builtin_fonts
from recipes.tiny.rude import is_rude

__all__ = ["FOLDER", "LANGUAGES", "SCRIPTS", "SPLITS", "Assets", "Block", "Document", "PackedFace", "script_of"]

FOLDER = Path(__file__).parent / "assets"
FONTS, INDEX, TEXTS, COMMITTED_TEXTS = "fonts.zip", "index.tsv", "words.txt.xz", "texts.txt.xz"
SPLITS = ("train", "held_out")
SCRIPTS = (
    "latin", "cyrillic", "greek", "han", "kana", "hangul", "arabic", "handwriting", "mono", "receipt",
)  # fmt: skip
LANGUAGES: Mapping[str, str] = {
    "en": "latin", "de": "latin", "fr": "latin", "es": "latin", "it": "latin", "pt": "latin", "vi": "latin",
    "ru": "cyrillic", "el": "greek", "zh": "han", "ja": "kana", "ko": "hangul", "ar": "arabic",
}  # fmt: skip
"""Each language's script."""
PLAIN = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Bold")
SLANTED = ("DejaVuSans-Oblique", "DejaVuSerif-Italic")
MONO = ("DejaVuSansMono", "DejaVuSansMono-Bold")
STIX, STIX_ITALIC = ("STIXGeneral", "STIXGeneralBol"), ("STIXGeneralItalic",)
BUNDLED: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("latin", "train"): (*PLAIN, *SLANTED, *MONO),
    ("cyrillic", "train"): PLAIN,
    ("greek", "train"): PLAIN,
    ("handwriting", "train"): SLANTED,
    ("mono", "train"): MONO[:1],
    ("receipt", "train"): MONO[:1],
    ("latin", "held_out"): (*STIX, *STIX_ITALIC),
    ("cyrillic", "held_out"): STIX,
    ("greek", "held_out"): STIX,
    ("handwriting", "held_out"): STIX_ITALIC,
    ("mono", "held_out"): ("cmtt10", "STIXGeneral"),
    ("receipt", "held_out"): ("cmtt10", "STIXGeneral"),
}
"""Files of matplotlib by script and split; slanted ones stand in for hands, those of one width for tills."""
SENTENCE = re.compile(r"(?<=\D[.!?…])\s+|(?<=[。！？])")
Families = tuple[tuple[Face, ...], ...]


class Block(NamedTuple):
    """A piece of a document; `kind` is "title", "heading", "paragraph" or "item" (of a list)."""

    kind: str
    text: str


class Document(NamedTuple):
    """A document in one language; the same name in another language is its translation."""

    name: str
    blocks: tuple[Block, ...]


Phrases = dict[tuple[str, str, str], tuple[str, ...]]
Pages = dict[tuple[str, str], tuple[Document, ...]]


@dataclass(frozen=True)
class PackedFace(Face):
    """A face of a pack. It tells of any character whether it draws it, and joins letters where the script must."""

    shaped: bool = False

    def at(self, size: int) -> ImageFont.FreeTypeFont:
        """The face with an em of `size` pixels."""
        return opened(self.path, size, self.shaped)

    def covers(self, text: str) -> bool:
        """Whether the face draws every character of `text`; blanks count as drawn."""
        return all(draws(self.path, char) for char in text)


@dataclass(frozen=True)
class Assets:
    """The opened material. Whatever is asked for and not there is an empty sequence, never an error."""

    folder: Path
    faces: Mapping[tuple[str, str], Families] = field(repr=False)
    """(script, split) -> families."""
    texts: Mapping[tuple[str, str, str], tuple[str, ...]] = field(repr=False)
    """(kind, language, split) -> texts; kinds are "sentence", "word" and those of a pack ("name", "city", ...)."""
    pages: Mapping[tuple[str, str], tuple[Document, ...]] = field(repr=False)
    """(language, split) -> documents."""

    @classmethod
    def open(cls, folder: Path | None = None) -> "Assets":
        """The packs in `folder` (recipes/tiny/assets unless given); what is not packed is bundled or missing."""
        folder = folder or FOLDER
        faces = packed_faces(folder / FONTS) if (folder / FONTS).is_file() else bundled_faces()
        texts = folder / TEXTS if (folder / TEXTS).is_file() else folder / COMMITTED_TEXTS
        if not texts.is_file():
            texts = FOLDER / COMMITTED_TEXTS
        return cls(folder, faces, *read_texts(texts))

    def families(self, script: str, split: str) -> Families:
        """The faces of a script, grouped by design; no design is in both splits."""
        if script not in SCRIPTS:
            raise OptionError("script", script, ", ".join(SCRIPTS))
        return self.faces.get((script, checked(split)), ())

    def sentences(self, language: str, split: str) -> Sequence[str]:
        """Sentences of the documents of a language (ISO 639-1), in their order."""
        return self.phrases("sentence", language, split)

    def words(self, language: str, split: str) -> Sequence[str]:
        """Words of a language, the frequent ones first where the source tells."""
        return self.phrases("word", language, split)

    def phrases(self, kind: str, language: str, split: str) -> Sequence[str]:
        """Short texts of a kind: "sentence", "word", "name", "city", "street", "company", "job"."""
        return self.texts.get((kind, language, checked(split)), ())

    def documents(self, language: str, split: str) -> Sequence[Document]:
        """Whole documents of a language; no document, in whatever language, is in both splits."""
        return self.pages.get((language, checked(split)), ())

    def languages(self, split: str) -> tuple[str, ...]:
        """The languages of which there are both sentences and faces."""
        known = (name for name in LANGUAGES if self.sentences(name, split))
        return tuple(name for name in known if self.families(LANGUAGES[name], split))

    def read(self, name: str) -> bytes:
        """A packed file; MissingDependencyError says how to build it."""
        path = self.folder / name
        if not path.is_file():
            raise MissingDependencyError(name, f"no such file in {self.folder}", "python -m recipes.tiny.pack")
        return path.read_bytes()


def checked(split: str) -> str:
    """The split, or an OptionError."""
    if split not in SPLITS:
        raise OptionError("split", split, ", ".join(SPLITS))
    return split


def script_of(language: str) -> str:
    """The script a language is printed in; OptionError for one the factory does not know.

    >>> script_of("zh")
    'han'
    """
    if language not in LANGUAGES:
        raise OptionError("language", language, ", ".join(LANGUAGES))
    return LANGUAGES[language]


# ---- faces ----


@lru_cache(maxsize=512)
def opened(path: Path | None, size: int, shaped: bool) -> ImageFont.FreeTypeFont:
    """An opened font file, kept because opening costs as much as drawing a word."""
    assert path is not None
    layout = ImageFont.Layout.RAQM if shaped else ImageFont.Layout.BASIC
    return ImageFont.truetype(str(path), size, layout_engine=layout)


@lru_cache(maxsize=512)
def missing_mark(path: Path | None) -> bytes:
    """What the face draws for a character it does not know."""
    return bytes(opened(path, 24, False).getmask(chr(0xE1234)))


@lru_cache(maxsize=400_000)
def draws(path: Path | None, char: str) -> bool:
    """Whether the face has a picture of the character; a blank needs none."""
    if char in " \u3000":
        return True
    shape = bytes(opened(path, 24, False).getmask(char))
    return any(shape) and shape != missing_mark(path)


def packed_faces(pack: Path) -> dict[tuple[str, str], Families]:
    """The faces of a font pack by its index; Arabic is left out where Pillow cannot join letters.

    A line of the index is `split<TAB>scripts, by commas<TAB>family<TAB>name<TAB>1 if plain<TAB>file`.
    """
    root = unpacked(pack)
    grouped: dict[tuple[str, str], dict[str, list[Face]]] = {}
    for line in (root / INDEX).read_text(encoding="utf-8").split("\n"):
        split, scripts, family, name, plain, file = line.split("\t")
        for script in scripts.split(","):
            if script != "arabic" or features.check("raqm"):
                face = PackedFace(name, family, root / file, plain == "1", script == "arabic")
                grouped.setdefault((script, split), {}).setdefault(family, []).append(face)
    return {key: tuple(tuple(faces) for faces in families.values()) for key, families in grouped.items()}


def unpacked(pack: Path) -> Path:
    """The folder that holds the pack's members: beside this machine's temporary files, made by the first who asks."""
    digest = hashlib.sha256(pack.read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"anyres-tiny-{os.getuid()}-{digest}"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch, zipfile.ZipFile(pack) as members:
            members.extractall(Path(scratch) / "whole")
            try:
                (Path(scratch) / "whole").rename(folder)
            except OSError:
                assert folder.is_dir(), "another process unpacked it meanwhile"
    return folder


def bundled_faces() -> dict[tuple[str, str], Families]:
    """The faces in matplotlib's package, by script; Pillow's own in both splits where it is not installed."""
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        fonts = builtin_fonts()
        return {key: fonts.families(key[1]) for key in BUNDLED if key[0] not in ("cyrillic", "greek")}
    folder = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
    return {key: families_of(folder, names) for key, names in BUNDLED.items()}


def families_of(folder: Path, names: Iterable[str]) -> Families:
    """The faces of some files, grouped by the design that begins their names."""
    grouped: dict[str, list[Face]] = {}
    for name in names:
        family = name.partition("-")[0].removesuffix("Italic").removesuffix("Bol")
        plain = not name.endswith(("Oblique", "Italic"))
        grouped.setdefault(family, []).append(PackedFace(name, family, folder / f"{name}.ttf", plain))
    return tuple(map(tuple, grouped.values()))


# ---- texts ----


def read_texts(path: Path) -> tuple[Phrases, Pages]:
    """Phrases and documents of a text pack, or of the committed texts, without rude words.

    A line is `split<TAB>language<TAB>document<TAB>kind<TAB>text` (document "" for what is no part of one); the
    committed ones are `split<TAB>language<TAB>text`, where the language `words` marks English words.
    """
    phrases: dict[tuple[str, str, str], list[str]] = {}
    pages: dict[tuple[str, str], dict[str, list[Block]]] = {}
    for number, line in enumerate(lzma.decompress(path.read_bytes()).decode().split("\n")):
        split, language, document, kind, text = line_fields(line, number)
        if document:
            pages.setdefault((language, split), {}).setdefault(document, []).append(Block(kind, text))
        elif kind != "word" or not is_rude(text):
            phrases.setdefault((kind, language, split), []).append(text)
    documents = {
        key: tuple(Document(name, tuple(blocks)) for name, blocks in found.items()) for key, found in pages.items()
    }
    for (language, split), found in documents.items():
        phrases["sentence", language, split] = sentences_of(block for page in found for block in page.blocks)
    return without_trained({key: tuple(texts) for key, texts in phrases.items()}), documents


def line_fields(line: str, number: int) -> tuple[str, str, str, str, str]:
    """(split, language, document, kind, text) of a line; the committed texts become documents of eight paragraphs."""
    fields = line.split("\t")
    if len(fields) == 5:
        return fields[0], fields[1], fields[2], fields[3], fields[4]
    split, language, text = fields
    if language == "words":
        return split, "en", "", "word", text
    return split, language, f"committed-{number // 8}", "paragraph" if text.endswith((".", ":")) else "heading", text


def sentences_of(blocks: Iterable[Block]) -> list[str]:
    """The different sentences of the blocks, in their order."""
    parts = (part.strip() for block in blocks for part in SENTENCE.split(block.text))
    return list(dict.fromkeys(part for part in parts if len(part) > 1))


def without_trained(
    phrases: dict[tuple[str, str, str], tuple[str, ...]],
) -> dict[tuple[str, str, str], tuple[str, ...]]:
    """The phrases, less the held-out ones that are also among the training ones."""
    kept = dict(phrases)
    for (kind, language, split), texts in phrases.items():
        if split == "held_out":
            trained = frozenset(phrases.get((kind, language, "train"), ()))
            kept[kind, language, split] = tuple(text for text in texts if text not in trained)
    return kept
