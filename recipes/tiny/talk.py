"""Talk without pictures, and saying what cannot be seen: what is absent, empty, blurred, or not told at all."""

import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from recipes.tiny.assets import Assets
from recipes.tiny.conversation import Frame, about_pictures, in_words, pick
from recipes.tiny.example import Dense, Example
from recipes.tiny.icon_pack import icon_pack
from recipes.tiny.icons import arranged, ground_of, picture_size
from recipes.tiny.noise import as_bytes
from recipes.tiny.phrases import contact, moment, name, number, price
from recipes.tiny.printed import printed_word, unlike_words
from recipes.tiny.talk_words import CAN, DEFINITIONS, HELLO, NO_PICTURE, SUMS, THANKS, WHAT_IS, WHO
from recipes.tiny.things import CELL

__all__ = ["make_blurred", "make_empty", "make_sum", "make_talk", "make_untold"]

TALKS = {"hello": HELLO, "who": WHO, "can": CAN, "thanks": THANKS, "no-picture": NO_PICTURE}
READ = ("Read the text.", "What does it say?", "What is written here?", "Read this word.")
BLURRED = "I cannot read it: the picture is too blurred."
SHOWS = ("What is this?", "What does the picture show?", "What do you see?", "Name this.")
EMPTY = "The picture is empty."
TELL = ("What is the {}?", "Which {} is given?", "Read the {}.", "Tell me the {}.")
KEYS = {"name": name, "price": price, "date": moment, "number": number, "contact": contact}
"""What a note may tell, and how it is made up."""
VAGUE = "number"
"""A price, a date and a contact hold one, too, so it is never said to be missing."""


def of_split(rng: np.random.Generator, ways: Sequence[str], split: str) -> str:
    """A way of asking: the last one is held out."""
    return ways[-1] if split == "held_out" else pick(rng, ways[:-1])


# ---- without pictures ----


def make_talk(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:  # noqa: ARG001
    """A greeting, a question about the model, a plain word explained, or two of them in turn."""
    first = spoken(rng, split)
    if rng.random() < 0.3 * difficulty:
        second = spoken(rng, split)
        return in_words(second[0], (*first[1:], *second[1:]), metric="characters")
    return in_words(first[0], first[1:], metric="characters")


def spoken(rng: np.random.Generator, split: str) -> tuple[str, str, str]:
    """(task, question, answer)."""
    if rng.random() < 0.5:
        word = pick(rng, list(DEFINITIONS))
        return "talk-define", of_split(rng, WHAT_IS, split).format(word), DEFINITIONS[word]
    kind = pick(rng, list(TALKS))
    return f"talk-{kind}", of_split(rng, TALKS[kind][0], split), TALKS[kind][1]


def make_sum(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:  # noqa: ARG001
    """A small sum, difference or product in words; one problem in five is held out."""
    most = 10 + round(90 * difficulty**2)
    while True:
        a, b = (int(value) for value in rng.integers(0, most, 2))
        sign = pick(rng, "+-x" if difficulty > 0.3 else "+-")
        a, b = (max(a, b), min(a, b)) if sign == "-" else (a, b)
        text = f"{a} {sign} {b}"
        if (zlib.crc32(text.encode()) % 5 == 0) == (split == "held_out"):
            break
    answer = {"+": a + b, "-": a - b, "x": a * b}[sign]
    return in_words("talk-sum", (of_split(rng, SUMS, split).format(text), str(answer)), metric="number")


# ---- saying what cannot be seen ----


def make_blurred(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """A word to read, or, half of the time, one that nobody can read any more."""
    word = unlike_words(rng, assets, split, 1, 4 + round(8 * difficulty))[0]
    frame, dense = printed_word(rng, word, split=split, difficulty=difficulty, assets=assets)
    if rng.random() < 0.5:
        empty = Dense(letters=("",) * len(dense.letters or ()))
        return about_pictures("blurred", [unreadable(rng, frame)], (pick(rng, READ), BLURRED), dense=[empty])
    return about_pictures("blurred", [frame], (pick(rng, READ), word), dense=[dense], metric="characters")


def unreadable(rng: np.random.Generator, frame: Frame) -> Frame:
    """The picture as if seen from far away: three or four rows are left of its print."""
    rows = int(rng.integers(3, 5))
    height, width = frame.shape[:2]
    small = Image.fromarray(frame).resize((max(2, width * rows // (2 * height)), rows), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def make_empty(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """What a picture shows: a drawn thing, or, half of the time, nothing."""
    size = picture_size(rng, 6, difficulty)
    question = pick(rng, SHOWS)
    if rng.random() < 0.5:
        frame = as_bytes(ground_of(rng, size, difficulty))
        dense = Dense(names=((),) * (size[0] // CELL * (size[1] // CELL)))
        return about_pictures("empty", [frame], (question, EMPTY), dense=[dense])
    icon = pick(rng, icon_pack(assets).icons("emoji", split=split, difficulty=difficulty))
    place = (size[1] / 2, size[0] / 2, min(size) * 0.4)
    frame, told, _ = arranged(rng, assets, [icon], size, [place], split=split, difficulty=difficulty)
    return about_pictures("empty", [frame], (question, icon.name), dense=[told])


def make_untold(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """A note of some lines, and a question for what it tells or, half of the time, does not tell."""
    count = int(rng.integers(1, 2 + round(2 * difficulty)))
    keys = [pick(rng, [*KEYS])] if count == 1 else [[*KEYS][i] for i in rng.permutation(len(KEYS))[:count]]
    values = {key: made_up(rng, key, split) for key in keys}
    texts = [f"{key.capitalize()}: {value}" for key, value in values.items()]
    printed = [printed_word(rng, text, split=split, difficulty=max(0.5, difficulty), assets=assets) for text in texts]
    frame, dense = stacked(printed)
    if rng.random() < 0.5:
        asked = pick(rng, [key for key in KEYS if key not in values and key != VAGUE])
        return about_pictures("untold", [frame], (pick(rng, TELL).format(asked), f"It does not tell the {asked}."),
                              dense=[dense])  # fmt: skip
    asked = pick(rng, keys)
    turns = (pick(rng, TELL).format(asked), values[asked])
    return about_pictures("untold", [frame], turns, dense=[dense], metric="characters")


def made_up(rng: np.random.Generator, key: str, split: str) -> str:
    """A value of at most 16 characters."""
    while True:
        value = " ".join(KEYS[key](rng, split, 14).split())
        if 0 < len(value) <= 16:
            return value


def stacked(printed: Sequence[tuple[Frame, Dense]]) -> tuple[Frame, Dense]:
    """The lines one below the other, on a ground that continues their right edge."""
    width = max(frame.shape[1] for frame, _ in printed)
    rows, letters = [], list[str]()
    for frame, dense in printed:
        missing = width - frame.shape[1]
        rows.append(np.pad(frame, ((0, 0), (0, missing), (0, 0)), mode="edge"))
        letters += [*(dense.letters or ()), *[""] * (missing // CELL)]
    return np.concatenate(rows), Dense(letters=tuple(letters))
