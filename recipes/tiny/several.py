"""Two or three pictures at once: the same or not, which one shows it, the odd one, what is new, how many together."""

from collections.abc import Sequence

import numpy as np

from recipes.tiny.assets import Assets
from recipes.tiny.conversation import Frame, about_pictures, pick
from recipes.tiny.example import Dense, Example
from recipes.tiny.icon_pack import Icon, icon_pack
from recipes.tiny.icons import others, scene_of
from recipes.tiny.printed import printed_word, unlike_words

__all__ = ["make_new", "make_odd", "make_same", "make_together", "make_which", "make_which_word"]

SAME = ("Do both pictures show the same things?", "Are the same things in both pictures?",
        "Do the two pictures show the same?")  # fmt: skip
WHICH = ("Which picture shows the {}?", "In which picture is the {}?", "Where do you see the {}?")
SAYS = ("Which picture says {}?", "Which picture reads {}?", "In which picture is it written: {}?")
ODD = ("Which picture does not belong?", "Which picture is different from the others?", "Find the odd one out.")
NEW = ("What is only in the second picture?", "What is new in the second picture?",
       "What does the second picture show that the first does not?")  # fmt: skip
TOGETHER = ("How many things are there in all pictures together?", "Count the things in both pictures.")
Scene = tuple[Frame, Dense]


def shown(rng: np.random.Generator, assets: Assets, icons: Sequence[Icon], *, split: str, difficulty: float) -> Scene:
    """A small picture of the icons, in an order and at places of its own."""
    mixed = [icons[place] for place in rng.permutation(len(icons))]
    frame, dense, _ = scene_of(rng, assets, mixed, split=split, difficulty=0.5 * difficulty)
    return frame, dense


def known(assets: Assets, split: str, difficulty: float) -> tuple[Icon, ...]:
    """The emoji of the split at this difficulty."""
    return icon_pack(assets).icons("emoji", split=split, difficulty=difficulty)


def unlike(rng: np.random.Generator, icons: Sequence[Icon], count: int) -> list[Icon]:
    """`count` icons of different names."""
    found: list[Icon] = []
    for _ in range(count):
        found += others(rng, icons, found, 1)
    return found


def asked(task: str, scenes: Sequence[Scene], turns: tuple[str, str], metric: str = "exact") -> Example:
    """The example of some pictures."""
    return about_pictures(
        task, [frame for frame, _ in scenes], turns, dense=[dense for _, dense in scenes], metric=metric
    )


def make_same(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Whether two pictures show the same things, drawn by others and elsewhere: yes half of the time."""
    icons = known(assets, split, difficulty)
    first = unlike(rng, icons, int(rng.integers(1, 2 + round(3 * difficulty))))
    same = rng.random() < 0.5
    second = first if same else [*first[1:], *others(rng, icons, first, 1)]
    scenes = [shown(rng, assets, one, split=split, difficulty=difficulty) for one in (first, second)]
    return asked("several-same", scenes, (pick(rng, SAME), "yes" if same else "no"))


def make_which(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Which of two or three pictures shows a thing; one in seven shows it nowhere."""
    icons = known(assets, split, difficulty)
    count, each = int(rng.integers(2, 4)), int(rng.integers(1, 2 + round(2 * difficulty)))
    named, *chosen = unlike(rng, icons, 1 + count * each)
    shares = [chosen[place * each : (place + 1) * each] for place in range(count)]
    right = int(rng.integers(count))
    answer = f"Picture {right + 1}"
    if rng.random() < 1 / 7:
        answer = f"There is no {named.name}."
    else:
        shares[right][0] = named
    scenes = [shown(rng, assets, one, split=split, difficulty=difficulty) for one in shares]
    return asked("several-which", scenes, (pick(rng, WHICH).format(named.name), answer))


def make_odd(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Three pictures, two of the same thing."""
    icons = known(assets, split, difficulty)
    usual, odd = unlike(rng, icons, 2)
    right = int(rng.integers(3))
    scenes = [shown(rng, assets, [odd if place == right else usual], split=split, difficulty=difficulty)
              for place in range(3)]  # fmt: skip
    return asked("several-odd", scenes, (pick(rng, ODD), f"Picture {right + 1}"))


def make_new(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """What the second picture shows beside the things of the first."""
    icons = known(assets, split, difficulty)
    new, *old = unlike(rng, icons, 2 + int(rng.integers(0, 1 + round(3 * difficulty))))
    scenes = [shown(rng, assets, one, split=split, difficulty=difficulty) for one in (old, [*old, new])]
    return asked("several-new", scenes, (pick(rng, NEW), f"the {new.name}"))


def make_together(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """How many things two pictures show together."""
    icons, most = known(assets, split, difficulty), 3 + round(3 * difficulty)
    total = int(rng.integers(2, 2 * most + 1))
    first = int(rng.integers(max(1, total - most), min(most, total - 1) + 1))
    scenes = [
        shown(rng, assets, [pick(rng, icons) for _ in range(count)], split=split, difficulty=difficulty)
        for count in (first, total - first)
    ]
    return asked("several-count", scenes, (pick(rng, TOGETHER), str(total)), "number")


def make_which_word(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """Which of two or three pictures of a word says it."""
    words = unlike_words(rng, assets, split, int(rng.integers(2, 4)), 4 + round(8 * difficulty))
    scenes = [printed_word(rng, word, split=split, difficulty=difficulty, assets=assets) for word in words]
    right = int(rng.integers(len(words)))
    return asked("several-word", scenes, (pick(rng, SAYS).format(words[right]), f"Picture {right + 1}"))
