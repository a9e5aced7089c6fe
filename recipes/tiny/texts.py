"""What the lines say: prose from packaged documents mixed with words and signs that nobody can guess."""

from collections.abc import Callable

import numpy as np

from recipes.tiny.corpus import ALPHABET, cut, dictionary, prose
from recipes.tiny.phrases import code, contact, markup, moment, name, number, price, pseudo_words

Maker = Callable[[np.random.Generator, str, int], str]
MIX: tuple[tuple[Maker, float], ...] = (
    (prose, 0.38),
    (dictionary, 0.08),
    (code, 0.17),
    (pseudo_words, 0.13),
    (number, 0.05),
    (price, 0.05),
    (moment, 0.03),
    (contact, 0.04),
    (name, 0.03),
    (markup, 0.04),
)
"""Generators and their shares; codes and pseudo-words make up the 30 % that no language prior can guess."""


def make_text(rng: np.random.Generator, *, split: str, length: int) -> str:
    """One line of 1..`length` characters of ALPHABET, without blanks at the ends or runs of them."""
    shares = np.cumsum([share for _, share in MIX])
    maker = MIX[int(np.searchsorted(shares, rng.random() * shares[-1]))][0]
    text = " ".join(maker(rng, split, length).split())
    while len(text) < length - 4 and maker not in (prose, code) and rng.random() < 0.5:
        text = " ".join(f"{text} {MIX[int(rng.integers(len(MIX)))][0](rng, split, length - len(text) - 1)}".split())
    draw = rng.random()
    if maker in (prose, dictionary, pseudo_words, name) and draw < 0.3:
        recased = text.upper() if draw < 0.15 else text.title()
        text = recased if set(recased) <= ALPHABET else text
    return cut(text, length)
