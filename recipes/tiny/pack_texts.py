"""Packs the texts that the factory renders into `assets/texts.txt.xz`.

`python -m recipes.tiny.pack_texts ROOT`, where ROOT holds the unpacked Debian packages named in DATA_SOURCES.md
(`apt-get download gnome-user-docs debian-handbook wamerican; dpkg -x EACH.deb ROOT`). Every line of the asset is
`split<TAB>language<TAB>paragraph`; the language `words` marks one dictionary word per line. A document is held out in
all its languages at once.
"""

import hashlib
import lzma
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

from recipes.tiny.corpus import ALPHABET, ASSET

GNOME_LANGUAGES = {"C": "en", "de": "de", "fr": "fr", "es": "es", "it": "it", "pt": "pt"}
HANDBOOK_LANGUAGES = {"en-US": "en", "de-DE": "de", "fr-FR": "fr", "es-ES": "es", "it-IT": "it", "pt-BR": "pt"}
HANDBOOK_EVERY = {"en": 2}
"""Every n-th page of a language; the default keeps one page in five so that the asset stays under 1.5 MB."""
MALLARD = "{http://projectmallard.org/1.0/}"


def is_held_out(document: str) -> bool:
    """One document in five, by its name, so that all its languages fall on one side."""
    return hashlib.sha256(document.encode()).digest()[0] % 5 == 0


def cleaned(text: str) -> str:
    """NFC, single blanks, and nothing at all when a character is outside the alphabet or the text is very short."""
    line = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).strip()
    return line if len(line) > 2 and set(line) <= ALPHABET else ""


def gnome_paragraphs(root: Path) -> Iterator[tuple[str, str, str]]:
    """(document, language, paragraph) of the GNOME help pages."""
    for folder, language in GNOME_LANGUAGES.items():
        for page in sorted((root / "usr/share/help" / folder / "gnome-help").glob("*.page")):
            for element in ElementTree.parse(page).getroot().iter():  # noqa: S314, pages of a pinned package
                if element.tag in (MALLARD + "p", MALLARD + "title"):
                    yield f"gnome/{page.stem}", language, "".join(element.itertext())


class Paragraphs(HTMLParser):
    """Collects the text of `p`, `h2`, `h3`, `td` and `th` elements in `found`."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        """Opens a paragraph."""
        if tag in ("p", "h2", "h3", "td", "th"):
            self.depth += 1
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        """Closes it."""
        if tag in ("p", "h2", "h3", "td", "th"):
            self.depth -= 1

    def handle_data(self, data: str) -> None:
        """Text inside of a paragraph, whatever markup is around it."""
        if self.depth > 0:
            self.found[-1] += data


def handbook_paragraphs(root: Path) -> Iterator[tuple[str, str, str]]:
    """(document, language, paragraph) of the Debian handbook."""
    for folder, language in HANDBOOK_LANGUAGES.items():
        pages = sorted((root / "usr/share/doc/debian-handbook/html" / folder).glob("*.html"))
        for page in pages[:: HANDBOOK_EVERY.get(language, 5)]:
            parser = Paragraphs()
            parser.feed(page.read_text(encoding="utf-8"))
            for text in parser.found:
                yield f"handbook/{page.stem}", language, text


def word_lines(root: Path) -> Iterator[str]:
    """One dictionary word in two, without possessives; a word in five is held out."""
    words = (root / "usr/share/dict/american-english").read_text(encoding="utf-8").split()
    kept = [word for word in words if not word.endswith("'s") and cleaned(word)]
    for word in kept[::2]:
        yield f"{'held_out' if is_held_out(word) else 'train'}\twords\t{word}"


def without_shared(lines: Iterable[str]) -> list[str]:
    """The lines, less the held-out paragraphs that a training document repeats word for word."""
    lines = list(lines)
    trained = {line.split("\t")[2] for line in lines if line.startswith("train\t")}
    return [line for line in lines if line.startswith("train\t") or line.split("\t")[2] not in trained]


def main() -> None:
    """Writes the asset and prints its size and checksum."""
    root = Path(sys.argv[1])
    found = dict.fromkeys(word_lines(root))
    for paragraphs in (gnome_paragraphs(root), handbook_paragraphs(root)):
        for document, language, text in paragraphs:
            if paragraph := cleaned(text):
                found.setdefault(f"{'held_out' if is_held_out(document) else 'train'}\t{language}\t{paragraph}")
    lines = without_shared(found)
    packed = lzma.compress("\n".join(lines).encode(), preset=9 | lzma.PRESET_EXTREME)
    ASSET.write_bytes(packed)
    print(f"{len(lines)} lines, {len(packed)} bytes, sha256 {hashlib.sha256(packed).hexdigest()}")


if __name__ == "__main__":
    main()
