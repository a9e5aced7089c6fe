"""What the teachers of version 1 tell of one example, in arrays: made by the loader's workers, used by the trainer."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyres.chat import Message, TextPart
from anyres.processing.tokenizer import Tokenizer
from recipes.tiny.assets import Assets
from recipes.tiny.clocks import HANDS
from recipes.tiny.example import Dense, Example, question_of
from recipes.tiny.games import CARDS, DICE
from recipes.tiny.icon_pack import has_icons, icon_pack
from recipes.tiny.lines import CELL, IGNORED, LONGEST, reading_order
from recipes.tiny.places import BOX, Places, middles_of
from recipes.tiny.pointers import (
    BOXES,
    along_line,
    first_letters,
    in_any_case,
    in_boxes,
    in_print,
    lowered,
    nowhere,
    print_of,
)
from recipes.tiny.screen_drawing import SHOWN
from recipes.tiny.things import NAMES

__all__ = ["CLASSES", "IGNORED", "LETTER_SLOTS", "LONGEST", "NAME_SLOTS", "NOTHING", "Classes", "Item", "Taught",
           "build_classes", "read_classes", "taught"]  # fmt: skip

CLASSES = "classes.json"
"""The file of them in the folder of a run."""
NOTHING = -1
LETTER_SLOTS, NAME_SLOTS = 6, 4
OWN_CLASSES = 2000
"""Characters, the commonest ones, that are classes of their own; of others the first token is told."""
PLAIN_WIDGETS = ("button", "field", "list", "check box", "switch", "radio button", "tab")


@dataclass(frozen=True)
class Classes:
    """What is told apart in a cell: characters, and names of things."""

    letters: Mapping[str, int]
    names: Mapping[str, int]

    @property
    def letter_count(self) -> int:
        """Classes of characters; several rare characters share one."""
        return 1 + max(self.letters.values())


class Item(NamedTuple):
    """One picture or clip of M visual tokens; None for what is not known of it.

    `letters` [M, LETTER_SLOTS] and `names` [M, NAME_SLOTS] are classes, NOTHING in empty slots; `order` [M] the place
    in the answer of the first character of a cell, IGNORED where there is none; `places` as in recipes/tiny/places.py;
    `counted` [M] how many of the things that are asked for have their centre in a cell; `begun` [M] how many letters
    of its word come before a cell's first one.
    """

    letters: NDArray[np.int16] | None
    names: NDArray[np.int16] | None
    order: NDArray[np.int16] | None
    places: Places | None
    counted: NDArray[np.int16] | None = None
    begun: NDArray[np.int16] | None = None

    @property
    def cells(self) -> int:
        """How many are known, M; 0 where none is."""
        return next((len(told) for told in self if told is not None), 0)


class Taught(NamedTuple):
    """`asked` is the class of the only thing that the question names, len(names) when it names none, else IGNORED;
    `referent` its box in cells from the top left corner and 1 when it is there, or 0; NaN for what is not known;
    `printed` [bytes, 3] of each byte of the text behind the only picture, questions, answers and the template's words,
    the place where it is printed, or the thing lies, as in recipes/tiny/pointers.py, IGNORED for what is not known. All
    but `printed` is about the first question."""

    spelled: bool
    items: tuple[Item | None, ...]
    asked: int
    referent: tuple[float, float, float, float, float]
    printed: NDArray[np.int16] | None = None


UNKNOWN = (float("nan"),) * 5


# ---- classes ----


def build_classes(assets: Assets, tokenizer: Tokenizer, path: Path) -> Classes:
    """The classes of all texts and drawings of these assets; written to `path`, or read from it where it is there.

    A character beyond the commonest OWN_CLASSES shares the class of its first token: for a rare Chinese one the 63
    others that share its first two bytes.
    """
    if not path.is_file():
        counts = Counter(character for texts in assets.texts.values() for text in texts for character in text)
        known = [one for one, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])) if one.strip()]
        numbers: dict[str, int] = {}
        letters = {one: numbers.setdefault(key, len(numbers)) for one, key in _keys(known, tokenizer)}
        path.write_text(json.dumps({"letters": letters, "names": _all_names(assets)}, ensure_ascii=False) + "\n",
                        encoding="utf-8")  # fmt: skip
    return read_classes(path)


@lru_cache(maxsize=4)
def read_classes(path: Path) -> Classes:
    """The classes that `build_classes` wrote."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    return Classes(raw["letters"], {name: number for number, name in enumerate(raw["names"])})


def _keys(characters: Sequence[str], tokenizer: Tokenizer) -> Iterable[tuple[str, str]]:
    for rank, one in enumerate(characters):
        yield one, one if rank < OWN_CLASSES else str(tokenizer.encode_text(one)[0])


def _all_names(assets: Assets) -> list[str]:
    names = [*NAMES, *HANDS, *DICE, *CARDS, *PLAIN_WIDGETS, *(look for looks in SHOWN.values() for look in looks)]
    if has_icons(assets):
        kinds = icon_pack(assets).kinds
        names += [icon.name for icons in kinds.values() for icon in icons]
        names += [f"{icon.name} icon" for icon in kinds["interface"]]
    return list(dict.fromkeys(names))


# ---- one example ----


def taught(example: Example, classes: Classes, *, spelled: bool, ordered: bool) -> Taught:
    """What is known of the example; `ordered`: its picture is one line, read from left to right."""
    answer = example.answer
    items = tuple(
        None if dense is None else _item(dense, classes, answer if ordered else None, _columns(example, number))
        for number, dense in enumerate(example.dense)
    )
    printed = None
    if len(items) == 1 and (item := items[0]) is not None:
        written = _written(example, item)
        if written is not None:
            printed, items = written.printed, (item._replace(begun=written.begun),)
        located = _located(example, item)
        if located is not None:
            printed = located if printed is None else np.where(located == IGNORED, printed, located)
    asked, name = _asked(example.messages, classes)
    first = example.dense[0] if len(example.dense) == 1 else None
    referent = UNKNOWN
    if name is not None and first is not None and first.names is not None:
        referent = _referent(first, name, _columns(example, 0), _cells_of_frame(example))
    return Taught(spelled, items, asked, referent, printed)


class Written(NamedTuple):
    """`printed` and `begun` of an example with one picture, as in Taught and Item."""

    printed: NDArray[np.int16]
    begun: NDArray[np.int16]


def _written(example: Example, item: Item) -> Written | None:
    """Where questions and answers are printed, and what cells begin with; a byte is one whatever token it is in."""
    (dense,) = example.dense
    if dense is not None and dense.words is not None and dense.letters is not None:
        printed = print_of(dense.words, dense.letters, _sides(example, 0))
        asked = in_any_case(printed)
        places = {
            "assistant": lambda text: in_print(text, printed),
            "user": lambda text: in_print(lowered(text), asked),
        }
        return Written(_by_role(example, places), first_letters(printed.places, len(dense.letters)))
    if item.order is not None:
        copied = along_line(example.answer, item.order.tolist())
        return Written(_by_role(example, {"assistant": lambda _: copied}), first_letters(copied, len(item.order)))
    return None


def _located(example: Example, item: Item) -> NDArray[np.int16] | None:
    """Where the things lie whose boxes the answers tell, as `printed` in Taught; None where they tell none."""
    rows, columns = (side // CELL for side in _sides(example, 0))
    if item.places is None or len(item.places) != rows * columns or not any(map(BOXES.search, example.answers)):
        return None
    things = item.places[:, BOX] + np.tile(middles_of(rows, columns), 2)
    return _by_role(example, {"assistant": lambda text: in_boxes(text, things, (rows, columns))})


def _by_role(example: Example, places: Mapping[str, Callable[[str], NDArray[np.int16]]]) -> NDArray[np.int16]:
    """`printed` in Taught, with what tells the places of each role's texts; of other roles' nothing is known."""
    return np.concatenate([places.get(role, nowhere)(text) for role, text in _texts(example.messages)])


def _texts(messages: Sequence[Message]) -> Iterator[tuple[str, str]]:
    """(role, text) of the text behind the only picture, the template's words between turns with the role ""."""
    for number, message in enumerate(messages):
        parts = message.parts
        behind = max((at for at, part in enumerate(parts, 1) if not isinstance(part, TextPart)), default=0)
        yield message.role, "".join(part.text for part in parts[behind:] if isinstance(part, TextPart))
        following = [f"<|im_start|>{one.role}\n" for one in messages[number + 1 : number + 2]]
        yield "", "<|im_end|>\n" + "".join(following)


def _item(dense: Dense, classes: Classes, line: str | None, columns: int) -> Item:
    letters = names = order = None
    if dense.letters is not None:
        told = ([classes.letters.get(one, NOTHING) for one in cell] for cell in dense.letters)
        letters = _slots(told, LETTER_SLOTS)
        order = None if line is None else np.array(reading_order(dense.letters, line, columns), dtype=np.int16)
    if dense.names is not None:
        names = _slots(([classes.names[one] for one in cell if one in classes.names] for cell in dense.names),
                       NAME_SLOTS)  # fmt: skip
    counted = None if dense.counted is None else np.array(dense.counted, dtype=np.int16)
    return Item(letters, names, order, dense.places, counted)


def _slots(cells: Iterable[Sequence[int]], count: int) -> NDArray[np.int16]:
    rows = [[*cell[:count], *[NOTHING] * (count - len(cell))] for cell in cells]
    return np.array(rows, dtype=np.int16).reshape(len(rows), count)


def _asked(messages: Sequence[Message], classes: Classes) -> tuple[int, str | None]:
    """The class and the name of the thing that the first question names."""
    found = named_in(question_of(messages[0]), classes.names)
    if len(found) > 1:
        return IGNORED, None
    return (classes.names[found[0]], found[0]) if found else (len(classes.names), None)


def named_in(question: str, names: Mapping[str, int]) -> list[str]:
    """The names in a question, the longest at each place; a plural counts as its singular.

    >>> named_in("Which comes first, the red star or the blue rings?", {"red star": 0, "star": 1, "blue ring": 2})
    ['red star', 'blue ring']
    """
    words = question.replace("?", " ").replace(".", " ").replace(",", " ").split()
    found, start = dict[str, None](), 0
    while start < len(words):
        for end in range(min(len(words), start + 6), start, -1):
            text = " ".join(words[start:end])
            name = next((one for one in (text, text.removesuffix("s"), text.removesuffix("es")) if one in names), None)
            if name is not None:
                found[name] = None
                start = end - 1
                break
        start += 1
    return list(found)


def _referent(dense: Dense, name: str, columns: int, frame: int) -> tuple[float, float, float, float, float]:
    """Its box where there is one thing of that name, at one place all the time."""
    assert dense.names is not None
    cells = [index for index, told in enumerate(dense.names) if name in told]
    if not cells:
        return (*UNKNOWN[:4], 0.0)
    boxes = set()
    for index in cells:
        if dense.places is not None and dense.names[index][0] == name:
            place = index % frame
            middle = np.array([place % columns + 0.5, place // columns + 0.5] * 2)
            boxes.add(tuple(float(one) for one in (dense.places[index, BOX] + middle).round(2)))
    only = boxes.pop() if len(boxes) == 1 else UNKNOWN[:4]
    return (only[0], only[1], only[2], only[3], 1.0)


def _columns(example: Example, number: int) -> int:
    return _sides(example, number)[1] // 28


def _cells_of_frame(example: Example) -> int:
    height, width = _sides(example, 0)
    return height // 28 * (width // 28)


def _sides(example: Example, number: int) -> tuple[int, int]:
    parts = [part for message in example.messages for part in message.parts if not isinstance(part, TextPart)]
    part = parts[number]
    frame = part.video[0] if hasattr(part, "video") else part.image
    return frame.shape[0], frame.shape[1]
