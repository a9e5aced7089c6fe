"""The alphabet, the packed documents, and words and sentences out of them."""

import lzma
import string
from functools import lru_cache
from pathlib import Path

import numpy as np

from recipes.tiny.rude import is_rude

ASSET = Path(__file__).parent / "assets" / "texts.txt.xz"
ACCENTED = "ÄÖÜäöüßÀÁÂÃÇÈÉÊËÌÍÎÏÑÒÓÔÕÙÚÛàáâãåæçèéêëìíîïñòóôõøùúûœ"
MARKS = "¡¿«»„“”‘’–—…€£°§©®±·×"
ALPHABET = frozenset(string.printable[:95] + ACCENTED + MARKS)
"""Every character that a line may hold; the blank is one of them."""


class Corpus:
    """The documents and dictionary words of one split, without rude ones."""

    def __init__(self, lines: list[str]) -> None:
        words = [text for language, text in (line.split("\t") for line in lines) if language == "words"]
        self.words = [word for word in words if not is_rude(word)]
        self.paragraphs = [text for language, text in (line.split("\t") for line in lines) if language != "words"]


@lru_cache(maxsize=2)
def corpus(split: str) -> Corpus:
    """The texts of `split` ("train" or "held_out"); no document is in both."""
    lines = lzma.decompress(ASSET.read_bytes()).decode().split("\n")
    return Corpus([line.partition("\t")[2] for line in lines if line.startswith(split + "\t")])


def pick(rng: np.random.Generator, options: tuple[str, ...] | list[str] | str) -> str:
    """One of `options`."""
    return options[int(rng.integers(len(options)))]


def cut(text: str, length: int) -> str:
    """`text` shortened to at most `length` characters, at a blank when the last one lies in the second half."""
    if len(text) <= length:
        return text
    blank = text.rfind(" ", length // 2, length + 1)
    return text[: blank if blank > 0 else length].strip()


def prose(rng: np.random.Generator, split: str, length: int) -> str:
    """A run of whole words of about `length` characters from a document, in its own language and with its marks."""
    paragraph = pick(rng, corpus(split).paragraphs)
    starts = [0, *(i + 1 for i, char in enumerate(paragraph) if char == " ")]
    start = starts[int(rng.integers(len(starts)))] if rng.random() < 0.7 else 0
    return cut(paragraph[start:], length)


def dictionary(rng: np.random.Generator, split: str, length: int) -> str:
    """Dictionary words in no order, until `length` characters are reached."""
    words = [pick(rng, corpus(split).words)]
    while len(" ".join(words)) < length - 3 and len(words) < 6:
        words.append(pick(rng, corpus(split).words))
    return cut(" ".join(words), length)
