"""Small pictures of given words, set by the printer of lines."""

import numpy as np

from recipes.tiny import lines
from recipes.tiny.assets import Assets
from recipes.tiny.conversation import Frame, pick
from recipes.tiny.example import Dense
from recipes.tiny.things import CELL

__all__ = ["printed_word", "unlike_words"]


def unlike_words(rng: np.random.Generator, assets: Assets, split: str, count: int, longest: int) -> list[str]:
    """`count` different English words of 3 to `longest` letters, in lower case."""
    words, found = assets.words("en", split), dict[str, None]()
    while len(found) < count:
        word = pick(rng, words).lower()
        if 3 <= len(word) <= longest and word.isalpha():
            found[word] = None
    return list(found)


def printed_word(
    rng: np.random.Generator, text: str, *, split: str, difficulty: float, assets: Assets
) -> tuple[Frame, Dense]:
    """The text as one line on a picture one cell high, no smaller than four cells."""
    families = [
        covering for family in assets.families("latin", split)
        if (covering := tuple(face for face in family if face.covers(text)))
    ]  # fmt: skip
    face = lines.choose_face(rng, tuple(families), difficulty)
    pitch = lines.pitch_at(rng, difficulty)
    width = CELL * max(4, round(len(text) * pitch / CELL) + 1)
    while True:
        setting = lines.choose_setting(rng, (CELL, width), face, difficulty)
        layout, left, setting = lines.fit(rng, text, setting)
        if layout.text == text:
            break
        width += CELL
    line = lines.draw_line(rng, layout, left, setting)
    return line.frame, Dense(letters=tuple("".join(cell) for cell in line.cells))
